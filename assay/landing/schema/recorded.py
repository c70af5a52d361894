"""Read the changes of schema that a warehouse has recorded."""

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
    "discard_value": "loaded without these values",
    "discard_row": "loaded, and the rows rejected",
}


@dataclass(frozen=True)
class SchemaChange:
    """A change, summed up over all files that show it; a row of `bronze.brz_schema_changes`."""

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
    loaded_file_count: int
    row_count: int
    state: State
    accepted_at: datetime | None

    @property
    def table(self) -> str:
        """Source and table in the form that commands take: `source.table`."""
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
        """How the files and rows with the change were treated, in words."""
        if not self.loaded_file_count:
            return "not loaded"
        some = "" if self.loaded_file_count == self.file_count else f"{self.loaded_file_count:,} of them "
        is_loaded_whole = self.mode == "discard_value" and self.kind != "type"
        return some + ("loaded" if is_loaded_whole else _HANDLED.get(self.mode, "loaded"))

    def is_accepted(self, table: LandingTable | None) -> bool:
        """Tell whether the change is accepted, also if only the next run will record that."""
        return self.state == "accepted" or self.change.is_accepted(table)


def recorded_changes(connection: duckdb.DuckDBPyConnection) -> list[SchemaChange]:
    """Return all recorded changes, by table and column; none if an older version made the warehouse."""
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
