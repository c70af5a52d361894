"""The report is one page that tells what ran, what broke and how the data is, whatever is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from unittest import mock

import duckdb
import pytest
from report_page import HOSTILE, VERSION, ReportPage, fill_monitors, take_version
from small_project import MOST_PIECES, SmallProject, make_small_project

from assay.ledger.contracts import ContractState, read_newest_contracts, record_contracts
from assay.ledger.runs import Run, read_runs, record
from assay.project.warehouse import connect
from assay.report.drift_charts import comparison_chart
from assay.report.tables import Absent, Tables

pytestmark = pytest.mark.usefixtures("builds")

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"


@pytest.fixture
def broken(built_broken: SmallProject, tmp_path: Path) -> SmallProject:
    """A copy of it, for one test to do with as it likes."""
    return SmallProject(Path(shutil.copytree(built_broken.root, tmp_path / "broken")))


@pytest.fixture(scope="module")
def full(built_broken: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> ReportPage:
    """The page of a project that has something in every section."""
    root = Path(shutil.copytree(built_broken.root, tmp_path_factory.mktemp("full") / "project"))
    project = SmallProject(root)
    fill_monitors(project)
    take_version(project)
    return report(project)


def report(project: SmallProject, *arguments: str) -> ReportPage:
    written = project.assay("report", *arguments)
    assert written.exit_code == 0, written.stderr
    assert written.stdout == "Open report/index.html in a browser.\n"
    return ReportPage(project.root / "report" / "index.html")


def ledger(project: SmallProject) -> Path:
    return project.root / "data" / "ops.duckdb"


# --- what the page tells ------------------------------------------------------------------------------------


def test_gold_is_fine_where_nothing_needs_a_person(tmp_path: Path) -> None:
    project = make_small_project(tmp_path / "project")
    project.land(3, 4, 5)
    assert project.assay("build").exit_code == 0
    page = report(project)
    assert "Gold is fine, and nothing needs a person." in page.sections["page"]
    assert "needs" not in page.sections
    assert page.sections["broken"].startswith("What broke Nothing: no model failed, and all ")
    [run] = read_runs(ledger(project))
    assert f"Tests passed {run.tests_passed} none failed" in page.sections["page"]
    assert f"Run {run.run_id}" in page.sections["runs"]
    assert "gold.fct_lines model success" in page.sections["runs"]


def test_what_broke_is_told_in_the_words_of_explain(built_broken: SmallProject) -> None:
    page = report(built_broken)
    need = "Test quantities_are_plausible of gold.fct_lines.quantity failed, 30 rows: order_line_id is "
    assert f"broken {need}" in page.sections["needs"]
    assert f"allowed is at most 1000. Owner: {HOSTILE}." in page.sections["needs"]
    told = page.sections["broken"]
    assert "Since this build Failing rows 30 order_line_id is " in told
    assert "allowed is at most 1000 It claims quantities are plausible." in told
    assert "What to do If the rows are wrong, let their source's contract" in told
    assert "Declared in models/own/gold/_gold__models.yml" in told
    assert "3 of 30 rows" in told
    assert "quantity 1001 1002 1003" in told
    lines = "erp/order_lines/landed_at=2025-01-04T02-00-00/lines.csv 2, 3, 4,"
    assert lines in told
    [explained] = [built_broken.assay("explain", "quantities_are_plausible").stdout]
    remedy = re.search(r"What to do: (.*)", explained)
    assert remedy is not None
    assert remedy[1] in told


def test_how_a_test_ended_before_is_told(built_broken: SmallProject) -> None:
    page = report(built_broken)
    said = (
        "quantities_are_plausible of gold.fct_lines.quantity: of 2 builds, passed in 1 and failed in 1; "
        "failed in the latest."
    )
    assert said in page.attributes("aria-label")
    titles = [title for title in page.attributes("title") if title.endswith((": passed", ": failed"))]
    assert [title.rpartition(" ")[2] for title in titles] == ["passed", "failed"]


def test_a_broken_promise_is_told_by_its_figure(broken: SmallProject) -> None:
    figure = "completeness is 85.00%, promised is 99.90%"
    sample = '[{"promise": "completeness", "promised": 0.999, "observed": 0.85}]'
    with duckdb.connect(ledger(broken)) as connection:
        connection.execute(
            "update nodes set status = 'warn', failing_rows = 1, message = ?, sample = ? "
            "where name = 'quantities_are_plausible'",
            [figure, sample],
        )
    for options in ((), ("--without-rows",)):
        page = report(broken, *options)
        need = f"watch Test quantities_are_plausible of gold.fct_lines.quantity warns: {figure}."
        assert need in page.sections["needs"]
        assert f"Warning: quantities_are_plausible: {figure}" in page.sections["broken"]
        assert "Failing rows 1" not in page.sections["broken"]


def test_what_drifts_is_drawn_beside_what_it_was_compared_with() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table mon_drift__comparisons as
                select 1 as comparison, 'ftr_a' as feature_view, 'n' as feature, 'rolling' as reference,
                    (2025 - 1970) * 12 + 2 as month_number;
            create table mon_drift__sides as
                from (values (1, 7, 662, false), (1, 7, 661, true), (2, 7, 9, true))
                as sides(comparison, feature_number, period, is_reference);
            create table mon_drift__values as from (values
                (7, 661, 1::double, null::varchar, 3), (7, 661, 2, null, 1), (7, 662, 2, null, 5),
                (7, 9, 8, null, 1)
            ) as counted(feature_number, period, number_value, category, occurrences)
            """
        )
        row = {"view": "ftr_a", "feature": "n", "reference": "rolling", "window": "2025-03"}
        chart = comparison_chart(Tables(connection, "memory"), row)
        assert chart.words == (
            "ftr_a.n in 2025-03, and in the months before. the months before: most often 1, 75.0%; "
            "2025-03: most often 2, 100.0%."
        )
        assert "1: 75.0% of the months before" in chart.svg
        connection.execute("drop table mon_drift__values")
        with pytest.raises(Absent):
            comparison_chart(Tables(connection, "memory"), row)


