"""Treat rows with changes by their table's mode, and undo that once the declaration accepts the changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from assay.core.sql import quoted, text
from assay.landing.declared import LandingTable, Mode
from assay.landing.schema.changes import Change, Kind
from assay.landing.schema.find import landed_rows
from assay.landing.schema.logical_types import LogicalType
from assay.landing.schema.new_names import new_values
from assay.landing.schema.sightings import Sighting, open_sightings
from assay.landing.schema.values import CsvValues, JsonValues, Values, values_of

_CONFLICTS: dict[Kind, str] = {"lost": "lost {}", "renamed": "lost {}", "type": "type of {}"}


def set_aside(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    changes: Mapping[int, Sequence[tuple[Change, Mode]]],
) -> None:
    """Mark the rows that show changes, or move their values out, as the modes say.

    `discard_row` writes the unexpected names of a row to `schema_conflict`. `discard_value` moves values of
    another type to `other_values`, and keeps a copy of JSON documents without them; new names need no
    treatment, because nothing reads them.
    """
    news = {
        file_id: [change.column for change, mode in found if (change.kind, mode) == ("new", "discard_row")]
        for file_id, found in changes.items()
    }
    if any(news.values()):
        with new_values(connection, table, landed_rows(table, news), news) as found:
            named = "string_agg('new ' || name, ', ' order by number)"
            rows = f"select file_id, row_number, {named} as named from ({found}) where is_filled group by all"
            _update(connection, table, "schema_conflict = concat_ws(', ', schema_conflict, named)", rows)
    for (column, kind, expected, mode), files in _by_change(changes).items():
        values = values_of(table, [column])
        rows = f"""
            select file_id, row_number from ({values.relation(landed_rows(table, files))})
            where {values.is_row} and {_carries(values, column, kind, expected)}
        """
        if mode == "discard_row":
            told = f"concat_ws(', ', schema_conflict, {text(_CONFLICTS[kind].format(column))})"
            _update(connection, table, f"schema_conflict = {told}", rows)
        elif mode == "discard_value" and kind == "type":
            for change in _without(values, column):
                _update(connection, table, change, rows)


def read_again(
    connection: duckdb.DuckDBPyConnection, table: LandingTable, accepted: Sequence[Sighting]
) -> None:
    """Reread the rows of loaded files by the new declaration, and have silver check them again.

    Args:
        connection: a connection to the warehouse, in a transaction.
        table: the table as it is declared now.
        accepted: the sightings that the declaration accepts now.
    """
    files = sorted({each.file_id for each in accepted if each.is_loaded and _concerns_rows(table, each)})
    if not files:
        return
    landed = f"landing.{quoted(table.relation)}"
    where = f"where file_id in ({', '.join(map(str, files))})"
    connection.execute(f"update {landed} set schema_conflict = null {where}")
    if table.format == "jsonl":
        connection.execute(f"update {landed} set line_as_declared = null {where}")
    else:
        moved = {each.change.column: each.change.column for each in accepted}
        for name, column in {**moved, **table.aliases}.items():
            if column in table.columns:
                connection.execute(f"update {landed} set {_moved(table, name, column)} {where}")
    still_open: dict[int, list[tuple[Change, Mode]]] = {}
    for each in open_sightings(connection, files):
        still_open.setdefault(each.file_id, []).append((each.change, each.mode))
    set_aside(connection, table, still_open)
    _forget_checks(connection, files)


def _moved(table: LandingTable, name: str, column: str) -> str:
    """Return the SQL assignments that move a value from `other_values` to a column without a value."""
    value = CsvValues(table, []).kept(name)
    is_there = f"{quoted(column)} is null and {value} is not null"
    rest = f"json_merge_patch(other_values, json_object({text(name)}, null))::varchar"
    return (
        f"{quoted(column)} = case when {is_there} then {value} else {quoted(column)} end, "
        f"other_values = case when {is_there} then nullif({rest}, '{{}}') else other_values end"
    )


def _concerns_rows(table: LandingTable, sighting: Sighting) -> bool:
    change = sighting.change
    has_alias = change.column in table.aliases or change.column in table.aliases.values()
    has_no_value = sighting.mode == "discard_value" and change.kind == "type"
    return sighting.mode == "discard_row" or has_no_value or has_alias


def _forget_checks(connection: duckdb.DuckDBPyConnection, files: Sequence[int]) -> None:
    """Delete the rows of files from the checked tables, which are recognised by their columns."""
    checked = connection.execute(
        """
        select schema_name, table_name
        from duckdb_columns()
        inner join duckdb_tables() using (database_name, schema_name, table_name)
        where database_name = current_database() and schema_name <> 'landing'
        group by all
        having count(*) filter (where column_name in ('file_id', 'row_number', 'rule_ids')) = 3
        order by all
        """
    ).fetchall()
    for schema, name in checked:
        connection.execute(
            f"delete from {quoted(schema)}.{quoted(name)} where file_id in ({', '.join(map(str, files))})"
        )


def _by_change(
    changes: Mapping[int, Sequence[tuple[Change, Mode]]],
) -> dict[tuple[str, Kind, LogicalType | None, Mode], list[int]]:
    found: dict[tuple[str, Kind, LogicalType | None, Mode], list[int]] = {}
    for file_id, of_file in changes.items():
        for change, mode in of_file:
            if change.kind == "new":
                continue
            found.setdefault((change.column, change.kind, change.expected_type, mode), []).append(file_id)
    return found


def _carries(values: Values, column: str, kind: Kind, expected: LogicalType | None) -> str:
    """Return the SQL condition that a row shows a change."""
    if kind in ("lost", "renamed") or expected is None:
        return f"not {values.is_present(column)}"
    return f"{values.is_filled(column)} and not coalesce({values.reads(column, expected)}, false)"


def _without(values: Values, column: str) -> list[str]:
    """Return the SQL assignments that move a value out of its place."""
    if isinstance(values, JsonValues):
        return [f"line_as_declared = {patched}" for patched in values.without(column)]
    value = quoted(column)
    kept = f"json_merge_patch(coalesce(other_values, '{{}}'), json_object({text(column)}, {value}))::varchar"
    return [f"other_values = {kept}, {value} = null"]


def _update(connection: duckdb.DuckDBPyConnection, table: LandingTable, change: str, rows: str) -> None:
    connection.execute(
        f"update landing.{quoted(table.relation)} as landed set {change} from ({rows}) as concerned "
        "where landed.file_id = concerned.file_id and landed.row_number = concerned.row_number"
    )
