"""Record in the run ledger where tables were exported, so that erasures find them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay.core.moment import now
from assay.ledger.file import LedgerTable

EXPORTS = LedgerTable(
    "exports",
    """
    table_name varchar not null,
    format varchar not null,
    place varchar not null,
    last_at timestamp not null,
    primary key (table_name, format, place)
""",
)


@dataclass(frozen=True)
class Export:
    """A table that was exported in a format to `place`, a folder for tables or `s3://bucket/prefix`."""

    table: str
    format: str
    place: str


def note_export(ledger: Path, table: str, format: str, place: str) -> None:
    """Note that a table is about to be exported.

    Args:
        ledger: the run ledger.
        table: its name.
        format: `iceberg` or `delta`.
        place: a folder for tables, absolute, or `s3://bucket/prefix`.

    Raises:
        Fault: another program keeps the ledger open.
        duckdb.Error: it cannot be written.
    """
    values = {"table_name": table, "format": format, "place": place, "last_at": now()}
    EXPORTS.write(ledger, [values])


def read_exports(ledger: Path) -> list[Export]:
    """Return the exports that were ever made, or begun.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = EXPORTS.read(ledger, "select table_name, format, place from exports order by all")
    return [Export(table, format, place) for table, format, place in rows]
