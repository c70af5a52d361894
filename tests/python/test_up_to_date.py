"""When `assay build` has nothing to do: nothing that it depends on, or has made, is another."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from assay.build.inputs import Inputs, identity
from assay.build.plan import is_up_to_date
from assay.build.state import State
from assay.core.places import Places

_NOON = datetime(2026, 1, 1, 12)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dbt_project.yml").write_text("name: shop\nvars: {refresh_every: {monitoring: 30m}}\n")
    found = Places(tmp_path / "landing", tmp_path / "assay.duckdb")
    found.published.parent.mkdir()
    for file in (found.warehouse, found.published, tmp_path / "online.sqlite"):
        file.write_text("made")
    return found


@pytest.fixture
def state(places: Places) -> State:
    return State(
        inputs=Inputs("settings", "code", {"erp.lines": "files"}),
        warehouse=identity(places.warehouse) or "",
        run_id="run",
        digests={},
        refreshed_at={"monitoring": "2026-01-01T11:40:00", "training_sets": "2026-01-01T08:00:00"},
        published=identity(places.published),
        store=str(places.main_warehouse.parent / "online.sqlite"),
    )


def test_nothing_is_to_do_where_all_is_as_it_was(state: State, places: Places) -> None:
    assert is_up_to_date(state, state.inputs, places, _NOON)


@pytest.mark.parametrize(
    "change",
    [
        {"reads_outside": True},
        {"inputs": Inputs("others", "code", {"erp.lines": "files"})},
        {"inputs": Inputs("settings", "other", {"erp.lines": "files"})},
        {"inputs": Inputs("settings", "code", {"erp.lines": "more"})},
        {"inputs": Inputs("settings", "code", {})},
        {"warehouse": "another"},
        {"published": None},
        {"failed": ["model.shop.fct_lines"]},
        {"unpublished": ["fct_lines"]},
        {"synced": False},
        {"store": "gone.sqlite"},
        {"waiting": {"monitoring": ["a"]}, "refreshed_at": {"monitoring": "2026-01-01T11:20:00"}},
    ],
)
def test_something_is_to_do(state: State, places: Places, change: dict[str, object]) -> None:
    assert not is_up_to_date(replace(state, **change), state.inputs, places, _NOON)  # type: ignore[arg-type]


def test_what_waits_and_is_not_due_is_left(state: State, places: Places) -> None:
    waiting = replace(state, waiting={"monitoring": ["a"], "training_sets": ["b"]})
    assert is_up_to_date(waiting, state.inputs, places, _NOON)


def test_an_open_write_ahead_log_is_no_sound_warehouse(state: State, places: Places) -> None:
    places.warehouse.with_name("assay.duckdb.wal").write_text("left by a kill")
    assert not is_up_to_date(state, state.inputs, places, _NOON)
