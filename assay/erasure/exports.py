"""Write exported tables anew without a person: their older versions, which others can go back to, go."""

from __future__ import annotations

import shutil
from pathlib import Path

from assay.console.progress import Display
from assay.core.places import Places
from assay.lake.export import begin_anew, export_table, is_export
from assay.ledger.exports import Export, read_exports
from assay.project.warehouse import connect_published


def find_exports(places: Places) -> list[Export]:
    """Return the exports that are where they were made, or of which an erasure was killed.

    Raises:
        Fault: another program keeps the run ledger open.
    """
    return [
        each
        for each in read_exports(places.ledger)
        if is_export(each.folder, each.format) or _old(each).is_dir()
    ]


def write_exports_anew(places: Places, display: Display) -> None:
    """Export all tables again that were exported, as first versions; the folders with older versions go.

    Raises:
        Fault: a table cannot be exported; its older versions lie beside it until the next call.
        OSError: a folder cannot be moved or removed.
    """
    exports = find_exports(places)
    if not exports:
        return
    with connect_published(places.published) as connection:
        tables = connection.execute("select table_name from duckdb_tables()").fetchall()
    for each in exports:
        old = _old(each)
        if is_export(each.folder, each.format):
            if old.is_dir():
                shutil.rmtree(old)
            each.folder.rename(old)
        begin_anew(each.folder, each.format)
        if (each.table,) in tables:
            export_table(places.published, each.table, each.format, each.place, display)
        shutil.rmtree(old)


def _old(export: Export) -> Path:
    return export.folder.with_name(f".{export.table}.forgetting")
