"""A build tells machines what it does: a JSON object a line, with one run id."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from small_project import MOST_PIECES, SmallProject, make_small_project

from assay.api.json_log import JsonLog
from assay.ledger.runs import read_runs


def lines_of(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


def named(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


@pytest.fixture(scope="module")
def built(
    builds: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallProject, list[dict[str, Any]]]:
    project = make_small_project(tmp_path_factory.mktemp("logs") / "project")
    build = project.assay("build", "--log-format", "json")
    assert build.exit_code == 0
    assert build.stdout == ""
    return project, lines_of(build.stderr)


def test_a_build_is_told_from_start_to_end(built: tuple[SmallProject, list[dict[str, Any]]]) -> None:
    project, lines = built
    [run] = read_runs(project.root / "data" / "ops.duckdb")
    events = [line["event"] for line in lines]
    assert (events[0], events[-1]) == ("said", "ended")
    assert {line["run_id"] for line in lines if "run_id" in line} == {run.run_id}
    # Only what precedes dbt has no run yet.
    assert all("run_id" in line for line in lines[1:])
    assert all(line["time"].endswith("Z") and line["level"] for line in lines)
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    [landed] = named(lines, "landed")
    assert (landed["source"], landed["landed"], landed["landed_in_run"]) == ("erp/order_lines", 5, 5)
    [rejected] = named(lines, "rejected")
    assert (rejected["table"], rejected["rows"]) == ("slv_order_lines", 1)
    [published] = named(lines, "published")
    assert published["path"] == str(project.published.relative_to(project.root))
    assert lines[-1]["status"] == "succeeded"
    assert lines[-1]["tests_passed"] == run.tests_passed
    assert 0 < lines[-1]["dbt_seconds"] < lines[-1]["seconds"]


def test_every_node_is_told_once_when_it_begins_and_once_when_it_ends(
    built: tuple[SmallProject, list[dict[str, Any]]],
) -> None:
    _, lines = built
    started, ended = (
        [line["node"] for line in named(lines, f"node_{what}")] for what in ("started", "ended")
    )
    assert sorted(started) == sorted(ended)
    assert len(set(ended)) == len(ended) == named(lines, "planned")[0]["nodes"]
    model = next(line for line in named(lines, "node_ended") if line["node"].endswith(".fct_lines"))
    assert (model["kind"], model["status"], model["level"]) == ("model", "success", "info")
    assert model["seconds"] > 0


def test_events_of_dbt_itself_are_among_them(built: tuple[SmallProject, list[dict[str, Any]]]) -> None:
    _, lines = built
    told = {line["name"]: line["message"] for line in named(lines, "dbt")}
    assert told["MainReportVersion"].startswith("Running with dbt=1.11")
    assert "LogTestResult" in told
    assert not [line for line in named(lines, "dbt") if not line["message"]]


def test_what_breaks_is_told_with_what_it_was_and_what_was_skipped(project: SmallProject) -> None:
    project.land(5, MOST_PIECES + 1)
    build = project.assay("build", "--log-format", "json")
    assert build.exit_code == 1
    lines = lines_of(build.stderr)
    [broken] = named(lines, "broken")
    assert (broken["level"], broken["name"], broken["failing_rows"]) == (
        "error",
        "quantities_are_plausible",
        1,
    )
    [ended] = [line for line in named(lines, "node_ended") if line["level"] == "error"]
    assert ("quantities_are_plausible" in ended["node"], ended["failing_rows"]) == (True, 1)
    skipped = [line["node"] for line in named(lines, "node_ended") if line["status"] == "skipped"]
    assert len(skipped) == broken["skipped"] == 1
    assert {line["product"] for line in named(lines, "stopped")} == {"fct_lines", "fct_days"}
    run = read_runs(project.root / "data" / "ops.duckdb")[0]
    [withheld] = named(lines, "withheld")
    assert (withheld["level"], withheld["message"]) == ("error", run.message)
    assert (lines[-1]["level"], lines[-1]["status"]) == ("error", "failed")


def test_a_build_that_could_not_be_done_tells_why_in_json_too(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = project.assay("build", "--log-format", "json", "--select", "nothing_at_all")
    assert refused.exit_code == 2
    assert "matches nothing" in lines_of(refused.stderr)[-1]["message"]
    settings = project.root / "dbt_project.yml"
    settings.write_text(settings.read_text().replace("hash_pii: false", "hash_pii: true"))
    build = project.assay("build", "--log-format", "json")
    assert build.exit_code == 1
    fault = lines_of(build.stderr)[-1]
    assert (fault["event"], fault["level"], fault["exit_code"]) == ("fault", "error", 1)
    assert "there is no key to hash it with" in fault["message"]
    assert fault["run_id"] == read_runs(project.root / "data" / "ops.duckdb")[0].run_id


def test_the_format_may_be_set_once_for_all(project: SmallProject, tmp_path: Path) -> None:
    started = project.start("build")
    _, spoken = started.communicate()
    assert "{" not in spoken
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallProject, "environment", project.environment | {"ASSAY_LOG_FORMAT": "json"})
        spoken, told = project.start("build").communicate()
    assert spoken == ""
    assert lines_of(told)[-1]["event"] == "ended"


def test_a_crash_is_told_whole() -> None:
    stream = io.BytesIO()

    def crash() -> None:
        with JsonLog(stream):
            raise ValueError("two\nlines")

    with pytest.raises(ValueError, match="two"):
        crash()
    [line] = lines_of(stream.getvalue().decode())
    assert (line["event"], line["level"], line["message"]) == ("crashed", "error", "two\nlines")
    assert "in crash" in line["traceback"]