def test_quarantine_is_told_by_rule_with_whole_rows(built_broken: SmallProject) -> None:
    told = report(built_broken).sections["landing"]
    assert "erp/order_lines 4 2 40 35 34 6" in told
    assert "slv_order_lines: 6 of 40 rows rejected (15.0%)" in told
    assert "invalid_quantity 6 +5 The quantity is absent or not a whole number send whole pieces" in told
    # The newest rows, with what landed and the lines that they came from.
    assert "Rows that break invalid_quantity 3 of 6 rows column row 1 row 2 row 3" in told
    assert "row_number 2 3 4 InvoiceNo 050 051 052" in told
    assert f"StockCode {HOSTILE} {HOSTILE} {HOSTILE}" in told
    assert "hostile.csv" in told


def test_rows_can_be_left_out(built_broken: SmallProject, tmp_path: Path) -> None:
    copy = SmallProject(Path(shutil.copytree(built_broken.root, tmp_path / "copy")))
    page = report(copy, "--without-rows")
    assert "invalid_quantity" in page.sections["landing"]
    assert "StockCode" not in page.html
    assert "1001" not in page.sections["broken"]


def test_a_source_that_fell_silent_needs_a_person(full: ReportPage) -> None:
    assert "broken Nothing has come from erp.order_lines for 3 days; the limit is 4 days." in " ".join(
        full.sections["needs"].split()
    )
    assert "erp.order_lines stale" in full.sections["freshness"]


def test_an_unusual_day_is_marked_and_told(full: ReportPage) -> None:
    assert f"watch {HOSTILE} had no rows on 31 Mar 2025, where 42 were expected." in full.sections["needs"]
    assert f"1 day of {HOSTILE} is unusual" in full.sections["volume"]
    assert "31 Mar: 0" in full.sections["volume"]
    [words] = [words for words in full.attributes("aria-label") if words.startswith("Rows a day of")]
    assert words.endswith("0 to 46; 1 day unusual: no rows on 31\u00a0Mar\u00a02025, where 42 were expected.")


