"""Compare tables in pairs, and say what each costs on either side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from assay.core.sql import quoted, text
from assay.diff.beside import Side
from assay.diff.compare import ColumnType, RowDiff, columns_of, compare_rows, count_rows
from assay.diff.production import Production
from assay.project.graph import parent_ids
from assay.project.personal import Personal
from assay.project.warehouse import attach, bytes_of

Relation = tuple[str, str, str]


def as_sql(relation: Relation) -> str:
    """Return a relation as SQL, with its catalog."""
    return ".".join(map(quoted, relation))


@dataclass(frozen=True)
class Pair:
    """A table on both sides, as catalog, schema and name; None where a side does not have it.

    `seconds` are those of its builds, before and after; `is_own` says whether its own code has changed, and
    not only what it reads. `why_not` says why the other version could not build it.
    """

    name: str
    unique_id: str
    before: Relation | None
    after: Relation | None
    key: Sequence[str] = ()
    is_own: bool = False
    seconds: tuple[float | None, float | None] = (None, None)
    why_not: str = ""


@dataclass(frozen=True)
class Cost:
    """What a table costs on one side: seconds to build it, bytes in the file; None where nobody knows.

    A view has no size, and blocks that tables share count for each.
    """

    seconds: float | None
    bytes: int | None


@dataclass(frozen=True)
class TableDiff:
    """What a change does to a table.

    Attributes:
        pair: the table on both sides.
        status: `added`, `removed`, `changed`, `same`, `not built`, or `not compared` if unreadable.
        rows: how rows and columns differ; None where it could not be compared.
        before: what it costs in the base; None if it is not there.
        after: what it costs in the other version.
        why_not: why it could not be built or compared.
    """

    pair: Pair
    status: str
    rows: RowDiff | None
    before: Cost | None
    after: Cost | None
    why_not: str = ""

    @property
    def is_detailed(self) -> bool:
        """Whether there is more to show of it than a line among the others."""
        return self.status not in ("same", "removed")


@contextmanager
def opened_sides(files: Mapping[str, Path], scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach files read-only by the names of their catalogs; what is too much for memory goes to a folder."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set temp_directory = {text(scratch / 'spill')}")
        for name, file in files.items():
            attach(connection, file, name)
        yield connection


def pair_nodes(
    sides: tuple[Side, Side],
    touched: tuple[set[str], set[str]],
    production: Production,
    changed: set[str],
    seconds: Mapping[str, float],
) -> list[Pair]:
    """Return the touched tables of both versions, parents first.

    Args:
        sides: the base and the other version, with what was built of each.
        touched: the ids of the touched nodes of each.
        production: where the rest is.
        changed: the nodes whose own code differs.
        seconds: how long the last build of production took for each node.
    """
    old, new = (side.code.tables for side in sides)
    ids = [each for each in _in_order(new) if each in touched[1]]
    ids += [each for each in _in_order(old) if each in touched[0] and each not in new]
    found = []
    for unique_id in ids:
        node = new.get(unique_id) or old[unique_id]
        before, after = (
            _relation(side, tables, unique_id, production)
            for side, tables in zip(sides, (old, new), strict=True)
        )
        found.append(
            Pair(
                f"{node.schema}.{node.alias}",
                unique_id,
                before,
                after,
                key_of(node),
                unique_id in changed,
                (
                    sides[0].seconds.get(unique_id, seconds.get(unique_id)),
                    sides[1].seconds.get(unique_id, seconds.get(unique_id)),
                ),
                sides[1].failed.get(unique_id, ""),
            )
        )
    return found


def _in_order(tables: Mapping[str, Any]) -> list[str]:
    """Return the ids of nodes, each behind those that it reads, else by name."""
    found: dict[str, None] = {}

    def add(unique_id: str) -> None:
        if unique_id in found or unique_id not in tables:
            return
        for parent in sorted(parent_ids(tables[unique_id])):
            add(parent)
        found[unique_id] = None

    for unique_id in sorted(tables):
        add(unique_id)
    return list(found)


def _relation(
    side: Side, tables: Mapping[str, Any], unique_id: str, production: Production
) -> Relation | None:
    if unique_id not in tables or unique_id in side.failed:
        return None
    node = tables[unique_id]
    catalog = side.name if unique_id in side.built else production.name
    return catalog, node.schema, node.alias


def key_of(node: Any) -> list[str]:
    """Return the columns that identify a row: as declared or tested, or of a history, or of a snapshot.

    Args:
        node: of dbt, or of the manifest's file.
    """
    declared = node if isinstance(node, dict) else node.to_dict(omit_none=True)
    config = declared.get("config") or {}
    if key := declared.get("primary_key"):
        return [str(name).strip('"') for name in key]
    if view := (config.get("meta") or {}).get("feature_view"):
        return [*view["keys"], "valid_from"]
    if declared["resource_type"] == "snapshot" and (key := config.get("unique_key")):
        return [*([key] if isinstance(key, str) else key), "dbt_valid_from"]
    return []


def compare_pair(connection: duckdb.DuckDBPyConnection, pair: Pair, personal: Personal) -> TableDiff:
    """Compare a table on both sides; what cannot be read is said, and stops nothing."""
    before, after = (each and as_sql(each) for each in (pair.before, pair.after))
    found = TableDiff(
        pair,
        "not built",
        None,
        Cost(pair.seconds[0], bytes_of(connection, *pair.before)) if pair.before else None,
        Cost(pair.seconds[1], bytes_of(connection, *pair.after)) if pair.after else None,
        pair.why_not,
    )
    if pair.why_not:
        return found
    try:
        if before and after:
            key = pair.key or _enforced_key(connection, pair)
            rows = compare_rows(connection, before, after, key, personal)
            return replace(found, status="changed" if rows.differs else "same", rows=rows)
        there = before or after or ""
        columns = columns_of(connection, there).items()
        count = count_rows(connection, there)
    except duckdb.Error as error:
        return replace(found, status="not compared", why_not=str(error).splitlines()[0])
    if before:
        gone = [ColumnType(name, kind, None) for name, kind in columns]
        return replace(found, status="removed", rows=RowDiff(count, 0, removed=count, columns=gone))
    new = [ColumnType(name, None, kind) for name, kind in columns]
    return replace(found, status="added", rows=RowDiff(0, count, added=count, columns=new))


def _enforced_key(connection: duckdb.DuckDBPyConnection, pair: Pair) -> list[str]:
    """Return the primary key that the file enforces, of the later side first; none without one."""
    for relation in (pair.after, pair.before):
        found = connection.execute(
            "select constraint_column_names from duckdb_constraints() "
            "where constraint_type in ('PRIMARY KEY', 'UNIQUE') "
            "and (database_name, schema_name, table_name) = ($1, $2, $3) "
            "order by constraint_type, constraint_index",
            list(relation or ("", "", "")),
        ).fetchall()
        if found:
            return [str(name) for name in found[0][0]]
    return []
