"""Features of published gold for any rows, as of an instant of each: the join that training sets make."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from assay.api.entities import convert_to_arrow
from assay.core.fault import MISUSED, Fault, unknown
from assay.core.sql import folded, quoted
from assay.core.words import counted
from assay.online.definition import Build, OnlineColumn, OnlineView
from assay.online.published import CATALOG
from assay.pii.key import VARIABLE, find_pii_key
from assay.project.project import Project
from assay.project.views import FeatureView, feature_views
from assay.project.warehouse import attach, relation_named

_GIVEN, _SPINE, _JOINED = "assay_given", "assay_entities", "assay_joined"
_NUMBER, _AT = "_assay_number", "_assay_at"
_HASH = "[0-9a-f]{64}"
_WHOLE_OR_TEXT = "a text or a whole number"


@dataclass(frozen=True)
class Asked:
    """Features that are asked of a view, which is declared as one that is online is."""

    view: OnlineView
    features: list[str]
    personal: frozenset[str]

    @property
    def inputs(self) -> list[OnlineColumn]:
        """What the features need with the rows."""
        return self.view.selection(self.features).inputs

    def request(self, place: int) -> dict[str, Any]:
        """Return what `point_in_time_join` is asked; the prefix keeps names of views apart."""
        derived = [name for name in self.features if name in self.view.derived]
        return {
            "view": self.view.name,
            "columns": [name for name in self.features if name not in self.view.derived],
            "derived": derived,
            "prefix": _prefix(place),
        }


def find_asked_features(project: Project, features: Sequence[str]) -> list[Asked]:
    """Read what is asked for: `view:feature`, or a view's name for all of its features.

    Raises:
        Fault: nothing is asked for, or a view or feature is unknown.
    """
    if isinstance(features, str) or not features or not all(isinstance(each, str) for each in features):
        raise Fault("Name the features in a list, each as view:feature, or as view for all of it.", MISUSED)
    views = {view.name: view for view in feature_views(project)}
    wanted: dict[str, list[str]] = {}
    for each in features:
        name, _, feature = each.partition(":")
        if name not in views:
            raise Fault(unknown(f"There is no feature view {name}", name, views), MISUSED)
        known = _features_of(views[name])
        if feature and feature not in known:
            raise Fault(unknown(f"{name} has no feature {feature}", feature, known), MISUSED)
        wanted.setdefault(name, []).extend([feature] if feature else known)
    return [
        Asked(_declared(views[name]), list(dict.fromkeys(found)), views[name].personal)
        for name, found in wanted.items()
    ]


def write_join_sql(project: Project, asked: Sequence[Asked]) -> str:
    """Return the SQL of the join, which is the same for all rows.

    Raises:
        Fault: dbt cannot compile it.
    """
    requests = [each.request(place) for place, each in enumerate(asked)]
    call = f"point_in_time_join('{_SPINE}', '{_AT}', {json.dumps(requests)})"
    return project.compiled_inline(f"{{{{ assay.{call} }}}}")


def join_rows(
    entities: Any, asked: Sequence[Asked], at: str, *, sql: str, published: Path, database: str
) -> pa.Table:
    """Return rows with their features behind them, in the order in which they came.

    Args:
        entities: the rows, see `convert_to_arrow`; with the keys of all views and the inputs of features.
        asked: the features.
        at: the column with the instant of each row.
        sql: of the join.
        published: the file a build published.
        database: the name under which the SQL knows it.

    Raises:
        Fault: a column is missing or of another type, a row has no instant, two columns would share a name,
            or a view is not published.
    """
    rows = convert_to_arrow(entities)
    names = _result_names(asked)
    if taken := sorted({folded(each) for each in rows.column_names} & set(map(folded, names.values()))):
        raise Fault(f"The rows have a column {taken[0]} already: rename it, or leave it out.", MISUSED)
    if not published.is_file():
        raise Fault(f"Nothing is published yet in {published.parent}. To build: assay build")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, published, database)
        for each in asked:
            if relation_named(connection, each.view.name, database) is None:
                raise Fault(f"{each.view.name} is not published yet. To build and publish all: assay build")
        try:
            _make_spine(connection, rows, asked, at, database)
            # DuckDB 1.5.5 repeats rows that it streams out of such SQL: they go to a table first.
            connection.execute(f"create temp table {_JOINED} as {sql}")
            features = connection.sql(
                f"select {', '.join(f'{quoted(old)} as {quoted(new)}' for old, new in names.items())} "
                f"from {_JOINED} order by {_NUMBER}"
            ).to_arrow_table()
        except duckdb.Error as error:
            raise Fault(f"The features cannot be joined: {str(error).splitlines()[0]}") from error
    for name in features.column_names:
        rows = rows.append_column(features.schema.field(name), features[name])
    return rows


def find_stored_keys(
    connection: duckdb.DuckDBPyConnection, database: str, view: str, column: str, values: Sequence[Any]
) -> dict[Any, str]:
    """Return what gold has for values of a personal key that callers know plain: their hashes.

    Args:
        connection: where what is published is attached.
        database: the name under which it is.
        view: the feature view.
        column: its key.
        values: those in question; hashes stay what they are.

    Raises:
        Fault: gold is hashed with a key that this process has not.
    """
    plain = [each for each in values if each is not None and not re.fullmatch(_HASH, str(each))]
    name, relation = quoted(column), relation_named(connection, view, database)
    [(is_hashed,)] = connection.execute(
        f"select coalesce(bool_and(regexp_full_match({name}::varchar, '{_HASH}')), false) "
        f"from (select {name} from {relation} where {name} is not null limit 1000)"
    ).fetchall()
    if not is_hashed or not plain:
        return {}
    key = find_pii_key()
    held = _fingerprint(connection, database)
    if key is None or (held is not None and held != key.fingerprint):
        raise Fault(
            f"{column} is hashed in gold, and {VARIABLE} is {'another' if key else 'not set'}: "
            "set it to what it was in the build, or give the hashes."
        )
    return {each: key.hashed(str(each)) for each in plain}


def _fingerprint(connection: duckdb.DuckDBPyConnection, database: str) -> str | None:
    """Return which key gold is hashed with, where a view that is online says so."""
    catalog = relation_named(connection, CATALOG, database)
    if catalog is None:
        return None
    found = connection.execute(
        f"select definition::json ->> 'pii_key' as pii_key from {catalog} where pii_key is not null limit 1"
    ).fetchall()
    return str(found[0][0]) if found else None


def _features_of(view: FeatureView) -> list[str]:
    return [*view.features, *(each["name"] for each in view.declared.get("derived") or [])]


def _declared(view: FeatureView) -> OnlineView:
    """Return a view as one that is online; the types of columns are those of gold, whatever the YAML says."""
    declared = view.declared
    return OnlineView(
        view.name,
        "",
        Build("", None),
        {
            "keys": [{"name": key, "type": view.columns.get(key, ("", ""))[0]} for key in view.keys],
            "columns": [{"name": name, "type": view.columns[name][0]} for name in view.features],
            "derived": declared.get("derived") or [],
            "inputs": declared.get("inputs") or [],
        },
    )


def _prefix(place: int) -> str:
    return f"{place}__"


def _result_names(asked: Sequence[Asked]) -> dict[str, str]:
    """Name the results: as features are called, with their view before it where two share a name."""
    shared = Counter(folded(name) for each in asked for name in each.features)
    return {
        f"{_prefix(place)}{name}": name if shared[folded(name)] == 1 else f"{each.view.name}__{name}"
        for place, each in enumerate(asked)
        for name in each.features
    }


def _make_spine(
    connection: duckdb.DuckDBPyConnection, rows: pa.Table, asked: Sequence[Asked], at: str, database: str
) -> None:
    """Make the table that is joined: a number for each row, its keys, its instant, and inputs."""
    columns, types = [_find(rows, at, "the instants (`at`)")], {}
    expressions = [f"{_instant(rows.schema.field(columns[0]).type)} as {_AT}"]
    used: dict[str, tuple[str, str, str]] = {}
    for each in asked:
        relation = str(relation_named(connection, each.view.name, database))
        types = {
            name: kind
            for name, kind, *_ in connection.execute(f"describe select * from {relation}").fetchall()
        }
        for key in each.view.keys:
            column = _find(rows, key.name, f"the key of {each.view.name}")
            _require_key(rows, column)
            used.setdefault(folded(key.name), (key.name, column, types[key.name]))
            if key.name in each.personal:
                rows = _with_hashes(connection, database, each.view.name, rows, key.name, column)
        for given in each.inputs:
            column = _find(rows, given.name, f"an input that features of {each.view.name} need")
            used.setdefault(folded(given.name), (given.name, column, given.type))
    for name, column, kind in used.values():
        if column not in columns:
            columns.append(column)
        expressions.append(f"try_cast({_column(columns, column)} as {kind}) as {quoted(name)}")
    given = pa.table(
        {
            _NUMBER: pa.array(range(rows.num_rows), pa.int64()),
            **{f"c{place}": rows[column] for place, column in enumerate(columns)},
        }
    )
    connection.register(_GIVEN, given)
    connection.execute(
        f"create temp table {_SPINE} as select {_NUMBER}, {', '.join(expressions)} from {_GIVEN}"
    )
    for name, column, kind in [(_AT, columns[0], "timestamp"), *used.values()]:
        _refuse_misfits(connection, _column(columns, column), name, column, kind)
    connection.unregister(_GIVEN)


def _column(columns: Sequence[str], column: str) -> str:
    return f"c{columns.index(column)}"


def _find(rows: pa.Table, name: str, what: str) -> str:
    """Return the column of a name, which DuckDB would find whatever its case."""
    if name in rows.column_names:
        return name
    found = [each for each in rows.column_names if folded(each) == folded(name)]
    if len(found) != 1:
        raise Fault(unknown(f"The rows have no column {name}, {what}", name, rows.column_names), MISUSED)
    return str(found[0])


def _instant(kind: pa.DataType) -> str:
    """Return SQL of the instant that column c0 has, in UTC without zone."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        # Without an offset the session's zone counts, which is UTC.
        return "timezone('UTC', try_cast(c0 as timestamptz))"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind):
        return "timezone('UTC', c0::timestamptz)" if getattr(kind, "tz", None) else "c0::timestamp"
    raise Fault(
        f"The instants (`at`) are {kind}: give times, or texts such as 2025-06-30T12:00:00Z.", MISUSED
    )


