"""Each kind of alert has a page and a drill: the fault is caused, and the page's commands see to it."""

from __future__ import annotations

import ast
import re
import shutil
import sqlite3
from pathlib import Path

import duckdb
import pytest
from built_once import built_once
from guides import blocks_of
from redis_server import free_port
from runbook_drill import HEADINGS, PAGES, Drill, drill, page_text, section_blocks
from small_project import MOST_PIECES, PROJECT, SmallProject
from test_availability import CONTRACT
from training_project import succeed
from watched_project import MONTHS, VIEW, land_month, make_watched_project

from assay.alerts.runbooks import Runbook

pytestmark = pytest.mark.minutes

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def built_watched(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A project with all that the platform watches; to copy, not to change."""
    return SmallProject(built_once(tmp_path_factory, "watched_project", make_watched_project))


@pytest.fixture
def watched(built_watched: SmallProject, tmp_path: Path) -> SmallProject:
    return SmallProject(Path(shutil.copytree(built_watched.root, tmp_path / "project")))


def build(project: SmallProject, *arguments: str, code: int = 0) -> None:
    ended = project.assay("build", *arguments)
    assert ended.exit_code == code, ended.output


def test_each_kind_of_alert_has_a_page_and_each_page_a_kind() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {*Runbook, "index"}
    index = page_text("index")
    rows = re.findall(r"^\| \[([\w-]+)\]\(\1\.md\) \| (.*) \|$", index, re.MULTILINE)
    assert rows == [
        (each.value, page_text(each).splitlines()[0].removeprefix("# ")) for each in sorted(Runbook)
    ]


def test_each_kind_of_alert_has_a_drill() -> None:
    drilled = [
        argument.attr
        for path in HERE.glob("test_*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "drill"
        for argument in decorator.args
        if isinstance(argument, ast.Attribute)
    ]
    assert sorted(drilled) == sorted(each.name for each in Runbook)


@pytest.mark.parametrize("runbook", Runbook)
def test_a_page_has_four_sections_whose_commands_a_drill_runs(runbook: Runbook) -> None:
    assert re.findall("^## (.*)$", page_text(runbook), re.MULTILINE) == HEADINGS
    run = {str(block) for heading in HEADINGS for block in section_blocks(runbook, heading)}
    assert run == {str(block) for block in blocks_of(PAGES / f"{runbook}.md") if block.is_run}
    assert section_blocks(runbook, "Verify")


def test_a_page_is_printed(project: SmallProject) -> None:
    assert succeed(project, "alerts", "explain", "test-failed").strip() == page_text("test-failed").strip()
    wrong = project.assay("alerts", "explain", "test-faild")
    assert wrong.exit_code == 2
    assert "did you mean test-failed" in wrong.output


@drill(Runbook.ALERTS_TEST)
def test_alerts_test(project: SmallProject) -> None:
    it = Drill(project, Runbook.ALERTS_TEST)
    succeed(project, "alerts", "test")
    assert [each["name"] for each in it.sent()] == ["a test"]
    assert "No alert stands." in it.follow("See more")
    it.follow("What to do")
    assert "Told file" in it.follow("Verify")


@drill(Runbook.BUILD_FAILED)
def test_build_failed(project: SmallProject) -> None:
    it = Drill(project, Runbook.BUILD_FAILED)
    broken = project.root / "models" / "own" / "gold" / "_broken__models.yml"
    broken.write_text("models: [")
    build(project, code=1)
    build(project, code=1)
    assert "_broken__models.yml" in it.alert()["message"]
    assert "_broken__models.yml" in it.follow("See more")
    broken.unlink()
    it.follow("What to do")
    it.verify()


@drill(Runbook.MODEL_FAILED)
def test_model_failed(project: SmallProject) -> None:
    it = Drill(project, Runbook.MODEL_FAILED)
    model = project.root / "models" / "own" / "gold" / "fct_days.sql"
    sql = model.read_text()
    model.write_text(sql.replace("::date", "::date + 'much'::integer").replace("view", "table"))
    build(project, code=1)
    it.alert()
    shown = it.follow("See more")
    # The project has personal columns, and a message does not say of which column its value is.
    assert "Could not convert string '****' to INT32" in shown
    assert "'much'::integer" in shown
    model.write_text(sql)
    it.follow("What to do")
    it.verify()


@drill(Runbook.TEST_FAILED)
def test_test_failed(project: SmallProject) -> None:
    it = Drill(project, Runbook.TEST_FAILED)
    project.land(5, MOST_PIECES + 1)
    build(project, code=1)
    it.alert()
    told = it.follow("See more")
    assert "landed_at=2025-01-05T02-00-00/lines.csv" in told
    models = project.root / "models" / "own" / "gold" / "_gold__models.yml"
    models.write_text(
        models.read_text().replace(f"max_value: {MOST_PIECES}", f"max_value: {MOST_PIECES + 1}")
    )
    it.follow("What to do")
    it.verify()


@drill(Runbook.CONTRACT_BROKEN)
def test_contract_broken(project: SmallProject) -> None:
    it = Drill(project, Runbook.CONTRACT_BROKEN)
    models = Path("models", "example", "silver", "erp", "_erp__models.yml")
    shutil.copy(PROJECT / models, project.root / models)
    build(project)
    assert it.alert()["owner"] == "order management"
    assert "completeness" in it.follow("See more")
    # Another is agreed on.
    file = project.root / models
    file.write_text(file.read_text().replace("completeness: 0.999", "completeness: 0.5"))
    it.follow("What to do")
    it.verify()


@drill(Runbook.SCHEMA_CHANGED)
def test_schema_changed(project: SmallProject) -> None:
    it = Drill(project, Runbook.SCHEMA_CHANGED)
    path = project.land(5, 7)
    header, line = path.read_text().splitlines()
    path.write_text(f"{header},Colour\n{line},red\n")
    build(project)
    it.alert()
    assert "Colour" in it.follow("See more")
    it.follow("What to do")
    it.verify()


@drill(Runbook.FILES_NOT_LOADED)
def test_files_not_loaded(project: SmallProject) -> None:
    it = Drill(project, Runbook.FILES_NOT_LOADED)
    path = project.land(5, 7)
    good = path.read_text()
    path.write_text("a,b\n1,2\n")
    strange = project.landing / "shop" / "parcels" / "parcels.csv"
    strange.parent.mkdir(parents=True)
    strange.write_text("a\n1\n")
    build(project)
    build(project)
    assert it.alert("erp.order_lines")["owner"] == "order management"
    assert it.alert("shop.parcels")["owner"] is None
    assert "parcels.csv" in it.follow("See more")
    path.write_text(good)
    strange.unlink()
    it.follow("What to do")
    it.verify()


@drill(Runbook.PRODUCT_LATE)
def test_product_late(project: SmallProject) -> None:
    it = Drill(project, Runbook.PRODUCT_LATE)
    contract = project.root / "contracts" / "lines.odcs.yaml"
    contract.parent.mkdir(exist_ok=True)
    level = "{property: frequency, value: 1, unit: h}"
    contract.write_text(CONTRACT.format(level).replace("id: sales", "id: fct_lines"))
    with duckdb.connect(project.root / "data" / "ops.duckdb") as ledger:
        ledger.execute("update product_publications set published_at = published_at - interval 2 hours")
    for _ in range(2):
        assert project.assay("alerts", "check").exit_code == 1
    assert it.alert()["owner"] == "shop"
    assert "late by" in it.follow("See more")
    project.land(5, 7)
    it.follow("What to do")
    it.verify()


@drill(Runbook.GOLD_ROLLED_BACK)
def test_gold_rolled_back(project: SmallProject) -> None:
    it = Drill(project, Runbook.GOLD_ROLLED_BACK)
    project.land(5, 7)
    build(project)
    [[first]] = project.query(
        "select run_id from runs order by started_at limit 1", file=project.root / "data" / "ops.duckdb"
    )
    succeed(project, "published", "rollback", first, "--reason", "amounts in cents")
    assert "amounts in cents" in it.alert()["message"]
    assert "amounts in cents" in it.follow("See more")
    it.follow("What to do")
    it.verify()


@drill(Runbook.SOURCE_SILENT, Runbook.ONLINE_NOT_SYNCED, Runbook.RETRAINING_DUE)
def test_source_silent_online_not_synced_and_retraining_due(watched: SmallProject) -> None:
    away = SmallProject(watched.root, {"ASSAY_ONLINE_STORE": f"redis://127.0.0.1:{free_port()}/0"})
    online, silent = Drill(away, Runbook.ONLINE_NOT_SYNCED), Drill(watched, Runbook.SOURCE_SILENT)
    predicted = watched.landing / "serving" / "predictions" / "landed_at=2025-09-10T00-00-00" / "p.jsonl"
    predicted.parent.mkdir(parents=True)
    predicted.write_text(
        '{"prediction_id": "1", "model": "m", "label": "lbl_x", "label_id": "1", "score": 0.5, "threshold": '
        '0.5, "predicted_at": "2025-09-09T00:00:00Z", "received_at": "2025-09-09T00:00:01Z"}\n'
    )
    build(away)
    online.alert()
    online.follow("See more")
    # The store is there again.
    online.project = watched
    online.follow("What to do")
    online.verify()

    assert silent.alert()["owner"] == "order management"
    assert "stale" in silent.follow("See more")
    for month in range(MONTHS + 1, 13):
        land_month(watched, month)
    silent.follow("What to do")
    silent.verify()

    # Half as many rows are new as were trained on.
    due = Drill(watched, Runbook.RETRAINING_DUE)
    for _ in range(2):
        assert watched.assay("retraining").exit_code == 1
    due.alert()
    assert "labelled rows are new" in due.follow("See more")
    due.follow("What to do")
    due.verify()


@drill(Runbook.QUALITY_BROKEN, Runbook.FEATURE_DRIFTED)
def test_quality_broken_and_feature_drifted(watched: SmallProject) -> None:
    quality, drift = Drill(watched, Runbook.QUALITY_BROKEN), Drill(watched, Runbook.FEATURE_DRIFTED)
    land_month(watched, MONTHS + 1, pieces=10, customer="")
    build(watched, "--all")
    quality.alert("slv_order_lines.customer_id more_nulls")
    assert "more_nulls" in quality.follow("See more")
    # The source is corrected, and the next month is as usual.
    land_month(watched, MONTHS + 2)
    quality.follow("What to do")
    quality.verify()
    # The month that was wrong is over, and is judged.
    assert drift.alert()["owner"] == "product team"
    assert "more_nulls" in drift.follow("See more")
    drift.follow("What to do")
    drift.verify(is_closed=True)


@drill(Runbook.ONLINE_DIFFERS)
def test_online_differs(watched: SmallProject) -> None:
    it = Drill(watched, Runbook.ONLINE_DIFFERS)
    with sqlite3.connect(watched.root / "data" / "online.sqlite") as store:
        store.execute("""update entities set stretch = replace(stretch, ',"', ',"1')""")
    watched.assay("parity")
    watched.assay("parity")
    assert it.alert()["name"] == VIEW
    assert "offline" in it.follow("See more")
    (watched.root / "data" / "online.sqlite").unlink()
    it.follow("What to do")
    it.verify()
