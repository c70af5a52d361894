"""History that lands late counts from when it would have been available, if somebody says so."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_project import SmallProject
from subscription_project import make_subscription_project

from assay.landing.discover import UnreadableFile, discover

pytestmark = pytest.mark.minutes

FROM, TO = "2026-02-10", "2026-03-02"
INTERVAL = ("app.sessions", "--from", FROM, "--to", TO)
HISTORY = "select * from gold.ftr_account__usage order by all"
LATE = "2026-08-01T00:00:00Z"


@dataclass(frozen=True)
class Filled:
    """A project with a gap that was filled, what it printed, and one that never had the gap."""

    project: SmallProject
    whole: SmallProject
    planned: str
    before: list[tuple]  # type: ignore[type-arg]
    told: str
    gap: Path
    lines: int


@pytest.fixture(scope="module")
def filled(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("backfill")
    whole = make_subscription_project(folder / "whole")
    project = make_subscription_project(folder / "project")
    [landed] = (project.landing / "app" / "sessions").rglob("*.jsonl")
    kept, gone = [], []
    for line in landed.read_text().splitlines():
        session = json.loads(line) if line != "{" else {"began_at": ""}
        if FROM <= session["began_at"] < TO:
            # An export of later: only the lag tells when the shop's own event would have come.
            gone.append(json.dumps(session | {"sent_at": LATE}))
        else:
            kept.append(line)
    landed.write_text("\n".join(kept) + "\n")
    gap = folder / "export.jsonl"
    gap.write_text("\n".join(gone) + "\n")
    for each in (project, whole):
        assert each.assay("build").exit_code == 0
    before = project.query(HISTORY)
    ran(project, "training-set", "create", "trn_usage")
    options = ("--files", str(gap), "--available", "event+1m")
    there = sorted(project.landing.rglob("*"))
    planned = ran(project, "backfill", "plan", *INTERVAL, *options)
    assert sorted(project.landing.rglob("*")) == there
    told = ran(project, "backfill", "run", *INTERVAL, *options, "--reason", "The app lost them")
    return Filled(project, whole, planned, before, told, gap, len(gone))


def ran(project: SmallProject, *arguments: str) -> str:
    result = project.assay(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_the_plan_says_what_is_read_written_and_built(filled: Filled) -> None:
    assert "export.jsonl" in filled.planned
    assert "silver keeps 0 rows of the interval" in filled.planned
    assert re.search(r"Lands in app/sessions/landed_at=\S+/backfilled=event\+60s/", filled.planned)
    assert "feature views: ftr_account__usage" in filled.planned
    assert "training sets: " in filled.planned
    assert "trn_usage" in filled.planned.partition("training sets: ")[2]
    assert re.search(r"Built again \d+ models; they took \d+\.\d s", filled.planned)


def test_features_are_those_of_one_that_never_had_the_gap(filled: Filled) -> None:
    assert filled.before != filled.whole.query(HISTORY)
    assert filled.project.query(HISTORY) == filled.whole.query(HISTORY)


def test_each_row_says_that_it_was_backfilled(filled: Filled) -> None:
    [(rows, lags)] = filled.project.query(
        "select count(*), list(distinct epoch(available_at - event_at)) from silver.slv_sessions__checked "
        "where contains(source_file, 'backfilled=event+60s') and rule_ids is null"
    )
    assert (rows, lags) == (filled.lines, [60.0])
    assert f"{filled.lines} {filled.lines} 0 0" in filled.told
    [(source, lag, reason)] = filled.project.query(
        "select source, lag_seconds, reason from backfills", file=filled.project.root / "data" / "ops.duckdb"
    )
    assert (source, lag, reason) == ("app.sessions", 60, "The app lost them")


def test_a_version_made_after_it_says_why_it_differs(filled: Filled) -> None:
    ran(filled.project, "training-set", "create", "trn_usage")
    versions = (filled.project.root / "data" / "training_sets").glob("trn_usage@*")
    first, second = [path.name for path in sorted(versions, key=lambda path: path.stat().st_mtime)]
    told = ran(filled.project, "training-set", "diff", first, second)
    assert "backfilled: of these, 1 file landed late" in told


def test_what_is_loaded_lands_no_more(filled: Filled, tmp_path: Path) -> None:
    again = tmp_path / "another_name.jsonl"
    again.write_bytes(filled.gap.read_bytes())
    told = ran(filled.project, "backfill", "run", *INTERVAL, "--files", str(again))
    assert "Loaded before, not again: 1 file" in told
    assert filled.project.query(HISTORY) == filled.whole.query(HISTORY)


def test_without_a_lag_rows_count_from_when_they_land(filled: Filled, tmp_path: Path) -> None:
    late = tmp_path / "late.jsonl"
    session = {"id": "late", "account": "A01", "device": "phone", "minutes": 5}
    late.write_text(
        json.dumps(session | {"began_at": f"{FROM}T08:00:00Z", "sent_at": f"{FROM}T09:00:00Z"}) + "\n"
    )
    told = ran(filled.project, "backfill", "run", *INTERVAL, "--files", str(late))
    assert "Rows count from when they land" in told
    [(is_landing,)] = filled.project.query(
        "select available_at = landed_at from silver.slv_sessions__checked "
        "where session_id = 'late' and rule_ids is null"
    )
    assert is_landing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("app.nothing", "--from", FROM, "--to", TO), "No landing table app.nothing is declared"),
        (("app.sessions", "--from", TO, "--to", FROM), "the interval is empty"),
        (("app.sessions", "--from", "soon", "--to", TO), "--from soon is no day or time"),
        (INTERVAL, "There are no files to land of app.sessions"),
        ((*INTERVAL, "--files", "nowhere.jsonl"), "nowhere.jsonl cannot be read"),
        ((*INTERVAL, "--files", "x", "--available", "2h"), "--available 2h says nothing"),
        ((*INTERVAL, "--files", "x", "--available", "event+1ms"), "whole seconds"),
        ((*INTERVAL, "--files", "x", "--available", "event+-2h"), "from 0s"),
    ],
)
def test_what_cannot_be_meant_is_refused(filled: Filled, arguments: tuple[str, ...], message: str) -> None:
    result = filled.project.assay("backfill", "run", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_a_folder_that_says_no_lag_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "app" / "sessions" / "backfilled=soon" / "file.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n")
    [file] = discover(tmp_path)
    with pytest.raises(UnreadableFile, match="backfilled says nothing"):
        _ = file.landed_at
