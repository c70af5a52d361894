"""Find what `--select` builds: the selected nodes, their tests, and missing nodes upstream of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.words import counted, listed
from assay.project.conventions import TABLES
from assay.project.dbt_run import ask_dbt
from assay.project.graph import ancestor_ids, parent_ids
from assay.project.warehouse import connect


@dataclass(frozen=True)
class Selection:
    """The selection to pass to dbt.

    `added` names nodes that are built in addition, because the selected nodes read them and the warehouse
    lacks them. `left_out` names the tests that also read a table that is neither built nor read by a built
    node: the table may be missing, or come from another build. `tables` are those that are built, as
    `<schema>.<name>`.
    """

    select: list[str]
    added: list[str]
    left_out: list[str]
    tables: frozenset[str] = frozenset()

    def told(self) -> list[str]:
        """Return messages about added nodes and left-out tests; none if there are neither."""
        told = []
        if self.added:
            nodes = counted(len(self.added), "node")
            told.append(
                f"Also building {nodes} that the selection reads and the warehouse lacks: "
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
    """Return the selection for building a part; None if dbt cannot list nodes, which its build will report.

    Args:
        select: the user's selection in dbt's syntax.
        options: dbt's options for variables and the target folder.
        warehouse: the file to build, which may be missing.

    Raises:
        Fault: a part of the selection matches nothing.
    """
    parsed = ask_dbt(["parse", *options], warehouse)
    if not parsed.success:
        return None
    manifest = parsed.result
    # A node by its whole name needs no listing, which takes dbt long.
    exact = {f"fqn:{'.'.join(node.fqn)}": unique_id for unique_id, node in manifest.nodes.items()}
    asked = {exact[part] for part in select.split() if part in exact}
    for part in [each for each in select.split() if each not in exact]:
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
        frozenset(
            f"{nodes[each].schema}.{nodes[each].alias}"
            for each in built
            if nodes[each].resource_type in TABLES
        ),
    )


def _relations(warehouse: Path) -> set[tuple[str, str]]:
    """Return schema and name of a warehouse's relations in lower case, since DuckDB ignores case."""
    if not warehouse.exists():
        return set()
    with connect(warehouse) as connection:
        return set(
            connection.execute(
                "select lower(table_schema), lower(table_name) from information_schema.tables "
                "where table_catalog = current_database()"
            ).fetchall()
        )


def _is_missing(node: Any, warehouse: Path, there: set[tuple[str, str]]) -> bool:
    return (
        node.resource_type in TABLES
        and node.config.materialized != "ephemeral"
        # Relations of other attached databases are not in this file.
        and node.database == warehouse.stem
        and (node.schema.lower(), node.alias.lower()) not in there
    )
