"""Write and read the tables of the run ledger, a DuckDB file beside the warehouse."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import known_fault
from assay.core.structure import bring_up_to_date
from assay.project.warehouse import connect

_SECONDS_TO_WAIT = 10.0
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class LedgerTable:
    """A table of the ledger, with its columns in SQL; the ledger of an older version may lack the table."""

    name: str
    columns: str

    @property
    def script(self) -> str:
        """SQL that creates the table."""
        return f"create table if not exists {self.name} ({self.columns});"

    def write(self, ledger: Path, rows: Sequence[dict[str, Any]], *, over: bool = True) -> None:
        """Write rows, which all have the same columns.

        Args:
            ledger: the ledger's file, which is made if it is missing.
            rows: values by column; no two of them with the same key.
            over: whether a row replaces an existing row with the same key; otherwise the existing one stays.

        Raises:
            Fault: another program keeps the ledger open, or the disk is full.
            duckdb.Error: the ledger cannot be written for any other reason.
        """
        if not rows:
            return
        verb = f"insert or {'replace' if over else 'ignore'} into {self.name} ({', '.join(rows[0])}) values "
        places = f"({', '.join('?' for _ in rows[0])})"
        with opened(ledger, read_only=False) as connection:
            bring_up_to_date(connection, self.script)
            # One statement of many rows takes a thirtieth of the time of one for each.
            for first in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[first : first + _ROWS_AT_ONCE]
                values = [value for row in part for value in row.values()]
                connection.execute(verb + ", ".join([places] * len(part)), values)

    def read(self, ledger: Path, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; no rows if the ledger does not have the table yet.

        Raises:
            Fault: another program keeps the ledger open.
        """
        if not ledger.exists():
            return []
        with opened(ledger, read_only=True) as connection:
            known = connection.execute("select table_name from duckdb_tables()").fetchall()
            return connection.execute(sql, parameters).fetchall() if (self.name,) in known else []


@contextmanager
def opened(ledger: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the ledger; waits a little if another run or `assay status` has it open for a moment."""
    give_up_at = time.monotonic() + _SECONDS_TO_WAIT
    while True:
        try:
            connection = connect(ledger, read_only=read_only)
            break
        except duckdb.Error as error:
            if "Could not set lock" not in str(error) or time.monotonic() > give_up_at:
                raise known_fault(error) or error from error
            time.sleep(0.05)
    with connection:
        yield connection
