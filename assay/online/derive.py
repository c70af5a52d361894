"""Derived features, computed by DuckDB from the SQL that training sets use."""

from __future__ import annotations

from typing import Any

import duckdb

from assay.online.definition import OnlineView, words_in
from assay.online.request import ViewRequest, wrong_type
from assay.online.types import microseconds, parameter_sql, parameter_value, to_json_sql
from assay.sql import quoted


class Deriver:
    """A DuckDB of its own, in memory, that holds nothing."""

    def __init__(self) -> None:
        self._connection = duckdb.connect()
        self._connection.execute("set TimeZone = 'UTC'; set threads = 1; set enable_external_access = false")
        self._sql: dict[tuple[str, tuple[str, ...]], str] = {}
        self._defaults: dict[str, dict[str, Any]] = {}

    def defaults(self, view: OnlineView) -> dict[str, Any]:
        """Return the declared defaults of a view's columns, as JSON would hold them."""
        if view.text not in self._defaults:
            declared = {name: column for name, column in view.columns.items() if column.default is not None}
            values = [
                self._one(f"select {to_json_sql(f'({column.default})::{column.type}', column.type)}")
                for column in declared.values()
            ]
            self._defaults[view.text] = dict(zip(declared, values, strict=True))
        return self._defaults[view.text]

    def derive(self, request: ViewRequest, values: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Compute the derived features that a request asks for.

        Args:
            request: as checked.
            values: of all columns that are needed, as JSON holds them, one for each entity.

        Returns:
            A list for each feature asked for, one value for each entity.

        Raises:
            Refused: an input is not of its declared type.
        """
        view, names = request.view, tuple(request.features)
        derivation = view.derivation_of(request.features)
        if not derivation or not request.keys:
            return {column.name: [] for column in derivation}
        needed = needed_columns(view, request.features)
        inputs = view.inputs_of(request.features)
        sql = self._sql.get((view.text, names))
        if sql is None:
            sql = self._sql[view.text, names] = _sql(view, request.features)
        parameters: list[Any] = [microseconds(request.at)]
        parameters += [
            [parameter_value(value, view.columns[name].kind) for value in values[name]] for name in needed
        ]
        parameters += [request.inputs[each.name] for each in inputs]
        rows = self._connection.execute(sql, parameters).fetchall()
        for position, each in enumerate(inputs):
            for row, given in zip(rows, request.inputs[each.name], strict=True):
                if given is not None and row[position] is None:
                    raise wrong_type(each, given)
        columns = list(zip(*rows, strict=True))[len(inputs) :]
        return {column.name: list(found) for column, found in zip(derivation, columns, strict=True)}

    def _one(self, sql: str) -> Any:
        row = self._connection.execute(sql).fetchone()
        assert row is not None
        return row[0]


def needed_columns(view: OnlineView, features: list[str]) -> list[str]:
    """Return the stored columns that computing features takes, whether or not they are asked for."""
    used = {word for column in view.derivation_of(features) for word in words_in(column)}
    return [name for name in view.columns if name in used]


def _sql(view: OnlineView, features: list[str]) -> str:
    """Return SQL over lists, one for each column and input, and the instant before them."""
    lists = ["make_timestamp(?::bigint) as as_of"]
    for name in needed_columns(view, features):
        lists.append(f"unnest({parameter_sql('?', view.columns[name].type)}) as {quoted(name)}")
    inputs = view.inputs_of(features)
    for each in inputs:
        lists.append(
            f"unnest(list_transform(?::varchar[], lambda given: try_cast(given as {each.type}))) "
            f"as {quoted(each.name)}"
        )
    derived = [f"({column.expression}) as {quoted(column.name)}" for column in view.derivation_of(features)]
    outputs = [quoted(each.name) for each in inputs] + derived
    return f"select {', '.join(outputs)} from (select {', '.join(lists)}) as entities"
