"""Write exported tables anew without a person: their older versions, which others can go back to, go."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from assay.bucket.bucket import BucketMissing
from assay.console.progress import Display
from assay.core.places import Places
from assay.lake.export import begin_anew, export_table
from assay.lake.place import TablePlace, open_place
from assay.ledger.exports import read_exports
from assay.project.warehouse import connect_published


def find_exports(places: Places) -> Iterator[tuple[TablePlace, str]]:
    """Yield place and format of the exports that are where they were made, or that an erasure has set aside.

    Raises:
        Fault: another program keeps the run ledger open, or a bucket cannot be read.
    """
    for place, format, is_there in _find_all(places):
        if is_there:
            yield place, format


def find_gone(places: Places) -> Iterator[str]:
    """Yield where a table was exported to that is there no longer.

    Raises:
        Fault: another program keeps the run ledger open, or a bucket cannot be read.
    """
    for place, _, is_there in _find_all(places):
        if not is_there:
            yield place.url


def write_exports_anew(places: Places, display: Display) -> None:
    """Export all tables again that were exported, as first versions; older versions go.

    Raises:
        Fault: a table cannot be exported; the next call does it.
        OSError: a folder cannot be moved or removed.
    """
    # An export to a bucket may have been killed.
    shutil.rmtree(places.exporting, ignore_errors=True)
    exports = list(find_exports(places))
    if not exports:
        return
    with connect_published(places.published) as connection:
        tables = connection.execute("select table_name from duckdb_tables()").fetchall()
    for place, format in exports:
        if place.find_formats() == {format}:
            place.set_aside()
        begin_anew(place, format)
        if (place.name,) in tables:
            export_table(places.published, place, format, display)
        place.remove_set_aside()


def _find_all(places: Places) -> Iterator[tuple[TablePlace, str, bool]]:
    for export in read_exports(places.ledger):
        place = open_place(export.place, export.table, places.exporting)
        try:
            is_there = place.find_formats() == {export.format} or place.is_set_aside()
        except BucketMissing:
            is_there = False
        yield place, export.format, is_there
