"""Draw how the values of changed columns lie on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb

from assay.core.column_types import is_category, is_number
from assay.core.sql import quoted, text
from assay.diff.compare import ChangedColumn
from assay.diff.tables import TableDiff, as_sql
from assay.project.personal import Personal
from assay.report.blocks import Chart
from assay.report.distributions import bins_of_categories, bins_of_numbers, distribution_chart
from assay.report.tables import Tables

_SIDES = ("before", "after")
# Of a table with hundreds of columns, those in which most rows differ.
_MOST = 12


def draw_columns(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[TableDiff], personal: Personal
) -> dict[str, list[Chart]]:
    """Return charts of the changed columns of each table, without those that hold personal data."""
    reader = Tables(connection, "")
    return {table.pair.name: charts for table in tables if (charts := [*_of_table(reader, table, personal)])}


def _of_table(reader: Tables, table: TableDiff, personal: Personal) -> Iterator[Chart]:
    columns = table.rows.changed_columns if table.rows else ()
    drawn = [each for each in columns if not personal.holds(each.name)]
    for column in sorted(drawn, key=lambda each: -each.rows)[:_MOST]:
        bins = []
        if is_number(column.type):
            bins = bins_of_numbers(reader, _values(table, column, "double"))
        elif is_category(column.type):
            bins = bins_of_categories(reader, _values(table, column, "varchar"))
        if bins:
            yield distribution_chart(column.name, bins, _SIDES)


def _values(table: TableDiff, column: ChangedColumn, kind: str) -> str:
    name = quoted(column.name)
    return " union all ".join(
        f"select {text(side)} as side, {name}::{kind} as value, count(*) as occurrences "
        f"from {as_sql(relation)} where {name} is not null group by all"
        for side, relation in zip(_SIDES, (table.pair.before, table.pair.after), strict=True)
        if relation
    )
