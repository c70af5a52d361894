"""What a build notes for the next one: what it left undone, whatever else it did."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.build.build import Report
from assay.build.conclude import compiled_after, state_after
from assay.build.inputs import Inputs, read_inputs
from assay.build.plan import Plan
from assay.build.state import State
from assay.build.work import Work
from assay.core.places import Places
from assay.landing import discover
from assay.ledger.account import Account, TroubledFiles
from assay.ledger.runs import Run
from assay.project.compiled import keep_compiled
from assay.project.dbt_run import DbtOutcome
from assay.project.failures import judge

_INPUTS = Inputs("settings", "code", {"erp.lines": "files", "erp.kinds": "files"})


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assay.duckdb").write_text("made")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "manifest.json").write_text("{}")
    return Places(tmp_path / "landing", tmp_path / "assay.duckdb")


def after(places: Places, before: State, run: set[str], *troubled: TroubledFiles) -> State:
    manifest: Any = SimpleNamespace(sources={}, nodes={}, macros={}, unit_tests={})
    work = Work(Plan(frozenset(run)), manifest, _INPUTS, before, {"model.shop.fct": "digest"})
    account = Account(troubled=[*troubled])
    of_run = Run("run", "assay.duckdb", datetime(2026, 1, 1), "assay build", {})
    report = Report(places, of_run, judge([]), account)
    return state_after(places, of_run, DbtOutcome(succeeded=True), report, work)


@pytest.fixture
def before(places: Places) -> State:
    return State(_INPUTS, "warehouse", "before", {})


def test_what_is_not_synced_stays_so_while_nothing_is_published(places: Places, before: State) -> None:
    assert not after(places, replace(before, synced=False), set()).synced
    assert after(places, before, set()).synced


def test_a_store_is_still_looked_for_while_nothing_is_published(places: Places, before: State) -> None:
    assert after(places, replace(before, store="online.sqlite"), set()).store == "online.sqlite"


def test_what_failed_and_is_gone_is_forgotten(places: Places, before: State) -> None:
    failed = replace(before, failed=["model.shop.gone", "model.shop.fct"])
    assert after(places, failed, set()).failed == ["model.shop.fct"]


def test_sql_of_older_code_counts_for_what_is_as_it_was(places: Places, before: State) -> None:
    def node(sql: str | None) -> Any:
        return SimpleNamespace(resource_type="model", language="sql", compiled_code=sql)

    old = Inputs("settings", "older code", {})
    names = ("ran", "same", "changed", "failed", "waits")
    keep_compiled(old.of_code, {name: f"old {name}" for name in (*names, "gone")})
    state = replace(before, inputs=old, digests={name: name for name in names})
    work = Work(
        Plan(frozenset({"ran"})),
        SimpleNamespace(nodes={name: node("new" if name == "ran" else None) for name in names}),
        _INPUTS,
        state,
        {name: name for name in names} | {"changed": "changed"[::-1]},
    )
    done = replace(state, failed=["failed"], waiting={"monitoring": ["waits"]})
    assert compiled_after(work, done) == {"ran": "new", "same": "old same"}
    # What is kept of the code as it is counts in any case; and a build of everything begins anew.
    keep_compiled(_INPUTS.of_code, {"waits": "as it is"})
    assert compiled_after(work, done) == {"ran": "new", "waits": "as it is"}
    keep_compiled(old.of_code, {"same": "old same"})
    assert compiled_after(replace(work, plan=Plan(None)), done) == {"ran": "new"}


@pytest.mark.parametrize(
    ("error", "settled"),
    [
        (discover.cannot_be_read(OSError(5, "Input/output error")), {"erp.kinds"}),
        ("Cannot be loaded (OutOfMemoryException): send the file again.", {"erp.kinds"}),
        ("It lacks the column kind.", {"erp.kinds", "erp.lines"}),
    ],
)
def test_a_file_that_could_not_be_read_is_tried_again(
    places: Places, before: State, error: str, settled: set[str]
) -> None:
    troubled = TroubledFiles("erp/lines/landed_at=2025-01-01T00-00-00/a.csv", "failed", error, 1)
    assert after(places, before, set(), troubled).inputs.landed.keys() == settled


def test_a_manifest_that_dbt_did_not_write_is_of_older_code(places: Places, before: State) -> None:
    assert after(places, before, set()).manifest is None
    written = after(places, before, {"model.shop.fct"})
    assert written.manifest
    assert after(places, replace(before, manifest=written.manifest), set()).manifest == written.manifest
    (places.main_warehouse.parent / "target" / "manifest.json").write_text("{} of another build")
    assert after(places, written, set()).manifest is None


def test_a_file_from_the_future_is_a_change_when_its_time_has_come(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places.main_warehouse.parent / "dbt_project.yml").write_text("name: shop\n")
    at = datetime.now() + 3 * discover._AHEAD
    folder = places.landing / "erp" / "lines" / f"landed_at={at:%Y-%m-%dT%H-%M-%S}"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("a\n1\n")
    early = read_inputs(places)
    assert read_inputs(places) == early
    monkeypatch.setattr(discover, "_AHEAD", 4 * discover._AHEAD)
    assert read_inputs(places).landed["erp.lines"] != early.landed["erp.lines"]
