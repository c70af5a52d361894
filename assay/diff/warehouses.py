"""Compare two warehouses as they are; nothing is built."""

from __future__ import annotations

from pathlib import Path

import duckdb

from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault, unknown
from assay.core.places import PUBLISHED, Places
from assay.diff.production import copy_warehouse
from assay.diff.tables import Pair, key_of
from assay.project.graph import Manifest

BEFORE, AFTER = "assay_diff_before", "assay_diff_after"
# What Assay keeps beside the tables of the project.
_OWN_SCHEMAS = ("landing", "published", "information_schema")
# What a history has seen of its input is for its next run alone.
_INPUT = "__input"


def find_warehouse(name: str) -> Path | None:
    """Return the warehouse that a name stands for, a file or the folder of a published one; None if none."""
    path = Path(name).expanduser()
    if path.is_dir():
        path = path / f"{PUBLISHED}.duckdb"
    return path if path.is_file() else None


def attachable(file: Path, places: Places, folder: Path, display: Display) -> Path:
    """Return a file to read for as long as one likes: of the project's own warehouse, which builds, a copy.

    Raises:
        Fault: there is no room for the copy, or another program writes to the warehouse.
    """
    if not places.warehouse.exists() or not file.samefile(places.warehouse):
        return file
    folder.mkdir()
    return copy_warehouse(places.warehouse, folder, display)


def pair_tables(
    connection: duckdb.DuckDBPyConnection, manifest: Manifest, select: str | None
) -> tuple[list[Pair], int]:
    """Return the tables of both warehouses by name, with their keys, and the number of views left out.

    Args:
        connection: has the warehouses attached as `BEFORE` and `AFTER`.
        manifest: of the project, which declares keys.
        select: names of tables, with or without their schema, apart by blanks; None for all.

    Raises:
        Fault: neither warehouse has a table of such a name.
    """
    before, after = (_tables(connection, catalog) for catalog in (BEFORE, AFTER))
    names = sorted(before | after)
    if select is not None:
        wanted = select.split()
        known = {each for schema, table in names for each in (table, f"{schema}.{table}")}
        if missing := [each for each in wanted if each not in known]:
            raise Fault(unknown(f"Neither warehouse has a table {missing[0]}", missing[0], known), MISUSED)
        names = [each for each in names if each[1] in wanted or ".".join(each) in wanted]
    nodes = {(node["schema"], node["alias"]): node for node in manifest.nodes.values() if "alias" in node}
    pairs = [
        Pair(
            f"{schema}.{table}",
            f"{schema}.{table}",
            (BEFORE, schema, table) if (schema, table) in before else None,
            (AFTER, schema, table) if (schema, table) in after else None,
            key_of(nodes[schema, table]) if (schema, table) in nodes else [],
        )
        for schema, table in names
    ]
    [(views,)] = connection.execute(
        "select count(distinct (schema_name, view_name)) from duckdb_views() "
        "where not internal and database_name in ($1, $2)",
        [BEFORE, AFTER],
    ).fetchall()
    return pairs, int(views)


def _tables(connection: duckdb.DuckDBPyConnection, catalog: str) -> set[tuple[str, str]]:
    found = connection.execute(
        "select schema_name, table_name from duckdb_tables() "
        "where database_name = $1 and not list_contains($2, schema_name) and not ends_with(table_name, $3)",
        [catalog, list(_OWN_SCHEMAS), _INPUT],
    ).fetchall()
    return {(schema, table) for schema, table in found}
