"""Which columns a query's columns are made of, as DuckDB itself binds them.

DuckDB resolves every name of a query before it runs it, and `json_serialize_plan` shows the plan it has by
then: in it, a column is a place among the columns of the operators below. So no SQL is parsed here, and
whatever DuckDB understands is followed: stars, structs of whole rows, ASOF joins, columns used beside
themselves.

What only decides which rows there are (filters, conditions of joins, groups) is not told: it would be the
same for every column.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from assay.core.sql import quoted
from assay.project.warehouse import connect

Operator = dict[str, Any]
Expression = dict[str, Any]


class SourceColumn(NamedTuple):
    """A column of a table or view; `relation` is `catalog.schema.name`."""

    relation: str
    name: str


# Where a value comes from, and whether it is taken as it is.
Sources = dict[SourceColumn, bool]


@dataclass(frozen=True)
class _Struct:
    """A struct that the query makes: each field has sources of its own."""

    fields: dict[str, _Traced]


_Traced = Sources | _Struct


@dataclass(frozen=True)
class QueryLineage:
    """What a query reads: `relations` are its tables and views, `columns` the sources of each of its columns.

    A column has no source where it is a constant or a count of rows.
    """

    relations: frozenset[str]
    columns: dict[str, Sources]


class Untraceable(Exception):
    """DuckDB plans the query in a way that is not known here."""


@contextmanager
def tables_of(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open empty tables in the place of a warehouse's tables and views, under the same names.

    DuckDB looks through views, so that what is made of a view would seem to be made of what lies below it.

    Raises:
        duckdb.Error: the warehouse cannot be opened.
    """
    with connect(warehouse) as connection:
        columns = connection.execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns() "
            "where database_name = current_database() and not internal order by table_oid, column_index"
        ).fetchall()
    tables: dict[str, list[str]] = {}
    for schema, table, column, data_type in columns:
        tables.setdefault(f"{quoted(schema)}.{quoted(table)}", []).append(f"{quoted(column)} {data_type}")
    with duckdb.connect() as connection:
        connection.execute(f"attach ':memory:' as {quoted(warehouse.stem)}; use {quoted(warehouse.stem)}")
        for schema in sorted({schema for schema, *_ in columns}):
            connection.execute(f"create schema if not exists {quoted(schema)}")
        for table, of_table in tables.items():
            connection.execute(f"create table {table} ({', '.join(of_table)})")
        yield connection


