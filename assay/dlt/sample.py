"""Fetch some rows of a source of dlt as a sample, from which a source's contract and models are written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from assay.core.fault import MISUSED, Fault
from assay.core.words import listed
from assay.dlt.land import land_source
from assay.dlt.progress import shown_rows
from assay.dlt.source import Target, find_source
from assay.generate.propose import Origin

if TYPE_CHECKING:
    from dlt.extract import DltResource, DltSource

_MOST_ROWS = 20_000
_MOST_SECONDS = 30.0
# What dlt puts between the names of a table and of a list in its rows.
_INNER = "__"
_LOAD_ID, _ROW_ID = "_dlt_load_id", "_dlt_id"


def read_dlt_sample(name: str, place: str, folder: Path, console: Console) -> tuple[list[Path], Origin]:
    """Fetch the first rows that a source of dlt yields of a table; its cursors stay where they are.

    Args:
        name: what the table is to be called, `source.table`; of a source with several tables, `table` is one.
        place: the source as `module:name`.
        folder: where files are written.
        console: where progress is shown.

    Returns:
        The files with the rows, and what the source knows of them.

    Raises:
        Fault: there is no such source, it cannot be read, or it yields no rows of the table.
    """
    source_name, _, table = name.partition(".")
    source = find_source(place)
    resources = list(source.selected_resources.values())
    server = "dlt"
    if len(resources) == 1:
        server = table if table == resources[0].table_name else table.partition(_INNER)[0]
        resources[0].apply_hints(table_name=server)
    else:
        source = _select(source, table)
    dispositions = {str(each.table_name): str(each.write_disposition) for each in resources}
    source.add_limit(_MOST_ROWS, max_time=_MOST_SECONDS, count_rows=True)
    with shown_rows(console, place) as collector:
        landed = land_source(place, source, Target(source_name), folder, collector)
    files = sorted(path for path in (folder / source_name / table).rglob("*") if path.is_file())
    if not files:
        known = listed(sorted({each.table for each in landed.tables}), 8) or "none"
        raise Fault(f"{place} has yielded no rows of a table {table}: there are rows of {known}.", MISUSED)
    key, cursor = _find_key(source.schema.tables[table], dispositions.get(table, "append"))
    return files, Origin(place, server, key, cursor)


def _select(source: DltSource, table: str) -> DltSource:
    """Leave out resources that do not yield a table, where their names tell which one does."""

    def yields(resource: DltResource) -> bool:
        named = str(resource.table_name)
        return table == named or table.startswith(named + _INNER)

    chosen = [name for name, each in source.selected_resources.items() if yields(each)]
    return source.with_resources(*chosen) if chosen else source


def _find_key(table: Mapping[str, Any], disposition: str) -> tuple[list[str] | None, str | None]:
    """Return the columns that tell landed rows apart, and the cursor.

    A row that changes lands again, and a source that is fetched whole lands whole each time: versions of a
    row are told apart by the cursor, or else by the load.
    """
    columns = table["columns"]
    if table.get("parent"):
        return [_ROW_ID], None
    key = [name for name, column in columns.items() if column.get("primary_key")]
    cursor = next((name for name, column in columns.items() if column.get("incremental")), None)
    if not key:
        return None, cursor
    version = cursor or (_LOAD_ID if disposition in ("merge", "replace") else None)
    return list(dict.fromkeys([*key, *([version] if version else [])])), cursor
