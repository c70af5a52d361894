"""When `assay build` has nothing to do: nothing that it depends on, or has made, is another."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from published_by_hand import make_published

from assay.build.inputs import Inputs, identity
from assay.build.plan import is_up_to_date
from assay.build.state import State
from assay.build.store import read_store
from assay.core.places import Places
from assay.online.stores.open import open_store
from assay.online.sync import sync

_NOON = datetime(2026, 1, 1, 12)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("assay.build.plan.read_store", lambda _: "views")
    (tmp_path / "dbt_project.yml").write_text("name: shop\nvars: {refresh_every: {monitoring: 30m}}\n")
    found = Places(tmp_path / "landing", tmp_path / "assay.duckdb")
    found.published.parent.mkdir()
    for file in (found.warehouse, found.published):
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
        store="views",
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
        {"search": ""},
        {"store": "other views"},
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


def test_a_store_that_somebody_changed_is_another(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_ONLINE_STORE", raising=False)
    file = tmp_path / "online.sqlite"

    def synced(run_id: str) -> str | None:
        sync(make_published(tmp_path / f"{uuid4()}.duckdb", run_id=run_id), open_store(f"sqlite:{file}"))
        return read_store(places)

    older = synced("run one")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("vacuum into ?", [str(tmp_path / "backup.sqlite")])
    held = synced("the second run")
    assert held
    assert held != older
    assert synced("the second run") == held, "a sync by hand changes nothing"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("delete from entities where key = (select min(key) from entities)")
    assert read_store(places) != held
    assert synced("the second run") == held
    for content in ((tmp_path / "backup.sqlite").read_bytes(), b"no database" * 999, b"", None):
        for part in tmp_path.glob("online.sqlite*"):
            part.unlink()
        if content is not None:
            file.write_bytes(content)
        assert read_store(places) != held
