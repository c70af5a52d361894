"""The names and types expected in a table's files: declared, or learnt from files if none are declared."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from assay.landing.declared import LandingTable
from assay.landing.names import container_of
from assay.landing.schema.logical_types import LogicalType

SCHEMA = """
create table if not exists landing.schema_learnt (
    source_name varchar not null,
    table_name varchar not null,
    column_name varchar not null,
    logical_type varchar,
    is_required boolean not null
);
"""
# A first file may hold only whole numbers or dates although later ones will not.
_LEARNT_AS: dict[LogicalType, LogicalType] = {"integer": "number", "date": "timestamp"}


class Expected:
    """The names and types expected in a table's files.

    Args:
        connection: a connection to the warehouse.
        table: the declared table.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: LandingTable) -> None:
        self._connection = connection
        self._table = table
        learnt = connection.execute(
            "select column_name, logical_type, is_required from landing.schema_learnt "
            "where source_name = ? and table_name = ? order by all",
            [table.source, table.name],
        ).fetchall()
        self._kept = {name: (logical_type, is_required) for name, logical_type, is_required in learnt}
        self._learnt = dict(self._kept)

    @property
    def names(self) -> list[str]:
        """All names that a file may have."""
        return list(self._table.expected or self._learnt)

    @property
    def required(self) -> list[str]:
        """Keys that documents, or objects in them, must have; CSV headers are checked when they are read."""
        optional = self._table.optional
        names = self._table.expected or [
            name for name, (_, is_required) in self._learnt.items() if is_required
        ]
        return [name for name in names if not {name, container_of(name)} & optional]

    @property
    def types(self) -> dict[str, LogicalType]:
        """The known types; a declared type overrides a learnt one."""
        names = set(self.names)
        learnt = {name: kind for name, (kind, _) in self._learnt.items() if kind and name in names}
        return learnt | dict(self._table.types)

    def types_to_try(self, unknown: Sequence[LogicalType]) -> dict[str, Sequence[LogicalType]]:
        """Return the types to try on the values of each name.

        Args:
            unknown: the types to try for names without a known type.
        """
        known, is_csv = self.types, self._table.format == "csv"
        return {
            name: [known[name]] if name in known else unknown
            for name in self.names
            # Every value of a CSV file reads as text.
            if not (is_csv and known.get(name) == "string")
        }

    def learn(self, name: str, logical_type: LogicalType) -> None:
        """Expect values of a type under a name from now on."""
        is_required = self._learnt.get(name, (None, False))[1]
        self._learnt[name] = (_LEARNT_AS.get(logical_type, logical_type), is_required)

    def learn_key(self, name: str, *, is_required: bool) -> None:
        """Expect a key from now on."""
        self._learnt.setdefault(name, (None, is_required))

    def keep(self) -> None:
        """Save what has been learnt, in the open transaction."""
        news = [
            {
                "source_name": self._table.source,
                "table_name": self._table.name,
                "column_name": name,
                "logical_type": logical_type,
                "is_required": is_required,
            }
            for name, (logical_type, is_required) in self._learnt.items()
            if self._kept.get(name) != (logical_type, is_required)
        ]
        if not news:
            return
        self._connection.register("news", pa.Table.from_pylist(news))
        key = "source_name, table_name, column_name"
        self._connection.execute(
            f"delete from landing.schema_learnt where ({key}) in (select ({key}) from news)"
        )
        self._connection.execute("insert into landing.schema_learnt by name select * from news")
        self._connection.unregister("news")
        self._kept = dict(self._learnt)
