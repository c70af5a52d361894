"""Tell of each node where it is computed, why, and how much it reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from assay.core.fault import MISUSED, Fault
from assay.core.places import Places
from assay.core.sql import quoted
from assay.project.compiled import compiled_project, has_sql
from assay.project.conventions import TABLES
from assay.project.dbt_run import ask_dbt
from assay.project.graph import parent_ids, reachable
from assay.project.project import Project
from assay.project.warehouse import bytes_of, opened
from assay.spark.jobs import Here, Job, ModelCode, decide
from assay.spark.size import count_rows, find_least_rows

_VIEWS = ("view", "replaced_view", "ephemeral")


@dataclass(frozen=True)
class PlannedNode:
    """Where a node is computed.

    Attributes:
        name: of the node.
        keys: the keys by which its rows go to tasks; empty where it has none.
        why: the reason, in words.
        is_refused: whether it declares a key that does not hold.
        is_small: whether this machine computes it although it has keys, since it has few rows.
        rows: of the tables that it reads; None where one is not built.
        bytes: what these take in the warehouse.
    """

    name: str
    keys: list[tuple[str, ...]]
    why: str
    is_refused: bool
    is_small: bool
    rows: int | None
    bytes: int | None


def make_plan(places: Places, select: str | None = None) -> list[PlannedNode]:
    """Tell where each model, snapshot and seed is computed, in the order of names.

    Args:
        places: of the project.
        select: a part of the project, in dbt's selection syntax; all of it without.

    Raises:
        Fault: nothing is built, dbt cannot compile the project, or `select` matches nothing.
    """
    project = Project()
    nodes = {
        id_: node
        for id_, node in project.nodes.items()
        if node.resource_type in (*TABLES, "source") and getattr(node.config, "enabled", True)
    }
    tables = {id_ for id_, node in nodes.items() if node.resource_type in TABLES}
    asked = tables if select is None else tables & set(_selected(select, places))
    if not asked:
        raise Fault(f"--select {select} matches no model, seed or snapshot of this project.", MISUSED)
    least_rows = find_least_rows()
    compiled = compiled_project(project)
    with opened(places.warehouse) as connection:
        columns = read_columns(connection, places.warehouse.stem)
        sizes = _Sizes(connection, nodes, columns, least_rows)
        planned = [_planned(nodes[id_], nodes, compiled, columns, sizes) for id_ in asked]
    return sorted(planned, key=lambda each: each.name)


def read_columns(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, dict[str, str]]:
    """Return the types of the columns of all tables and views, by relation as SQL and by name.

    Args:
        connection: of the warehouse.
        database: its name in SQL.
    """
    rows = connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = ? order by column_index",
        [database],
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in rows:
        found.setdefault(".".join(map(quoted, (database, schema, table))), {})[column] = kind
    return found


def _selected(select: str, places: Places) -> Collection[str]:
    listing = ["ls", "--select", *select.split(), "--output", "json", "--output-keys", "unique_id"]
    found = ask_dbt(listing, places.warehouse)
    if not found.success:
        raise Fault(f"dbt cannot read --select {select}: {found.exception}", MISUSED)
    return {json.loads(line)["unique_id"] for line in found.result}


def _planned(
    node: Any,
    nodes: Mapping[str, Any],
    compiled: Mapping[str, str],
    columns: Mapping[str, Mapping[str, str]],
    sizes: _Sizes,
) -> PlannedNode:
    decision = _decide(node, nodes, compiled, columns)
    rows, size = sizes.read_by(node)
    if isinstance(decision, Here):
        return PlannedNode(node.name, [], decision.why, decision.is_refused, False, rows, size)
    why = sizes.say_few(decision)
    return PlannedNode(node.name, decision.keys, why or decision.why, False, why is not None, rows, size)


def _decide(
    node: Any,
    nodes: Mapping[str, Any],
    compiled: Mapping[str, str],
    columns: Mapping[str, Mapping[str, str]],
) -> Job | Here:
    if node.resource_type == "seed":
        return Here("a seed is loaded from its file")
    if node.resource_type == "snapshot":
        return Here("a snapshot is compared with what it was")
    if not has_sql(node):
        return Here("it is a model in Python")
    if node.config.materialized in _VIEWS:
        return Here("a view is computed where it is read")
    parents = {
        nodes[id_].relation_name: nodes[id_].name
        for id_ in parent_ids(node)
        if id_ in nodes and nodes[id_].relation_name
    }
    model = ModelCode(
        node.name,
        compiled[node.unique_id],
        node.raw_code,
        node.config.materialized,
        node.config.meta,
        parents,
    )
    return decide(model, columns)


def in_words(keys: Sequence[tuple[str, ...]]) -> str:
    """Say by which keys rows go to tasks, such as `by card_id`."""
    return "by " + "; ".join(", ".join(each) for each in keys)


class _Sizes:
    """How much is in the tables of a warehouse; each is looked up once."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        nodes: Mapping[str, Any],
        columns: Mapping[str, Mapping[str, str]],
        least_rows: int,
    ) -> None:
        self._connection, self._nodes, self._columns = connection, nodes, columns
        self._least_rows = least_rows
        self._found: dict[str, tuple[int, int] | None] = {}

    def say_few(self, job: Job) -> str | None:
        """Say that a node has too few rows to go to Spark; None if it has enough."""
        rows = count_rows(job, self._connection) if self._least_rows else 0
        if rows >= self._least_rows:
            return None
        return f"it has {rows:,} rows; {in_words(job.keys)} from {self._least_rows:,} on"

    def read_by(self, node: Any) -> tuple[int | None, int | None]:
        """Return the rows and bytes of the tables that a node reads, also through views."""
        below = reachable(parent_ids(node), self._behind_view)
        tables = [self._nodes[id_] for id_ in below if id_ in self._nodes and not self._is_view(id_)]
        sizes = [self._size(each) for each in tables]
        if any(each is None for each in sizes):
            return None, None
        known = [each for each in sizes if each is not None]
        return sum(rows for rows, _ in known), sum(size for _, size in known)

    def _is_view(self, id_: str) -> bool:
        return id_ in self._nodes and getattr(self._nodes[id_].config, "materialized", "") in _VIEWS

    def _behind_view(self, id_: str) -> list[str]:
        return parent_ids(self._nodes[id_]) if self._is_view(id_) else []

    def _size(self, node: Any) -> tuple[int, int] | None:
        relation = node.relation_name
        if relation not in self._found:
            self._found[relation] = self._measure(node) if relation in self._columns else None
        return self._found[relation]

    def _measure(self, node: Any) -> tuple[int, int]:
        [row] = self._connection.execute(f"select count(*) from {node.relation_name}").fetchall()
        name = node.identifier if node.resource_type == "source" else node.alias
        size = bytes_of(self._connection, node.database, node.schema, name)
        return row[0], size or 0
