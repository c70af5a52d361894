"""`assay build`: what it publishes, what it refuses to, and how it tells."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from small_project import SmallProject

from assay.project.lake import is_lake
from assay.project.warehouse import connect

pytestmark = pytest.mark.usefixtures("builds")


def gold(project: SmallProject) -> list[tuple]:  # type: ignore[type-arg]
    return project.query("select sum(quantity)::int, count(*) from gold.fct_lines", file=project.published)


def test_a_build_tells_what_it_did(project: SmallProject) -> None:
    again = project.assay("build")
    assert again.exit_code == 0, again.stderr
    assert again.stderr == ""
    row = r"erp/order_lines\W+2\W+0\W+5\W+0\W+4\W+1\W+yes"
    assert re.search(row, again.stdout), again.stdout
    assert re.search(r"invalid_quantity\W+1\W+The quantity is absent or not a whole number", again.stdout)
    assert re.search(r"dbt \d+\.\d s, of which \d+\.\d s in DuckDB", again.stdout)
    assert "data/published/assay.duckdb: 2 tables, 6 rows" in again.stdout
    assert gold(project) == [(10, 4)]
    *lines, last = again.stdout.splitlines()
    assert max(len(line) for line in lines) <= 100
    assert "assay status" in again.stdout
    code = re.search(r'python -c "(.+)"$', last)
    assert code
    suggested = [sys.executable, "-c", code[1]]
    shown = subprocess.run(suggested, cwd=project.root, capture_output=True, text=True, check=True)
    assert "fct_lines" in shown.stdout


def test_the_ledger_says_what_each_run_did(built_project: SmallProject) -> None:
    (run,) = (
        duckdb.connect(built_project.root / "data" / "ops.duckdb", read_only=True)
        .sql("from runs order by started_at limit 1")
        .to_arrow_table()
        .to_pylist()
    )
    assert (run["status"], run["files_loaded"], run["rows_landed"]) == ("succeeded", 2, 5)
    assert run["tests_passed"] > 0
    assert run["tests_failed"] == 0
    assert (run["published_path"], run["published_tables"], run["published_rows"]) == (
        "data/published/assay.duckdb",
        2,
        6,
    )
    assert run["ended_at"] > run["published_at"] > run["started_at"]
    assert json.loads(run["options"])["full_refresh"] is False
    (table,) = json.loads(run["tables"])
    assert (table["source"], table["landed_in_run"]) == ("erp/order_lines", 5)
    assert [(part["kept"], part["rejected"]) for part in table["checked"]] == [(4, 1)]
    assert [(reject["rule_id"], reject["rows"]) for reject in json.loads(run["rejects"])] == [
        ("invalid_quantity", 1)
    ]
    assert run["dbt_seconds"] > 0 < run["duckdb_seconds"]
    # dbt's invocation id, by which every row says which run brought it.
    assert built_project.query("select distinct run_id from bronze.brz_files") == [(run["run_id"],)]


def test_views_are_published_as_tables_with_their_comments(built_project: SmallProject) -> None:
    kinds = built_project.query(
        "select table_name, comment from duckdb_tables() where schema_name = 'gold' order by all",
        file=built_project.published,
    )
    assert kinds == [("fct_days", None), ("fct_lines", "Order lines.")]
    comments = "select comment from duckdb_columns() where column_name = 'order_line_id'"
    assert built_project.query(comments, file=built_project.published) == [("Hash of the line.",)]
    assert sorted(path.name for path in built_project.published.parent.iterdir()) == [
        *("assay.duckdb", "gold.duckdb", "kept")
    ]


def test_a_file_published_under_its_former_name_keeps_what_is_held_back(project: SmallProject) -> None:
    former = project.published.with_name("gold.duckdb")
    former.unlink()
    project.published.rename(former)
    rows = project.query("from gold.fct_lines order by all", file=former)
    project.land(4, 5000, 6000)
    assert project.assay("build").exit_code == 1
    assert project.query("from gold.fct_lines order by all", file=former) == rows
    (project.root / "models" / "own" / "gold" / "fct_one.sql").write_text("select 1 as one")
    models = project.root / "models" / "own" / "gold" / "_gold__models.yml"
    entry = "  - {name: fct_one, description: One., columns: [{name: one, data_type: integer}]}\n"
    models.write_text(models.read_text().rstrip() + "\n" + entry)
    assert project.assay("build").exit_code == 1
    assert former.is_symlink()
    assert project.query("from gold.fct_one", file=project.published) == [(1,)]
    assert project.query("from gold.fct_lines order by all", file=project.published) == rows


def test_what_no_model_builds_any_more_is_not_published(project: SmallProject) -> None:
    with connect(project.warehouse, read_only=False) as connection:
        connection.execute("create table gold.fct_forgotten as select 1 as n")
    assert project.assay("build").exit_code == 0
    tables = project.query(
        "select table_name from duckdb_tables() where schema_name = 'gold' order by all",
        file=project.published,
    )
    assert tables == [("fct_days",), ("fct_lines",)]


def test_a_failing_contract_stops_publishing_and_is_named(project: SmallProject) -> None:
    project.land(4, 5000, 6000)
    build = project.assay("build")
    assert build.exit_code == 1
    assert "FAILED: test quantities_are_plausible of gold.fct_lines.quantity: 2 failing rows" in build.stdout
    assert "1 node was skipped because of it" in build.stdout
    assert "data/published/assay.duckdb stays as it was" in build.stdout
    assert gold(project) == [(10, 4)]
    status, message = project.runs()[-1]
    assert status == "failed"
    assert re.fullmatch(r"1 of \d+ nodes failed", message)


def test_a_part_is_not_published(project: SmallProject) -> None:
    project.land(4, 7)
    build = project.assay("build", "--select", "slv_order_lines+")
    assert build.exit_code == 0
    assert "nothing: --select builds a part" in build.stdout
    assert gold(project) == [(10, 4)]


@pytest.mark.parametrize("moment", [[], ["--as-of", "2025-06-01"]], ids=["now", "as of a moment"])
def test_a_part_is_built_with_what_the_warehouse_lacks_and_without_tests_of_other_tables(
    project: SmallProject, moment: list[str]
) -> None:
    if not moment:
        project.warehouse.unlink()
    build = project.assay("build", "--select", "fct_lines", *moment)
    assert build.exit_code == 0, build.stdout + build.stderr
    assert "Also building 4 nodes" in build.stdout
    assert "brz_files" in build.stdout
    assert "Leaving out 1 test that also read" in build.stdout
    assert "every_broken_rule_has_one_reason_and_remedy" in build.stdout
    assert gold(project) == [(10, 4)]
    file = project.warehouse.with_stem("assay@2025-06-01T00-00-00") if moment else project.warehouse
    assert project.query("select count(*) from gold.fct_lines", file=file) == [(4,)]


def test_files_that_cannot_be_loaded_are_listed_and_stop_a_strict_build(project: SmallProject) -> None:
    for number in range(22):
        (project.landing / "erp" / "invoices").mkdir(exist_ok=True)
        (project.landing / "erp" / "invoices" / f"{number:02}.csv").write_text("a\n1\n")
    project.land(4, 7)
    strict = project.assay("build", "--strict")
    assert strict.exit_code == 1
    assert "nothing: 22 files are not loaded, and --strict was given" in strict.stdout
    assert gold(project) == [(10, 4)]
    lax = project.assay("build")
    assert lax.exit_code == 0
    assert "Files not loaded: 22" in lax.stdout
    told = "erp/invoices/00.csv and 21 more (unknown_table): No landing table erp/invoices is declared"
    assert told in lax.stdout
    assert lax.stdout.count("erp/invoices/") == 1
    assert gold(project) == [(17, 5)]


def test_only_the_newest_version_of_a_file_counts_for_strict(project: SmallProject) -> None:
    path = project.land(4, 7)
    good = path.read_text()
    path.write_text("no,header\n1,2\n")
    assert project.assay("build", "--strict").exit_code == 1
    path.write_text(good)
    mended = project.assay("build", "--strict")
    assert mended.exit_code == 0, mended.stdout
    assert "Files that changed, loaded as new versions: 1" in mended.stdout


def test_new_columns_are_reported(project: SmallProject) -> None:
    path = project.land(4, 7)
    header, line = path.read_text().splitlines()
    path.write_text(f"{header},Channel\n{line},web\n")
    told = "erp.order_lines: a file has Channel, which nobody declared (in 1 file since 2025-01-04; loaded)"
    assert told in project.assay("build").stdout


def test_full_refresh_rebuilds_from_bronze_alone(project: SmallProject) -> None:
    shutil.rmtree(project.landing / "erp")
    build = project.assay("build", "--full-refresh")
    assert build.exit_code == 0
    assert "Warning: The landing folder data/landing holds no files" in build.stdout
    assert gold(project) == [(10, 4)]


def test_as_of_builds_the_past_beside_the_present(project: SmallProject) -> None:
    shutil.rmtree(project.landing / "erp")
    build = project.assay("build", "--as-of", "2025-01-02T14:00:00+02:00")
    assert build.exit_code == 0, build.stdout + build.stderr
    assert re.search(r"erp/order_lines\W+2\W+0\W+5\W+0\W+3\W+0\W+2 not", build.stdout), build.stdout
    past = project.published.with_name("gold@2025-01-02T12-00-00.duckdb")
    assert project.query("select count(*) from gold.fct_lines", file=past) == [(3,)]
    assert gold(project) == [(10, 4)]
    assert project.query("select as_of from landing.warehouse") == [("now",)]
    status = project.assay("status")
    assert "--as-of" in status.stdout


@pytest.mark.parametrize("moment", ["yesterday", "", "2025-13-01"])
def test_a_moment_that_is_no_time_is_refused(built_project: SmallProject, moment: str) -> None:
    build = built_project.assay("build", "--as-of", moment)
    assert (build.exit_code, build.stdout) == (2, "")
    assert "is not a time" in build.stderr


def test_a_missing_landing_folder_is_told_before_anything_runs(project: SmallProject) -> None:
    shutil.rmtree(project.landing)
    before = project.runs()
    build = project.assay("build")
    assert (build.exit_code, build.stdout) == (2, "")
    assert build.stderr.startswith("Error: The landing folder data/landing does not exist.")
    assert project.runs() == before


@pytest.mark.parametrize("command", ["build", "status", "demo"])
def test_elsewhere_than_in_a_project_it_says_so(tmp_path: Path, command: str) -> None:
    ended = SmallProject(tmp_path).assay(command)
    assert ended.exit_code == 2
    assert "is not the root of a dbt project" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_come_with_the_command_that_installs_them(project: SmallProject) -> None:
    shutil.rmtree(project.root / "dbt_packages")
    build = project.assay("build")
    assert build.exit_code == 2
    assert "python -m assay.setup_packages" in build.stderr


def test_a_project_that_does_not_parse_is_told_without_a_traceback(project: SmallProject) -> None:
    (project.root / "models" / "own" / "gold" / "broken.sql").write_text("select * from {{ ref('nowhere') }}")
    build = project.assay("build")
    assert build.exit_code == 1
    assert "nowhere" in build.stderr
    assert "Traceback" not in build.stderr
    assert project.runs()[-1][0] == "failed"


def test_a_warehouse_that_is_another_kind_of_file_is_told(project: SmallProject) -> None:
    project.warehouse.write_text("Dear diary" * 1000)
    build = project.assay("build")
    assert build.exit_code == 1
    kind = (
        "cannot be the catalog of a lake (file is not a"
        if is_lake(project.warehouse)
        else "is not a DuckDB file"
    )
    assert kind in build.stderr


def test_help_comes_without_loading_dbt() -> None:
    code = (
        "import sys, assay.cli; print(*[m for m in ('dbt', 'pyarrow', 'duckdb', 'rich') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() in ("", "rich")


def _limit_file_size(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _assay_with_files_up_to(
    project: SmallProject, size: int, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from assay.cli import app; app()", *arguments],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: _limit_file_size(size),
    )


def test_a_full_disk_during_the_build_leaves_everything_usable(project: SmallProject) -> None:
    size = project.warehouse.stat().st_size
    project.land(4, *range(1, 900))
    for number in range(40):
        project.land(5, *(range(1, 900)), name=f"{number}.csv")
    build = _assay_with_files_up_to(project, size + (1 << 20), "build")
    assert build.returncode == 1, build.stdout
    assert "The disk has no room" in build.stderr, build.stderr
    assert "Traceback" not in build.stderr
    assert gold(project) == [(10, 4)]
    assert project.runs()[-1][0] == "failed"
    assert project.assay("build").exit_code == 0
    assert gold(project)[0][1] > 899


def test_a_full_disk_during_publishing_leaves_what_was_published(project: SmallProject) -> None:
    project.land(4, *range(1, 900))
    assert project.assay("build", "--select", "+fct_days").exit_code == 0
    published = project.published.read_bytes()
    (project.root / "models" / "own" / "gold" / "fct_many.sql").write_text(
        "{{ config(materialized='view', contract={'enforced': false}) }}\n"
        "select range, md5(range::varchar) as hash from range(1000000)"
    )
    build = _assay_with_files_up_to(project, 8 << 20, "build")
    assert build.returncode == 1, build.stdout
    assert re.search(r"The disk has no room to write \S+published/\S+assay\.duckdb", build.stderr), (
        build.stderr
    )
    assert project.published.read_bytes() == published
    assert sorted(path.name for path in project.published.parent.iterdir()) == [
        *("assay.duckdb", "gold.duckdb", "kept")
    ]
    assert project.assay("build").exit_code == 0
    assert len(project.query("from published.tables", file=project.published)) == 3


def test_no_room_for_temporary_files_is_told(project: SmallProject) -> None:
    profiles = project.root / "profiles.yml"
    limits = "settings:\n        memory_limit: 60MB\n        max_temp_directory_size: 1MB"
    profiles.write_text(profiles.read_text().replace("settings:", limits))
    (project.root / "models" / "own" / "gold" / "fct_many.sql").write_text(
        "{{ config(contract={'enforced': false}) }}\n"
        "select range, md5(range::varchar) as hash from range(3000000) order by hash"
    )
    build = project.assay("build")
    assert build.exit_code == 1, build.stdout
    assert "ran out of memory and of room for its temporary files" in build.stderr, (
        build.stdout + build.stderr
    )
    assert gold(project) == [(10, 4)]


def test_an_unwritable_folder_is_told(project: SmallProject) -> None:
    environment = {**project.environment, "ASSAY_WAREHOUSE": "dbt_project.yml/warehouse.duckdb"}
    build = subprocess.run(
        [sys.executable, "-c", "from assay.cli import app; app()", "build"],
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 2
    assert "Traceback" not in build.stderr
    assert "dbt_project.yml/warehouse.duckdb.lock cannot be written" in build.stderr


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("nonsense", "--select nonsense matches nothing"),
        ("fct_lines nonsense", "--select nonsense matches nothing"),
        (" ", "--select is empty"),
    ],
)
def test_a_selection_of_nothing_is_refused(project: SmallProject, select: str, message: str) -> None:
    build = project.assay("build", "--select", select)
    assert build.exit_code == 2
    assert message in build.stderr


def test_a_landing_table_that_names_no_table_of_its_own_is_refused(project: SmallProject) -> None:
    sources = project.root / "models" / "example" / "bronze" / "_bronze__sources.yml"
    sources.write_text(sources.read_text().replace("        identifier: web__events\n", ""))
    build = project.assay("build")
    assert build.exit_code == 1
    assert "set schema: landing for the source and identifier: web__events" in build.stdout + build.stderr


def test_the_future_is_refused(built_project: SmallProject) -> None:
    build = built_project.assay("build", "--as-of", "2999-01-01")
    assert build.exit_code == 2
    assert "--as-of 2999-01-01 lies in the future" in build.stderr