def test_features_that_drift_are_drawn_and_all_are_listed(full: ReportPage) -> None:
    told = full.sections["drift"]
    assert "In 2025-03, 1 of 2 features drifts, and none should be watched." in told
    assert "drift, 0.61" in told
    assert "amount_sum_1h the months before too early stable drift" in told
    assert f"{HOSTILE} the months before too early stable stable" in told
    assert "amount_sum_1h the months before 2025-03 0.610 0.400 0.300 +1.50 +0.0%" in told
    assert "watch In 2025-03, ftr_card__velocity.amount_sum_1h drifts." in full.sections["needs"]
    # Where there is no figure there is no point.
    assert "2025-02: PSI 0.030, stable" in full.sections["title"]
    assert "2025-01: PSI" not in full.sections["title"]
    [words] = [words for words in full.attributes("aria-label") if words.startswith("PSI of")]
    assert words == (
        "PSI of amount_sum_1h of ftr_card__velocity against the months before, 2025-01 to 2025-03; "
        "drift in 2025-03."
    )


def test_training_sets_that_are_due_and_their_versions_are_told(full: ReportPage) -> None:
    assert "trn_fraud needs retraining." in full.sections["retraining"]
    assert (
        "trn_churn no nothing has changed none yet to create one: assay training-set create trn_churn "
        f"trn_fraud yes one feature drifts {VERSION} created 1 Mar 2025" in full.sections["retraining"]
    )
    assert "Models of trn_fraud need retraining: one feature drifts" in full.sections["needs"]
    assert f"{VERSION} 1,234 0 train 1,000 and test 234" in full.sections["training-sets"]


def test_what_breaks_rules_of_quality_is_told_where_it_begins(full: ReportPage) -> None:
    told = full.sections["quality"]
    assert "4 checks of 2 tables; 1 rule has been broken since Feb 2025, in slv_order_lines." in told
    assert (
        "slv_order_lines.country Mar 2025 more_nulls completeness 9 of 10 rows 1 finding of months before"
        in told
    )
    assert "1 finding further down, which this explains" in told
    assert "fct_lines.country Mar 2025 more_nulls completeness 9 of 10 rows begins in slv_order_lines" in told
    assert "more_nulls Too many values are NULL ask the source" in told
    needs = full.sections["needs"]
    assert needs.count("more_nulls") == 1
    assert "slv_order_lines.country breaks more_nulls: 9 of 10 rows." in needs


def test_files_that_differ_from_what_is_declared_are_told(project: SmallProject) -> None:
    lines = project.land(6, 1, 2)
    header, *rows = lines.read_text().splitlines()
    lines.write_text("\n".join([f"{header},Channel", *(f"{row},shop" for row in rows), ""]))
    assert project.assay("build").exit_code == 0
    page = report(project)
    told = page.sections["landing"]
    assert "erp.order_lines a file has Channel, which nobody declared 1 6 Jan 2025 6 Jan 2025 loaded" in told
    assert page.sections["needs"].count("Channel") > 0


def test_contracts_are_told_by_owner_with_why_they_are_broken(built_broken: SmallProject) -> None:
    page = report(built_broken)
    assert "Gold is published, except fct_lines and fct_days." in page.sections["page"]
    told = page.sections["contracts"]
    why = "test quantities_are_plausible of gold.fct_lines.quantity failed"
    assert why in told
    contracts = read_newest_contracts(ledger(built_broken))
    assert {state.status for state, _ in contracts} == {"kept", "broken", "held back"}
    assert {state.side for state, _ in contracts} == {"source", "table"}
    for state, since in contracts:
        owner = state.owner or "nobody"
        when = f"{since.day} {since:%b %Y, %H:%M}"
        of_source = f"{owner} source {state.status} {when}"
        of_table = f"{owner} {'yes' if state.status == 'kept' else 'no'}"
        assert f"{state.contract} {of_source if state.side == 'source' else of_table}" in told
    tables = sum(state.side == "table" for state, _ in contracts)
    assert f"{tables} tables of gold have none." in told
    assert "assay contracts adopt fct_" in told
    assert "published in part" in page.sections["runs"]


def test_a_source_that_breaks_its_contract_holds_nothing_back(project: SmallProject) -> None:
    [run] = read_runs(ledger(project))
    broken = ContractState("erp", "source", "erp team", "broken", "one promise broken")
    record_contracts(ledger(project), run.run_id, [broken])
    page = report(project)
    assert "erp erp team source broken" in page.sections["contracts"]
    assert "published, except" not in page.sections["page"]


