"""Decide where a model is computed: on this machine, or key by key on many, and by which keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from assay.core.sql import folded, quoted
from assay.project.calls import entity_keys_in
from assay.project.conventions import DISTRIBUTE_BY
from assay.project.joins import JOINED
from assay.spark.closure import NotClosed, check_closed
from assay.spark.join_text import OwnHistory, find_join

# The materializations that take the rows from elsewhere.
_HANDED_OVER = ("history", "replaced", "checked")
# What a landed row is known by, and the files that are new, as `rows_to_check` writes them.
_LANDED_ROW = ("file_id", "row_number")
_NEW_FILES = re.compile(r"where file_id in \(select file_id from (.+?) except select file_id from .+?\)")
#: The name that tasks know the rows by that a training set begins with.
SPINE = '"_assay"."main"."spine"'


@dataclass(frozen=True)
class ModelCode:
    """What the decision follows from.

    Attributes:
        name: of the model.
        sql: its compiled query.
        raw_code: its text with Jinja.
        materialized: how dbt makes it.
        meta: its `config.meta`.
        parents: names of the nodes that it reads, by relation as its SQL has it.
    """

    name: str
    sql: str
    raw_code: str
    materialized: str
    meta: Mapping[str, Any]
    parents: Mapping[str, str]


@dataclass(frozen=True)
class Increment:
    """What the new rows of a history are made from, where most of it stays as it is.

    Attributes:
        sql: the query that gives them.
        history: the relation of the history.
        touched: that of the entities that something new concerns, in `sql`.
        asked: the queries of the rows that are needed, by relation.
    """

    sql: str
    history: str
    touched: str
    asked: Mapping[str, str]


@dataclass(frozen=True)
class Input:
    """A table that a task reads: the rows of its keys.

    Attributes:
        relation: the table, as in the SQL.
        keys: the columns that say which rows go together; none where each task reads all of it.
        asked: the query of the rows that are needed; None where all are. Of a training set, it names SPINE.
    """

    relation: str
    keys: tuple[str, ...]
    asked: str | None = None


@dataclass(frozen=True)
class Job:
    """How a model is computed key by key.

    Attributes:
        sql: what a task runs on the rows of its keys.
        inputs: the tables that it reads.
        why: why that gives the rows of one run on all rows.
        spine: the query of the rows that a training set begins with, run on this machine; None without such.
        before: the model's SQL before `sql`.
        after: the model's SQL behind it; both run on this machine, on the result.
        are_columns_named: whether the SQL names each column that it reads.
        has_no_nulls: whether the SQL leaves out the rows whose key is NULL.
    """

    sql: str
    inputs: tuple[Input, ...]
    why: str
    spine: str | None = None
    before: str = ""
    after: str = ""
    are_columns_named: bool = False
    has_no_nulls: bool = False

    @property
    def keys(self) -> list[tuple[str, ...]]:
        """The keys by which rows are sent to tasks, each once."""
        return list(dict.fromkeys(each.keys for each in self.inputs if each.keys))


@dataclass(frozen=True)
class Here:
    """A model is computed on this machine. `is_refused` says that it declares a key that does not hold."""

    why: str
    is_refused: bool = False


def decide(model: ModelCode, columns: Mapping[str, Mapping[str, str]]) -> Job | Here:
    """Decide where a model is computed.

    Args:
        model: the model.
        columns: types of the columns of all tables and views in the warehouse, by relation and name.
    """
    declared = model.meta.get(DISTRIBUTE_BY)
    if declared == []:
        return Here("it says so: distribute_by is empty")
    if model.materialized not in _HANDED_OVER:
        told = f"it is materialized as {model.materialized}; {', '.join(_HANDED_OVER)} are distributed"
        return Here(told, is_refused=declared is not None)
    if missing := [name for relation, name in model.parents.items() if relation not in columns]:
        return Here(f"not known before {', '.join(sorted(missing))} is built")
    if "getvariable" in model.sql.lower():
        return Here("its SQL reads a variable of this session", is_refused=declared is not None)
    if re.search(r"\browid\b", model.sql, re.IGNORECASE):
        told = "its SQL reads rowid, and each machine numbers its rows anew"
        return Here(told, is_refused=declared is not None)
    if declared is not None:
        return _declared(model, tuple(declared), columns)
    if model.materialized == "history":
        return _history(model, columns)
    if model.materialized == "checked":
        return _checked(model, columns)
    if model.meta.get(JOINED):
        return _join(model, columns)
    return Here("it declares no key (distribute_by)")


def decide_increment(
    model: ModelCode, increment: Increment, columns: Mapping[str, Mapping[str, str]]
) -> Job | Here:
    """Decide where the new rows of a history are computed.

    Args:
        model: the history.
        increment: what they are made from.
        columns: types of the columns by relation and name, those of the entities among them.
    """
    whole = decide(model, columns)
    if isinstance(whole, Here):
        return whole
    source = whole.inputs[0]
    if len(whole.inputs) > 1 or source.relation not in increment.asked:
        return Here("its history is made of a query, not of a table")
    relations = (source.relation, increment.touched, increment.history)
    if told := _types_that_differ(source.keys, [columns[each] for each in relations]):
        return Here(told)
    inputs = tuple(
        Input(each, _own_names(source.keys, columns[each]), increment.asked[each]) for each in relations
    )
    why = "what is new of a history is computed from the entities that it concerns"
    return Job(increment.sql, inputs, why, are_columns_named=whole.are_columns_named)


def _declared(
    model: ModelCode, keys: tuple[str, ...], columns: Mapping[str, Mapping[str, str]]
) -> Job | Here:
    try:
        check_closed(model.sql, keys, {relation: list(columns[relation]) for relation in model.parents})
    except NotClosed as broken:
        return Here(f"{', '.join(keys)} does not close it: {broken}", is_refused=True)
    if told := _types_that_differ(keys, [columns[relation] for relation in model.parents]):
        return Here(told, is_refused=True)
    inputs = tuple(Input(relation, _own_names(keys, columns[relation])) for relation in model.parents)
    return Job(model.sql, inputs, "each join, window and group of its SQL has the key")


def _history(model: ModelCode, columns: Mapping[str, Mapping[str, str]]) -> Job | Here:
    keys = entity_keys_in(model.raw_code)
    if keys is None:
        return Here("its keys are no plain list in its SQL")
    try:
        read = Counter(
            ".".join(quoted(part.name) for part in table.parts)
            for table in parse_one(model.sql, dialect="duckdb").find_all(exp.Table)
            if table.args.get("db")
        )
    except SqlglotError:
        return Here("its SQL cannot be read")
    if list(read.values()) != [1]:
        told = ", ".join(sorted(name.replace('"', "") for name in read)) or "no table"
        return Here(f"it reads more than one table once: {told}")
    (relation,) = read
    if relation not in model.parents:
        return Here(f"it reads {relation}, which it does not refer to")
    own = {folded(each) for each in columns[relation]}
    if lacking := [key for key in keys if folded(key) not in own]:
        return Here(f"{model.parents[relation]} has no column {', '.join(lacking)}")
    if unequal := _types_that_differ(keys, [columns[relation]]):
        return Here(unequal)
    inputs = (Input(relation, _own_names(keys, columns[relation])),)
    is_named = re.search(rf"\*\s+from\s+{re.escape(relation)}", model.sql) is None
    why = "a history is made entity by entity, and from build to build that of entities with something new"
    return Job(model.sql, inputs, why, are_columns_named=is_named, has_no_nulls=True)


def _checked(model: ModelCode, columns: Mapping[str, Mapping[str, str]]) -> Job | Here:
    """Check landed rows one by one; change events file by file, since some look at the row before."""
    landed = [relation for relation in model.parents if {*_LANDED_ROW} <= columns[relation].keys()]
    if len(landed) != 1:
        return Here(f"of what it reads, {len(landed)} tables hold landed rows, and not one")
    new = _NEW_FILES.search(model.sql)
    sql = _NEW_FILES.sub("", model.sql)
    small = {relation: list(columns[relation]) for relation in model.parents if relation not in landed}
    for keys in (_LANDED_ROW, _LANDED_ROW[:1]):
        try:
            check_closed(sql, keys, {landed[0]: list(columns[landed[0]])}, small)
        except NotClosed as broken:
            told = f"a rule of it looks past its file: {broken}"
        else:
            rows = Input(landed[0], keys, f"select * from {landed[0]} {new[0]}" if new else None)
            each = "row" if keys == _LANDED_ROW else "file"
            why = f"each {each} that is new is checked by itself"
            return Job(sql, (rows, *(Input(relation, ()) for relation in small)), why)
    return Here(told)


def _join(model: ModelCode, columns: Mapping[str, Mapping[str, str]]) -> Job | Here:
    try:
        found = find_join(model.sql, model.parents)
    except OwnHistory as reason:
        return Here(str(reason))
    for view in found.views:
        if told := _types_that_differ(view.keys, [columns[view.relation]]):
            return Here(told)
    return Job(
        found.body_on(SPINE),
        tuple(Input(view.relation, view.keys, view.asked_on(SPINE)) for view in found.views),
        "each row looks up the histories of its keys; what is before and behind the join runs here",
        spine=found.spine,
        before=found.before,
        after=found.after,
        are_columns_named=True,
    )


def _own_names(keys: Sequence[str], columns: Mapping[str, str]) -> tuple[str, ...]:
    """Return the columns as the table calls them, in the order of the key."""
    own = {folded(name): name for name in columns}
    return tuple(own[folded(key)] for key in keys)


def _types_that_differ(keys: Sequence[str], tables: Sequence[Mapping[str, str]]) -> str | None:
    """Say why rows of one key may not meet: equal values of two types have different hashes."""
    for key in keys:
        types = {kind for columns in tables for name, kind in columns.items() if folded(name) == folded(key)}
        if len(types) > 1:
            return f"{key} is {' and '.join(sorted(types))}: rows of one key would not meet"
        if types & {"FLOAT", "DOUBLE"}:
            return f"{key} is a floating-point number, which is no key"
    return None