def _require_key(rows: pa.Table, column: str) -> None:
    kind = rows.schema.field(column).type
    if isinstance(kind, pa.DictionaryType):
        kind = kind.value_type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
        why = " (pandas makes whole numbers floating-point where one is missing)"
        raise Fault(
            f"{column} must be {_WHOLE_OR_TEXT}, not {kind}{why if pa.types.is_floating(kind) else ''}.",
            MISUSED,
        )


def _with_hashes(
    connection: duckdb.DuckDBPyConnection, database: str, view: str, rows: pa.Table, key: str, column: str
) -> pa.Table:
    values = rows[column].unique().to_pylist()
    hashes = find_stored_keys(connection, database, view, key, values)
    if not hashes:
        return rows
    texts = [hashes.get(value, value) for value in rows[column].to_pylist()]
    return rows.set_column(rows.column_names.index(column), column, pa.array(texts, pa.string()))


def _refuse_misfits(
    connection: duckdb.DuckDBPyConnection, given: str, name: str, column: str, kind: str
) -> None:
    """Refuse rows without an instant, and values that are none of the type they are to have."""
    condition = f"spine.{quoted(name)} is null" + ("" if name == _AT else f" and given.{given} is not null")
    [(rows, first)] = connection.execute(
        f"select count(*), min({_NUMBER}) from {_SPINE} as spine "
        f"inner join {_GIVEN} as given using ({_NUMBER}) where {condition}"
    ).fetchall()
    if not rows:
        return
    of = f"{counted(rows, 'row')}, the first of which is row {first} (counted from 0)"
    if name == _AT:
        raise Fault(f"{column} tells no time in {of}: each row needs its instant.", MISUSED)
    raise Fault(f"{column} must be of type {kind.lower()}, which it is not in {of}.", MISUSED)


def make_requests_key(asked: Sequence[Asked]) -> str:
    """Return what two questions share that the same SQL answers."""
    return json.dumps([each.request(place) for place, each in enumerate(asked)])