def test_where_all_of_gold_is_broken_it_is_said_to_stay(project: SmallProject) -> None:
    project.land(4, MOST_PIECES + 1)
    assert project.assay("build").exit_code == 1
    page = report(project)
    assert "Gold stays as it was: the latest build failed." in page.sections["page"]
    assert "Why: 1 of" in page.sections["page"]


def test_files_that_are_not_loaded_need_a_person(project: SmallProject) -> None:
    for number in range(10):
        project.land(6, name=f"lines{number}.csv.gz").write_bytes(b"\x1f\x8bno gzip")
        undeclared = project.landing / "erp" / f"table{number}" / "lines.csv"
        undeclared.parent.mkdir()
        undeclared.write_text("a\n")
    assert project.assay("build").exit_code == 0
    page = report(project)
    assert re.search(r"Gold is published, and 1\d things need a person\.", page.sections["page"])
    assert "lines0.csv.gz and 9 more are not loaded: The .gz " in page.sections["needs"]
    assert page.sections["needs"].count("lines.csv is not loaded:") == 7
    assert "broken 3 more. Landing and quarantine" in page.sections["needs"]
    assert page.sections["landing"].count(".csv.gz and 9 more failed") == 1
    assert page.sections["landing"].count("lines.csv unknown_table") == 10


def test_a_build_that_was_killed_needs_a_person(project: SmallProject) -> None:
    [run] = read_runs(ledger(project))
    begun = datetime(2999, 1, 1)
    record(ledger(project), Run("killed", run.warehouse, begun, "assay build", {}))
    page = report(project)
    assert "A build that began 1 Jan 2999, 00:00 UTC was killed; build again." in page.sections["needs"]
    assert "killed 1 Jan 2999, 00:00 killed" in page.sections["runs"]
    # The page is of the latest build that ended.
    assert f"Run {run.run_id}" in page.sections["runs"]


def test_what_recovers_is_told(broken: SmallProject) -> None:
    models = broken.root / "models" / "own" / "gold" / "_gold__models.yml"
    models.write_text(models.read_text().replace("max_value: 1000", "max_value: 2000"))
    assert broken.assay("build").exit_code == 0
    assert "Recovered since the build before: quantities_are_plausible." in report(broken).sections["broken"]


# --- where something is missing -----------------------------------------------------------------------------


def test_what_is_absent_is_said_in_words(project: SmallProject) -> None:
    page = report(project)
    told = page.sections["absent"]
    for title, table in (
        ("Volume", "mon_volume"),
        ("Freshness and lateness", "mon_freshness"),
        ("Quality", "mon_quality"),
        ("Feature drift", "mon_feature_drift"),
        ("Retraining", "mon_retraining"),
    ):
        assert f"{title} There is no {table} here." in told
    assert "No version of a training set is kept yet." in page.sections["training-sets"]
    assert page.sections["landing"].startswith(
        "Landing and quarantine 4 rows passed silver's rules; 1 (20.0%)"
    )


def test_a_table_of_another_version_is_no_failure(broken: SmallProject) -> None:
    with connect(broken.warehouse, read_only=False) as connection:
        connection.execute("alter table gold.mon_freshness drop column verdict")
    told = report(broken).sections["absent"]
    assert "mon_freshness has no column verdict: another version of Assay built it." in told


def test_a_version_that_cannot_be_read_is_no_failure(broken: SmallProject) -> None:
    take_version(broken)
    (broken.root / "data" / "training_sets" / VERSION / "manifest.json").write_text("{}")
    assert "manifest.json cannot be read" in report(broken).sections["absent"]


def test_a_ledger_from_before_nodes_were_kept_is_told(broken: SmallProject, tmp_path: Path) -> None:
    new = ledger(broken)
    old = new.rename(tmp_path / "old.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{old}' as old (read_only)")
        connection.execute(f"attach '{new}' as new")
        connection.execute("create table new.runs as from old.runs")
    page = report(broken)
    assert "The ledger does not have the nodes of this run." in page.sections["broken"]
    assert "broken The latest build failed: 1 of" in page.sections["needs"]


