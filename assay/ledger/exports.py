"""Record in the run ledger to which folders tables were exported, so that erasures find them."""

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
    """A table that was exported in a format to a folder below `place`."""

    table: str
    format: str
    place: Path

    @property
    def folder(self) -> Path:
        """The table's own folder."""
        return self.place / self.table


def note_export(ledger: Path, table: str, format: str, place: Path) -> None:
    """Note that a table is about to be exported.

    Args:
        ledger: the run ledger.
        table: its name.
        format: `iceberg` or `delta`.
        place: a folder for tables.

    Raises:
        Fault: another program keeps the ledger open.
        duckdb.Error: it cannot be written.
    """
    values = {"table_name": table, "format": format, "place": str(place.absolute()), "last_at": now()}
    EXPORTS.write(ledger, [values])


def read_exports(ledger: Path) -> list[Export]:
    """Return the exports that were ever made, or begun.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = EXPORTS.read(ledger, "select table_name, format, place from exports order by all")
    return [Export(table, format, Path(place)) for table, format, place in rows]
