"""Find which tables and views of a lake in Postgres a role reads there, and why it does not read others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from assay.contracts.grants import Grant, Role
from assay.core.sql import folded
from assay.project.conventions import LAYERS
from assay.project.shared_lake import connect_catalog, has_catalog

#: The schema of which contracts give tables to roles.
GOLD = LAYERS[-1]
#: What is told of a table that a role reads in the lake.
READS = "reads"
_FILE_ONLY = "its file only"
_PART = re.compile(r'"(?:[^"]|"")*"|[^".]+')
_Place = tuple[str, str]
_TABLES = """
select
    schemas.schema_name,
    tables.table_name,
    array(
        select columns.column_name from ducklake_column as columns
        where columns.table_id = tables.table_id and columns.parent_column is null
        order by columns.column_id
    )
from ducklake_table as tables
inner join ducklake_schema as schemas on tables.schema_id = schemas.schema_id
where tables.end_snapshot is null and schemas.end_snapshot is null
"""
_VIEWS = """
select schemas.schema_name, views.view_name, views.sql
from ducklake_view as views
inner join ducklake_schema as schemas on views.schema_id = schemas.schema_id
where views.end_snapshot is null and schemas.end_snapshot is null
"""


@dataclass(frozen=True)
class _Lake:
    """The tables of a lake with their columns, in all snapshots, and the views with what each reads."""

    tables: Mapping[_Place, Sequence[str]] = field(default_factory=dict)
    views: Mapping[_Place, Sequence[_Place]] = field(default_factory=dict)


def tell_readable(warehouse: Path, roles: Sequence[Role]) -> dict[_Place, str]:
    """Tell of each table of each role whether the role reads it in the lake, and why not, for people.

    Args:
        warehouse: the file that stands for the lake.
        roles: all roles of the project.

    Returns:
        The text by the names of role and table: `READS`, or what the role reads instead, with the reason.

    Raises:
        Fault: the catalog cannot be reached.
    """
    lake = _read_lake(warehouse)
    told: dict[_Place, str] = {}
    for role in roles:
        grants = {(GOLD, grant.table): grant for grant in role.grants}
        told |= {(role.name, grant.table): _tell((GOLD, grant.table), grants, lake) for grant in role.grants}
    return told


def _read_lake(warehouse: Path) -> _Lake:
    with connect_catalog(warehouse) as connection:
        if not has_catalog(connection):
            return _Lake()
        tables = connection.execute(_TABLES).fetchall()
        views = connection.execute(_VIEWS).fetchall()
    with duckdb.connect() as parser:
        return _Lake(
            {(schema, name): columns for schema, name, columns in tables},
            {(schema, name): _tables_in(parser, schema, sql) for schema, name, sql in views},
        )


def _tables_in(parser: duckdb.DuckDBPyConnection, schema: str, sql: str) -> list[_Place]:
    """Return schema and name of what the query of a view reads; a name without a schema is of the view's."""
    found = set()
    # DuckLake keeps a place for the name under which a lake is attached.
    for name in parser.get_table_names(sql.replace("{DUCKLAKE_CATALOG}", "lake"), qualified=True):
        parts = [part.strip('"').replace('""', '"') for part in _PART.findall(name)]
        found.add((parts[-2] if len(parts) > 1 else schema, parts[-1]))
    return sorted(found)


def _tell(place: _Place, grants: Mapping[_Place, Grant], lake: _Lake) -> str:
    grant = grants[place]
    if not grant.is_whole:
        return _FILE_ONLY
    if place in lake.views:
        for read in lake.views[place]:
            if read not in grants or _tell(read, grants, lake) != READS:
                return f"{_FILE_ONLY}: a view of {'.'.join(read)}, which the role does not read there"
        return READS
    if place not in lake.tables:
        return f"{_FILE_ONLY}: not built there"
    seen = {folded(name) for name in grant.columns}
    if hidden := next((name for name in lake.tables[place] if folded(name) not in seen), None):
        return f"{_FILE_ONLY}: it has or had the column {hidden}, which the contract does not name"
    return READS
