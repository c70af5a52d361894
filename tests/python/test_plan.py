"""Which nodes a build runs: all that what changed can reach, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.build.inputs import Inputs, identity
from assay.build.plan import Plan, make_plan
from assay.build.state import State
from assay.core.places import Places

_NOON = datetime(2026, 1, 1, 12)


def node(name: str, *above: str, code: str = "", reads: tuple[str, ...] = ()) -> Any:
    kind = {"test_": "test", "unit_": "unit_test", "snp_": "snapshot"}.get(
        name.partition("_")[0] + "_", "model"
    )
    return SimpleNamespace(
        unique_id=f"{kind}.shop.{name}",
        name=name,
        resource_type=kind,
        raw_code=code,
        config=SimpleNamespace(meta={"reads": list(reads)} if reads else {}),
        depends_on=SimpleNamespace(nodes=list(above), macros=["macro.shop.own"] if "own()" in code else []),
    )


def source(table: str, *, lands: bool = True) -> Any:
    meta = {"landing": {"format": "csv"}} if lands else {}
    return SimpleNamespace(source_name="erp", name=table, config=SimpleNamespace(meta=meta))


_LINES, _KINDS, _LOADER = "source.shop.erp.lines", "source.shop.erp.kinds", "model.shop.brz_files"
_NODES = [
    node("brz_files", code="now()"),
    node("brz_lines", _LOADER, _LINES),
    node("brz_kinds", _LOADER, _KINDS),
    node("slv_rules"),
    node("slv_lines", "model.shop.brz_lines", "model.shop.slv_rules"),
    node("slv_kinds", "model.shop.brz_kinds"),
    node("snp_kinds", "model.shop.slv_kinds"),
    node("fct_lines", "model.shop.slv_lines"),
    node("dim_kinds", "snapshot.shop.snp_kinds"),
    node("own_files", _LOADER, "model.shop.dim_kinds"),
    node("srv_catalog", "model.shop.dim_kinds", reads=("online_views",)),
    node("trn_lines", "model.shop.fct_lines", "model.shop.dim_kinds"),
    node("own_scores", "model.shop.trn_lines"),
    node("mon_volume", "model.shop.fct_lines"),
    node("mon_trained", "model.shop.trn_lines"),
    node("test_promises", _LINES),
    node("test_lines", "model.shop.slv_lines"),
    node("test_files", _LOADER),
    node("test_kinds_of_lines", "model.shop.fct_lines", "model.shop.dim_kinds"),
    node("test_trained", "model.shop.fct_lines", "model.shop.trn_lines"),
    node("unit_lines", "model.shop.slv_lines"),
]
_READ_LINES = {"brz_lines", "slv_lines", "fct_lines"}
_READ_KINDS = {"brz_kinds", "slv_kinds", "snp_kinds", "dim_kinds", "own_files", "srv_catalog"}
_OF_FILES = {"brz_files", "own_files", "test_files"}
_LATER = {"trn_lines", "own_scores"}


def manifest(*more: Any, without: str = "", sources: dict[str, Any] | None = None) -> Any:
    nodes = {each.unique_id: each for each in [*_NODES, *more] if each.name != without}
    return SimpleNamespace(
        nodes={id_: each for id_, each in nodes.items() if each.resource_type != "unit_test"},
        unit_tests={id_: each for id_, each in nodes.items() if each.resource_type == "unit_test"},
        sources={_LINES: source("lines"), _KINDS: source("kinds"), **(sources or {})},
        macros={
            "macro.shop.own": SimpleNamespace(
                package_name="shop", macro_sql="current_date", depends_on=SimpleNamespace(macros=[])
            )
        },
    )


def digests(project: Any, *changed: str) -> dict[str, str]:
    known = {**project.nodes, **project.unit_tests, **project.sources}
    return {id_: "new" if known[id_].name in changed else "same" for id_ in known}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "assay.duckdb").write_text("made")
    return Places(tmp_path / "landing", tmp_path / "assay.duckdb")


@pytest.fixture
def state(places: Places) -> State:
    return State(
        inputs=Inputs("settings", "code", {"erp.lines": "files", "erp.kinds": "files", "": "others"}),
        warehouse=identity(places.warehouse) or "",
        run_id="run",
        digests=digests(manifest()),
        # Monitoring is due, the training sets are not.
        refreshed_at={"monitoring": "2026-01-01T10:00:00", "training_sets": "2026-01-01T08:00:00"},
    )


def plan(
    state: State, places: Places, project: Any = None, changed: tuple[str, ...] = (), **landed: str
) -> Plan:
    project = project or manifest()
    files = state.inputs.landed | {name.replace("_", ".", 1): digest for name, digest in landed.items()}
    inputs = replace(state.inputs, landed=files)
    return make_plan(state, inputs, places, project, digests(project, *changed), _NOON)


def ran(found: Plan) -> set[str]:
    assert found.run is not None
    return {each.rpartition(".")[2] for each in found.run}


def test_a_file_runs_what_reads_its_table(state: State, places: Places) -> None:
    found = plan(state, places, erp_lines="more")
    tests = {"test_promises", "test_lines", "test_kinds_of_lines"}
    assert ran(found) == _READ_LINES | _OF_FILES | {"mon_volume", "mon_trained"} | tests
    assert found.waiting == {"training_sets": ["model.shop.own_scores", "model.shop.trn_lines"]}
    assert found.refreshed == {"monitoring"}


def test_a_file_of_no_table_runs_what_lists_the_files(state: State, places: Places) -> None:
    inputs = replace(state.inputs, landed=state.inputs.landed | {"": "another"})
    found = make_plan(state, inputs, places, manifest(), state.digests, _NOON)
    assert ran(found) == _OF_FILES


def test_files_of_a_table_that_are_all_gone_are_a_change(state: State, places: Places) -> None:
    inputs = replace(state.inputs, landed={"erp.lines": "files", "": "others"})
    found = make_plan(state, inputs, places, manifest(), state.digests, _NOON)
    assert ran(found) >= _READ_KINDS | {"brz_files"}


def test_changed_code_runs_what_reads_it_at_once(state: State, places: Places) -> None:
    found = plan(state, places, changed=("fct_lines",))
    # Of the models that look around, macros may see any change.
    around = {"slv_rules", "slv_lines", "srv_catalog", "test_lines"}
    tests = {"test_kinds_of_lines", "test_trained"}
    assert ran(found) == _LATER | {"fct_lines", "mon_volume", "mon_trained"} | around | tests
    assert not found.waiting


def test_a_changed_test_runs_alone(state: State, places: Places) -> None:
    assert {"test_files"} <= ran(plan(state, places, changed=("test_files",)))
    assert "brz_files" not in ran(plan(state, places, changed=("test_files",)))


def test_unit_tests_run_where_their_model_has_changed(state: State, places: Places) -> None:
    assert "unit_lines" in ran(plan(state, places, changed=("slv_lines",)))
    assert "unit_lines" in ran(plan(state, places, changed=("unit_lines",)))
    assert "unit_lines" not in ran(plan(state, places, erp_lines="more"))


@pytest.mark.parametrize("is_new", [True, False])
def test_a_declared_source_loads_its_files_at_once(state: State, places: Places, is_new: bool) -> None:
    if is_new:
        state = replace(state, digests={id_: each for id_, each in state.digests.items() if id_ != _KINDS})
    found = plan(state, places, changed=() if is_new else ("kinds",))
    assert ran(found) >= _READ_KINDS | _OF_FILES


def test_a_source_that_is_declared_no_more_changes_the_list_of_files(state: State, places: Places) -> None:
    state = replace(state, digests=state.digests | {"source.shop.erp.gone": "same"})
    assert ran(plan(state, places)) >= _OF_FILES


def test_a_removed_model_concerns_those_that_look_around(state: State, places: Places) -> None:
    project = manifest(without="own_scores")
    assert ran(plan(state, places, project)) >= {"slv_rules", "srv_catalog"}


@pytest.mark.parametrize("code", ["select now()", "from ext.main.t", "{{ own() }}"])
def test_what_reads_outside_runs_each_time(state: State, places: Places, code: str) -> None:
    more = (node("own_today", code=code), node("own_late", "model.shop.own_today"))
    state = replace(state, digests=digests(manifest(*more)))
    assert ran(plan(state, places, manifest(*more))) == {"own_today", "own_late"}


def test_a_source_that_others_fill_runs_what_reads_it_each_time(state: State, places: Places) -> None:
    rates = {"source.shop.erp.rates": source("rates", lands=False)}
    project = manifest(node("own_rates", *rates), sources=rates)
    state = replace(state, digests=digests(project))
    assert ran(plan(state, places, project)) == {"own_rates"}


def test_what_failed_or_waited_runs_again(state: State, places: Places) -> None:
    state = replace(state, failed=["model.shop.dim_kinds", "test.shop.test_files", "model.shop.gone"])
    found = plan(state, places)
    assert ran(found) >= {"dim_kinds", "own_files", "srv_catalog", "test_files", "test_kinds_of_lines"}
    assert "gone" not in ran(found)
    assert found.waiting == {"training_sets": ["model.shop.own_scores", "model.shop.trn_lines"]}
    due = replace(state, failed=[], refreshed_at={}, waiting={"training_sets": ["model.shop.trn_lines"]})
    assert ran(plan(due, places)) == _LATER | {"mon_trained", "test_trained"}
    of_group = replace(state, failed=["model.shop.trn_lines"])
    assert ran(plan(of_group, places)) >= {"trn_lines"}, (
        "a failure is looked at again, whenever its group is due"
    )


def test_a_clock_that_was_ahead_keeps_nothing_waiting(state: State, places: Places) -> None:
    ahead = state.refreshed_at | {"training_sets": "2027-01-01T00:00:00"}
    assert ran(plan(replace(state, refreshed_at=ahead), places, erp_lines="more")) >= _LATER


def test_other_settings_or_another_warehouse_run_everything(state: State, places: Places) -> None:
    assert plan(state, places).run == frozenset()
    other = replace(state.inputs, settings="other")
    assert make_plan(state, other, places, manifest(), state.digests, _NOON).run is None
    places.warehouse.write_text("written by somebody")
    assert plan(state, places).run is None
