"""`assay build` builds what has changed: equal to a build of everything, and dbt rests where nothing has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from small_project import SmallProject, make_small_project
from typer.testing import Result

from assay.build.state import read_state, state_file

pytestmark = [pytest.mark.minutes, pytest.mark.usefixtures("builds")]

_TABLES = (
    "select schema_name || '.' || table_name from duckdb_tables() where schema_name in ('silver', 'gold')"
)
# They say when a row was loaded, not what it is.
_AUDIT = "columns(c -> c not in ('loaded_at', 'run_id'))"


@pytest.fixture
def project(project_as_built: SmallProject) -> SmallProject:
    return project_as_built


def succeed(project: SmallProject, *options: str) -> Result:
    result = project.assay("build", *options)
    assert result.exit_code == 0, result.stdout + result.stderr
    return result


def built_nodes(result: Result) -> int | None:
    found = re.search(r"^Built +(\d+) of \d+ models, seeds and snapshots;", result.stdout, re.MULTILINE)
    return int(found[1]) if found else None


def hashes(project: SmallProject, file: Path | None = None) -> dict[str, tuple[int, int]]:
    return {
        table: project.query(
            f"select count(*), sum(hash(rows)) from (select {_AUDIT} from {table}) as rows", file=file
        )[0]
        for (table,) in project.query(_TABLES, file=file)
    }


def test_dbt_rests_where_nothing_has_changed(project: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project.published.stat()
    monkeypatch.setattr("dbt.cli.main.dbtRunner.invoke", lambda *_, **__: pytest.fail("dbt is started"))
    again = succeed(project)
    assert "Nothing has landed and no code has changed since run " in again.stdout
    assert "assay build --all" in again.stdout
    assert project.published.stat() == before
    assert [status for status, _ in project.runs()][-1] == "succeeded"
    assert project.runs()[-1][1].startswith("Nothing has landed")
    status = project.assay("status")
    assert "erp/order_lines" in status.stdout, "the tables of the run before stand"


def test_dbt_is_not_even_imported_where_nothing_has_changed(project: SmallProject) -> None:
    code = "import assay, sys; assay.open().build(); print('dbt' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines()[-1] == "False", run.stdout


def test_a_file_builds_what_reads_it(project: SmallProject) -> None:
    project.land(4, 7)
    result = succeed(project)
    nodes = built_nodes(result)
    assert nodes
    assert nodes < 15
    ran = "select list(name) from nodes where run_id = (select arg_max(run_id, started_at) from runs)"
    ((names,),) = project.query(ran, file=project.root / "data" / "ops.duckdb")
    assert {"brz_files", "slv_order_lines", "fct_lines", "fct_days"} <= set(names)
    assert not any("customers" in name for name in names)
    assert project.query("select sum(quantity)::int from gold.fct_lines", file=project.published) == [(17,)]


@pytest.mark.parametrize("seed", range(2))
def test_builds_of_changes_equal_a_build_of_everything(
    project: SmallProject, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    gold = project.root / "models" / "own" / "gold"
    outside = project.root / "data" / "rates.csv"
    outside.write_text("rate\n1\n")
    snapshots = project.root / "snapshots" / "own"
    snapshots.mkdir(parents=True)
    no_contract = "{{ config(contract={'enforced': false}) }}\n"
    (gold / "own_rates.sql").write_text(f"{no_contract}select * from read_csv('data/rates.csv')\n")
    (gold / "own_files.sql").write_text(
        f"{no_contract}select (select count(*) from {{{{ ref('brz_files') }}}}) as files,\n"
        "(select count(*) from {{ ref('fct_lines') }}) as lines\n"
    )
    (snapshots / "_own__snapshots.yml").write_text(
        "snapshots: [{name: snp_lines, relation: ref('fct_lines'), "
        "config: {schema: gold, unique_key: order_line_id, strategy: check, check_cols: [quantity]}}]\n"
    )

    def land_lines() -> None:
        project.land(
            random.randint(5, 28), *(random.randint(1, 9) for _ in range(3)), name=f"{random.random()}.csv"
        )

    def break_and_mend() -> None:
        path = project.land(random.randint(5, 28), 1, name=f"{random.random()}.csv")
        path.write_text("not,the,header\n1,2,3\n")
        succeed(project)
        path.unlink()

    def change_code() -> None:
        quantity = f"(quantity + {random.randint(1, 9)})::integer as quantity"
        (gold / "fct_lines.sql").write_text(
            f"select order_line_id, product_id, {quantity}, event_at, available_at\n"
            "from {{ ref('slv_order_lines') }}\n"
        )

    def add_model() -> None:
        (gold / f"own_{random.randint(0, 10**9)}.sql").write_text(
            "{{ config(materialized='table', contract={'enforced': false}) }}\n"
            "select count(*) as lines from {{ ref('fct_lines') }}\n"
        )

    def change_outside() -> None:
        outside.write_text(f"rate\n{random.random()}\n")

    def land_elsewhere() -> None:
        other = project.landing / "erp" / f"{random.random()}" / "x.csv"
        other.parent.mkdir()
        other.write_text("a\n1\n")

    def remove_model() -> None:
        for model in list(gold.glob("own_*.sql"))[:1]:
            model.unlink()

    changes = [land_lines, land_lines, break_and_mend, change_code, add_model, remove_model]
    changes += [change_outside, land_elsewhere]
    for _ in range(5):
        random.choice(changes)()
        succeed(project)
    small = hashes(project)
    published = hashes(project, project.published)
    succeed(project, "--all")
    assert hashes(project) == small
    assert hashes(project, project.published) == published
    del published["gold.fct_days"]  # A view.
    assert small.items() >= published.items()


def test_what_failed_is_built_until_it_passes(project: SmallProject) -> None:
    wrong = project.land(5, 5000)
    first = project.assay("build")
    assert first.exit_code == 1
    second = project.assay("build")
    assert second.exit_code == 1, "a failure lasts, though nothing has landed since"
    assert "quantities_are_plausible" in second.stdout
    assert project.query("select sum(quantity)::int from gold.fct_lines", file=project.published) == [(10,)]
    models = project.root / "models" / "own" / "gold" / "_gold__models.yml"
    models.write_text(models.read_text().replace("max_value: 1000", "max_value: 9000"))
    mended = succeed(project)
    assert built_nodes(mended) is not None, mended.stdout
    assert project.query("select sum(quantity)::int from gold.fct_lines", file=project.published) == [(5010,)]
    assert wrong.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda project: project.settings.update(ASSAY_SOMETHING="else"),
        lambda project: project.query("select 1") and project.warehouse.touch(),
        lambda project: state_file(project.warehouse).unlink(),
        lambda project: state_file(project.warehouse).write_text('{"inputs": 1}'),
        lambda project: (project.root / "macros" / "own.sql").write_text("{% macro own() %}{% endmacro %}"),
    ],
    ids=["environment", "warehouse", "no state", "broken state", "macro"],
)
def test_what_may_concern_every_node_builds_everything(project: SmallProject, change) -> None:  # type: ignore[no-untyped-def]
    change(project)
    result = succeed(project)
    assert built_nodes(result) is None, result.stdout
    assert "Nothing has landed" not in result.stdout


def test_a_published_file_that_is_gone_is_written_again(project: SmallProject) -> None:
    wanted = hashes(project, project.published)
    project.published.unlink()
    succeed(project)
    assert hashes(project, project.published) == wanted


def test_what_a_first_build_could_not_publish_the_next_publishes(tmp_path: Path) -> None:
    project = make_small_project(tmp_path / "project")
    bronze = project.root / "models" / "example" / "bronze" / "brz_erp__order_lines.sql"
    right = bronze.read_text()
    bronze.write_text(f"{right}\nwhere nothing")
    assert project.assay("build").exit_code == 1
    assert not project.published.exists()
    bronze.write_text(right)
    assert built_nodes(succeed(project)) is not None
    assert project.query("select count(*) from gold.fct_lines", file=project.published) == [(4,)]


def test_tables_that_did_not_change_keep_their_origin(project: SmallProject) -> None:
    (project.root / "models" / "own" / "gold" / "own_kinds.sql").write_text(
        "{{ config(contract={'enforced': false}) }}\nselect 1 as kind\n"
    )
    succeed(project)
    origins = "select table_name, run_id from published.tables order by all"
    before = dict(project.query(origins, file=project.published))
    project.land(6, 2)
    succeed(project)
    after = dict(project.query(origins, file=project.published))
    assert after["own_kinds"] == before["own_kinds"]
    assert after["fct_lines"] != before["fct_lines"]


def test_a_killed_build_leaves_no_state(project: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project.land(7, 3)
    monkeypatch.setattr("assay.build.conclude.publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert project.assay("build").exit_code != 0
    monkeypatch.undo()
    assert read_state(project.warehouse) is None
    assert project.runs()[-1] == ("failed", "interrupted")
    project.land(8, 4)
    # Published, but neither recorded nor told.
    monkeypatch.setattr("assay.build.run._record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert project.assay("build").exit_code != 0
    monkeypatch.undo()
    assert read_state(project.warehouse) is None
    assert built_nodes(succeed(project)) is None
    assert project.query("select sum(quantity)::int from gold.fct_lines", file=project.published) == [(17,)]


def test_a_watch_builds_what_lands_until_it_is_interrupted(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = len(project.runs())
    models = project.root / "models" / "own" / "gold" / "_gold__models.yml"
    sound = models.read_text()
    steps = [
        lambda: project.land(9, 8),
        lambda: None,
        lambda: models.write_text("models: ["),
        lambda: models.write_text(sound),
    ]

    def wait(seconds: float) -> None:
        assert 0 <= seconds <= 300
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr("assay.build.watch.time.sleep", wait)
    watched = project.assay("build", "--watch", "--every", "5m")
    assert watched.exit_code == 130, watched.stderr
    assert watched.stdout.count("Published ") == 1, "a look that finds nothing says nothing"
    assert project.query("select sum(quantity)::int from gold.fct_lines", file=project.published) == [(18,)]
    assert "_gold__models.yml" in watched.stderr + watched.stdout, (
        "broken code is told, and the watch goes on"
    )
    # The last tells that all is well again; the look that found nothing is no run.
    assert [status for status, _ in project.runs()[runs:]] == ["succeeded", "failed", "succeeded"]


def test_a_watch_begins_anew_where_a_module_has_changed(
    built_project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = iter(["as imported", "as imported", "changed"])
    begun: list[list[str]] = []

    def begin(program: str, arguments: list[str]) -> None:
        begun.append([program, *arguments])
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "assay.erasure.resume.build", lambda *_: SimpleNamespace(failed=False, unchanged_since="run")
    )
    monkeypatch.setattr("assay.build.watch.time.sleep", lambda _: None)
    monkeypatch.setattr("assay.build.watch.read_python", lambda: next(modules))
    monkeypatch.setattr("assay.build.watch.os.execv", begin)
    assert built_project.assay("build", "--watch").exit_code == 130
    assert begun == [[sys.executable, sys.executable, *sys.orig_argv[1:]]]


@pytest.mark.parametrize("options", [("--all",), ("--every", "soon")])
def test_a_watch_that_makes_no_sense_is_refused(
    built_project: SmallProject, options: tuple[str, ...]
) -> None:
    assert built_project.assay("build", "--watch", *options).exit_code == 2


def test_results_of_nodes_that_rested_stand(project: SmallProject) -> None:
    shown = project.assay("runs", "show").stdout
    project.land(8, 1)
    succeed(project)
    assert project.assay("runs", "show").stdout.count("slv_") == shown.count("slv_")


def test_a_version_is_taken_of_what_a_build_left(training: SmallProject) -> None:
    succeed(training)
    assert "Nothing has landed" in succeed(training).stdout
    own = training.root / "models" / "own" / "gold" / "own_kinds.sql"
    own.write_text("{{ config(contract={'enforced': false}) }}\nselect 1 as kind\n")
    assert built_nodes(succeed(training)), "a part, after which all is as a build of everything leaves it"
    created = training.assay("training-set", "create", "trn_lines")
    assert created.exit_code == 0, created.stderr
    assert "is not as a published build left it" not in created.stdout + created.stderr


def test_training_sets_wait_until_they_are_due(training: SmallProject) -> None:
    project = training
    settings = project.root / "dbt_project.yml"
    text = settings.read_text()
    assert "refresh_every: {monitoring: 1h, training_sets: 12h}" in text
    succeed(project)
    rows = "select count(*)::int from gold.trn_lines"
    before = project.query(rows)
    project.land(20, 6)
    waiting = succeed(project)
    assert re.search(r"Later +\d+ models? of training sets: due at \d{4}-", waiting.stdout), waiting.stdout
    assert project.query(rows) == before
    assert "Nothing has landed" in succeed(project).stdout
    state = json.loads(state_file(project.warehouse).read_text())
    state["refreshed_at"]["training_sets"] = "2020-01-01T00:00:00"
    state_file(project.warehouse).write_text(json.dumps(state))
    due = succeed(project)
    assert "training sets" not in due.stdout
    assert project.query(rows) == [(before[0][0] + 1,)]
    project.land(21, 6)
    view = project.root / "models" / "own" / "gold" / "ftr_product__lines.sql"
    view.write_text(view.read_text() + "\n-- changed\n")
    succeed(project)
    assert project.query(rows) == [(before[0][0] + 2,)], "whoever changes a view sees its training sets"
    settings.write_text(text.replace("training_sets: 12h", "training_sets: soon"))
    wrong = project.assay("build")
    assert wrong.exit_code == 2
    assert "refresh_every of training_sets is 'soon'" in wrong.stderr
