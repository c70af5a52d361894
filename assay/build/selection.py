"""What `--select` builds: what was asked for, its tests, and what the warehouse lacks of what it rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import MISUSED, Fault
from assay.core.words import counted, listed
from assay.project.dbt_run import ask_dbt
from assay.project.graph import ancestor_ids, parent_ids

_BUILT = ("model", "seed", "snapshot")


@dataclass(frozen=True)
class Selection:
    """What dbt is to select.

    `added` names what is built though nobody asked for it: the warehouse lacks it, and what was asked for
    reads it. `left_out` names the tests that read something which is neither built nor read by what is built:
    it may be missing, or of another build.
    """

    select: list[str]
    added: list[str]
    left_out: list[str]

    def told(self) -> list[str]:
        """Say what a person must know of it; nothing where all is as asked."""
        told = []
        if self.added:
            nodes = counted(len(self.added), "node")
            told.append(
                f"Also building {nodes} on which the selection rests and which the warehouse lacks: "
                f"{listed(self.added)}"
            )
        if self.left_out:
            tests = counted(len(self.left_out), "test")
            told.append(
                f"Leaving out {tests} that also read tables outside the selection: {listed(self.left_out)}. "
                "To run all tests: assay build"
            )
        return told


def find_selection(select: str, options: Sequence[str], warehouse: Path) -> Selection | None:
    """Return what to build where a part is asked for; None where dbt cannot tell, as its build will say.

    Args:
        select: in dbt's selection syntax.
        options: of dbt that say what the project is: variables and the target folder.
        warehouse: the file that is built, which may be missing.

    Raises:
        Fault: a part of the selection matches nothing.
    """
    parsed = ask_dbt(["parse", *options], warehouse)
    if not parsed.success:
        return None
    manifest = parsed.result
    asked: set[str] = set()
    for part in select.split():
        listing = ["ls", "--select", part, "--indirect-selection", "buildable", "--output", "json"]
        found = ask_dbt([*listing, "--output-keys", "unique_id", *options], warehouse, manifest)
        if not found.success:
            return None
        if not found.result:
            raise Fault(f"--select {part} matches nothing in this project.", MISUSED)
        asked |= {json.loads(line)["unique_id"] for line in found.result}
    nodes: dict[str, Any] = manifest.nodes
    there = _relations(warehouse)
    added = [
        nodes[unique_id]
        for unique_id in sorted(set().union(*(ancestor_ids(each, nodes) for each in asked)) - asked)
        if unique_id in nodes and _is_missing(nodes[unique_id], warehouse, there)
    ]
    built = {each for each in asked if each in nodes} | {node.unique_id for node in added}
    known = built.union(*(ancestor_ids(each, nodes) for each in built))
    left_out = [
        node.name
        for unique_id, node in nodes.items()
        if node.resource_type == "test"
        and unique_id not in asked
        and built.intersection(parent_ids(node))
        and not known.issuperset(parent_ids(node))
    ]
    return Selection(
        [select, *(f"fqn:{'.'.join(node.fqn)}" for node in added)],
        [node.name for node in added],
        sorted(left_out),
    )


def _relations(warehouse: Path) -> set[tuple[str, str]]:
    """Return schema and name of what a warehouse holds, in small letters: for DuckDB they are the same."""
    if not warehouse.exists():
        return set()
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return set(
            connection.execute(
                "select lower(table_schema), lower(table_name) from information_schema.tables "
                "where table_catalog = current_database()"
            ).fetchall()
        )


def _is_missing(node: Any, warehouse: Path, there: set[tuple[str, str]]) -> bool:
    return (
        node.resource_type in _BUILT
        and node.config.materialized != "ephemeral"
        # What is attached besides is not this file's.
        and node.database == warehouse.stem
        and (node.schema.lower(), node.alias.lower()) not in there
    )
