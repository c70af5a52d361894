"""Find the tables whose rows are compared: feature views, tables of gold, and files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.column_types import is_category, is_number
from assay.core.fault import MISUSED, Fault, unknown
from assay.core.sql import quoted, text
from assay.drift.limits import Limits
from assay.drift.spec import Rows
from assay.project.views import VALIDITY, FeatureView
from assay.project.warehouse import relation_named

# Columns that say when a row became known; the first that a table has is used.
_TIMES = ("available_at", "valid_from", "prediction_at", "landed_at", "event_at")
_SPLIT = "split"


@dataclass(frozen=True)
class Source:
    """A table, its time column, and the columns to compare; `left_out` says why others are not compared.

    `until` is the instant just after the last row.
    """

    name: str
    relation: str
    time: str | None
    numeric: list[str]
    categorical: list[str]
    left_out: dict[str, str]
    # Of a history, what holds of the states that an arrival opened.
    is_opened: str | None
    has_split: bool
    until: datetime | None

    def rows(self, wanted: Rows) -> str:
        """Return the SQL of the wanted rows.

        Raises:
            Fault: the table has no time, or no split.
        """
        conditions = []
        if wanted.split is not None:
            if not self.has_split:
                raise Fault(f"{self.name} has no column split: write a period for {wanted.said}.", MISUSED)
            conditions.append(f"{_SPLIT} = {text(wanted.split)}")
        elif self.time is None:
            raise Fault(f"{self.name} has no column that tells the time of rows.", MISUSED)
        for bound, operator in ((wanted.start, ">="), (wanted.end, "<")):
            if bound is not None:
                conditions.append(f"{quoted(self.time or '')} {operator} timestamp {text(bound)}")
        if self.is_opened:
            conditions.append(self.is_opened)
        columns = quoted(*self.numeric, *self.categorical)
        return f"select {columns} from {self.relation} where {' and '.join(conditions) or 'true'}"


def find_source(
    connection: duckdb.DuckDBPyConnection,
    published: str,
    name: str,
    view: FeatureView | None,
    limits: Limits,
) -> Source:
    """Find a table by its name, or a file by its path.

    Args:
        connection: a connection with the published file attached.
        published: the name of the attached file.
        name: the name of a table of gold, or the path of a CSV or Parquet file.
        view: the feature view with that name, if there is one.
        limits: the limits, with the maximum number of categories.

    Raises:
        Fault: there is no such table or file.
    """
    if Path(name).is_file():
        relation = f"read_{'parquet' if name.endswith('.parquet') else 'csv'}({text(name)})"
    else:
        tables = [
            found
            for (found,) in connection.execute(
                "select table_name from duckdb_tables() "
                "where database_name = ? and schema_name != 'published' order by all",
                [published],
            ).fetchall()
        ]
        if Path(name).suffix in (".csv", ".parquet"):
            raise Fault(f"There is no file {name}.", MISUSED)
        if name not in tables:
            raise Fault(unknown(f"There is no table {name} in gold", name, tables), MISUSED)
        relation = str(relation_named(connection, name, published))
    columns = {
        column: str(kind)
        for column, kind, *_ in connection.execute(f"describe select * from {relation}").fetchall()
    }
    time = next((column for column in _TIMES if column in columns), None) or next(
        (column for column, kind in columns.items() if kind.startswith(("TIMESTAMP", "DATE"))), None
    )
    numeric, categorical, left_out = [], [], {}
    for column, kind in columns.items():
        if (view and column in view.keys) or column.endswith("_id"):
            left_out[column] = "names an entity"
        elif column in VALIDITY or column in (time, _SPLIT):
            continue
        elif is_number(kind):
            numeric.append(column)
        elif not is_category(kind):
            left_out[column] = f"is of type {kind.lower()}"
        elif has_more(connection, relation, column, limits.most_categories):
            left_out[column] = f"has more than {limits.most_categories} values"
        else:
            categorical.append(column)
    until = None
    if time:
        # valid_from of a history may lie in the future, at which a window expires.
        last = "updated_at" if view else quoted(time)
        [(until,)] = connection.execute(
            f"select max({last})::timestamp + interval 1 microsecond from {relation}"
        ).fetchall()
    is_opened = opened_by_arrival(columns) if view else None
    return Source(name, relation, time, numeric, categorical, left_out, is_opened, _SPLIT in columns, until)


def opened_by_arrival(columns: Collection[str]) -> str:
    """Return SQL that tells whether an arrival opened a state of a history, and not a window that expired.

    Args:
        columns: of the history; where states may be confirmed by later arrivals, the first of them counts.
    """
    first = "coalesce(confirmed_at[1], updated_at)" if "confirmed_at" in columns else "updated_at"
    return f"{first} = valid_from"


def has_more(connection: duckdb.DuckDBPyConnection, relation: str, column: str, values: int) -> bool:
    """Tell whether a column has more than so many different values."""
    distinct = f"select distinct {quoted(column)} from {relation} limit {values + 1}"
    return len(connection.execute(distinct).fetchall()) > values