def types_of(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Return the type of each column of each table and view, which is named `catalog.schema.name`."""
    types: dict[str, dict[str, str]] = defaultdict(dict)
    for catalog, schema, table, column, data_type in connection.execute(
        "select database_name, schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where not internal order by table_oid, column_index"
    ).fetchall():
        types[f"{catalog}.{schema}.{table}"][column] = data_type
    return types


def lineage_of(connection: duckdb.DuckDBPyConnection, query: str) -> QueryLineage:
    """Return what a query reads, and the columns that each of its columns is made of.

    Args:
        connection: to the database whose tables the query reads, such as `tables_of`; nothing is run.
        query: one select statement.

    Raises:
        duckdb.Error: the query cannot be bound; a table of it may be missing.
        Untraceable: DuckDB plans it in a way that is not known here.
    """
    names = connection.sql(query).columns
    [(text,)] = connection.execute("select json_serialize_plan(?)", [query]).fetchall()
    answer = json.loads(text)
    if answer["error"]:
        raise Untraceable(answer["error_message"])
    plan = _Plan()
    columns = dict(zip(names, map(_flat, plan.outputs(answer["plans"][0])), strict=True))
    return QueryLineage(frozenset(plan.relations), columns)


class _Plan:
    """Follows columns from the leaves of a plan to its root."""

    def __init__(self) -> None:
        self.relations: set[str] = set()
        self._tables: dict[int, list[_Traced]] = {}
        self._correlated: list[list[_Traced]] = []
        self._operators: dict[str, Callable[[Operator], list[_Traced]]] = {
            "AGGREGATE_AND_GROUP_BY": self._aggregate,
            "CTE_REF": lambda operator: self._tables[operator["cte_index"]],
            "DELIM_GET": lambda _: self._correlated[-1],
            "DELIM_JOIN": self._delim_join,
            "DUMMY_SCAN": lambda _: [{}],
            "EXPRESSION_GET": lambda operator: [{} for _ in operator["expr_types"]],
            "GET": self._scan,
            "MATERIALIZED_CTE": self._materialized,
            "PROJECTION": self._projection,
            "RECURSIVE_CTE": self._recursive,
            "UNION": self._union,
            **dict.fromkeys(("EXCEPT", "INTERSECT"), self._first_of_two),
            **dict.fromkeys(("DISTINCT", "FILTER", "LIMIT", "ORDER_BY", "SAMPLE"), self._first),
            **dict.fromkeys(("UNNEST", "WINDOW"), self._widened),
            **dict.fromkeys(("ANY_JOIN", "ASOF_JOIN", "COMPARISON_JOIN", "CROSS_PRODUCT"), self._join),
        }

    def outputs(self, operator: Operator) -> list[_Traced]:
        """Return the sources of each column that an operator gives."""
        kind = operator["type"].removeprefix("LOGICAL_")
        if kind not in self._operators:
            raise Untraceable(f"the operator {kind} of DuckDB's plan is not known")
        return self._operators[kind](operator)

    def _scan(self, operator: Operator) -> list[_Traced]:
        table, names = operator.get("function_data") or {}, operator["names"]
        places = [each["index"] for each in operator["column_indexes"]]
        if "table" not in table:
            return [{} for _ in places]
        relation = f"{table['catalog']}.{table['schema']}.{table['table']}"
        self.relations.add(relation)
        # Beyond the columns is the number of the row.
        return [
            {SourceColumn(relation, names[place]): True} if place < len(names) else {} for place in places
        ]

    def _first(self, operator: Operator) -> list[_Traced]:
        return self.outputs(operator["children"][0])

    def _first_of_two(self, operator: Operator) -> list[_Traced]:
        # The rows are those of the first side, and the second is read all the same.
        first, _ = map(self.outputs, operator["children"])
        return first

    def _projection(self, operator: Operator) -> list[_Traced]:
        inputs = self._first(operator)
        return [_traced(expression, inputs) for expression in operator["expressions"]]

    def _aggregate(self, operator: Operator) -> list[_Traced]:
        inputs = self._first(operator)
        found = [_traced(each, inputs) for each in (*operator["groups"], *operator["expressions"])]
        return [*found, *({} for _ in operator["grouping_functions"])]

    def _widened(self, operator: Operator) -> list[_Traced]:
        inputs = self._first(operator)
        return inputs + [_traced(expression, inputs) for expression in operator["expressions"]]

    def _join(self, operator: Operator) -> list[_Traced]:
        left, right = operator["children"]
        return _joined(operator, self.outputs(left), self.outputs(right))

    def _delim_join(self, operator: Operator) -> list[_Traced]:
        left, right = operator["children"]
        outer = self.outputs(left)
        self._correlated.append([_traced(each, outer) for each in operator["duplicate_eliminated_columns"]])
        inner = self.outputs(right)
        self._correlated.pop()
        return _joined(operator, outer, inner)

    def _union(self, operator: Operator) -> list[_Traced]:
        return _united(self.outputs(child) for child in operator["children"])

    def _materialized(self, operator: Operator) -> list[_Traced]:
        definition, query = operator["children"]
        self._tables[operator["table_index"]] = self.outputs(definition)
        return self.outputs(query)

    def _recursive(self, operator: Operator) -> list[_Traced]:
        start, step = operator["children"]
        found: list[_Traced] = []
        following = self.outputs(start)
        # What a step adds, the next one may pass on to another column.
        while following != found:
            found = self._tables[operator["table_index"]] = following
            following = _united((found, self.outputs(step)))
        return found


def _joined(operator: Operator, left: list[_Traced], right: list[_Traced]) -> list[_Traced]:
    match operator.get("join_type"):
        case "SEMI" | "ANTI":
            return left
        case "MARK":
            # Whether a row of the right matches.
            compared = [_traced(each["left"], left) for each in operator.get("conditions", [])]
            return [*left, _merged([*compared, *right])]
        case _:
            return left + right


def _traced(expression: Expression, inputs: list[_Traced]) -> _Traced:
    if expression["expression_class"] == "BOUND_REF":
        return inputs[expression["index"]]
    if expression.get("name") == "struct_pack":
        fields = [field["first"] for field in expression["return_type"]["type_info"]["child_types"]]
        values = [_traced(child, inputs) for child in expression["children"]]
        return _Struct(dict(zip(fields, values, strict=True)))
    if expression.get("name") == "struct_extract":
        struct, field = expression["children"]
        found = _traced(struct, inputs)
        return found.fields[field["value"]["value"]] if isinstance(found, _Struct) else _merged([found])
    return _merged(_traced(part, inputs) for part in _parts(expression))


def _parts(expression: Expression) -> Iterator[Expression]:
    """Yield the expressions in an expression: its arguments, conditions and orders."""
    waiting: list[Any] = list(expression.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict) and "expression_class" in value:
            yield value
        elif isinstance(value, dict):
            waiting += value.values()


def _flat(traced: _Traced) -> Sources:
    return _merged(traced.fields.values()) if isinstance(traced, _Struct) else traced


def _merged(several: Iterable[_Traced]) -> Sources:
    """Return all sources of several values that another is computed from."""
    return {column: False for each in several for column in _flat(each)}


def _united(sides: Iterable[list[_Traced]]) -> list[_Traced]:
    """Return the sources of columns that may come from several sides."""
    return [_either(columns) for columns in zip(*sides, strict=True)]


def _either(several: tuple[_Traced, ...]) -> _Traced:
    structs = [each.fields for each in several if isinstance(each, _Struct)]
    if len(structs) == len(several):
        return _Struct({name: _either(tuple(each[name] for each in structs)) for name in structs[0]})
    found: Sources = {}
    for each in several:
        for column, is_same in _flat(each).items():
            found[column] = is_same and found.get(column, True)
    return found
