"""A project in Dagster: what it is shown, and that each of its runs is one run of Assay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from unittest import mock

import pytest
from dlt_contract import write_dlt_contract
from runbook_drill import Drill, drill
from small_project import HEADER, MOST_PIECES, PROJECT, SmallProject, make_small_project

dagster = pytest.importorskip("dagster", reason="Dagster is not installed: pip install -e '.[dagster]'")

from dagster import (  # noqa: E402
    AssetKey,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    RunRequest,
    SkipReason,
    build_run_status_sensor_context,
    build_sensor_context,
)

from assay.alerts.runbooks import Runbook  # noqa: E402
from assay.contracts.availability import Promise, promises_of  # noqa: E402
from assay.contracts.contract import Contract  # noqa: E402
from assay.contracts.document import Document  # noqa: E402
from assay.core.lock import locked  # noqa: E402
from assay.core.places import Places  # noqa: E402
from assay.dagster import backfill_job, definitions, materialize  # noqa: E402
from assay.dagster.assets import as_policy  # noqa: E402
from assay.dagster.code_location import find_first_day  # noqa: E402

FCT_LINES, FCT_DAYS = AssetKey(["gold", "fct_lines"]), AssetKey(["gold", "fct_days"])
LANDED = AssetKey(["erp", "order_lines"])
PLAUSIBLE = "quantities_are_plausible"
_AGREE = "select 1 from {{ ref('fct_lines') }} where not exists (from {{ ref('fct_days') }})"


@contextmanager
def in_project(project: SmallProject) -> Iterator[None]:
    with mock.patch.dict(os.environ, project.environment, clear=True):
        yield


@pytest.fixture(scope="module")
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as found:
        yield found


def run(
    project: SmallProject, instance: DagsterInstance, *keys: AssetKey, job: str = "build", **options: str
) -> ExecuteInProcessResult:
    with in_project(project):
        found = definitions(project.root)
        found_job = found.resolve_implicit_global_asset_job_def() if keys else found.resolve_job_def(job)
        return found_job.execute_in_process(
            instance=instance, raise_on_error=False, asset_selection=list(keys) or None, **options
        )


def made(result: ExecuteInProcessResult) -> dict[AssetKey, dict]:  # type: ignore[type-arg]
    events = result.get_asset_materialization_events()
    return {
        event.asset_key: {name: value.value for name, value in event.materialization.metadata.items()}
        for event in events
        if event.asset_key
    }


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


@pytest.fixture(scope="module")
def first(
    builds: None, instance: DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallProject, ExecuteInProcessResult]:
    """The small project, built for the first time by a Dagster run."""
    project = make_small_project(tmp_path_factory.mktemp("dagster") / "project")
    tests = project.root / "tests" / "dbt" / "own"
    tests.mkdir(parents=True, exist_ok=True)
    (tests / "lines_and_days_agree.sql").write_text(_AGREE)
    return project, run(project, instance)


def test_a_run_makes_all_that_a_build_makes_in_one_run_of_the_ledger(
    first: tuple[SmallProject, ExecuteInProcessResult],
) -> None:
    project, result = first
    assert result.success
    found = made(result)
    models = {("bronze", "brz_erp__order_lines"), ("silver", "slv_order_lines"), ("gold", "fct_days")}
    published = {("published", "fct_lines"), ("published", "fct_days"), ("pages", "report")}
    assert {AssetKey(each) for each in models | published} | {LANDED, FCT_LINES} <= found.keys()
    assert found[FCT_LINES]["dagster/row_count"] == 4
    assert (found[LANDED]["files"], found[LANDED]["rows of this run"]) == (2, 5)
    assert found[AssetKey(["silver", "slv_order_lines__checked"])]["rejected rows"] == 1
    assert Path(found[AssetKey(["pages", "report"])]["file"]).is_file()
    assert checks(result)[PLAUSIBLE]
    assert [status for status, _ in project.runs()] == ["succeeded"]
    run_id = project.query("select run_id from runs", file=project.root / "data" / "ops.duckdb")[0][0]
    assert found[AssetKey(["published", "fct_lines"])]["run"] == run_id
    assert project.query("select run_id from published.publication", file=project.published) == [(run_id,)]


def test_a_test_of_several_models_is_a_check_of_the_last_one(
    first: tuple[SmallProject, ExecuteInProcessResult],
) -> None:
    project, _ = first
    with in_project(project):
        graph = definitions(project.root).resolve_asset_graph()
    (check,) = [each for each in graph.asset_check_keys if each.name == "lines_and_days_agree"]
    assert check.asset_key == FCT_DAYS


def test_a_run_that_finds_nothing_new_makes_nothing_and_is_recorded(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance
) -> None:
    project, _ = first
    before = len(project.runs())
    result = run(project, instance)
    assert result.success
    assert made(result).keys() == {AssetKey(["pages", "report"])}
    assert checks(result) == checks(first[1])
    assert len(project.runs()) == before + 1


def test_dagster_learns_what_was_there_before_it(
    first: tuple[SmallProject, ExecuteInProcessResult],
) -> None:
    project, first_result = first
    with DagsterInstance.ephemeral() as unknowing:
        result = run(project, unknowing)
    assert made(result).keys() == made(first_result).keys()
    assert checks(result).keys() == checks(first_result).keys()


def test_a_part_is_built_with_the_checks_that_read_other_tables_too(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance
) -> None:
    project, _ = first
    before = len(project.runs())
    result = run(project, instance, FCT_DAYS)
    assert result.success
    assert made(result).keys() == {FCT_DAYS}
    assert checks(result) == {"lines_and_days_agree": True}
    assert len(project.runs()) == before + 1
    # The ledger names what the test checks as a whole build does: fct_lines was not built.
    relations = project.query(
        "select distinct relation from nodes where name = 'lines_and_days_agree'",
        file=project.root / "data" / "ops.duckdb",
    )
    assert relations == [("gold.fct_days, gold.fct_lines",)]


def test_a_landing_table_alone_is_loaded(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance, tmp_path: Path
) -> None:
    project = SmallProject(Path(shutil.copytree(first[0].root, tmp_path / "project")))
    project.land(4, 7)
    result = run(project, instance, LANDED)
    assert result.success
    assert made(result)[LANDED]["rows of this run"] == 1


def test_what_a_whole_build_makes_is_told_also_of_assets_that_nobody_selected(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance, tmp_path: Path
) -> None:
    project = SmallProject(Path(shutil.copytree(first[0].root, tmp_path / "project")))
    project.land(4, 7)
    result = run(project, instance, AssetKey(["published", "fct_days"]))
    assert result.success
    assert made(result)[FCT_LINES]["dagster/row_count"] == 5


@pytest.fixture(scope="module")
def broken(
    first: tuple[SmallProject, ExecuteInProcessResult],
    instance: DagsterInstance,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[SmallProject, ExecuteInProcessResult]:
    """A project whose gold breaks its contract, after a Dagster run; it has a channel for alerts."""
    root = tmp_path_factory.mktemp("broken") / "project"
    project = SmallProject(Path(shutil.copytree(first[0].root, root)))
    (root / "alerts.yml").write_text("channels:\n  - {type: file, path: alerts.jsonl}\n")
    project.land(4, MOST_PIECES + 1)
    return project, run(project, instance)


def alerts(project: SmallProject) -> list[dict[str, str]]:
    file = project.root / "alerts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_broken_contract_is_a_failed_check_and_a_failed_step(
    broken: tuple[SmallProject, ExecuteInProcessResult],
) -> None:
    project, result = broken
    assert not result.success
    (check,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert (check.check_name, check.asset_key, check.severity.value) == (PLAUSIBLE, FCT_LINES, "ERROR")
    assert check.metadata["failing rows"].value == 1
    assert str(MOST_PIECES + 1) in str(check.metadata["some of them"])
    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert PLAUSIBLE in failure.step_failure_data.user_failure_data.description
    assert [status for status, _ in project.runs()][-1] == "failed"
    # It says what broke.
    assert AssetKey(["pages", "report"]) in made(result)
    # The product that failed is not published.
    assert AssetKey(["published", "fct_lines"]) not in made(result)


def tell_of(project: SmallProject, instance: DagsterInstance, result: ExecuteInProcessResult) -> object:
    with in_project(project):
        sensor = definitions(project.root).resolve_sensor_def("failed_runs")
        context = build_run_status_sensor_context(
            sensor_name="failed_runs",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.all_events[-1],
        ).for_run_failure()
        return sensor(context)


def test_people_are_told_once_of_a_build_that_failed(
    broken: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance
) -> None:
    project, result = broken
    told = alerts(project)
    assert [alert["name"] for alert in told] == [PLAUSIBLE]
    assert isinstance(tell_of(project, instance, result), SkipReason)
    assert alerts(project) == told


def test_people_are_told_of_a_run_that_fails_before_it_can_build(
    broken: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance
) -> None:
    project, _ = broken
    before = alerts(project)
    with mock.patch("assay.dagster.materialize.open_project", side_effect=ValueError("no room on the moon")):
        result = run(project, instance)
    assert not result.success
    assert tell_of(project, instance, result) is None
    (alert,) = alerts(project)[len(before) :]
    assert (alert["change"], alert["name"], alert["kind"]) == ("broken", "build", "Dagster job")


@drill(Runbook.DAGSTER_RUN_FAILED)
def test_dagster_run_failed(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance, tmp_path: Path
) -> None:
    project = SmallProject(Path(shutil.copytree(first[0].root, tmp_path / "project")))
    it = Drill(project, Runbook.DAGSTER_RUN_FAILED)
    with mock.patch("assay.dagster.materialize.open_project", side_effect=ValueError("no room on the moon")):
        for _ in range(2):
            assert tell_of(project, instance, run(project, instance)) is None
    assert "no room on the moon" in it.alert()["message"]
    it.follow("See more")
    it.follow("What to do")
    assert run(project, instance).success
    it.verify()


def promise(level: dict[str, object]) -> Promise:
    sales = Contract(Document("sales.odcs.yaml", {"id": "sales", "schema": [], "slaProperties": [level]}))
    [(_, found)] = promises_of(sales)
    assert isinstance(found, Promise), found
    return found


@pytest.mark.parametrize(
    ("level", "cron", "zone"),
    [
        ({"value": "06:30"}, "30 6 * * *", "UTC"),
        (
            {"value": "06:30 Europe/Berlin", "schedule": "0 5 * * MON-FRI"},
            "30 6 * * 1,2,3,4,5",
            "Europe/Berlin",
        ),
        # Monday's 00:30 there is Sunday's 22:30.
        ({"value": "00:30+02:00", "schedule": "0 5 * * MON"}, "30 22 * * 0", "UTC"),
    ],
)
def test_dagster_expects_a_product_when_its_contract_promises_it(
    level: dict[str, str], cron: str, zone: str
) -> None:
    policy = as_policy(promise({"property": "timeOfAvailability", **level}))
    assert (policy.deadline_cron, policy.timezone) == (cron, zone)


@pytest.mark.parametrize(("schedule", "hours"), [(None, 12), ("0 5 * * MON-FRI", 60)])
def test_dagster_waits_as_long_as_the_longest_pause_that_a_contract_allows(
    schedule: str | None, hours: int
) -> None:
    policy = as_policy(promise({"property": "frequency", "value": 12, "unit": "h", "schedule": schedule}))
    assert policy.fail_window.to_timedelta() == timedelta(hours=hours)


def test_partitions_begin_with_the_first_file_and_not_before_dagster_can_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path / "landing", tmp_path / "assay.duckdb")

    def land(table: Path, *days: str) -> None:
        for day in days:
            file = table / f"landed_at={day}T00-00-00" / "lines.csv"
            file.parent.mkdir(parents=True)
            file.touch()

    land(places.landing / "erp" / "lines", "0202-01-01", "1969-12-31", "2025-01-02", "2025-01-03")
    land(tmp_path / "archive", "2024-05-06")
    (places.landing / "erp" / "archive").symlink_to(tmp_path / "archive")
    assert find_first_day(places) == date(2025, 1, 2)
    monkeypatch.setenv("ASSAY_LANDING_LINKS", "follow")
    assert find_first_day(places) == date(2024, 5, 6)


def test_a_run_waits_for_a_build_that_has_the_warehouse(
    first: tuple[SmallProject, ExecuteInProcessResult],
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, _ = first
    monkeypatch.setattr(materialize, "SECONDS_BETWEEN_TRIES", 1)
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(project.warehouse, command="another", wait=0, on_wait=lambda _: None):
            held.set()
            released.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    asked = materialize.Project.build

    def build(*arguments: object, **options: object) -> object:
        try:
            return asked(*arguments, **options)
        finally:
            released.set()

    monkeypatch.setattr(materialize.Project, "build", build)
    result = run(project, instance, AssetKey(["published", "fct_days"]))
    other.join()
    assert result.success
    tries = [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert len(tries) == 1
    assert "Another build has this warehouse" in str(tries[0].event_specific_data)


def test_new_files_start_one_run(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance, tmp_path: Path
) -> None:
    project = SmallProject(Path(shutil.copytree(first[0].root, tmp_path / "project")))
    with in_project(project):
        sensor = definitions(project.root).resolve_sensor_def("new_files")

        def look(cursor: str | None) -> tuple[list[RunRequest], str | None]:
            with build_sensor_context(instance=instance, cursor=cursor) as context:
                found = sensor.evaluate_tick(context)
                return found.run_requests or [], found.cursor

        begin, cursor = look(None)
        assert len(begin) == 1
        assert look(cursor) == ([], cursor)
        landed = project.land(4, 7)
        fired, later = look(cursor)
        assert len(fired) == 1
        # Dagster starts no second run of a key, and the files may be as they were before.
        landed.unlink()
        [again], as_before = look(later)
        assert as_before == cursor
        assert again.run_key is None or again.run_key not in {begin[0].run_key, fired[0].run_key}
        project.land(4, 7)
        _, later = look(cursor)
        assert look(later) == ([], later)
        # What lands while a build is under way is not forgotten.
        project.land(5, 7)
        with mock.patch.object(type(instance), "get_run_ids", return_value=["under way"]):
            assert look(later) == ([], later)
        assert len(look(later)[0]) == 1


def test_a_partition_is_the_warehouse_at_the_end_of_its_day(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance
) -> None:
    project, _ = first
    result = run(project, instance, AssetKey(["as_of", "warehouse"]), partition_key="2025-01-02")
    assert result.success
    (found,) = made(result).values()
    assert project.query("select count(*) from gold.fct_lines", file=Path(found["warehouse"])) == [(3,)]


def test_a_day_of_the_past_lands_from_the_files_of_its_day_and_once(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance
) -> None:
    project, _ = first
    with in_project(project):
        job = backfill_job(
            project.root,
            "erp.order_lines",
            ["archive/{day}/*.csv"],
            first_day=date(2024, 11, 1),
            available="event+1h",
        )
        folder = project.root / "archive" / "2024-11-05"
        folder.mkdir(parents=True)
        (folder / "lines.csv").write_text(
            HEADER
            + "1,P9,A cup,7,2024-11-05 09:30:00,1.0,9,Spain\n2,P9,A cup,8,2024-11-05 10:30:00,1.0,9,Spain\n"
        )
        runs = [
            job.execute_in_process(partition_key=f"2024-11-{day}", instance=instance, raise_on_error=False)
            for day in ("05", "05", "06")
        ]
    assert [each.success for each in runs] == [True, True, False]
    assert [made(each)[LANDED]["rows of this run"] for each in runs[:2]] == [2, 0]
    [failed] = [event for event in runs[2].all_events if event.is_step_failure]
    assert "There is no file of 2024-11-06: archive/2024-11-06/*.csv." in str(failed.step_failure_data.error)
    assert project.query(
        "select quantity, available_at - event_at = interval 1 hour from gold.fct_lines "
        "where product_id = 'P9' order by quantity"
    ) == [(7, True), (8, True)]
    [(source, reason)] = project.query(
        "select source, reason from backfills", file=project.root / "data" / "ops.duckdb"
    )
    assert (source, "Dagster's job backfill_erp_order_lines" in reason) == ("erp.order_lines", True)


_SOURCES = """
import dlt


