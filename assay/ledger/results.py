"""Collect the result of each node of a dbt run: models with their row counts, tests with their findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from assay.core.sql import quoted
from assay.ledger.failing_rows import read_failing_rows
from assay.project.conventions import TABLES
from assay.project.failures import FAILED, TESTS, guarded, message_of
from assay.project.graph import Manifest
from assay.project.kept import Kept
from assay.project.personal import Personal
from assay.project.warehouse import connect

# dbt also reports exposures, which are not run.
_RUN = (*TABLES, *TESTS, "operation")
_FAILED_TESTS = ("fail", "warn")


@dataclass(frozen=True)
class NodeResult:
    """The result of a node in a run; times are UTC.

    `relation` is the model's table, or the relation that a test checks. `table_rows` is the number of rows
    that a model has now, None for a view. `failing_rows` is the number of rows that failed a test, `sample`
    some of them by column.
    """

    unique_id: str
    name: str
    kind: str
    relation: str
    status: str
    severity: str | None
    started_at: datetime | None
    seconds: float
    table_rows: int | None
    failing_rows: int | None
    owner: str | None
    message: str | None
    sample: list[dict[str, Any]]

    @property
    def is_bad(self) -> bool:
        """Whether the node failed or warned."""
        return self.status in (*FAILED, "warn")


def make_node_results(
    results: Iterable[Any], warehouse: Path, manifest: Manifest, owner_of: dict[str, str], personal: Personal
) -> list[NodeResult]:
    """Return the results of the nodes in the order in which they began.

    Args:
        results: the results of dbt's run, which has ended.
        warehouse: the file that the run wrote, which must be closed.
        manifest: of the project: a test may check what the run did not build.
        owner_of: the owner of each node, by the node's id.
        personal: the personal data to mask in messages, because alerts send them on.
    """
    by_id = {result.node.unique_id: result for result in results if result.node.resource_type in _RUN}
    nodes = {unique_id: result.node for unique_id, result in by_id.items()}
    known = {unique_id: Kept(node) for unique_id, node in manifest.nodes.items()} | nodes
    found = []
    with connect(warehouse) as connection:
        rows = _table_rows(connection, [node for node in nodes.values() if node.resource_type in TABLES])
        for unique_id, result in by_id.items():
            node, status = result.node, str(result.status)
            is_test = node.resource_type in TESTS
            failed_rows = node.resource_type == "test" and status in _FAILED_TESTS
            sample = read_failing_rows(connection, node.compiled_code) if failed_rows else []
            relation = guarded(node, known) if is_test else f"{node.schema}.{node.alias}"
            found.append(
                NodeResult(
                    unique_id=unique_id,
                    name=node.name,
                    kind=str(node.resource_type).replace("_", " "),
                    relation=relation,
                    status=status,
                    severity=str(node.config.severity).lower() if node.resource_type == "test" else None,
                    started_at=_started_at(result),
                    seconds=result.execution_time,
                    table_rows=rows.get(unique_id),
                    failing_rows=result.failures if failed_rows else None,
                    owner=owner_of.get(getattr(node, "attached_node", None) or "", owner_of.get(unique_id)),
                    message=message_of(result, personal.rows(sample, relation)) or None
                    if status != "success"
                    else None,
                    sample=sample,
                )
            )
    return sorted(found, key=lambda each: (each.started_at is None, each.started_at, each.unique_id))


def _table_rows(connection: duckdb.DuckDBPyConnection, nodes: list[Any]) -> dict[str, int]:
    tables = set(connection.execute("select schema_name, table_name from duckdb_tables()").fetchall())
    built = [node for node in nodes if (node.schema, node.alias) in tables]
    if not built:
        return {}
    counts = " union all ".join(
        f"select {number} as number, count(*) as table_rows from {quoted(node.schema)}.{quoted(node.alias)}"
        for number, node in enumerate(built)
    )
    return {built[number].unique_id: rows for number, rows in connection.execute(counts).fetchall()}


def _started_at(result: Any) -> datetime | None:
    moments = [timing.started_at for timing in result.timing if timing.started_at]
    first = min(moments, default=None)
    return first.astimezone(UTC).replace(tzinfo=None) if first and first.tzinfo else first