def test_without_a_warehouse_the_ledger_is_told(broken: SmallProject) -> None:
    broken.warehouse.unlink()
    page = report(broken)
    assert "quantities_are_plausible" in page.sections["broken"]
    assert "Nothing is built yet in data." in page.sections["absent"]


def test_while_a_build_has_the_warehouse_what_is_published_is_told(broken: SmallProject) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(broken.warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        page = report(broken)
    finally:
        holder.communicate("\n")
    said = "A build has the warehouse, so this is what was last published."
    assert said in page.sections["page"]
    assert (
        f"Landing and quarantine Nothing has landed, or it cannot be told. {said}" in page.sections["absent"]
    )
    assert "erp.order_lines fresh" in page.sections["freshness"]


def test_without_a_build_there_is_nothing_to_report(tmp_path: Path) -> None:
    refused = make_small_project(tmp_path / "project").assay("report")
    assert refused.exit_code == 1
    assert refused.stderr == (
        "Error: No build of data/assay.duckdb is recorded in data/ops.duckdb. To build: assay build\n"
    )


def test_a_place_that_cannot_be_written_is_told(project: SmallProject) -> None:
    (project.root / "report").write_text("a file of somebody else's")
    refused = project.assay("report")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: The report cannot be written to report: ")


def test_without_the_extra_it_is_said_how_to_install_it(project: SmallProject) -> None:
    kept = {name: module for name, module in sys.modules.items() if not name.startswith("assay.report")}
    with mock.patch.dict(sys.modules, kept | {"vl_convert": None}, clear=True):
        refused = project.assay("report")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: The report needs vl_convert, which is not installed: pip install 'assay[report]'.\n"
    )


# --- the page as such ---------------------------------------------------------------------------------------


def test_what_the_data_says_is_text(full: ReportPage) -> None:
    assert HOSTILE in full.sections["volume"]
    assert HOSTILE in full.sections["drift"]
    assert {"img", "script", "iframe", "object", "embed", "form"} & {tag for tag, _ in full.elements} == set()
    assert [name for _, attributes in full.elements for name in attributes if name.startswith("on")] == []
    policy = full.attributes("content")
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in policy


def test_nothing_is_fetched(full: ReportPage) -> None:
    assert full.attributes("src") == full.attributes("xlink:href") == full.attributes("style") == []
    leads = [href for href in full.attributes("href") if not href.startswith(("#", "data:,"))]
    assert leads == []
    assert re.findall(r"@import|url\(", full.sections["style"]) == []


def test_the_same_state_gives_the_same_bytes(broken: SmallProject) -> None:
    fill_monitors(broken)
    first = report(broken).html
    assert report(broken).html == first


def test_links_lead_into_the_documentation_where_there_is_one(project: SmallProject) -> None:
    copied = project.root / "report" / "dbt_docs.html"
    assert report(project).html.count("dbt_docs") == 0
    docs = project.root / "target" / "assay_docs.html"
    docs.parent.mkdir(exist_ok=True)
    docs.write_text("<title>dbt docs</title>")
    [package] = {
        name
        for (name,) in project.query(
            "select unique_id from nodes where name = 'fct_lines'", file=ledger(project)
        )
    }
    assert f"dbt_docs.html#!/model/{package}" in report(project).attributes("href")
    assert copied.read_text() == docs.read_text()
    docs.unlink()
    assert report(project).html.count("dbt_docs") == 0
    assert not copied.exists()


def test_tables_have_captions_and_headings_go_down_by_one(full: ReportPage) -> None:
    tags = [tag for tag, _ in full.elements]
    assert tags.count("caption") == tags.count("table") > 10
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    drawings = [attributes for tag, attributes in full.elements if attributes.get("role") == "img"]
    strips = [attributes for _, attributes in full.elements if attributes.get("class") == "strip"]
    assert (len(drawings), tags.count("svg"), len(strips)) == (5, 4, 1)
    assert all(attributes["aria-label"] for attributes in drawings)
    names = {attributes["id"] for _, attributes in full.elements if "id" in attributes}
    inside = {href[1:] for href in full.attributes("href") if href.startswith("#")}
    assert inside
    assert inside - names == set()