@dlt.resource
def lines():
    yield [{"id": 1}, {"id": 2}]


def broken():
    raise ValueError("no room")
"""
FETCHED, BROKEN = AssetKey(["dlt", "erp", "order_lines"]), AssetKey(["dlt", "attic"])


def test_what_contracts_name_of_dlt_is_an_asset_each_and_one_that_fails_stops_no_build(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance, tmp_path: Path
) -> None:
    pytest.importorskip("dlt", reason="dlt is not installed: pip install -e '.[dlt]'")
    project = SmallProject(Path(shutil.copytree(first[0].root, tmp_path / "project")))
    (project.root / "sources_of_dagster.py").write_text(_SOURCES)
    for source, server, name in (("erp", "order_lines", "lines"), ("attic", "dlt", "broken")):
        place = f"sources_of_dagster:{name}"
        write_dlt_contract(project.root, source, "order_lines", server=server, place=place)
    with in_project(project):
        graph = definitions(project.root).resolve_asset_graph()
    assert graph.get(LANDED).parent_keys == {FETCHED}
    before = len(project.runs())
    result = run(project, instance, FETCHED)
    assert result.success
    assert made(result)[FETCHED]["rows of this run"] == 2
    assert len(project.runs()) == before
    result = run(project, instance, BROKEN, FETCHED, FCT_DAYS)
    assert not result.success
    assert {FETCHED, FCT_DAYS} <= made(result).keys()
    assert BROKEN not in made(result)
    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "no room" in failure.step_failure_data.user_failure_data.description
    # The alerts of a build that fails tell nobody of the source.
    project.land(4, MOST_PIECES + 1)
    result = run(project, instance, BROKEN, AssetKey(["published", "fct_lines"]))
    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    told = failure.step_failure_data.user_failure_data
    assert "no room" in told.description
    assert PLAUSIBLE in told.description
    assert materialize.TOLD not in told.metadata


def test_a_project_that_dbt_cannot_parse_fails_with_the_message_of_assay(
    first: tuple[SmallProject, ExecuteInProcessResult], instance: DagsterInstance, tmp_path: Path
) -> None:
    project = SmallProject(Path(shutil.copytree(first[0].root, tmp_path / "project")))
    with in_project(project):
        found: Definitions = definitions(project.root)
        (project.root / "models" / "own" / "gold" / "fct_days.sql").write_text(
            "select * from {{ ref('gone') }}"
        )
        result = found.resolve_job_def("build").execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "gone" in failure.step_failure_data.user_failure_data.description


def test_make_opens_dagster_at_the_port_that_one_asks_for() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "dagster", "PORT=3999"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--host 127.0.0.1 --port 3999" in done.stdout.splitlines()[-1]
