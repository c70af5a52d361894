"""Decide which nodes a build runs: those whose code or landed files have changed, and what reads them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.build.inputs import Inputs, identity
from assay.build.outside import LOADER, lands, outside_ids
from assay.build.refresh import due_at, group_of
from assay.build.state import State
from assay.build.store import read_store
from assay.core.places import Places
from assay.project.conventions import READS, TABLES
from assay.project.failures import FAILED, TESTS, guarded_ids
from assay.project.graph import parent_ids, reachable

_TAG = "assay_changed"
# What of a node's declaration bears on its rows, or on how it is published.
_DECLARED = (
    *("raw_code", "language", "checksum", "config", "columns", "constraints", "description", "meta"),
    *("relation_name", "access", "version", "identifier", "schema", "strategy", "check_cols", "unique_key"),
    *("test_metadata", "column_name", "attached_node", "given", "expect", "overrides"),
)


@dataclass(frozen=True)
class Plan:
    """The nodes that a build runs.

    Attributes:
        run: ids of models, seeds, snapshots, tests and unit tests; None for all of the project.
        waiting: nodes that are out of date and whose group is not due, by group.
        refreshed: the groups of which all that is out of date is built.
    """

    run: frozenset[str] | None
    waiting: Mapping[str, list[str]] = field(default_factory=dict)
    refreshed: Collection[str] = ()

    @contextmanager
    def selection(self, manifest: Any) -> Iterator[list[str]]:
        """Mark the nodes to run while the block runs; yields options of `dbt build` that select them.

        dbt looks at all nodes for each name that it is given, and once for a tag.
        """
        if self.run is None:
            yield []
            return
        nodes = {**manifest.nodes, **manifest.unit_tests}
        marked = [nodes[unique_id] for unique_id in self.run]
        for node in marked:
            node.tags.append(_TAG)
        try:
            yield ["--select", f"tag:{_TAG}", "--indirect-selection", "empty"]
        finally:
            for node in marked:
                node.tags.remove(_TAG)


def is_up_to_date(state: State | None, inputs: Inputs, places: Places, moment: datetime) -> bool:
    """Tell whether a build would find nothing to do; neither dbt nor the warehouse is needed for that."""
    return (
        state is not None
        and not state.reads_outside
        and state.inputs == inputs
        and _is_untouched(state, places)
        and state.published == identity(places.published)
        and state.search == identity(places.search)
        and state.are_roles_applied
        and state.synced
        and not state.failed
        and not state.unpublished
        and not any(_is_due(group, state, moment) for group in state.waiting)
        and (state.store is None or state.store == read_store(places))
    )


def _is_untouched(state: State, places: Places) -> bool:
    return state.warehouse == identity(places.warehouse)


def _is_due(group: str, state: State, moment: datetime) -> bool:
    refreshed_at = state.refreshed_at.get(group)
    due = due_at(group, refreshed_at)
    # The clock of the build before may have been ahead.
    is_ahead = refreshed_at is not None and datetime.fromisoformat(refreshed_at) > moment
    return due is None or due <= moment or is_ahead


def make_plan(
    state: State,
    inputs: Inputs,
    places: Places,
    manifest: Any,
    digests: Mapping[str, str],
    moment: datetime,
) -> Plan:
    """Decide which nodes to run.

    Args:
        state: what the last build left behind.
        inputs: what this build depends on.
        places: of the project.
        manifest: the project as dbt has parsed it.
        digests: of its nodes, as `node_digests` returns them.
        moment: when the build began (UTC).
    """
    if state.inputs.settings != inputs.settings or not _is_untouched(state, places):
        return Plan(None)
    nodes = {**manifest.nodes, **manifest.unit_tests}
    children: dict[str, list[str]] = {}
    loaders = {each for each, node in manifest.nodes.items() if node.name == LOADER}
    for unique_id, node in manifest.nodes.items():
        above = parent_ids(node)
        of_source = any(each in manifest.sources and lands(manifest.sources[each]) for each in above)
        for parent in above:
            # All of bronze reads the list of files; what has changed of it is known by source.
            if not (of_source and parent in loaders):
                children.setdefault(parent, []).append(unique_id)

    def below(begin: Iterable[str]) -> set[str]:
        return {
            each
            for each in reachable(begin, lambda id_: children.get(id_, []))
            if each in manifest.nodes and nodes[each].resource_type in TABLES
        }

    changed = {unique_id for unique_id, digest in digests.items() if state.digests.get(unique_id) != digest}
    # Whoever changes a view wants to see the training sets that join it.
    at_once = changed | {each for each in below(changed) if group_of(nodes[each]) == "training_sets"}
    at_once |= set(state.failed)
    gone = state.digests.keys() - digests.keys()
    if changed | gone:
        changed |= {each for each, node in manifest.nodes.items() if _looks_around(node)}
    landed = _landed_changes(state.inputs.landed, inputs.landed)
    if landed or any(each.startswith("source.") for each in changed | gone):
        changed |= loaders
    changed |= {
        each
        for each, source in manifest.sources.items()
        if lands(source) and f"{source.source_name}.{source.name}" in landed
    }
    changed |= outside_ids(manifest)
    before = {*state.failed, *(each for ids in state.waiting.values() for each in ids)}
    stale = below(changed) | (before & nodes.keys())
    run: set[str] = set()
    while True:
        waiting = _waiting(stale - at_once, nodes, below, state, moment)
        run = stale - {each for ids in waiting.values() for each in ids}
        if stale >= below(run):
            break
        stale |= below(run)
    postponed = stale - run
    run |= {each for each in changed if each in nodes and nodes[each].resource_type in TESTS}
    for unique_id, test in manifest.nodes.items():
        parents = set(parent_ids(test))
        if test.resource_type == "test" and parents & (run | changed) and not parents & postponed:
            run.add(unique_id)
    run |= {each for each, test in manifest.unit_tests.items() if changed & set(parent_ids(test))}
    due = {group for group in state.refreshed_at if group not in waiting}
    return Plan(frozenset(run), {group: sorted(ids) for group, ids in waiting.items()}, due)


def _landed_changes(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    return {table for table in {*before, *now} if before.get(table) != now.get(table)}


def _looks_around(node: Any) -> bool:
    """Tell whether a node's SQL may follow from nodes that it does not read: its macros walk the graph."""
    reads = (node.config.meta or {}).get(READS)
    return node.resource_type == "model" and node.name != LOADER and bool(reads or not parent_ids(node))


