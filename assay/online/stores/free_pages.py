"""Write files of SQLite without free pages, which keep what was removed or replaced."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from assay.core.fault import Fault


def write_without_free_pages(file: Path) -> None:
    """Write a file of SQLite anew without its free pages, and empty its log; nothing without a file.

    Raises:
        Fault: another program reads it all the time.
        sqlite3.Error: another program keeps it open.
    """
    if not file.is_file():
        return
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        connection.execute("vacuum")
        # The log holds the file as it was, until a checkpoint has emptied it.
        [(is_busy, *_)] = connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    if is_busy:
        raise Fault(
            f"{file} is read all the time, so what was removed still stands in its log: stop what reads it."
        )
