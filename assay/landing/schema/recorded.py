"""The changes that a warehouse has on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb

from assay.landing.declared import LandingTable, Mode
from assay.landing.schema.changes import Change, Kind
from assay.landing.schema.logical_types import LogicalType

State = Literal["open", "accepted", "over"]

_HANDLED: dict[Mode, str] = {
    "evolve": "loaded",
    "freeze": "not loaded",
    "discard_value": "loaded without the value",
    "discard_row": "rejected as schema_changed",
}


@dataclass(frozen=True)
class SchemaChange:
    """A change over all files that showed it; a row of `bronze.brz_schema_changes`."""

    source_name: str
    table_name: str
    column_name: str
    kind: Kind
    mode: Mode
    expected_type: LogicalType | None
    found_type: LogicalType | None
    suggested_name: str | None
    first_landed_at: datetime
    first_file: str
    last_landed_at: datetime
    last_file: str
    file_count: int
    row_count: int
    state: State
    accepted_at: datetime | None

    @property
    def table(self) -> str:
        """Source and table, as commands name them."""
        return f"{self.source_name}.{self.table_name}"

    @property
    def change(self) -> Change:
        """What changed."""
        return Change(
            self.column_name,
            self.kind,
            self.row_count,
            self.expected_type,
            self.found_type,
            self.suggested_name,
        )

    @property
    def handled(self) -> str:
        """What became of the rows concerned."""
        if self.mode == "discard_value" and self.kind != "type":
            return _HANDLED["evolve"]
        return _HANDLED[self.mode]

    def is_accepted(self, table: LandingTable | None) -> bool:
        """Whether it is accepted, be it that only the next run will find it so."""
        return self.state == "accepted" or self.change.is_accepted(table)


def recorded_changes(connection: duckdb.DuckDBPyConnection) -> list[SchemaChange]:
    """Return all changes on record, by table and column; none of a warehouse that is older than they are."""
    known = connection.execute(
        "select 1 from duckdb_views() where database_name = current_database() "
        "and schema_name = 'landing' and view_name = 'schema_changes'"
    ).fetchall()
    if not known:
        return []
    columns = ", ".join(SchemaChange.__dataclass_fields__)
    rows = connection.execute(
        f"select {columns} from landing.schema_changes order by source_name, table_name, column_name, kind"
    ).fetchall()
    return [SchemaChange(*row) for row in rows]