def _waiting(
    candidates: set[str], nodes: Mapping[str, Any], below: Any, state: State, moment: datetime
) -> dict[str, set[str]]:
    """Return the nodes to leave for later, by group: of groups that are not due, and what reads them.

    Args:
        candidates: nodes that are out of date and may be left for later.
    """
    waiting: dict[str, set[str]] = {}
    for group in state.refreshed_at:
        if _is_due(group, state, moment):
            continue
        own = {each for each in candidates if group_of(nodes[each]) == group}
        if own:
            # A reader in another group is built when that group is due.
            readers = below(own) & candidates
            waiting[group] = own | {each for each in readers if group_of(nodes[each]) in (None, group)}
    return waiting


def node_digests(manifest: Any) -> dict[str, str]:
    """Return a hash of each node, source and unit test as the project declares it, by id."""
    found = {**manifest.nodes, **manifest.sources, **manifest.unit_tests}
    return {unique_id: _digest(node) for unique_id, node in found.items()}


def _digest(node: Any) -> str:
    values = node.to_dict(omit_none=True)
    declared = {name: values[name] for name in _DECLARED if name in values}
    declared["parents"] = sorted(parent_ids(node)) if hasattr(node, "depends_on") else []
    if node.resource_type == "seed":
        # dbt does not read a large seed to tell whether it changed.
        declared["content"] = sha256(Path(node.root_path, node.original_file_path).read_bytes()).hexdigest()
    return sha256(json.dumps(declared, sort_keys=True, default=str).encode()).hexdigest()[:16]


def unfinished(results: Iterable[Any]) -> set[str]:
    """Return the ids of the nodes of a run that failed or were skipped, or that a test refuted."""
    found = set()
    for result in results:
        status = str(result.status)
        if status in FAILED or status == "skipped":
            found.add(result.node.unique_id)
            if status in FAILED and result.node.resource_type in TESTS:
                found |= guarded_ids(result.node)
    return found
