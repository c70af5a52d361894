"""Check that rows predicted by a moment do not change if everything that became available later is erased."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.sql import quoted
from assay.leakage.declared import SPLIT, History, TrainingSet
from assay.leakage.findings import Check
from assay.leakage.splits import splits_by_time
from assay.leakage.tables import columns_of, differs, literal, number, one_row, same
from assay.leakage.trained import trained_columns, trained_until, weight_columns
from assay.project.warehouse import attach

_WHOLE, _ERASED = "whole", "erased"
# Columns that later arrivals may change; `updated_at` is compared with its value at each instant.
_MOVING = ("updated_at", "confirmed_at", "is_current")
_REMEDY = "It rests on something that became available after {at}: join histories as of prediction_at."
_HISTORY_REMEDY = "What arrived later changed the past: give the events' own available_at."
_NOT_SCRAMBLED = (
    "outcomes known late that stand in rows known at once: say under meta.label.scramble of the label model "
    "how to change those that landed, [] if there are none"
)


def check_erasure(training_set: TrainingSet, whole: Path, erased: Path, at: datetime) -> Check:
    """Compare a training set and its histories with those in a warehouse that ends at `at`.

    Args:
        training_set: the declared training set.
        whole: the warehouse.
        erased: the warehouse that was built from what was available by `at`.
        at: the moment.
    """
    check = Check("erasure")
    if training_set.scramble is None:
        check.unchecked.append(_NOT_SCRAMBLED)
    with _both(whole, erased) as connection:
        _compare_rows(check, connection, training_set, at)
        for history in training_set.histories:
            _compare_history(check, connection, history, at)
    return check


@contextmanager
def _both(whole: Path, erased: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name, path in ((_WHOLE, whole), (_ERASED, erased)):
            attach(connection, path, name)
        connection.execute(f"use {_WHOLE}")
        yield connection


def _compare_rows(
    check: Check, connection: duckdb.DuckDBPyConnection, training_set: TrainingSet, at: datetime
) -> None:
    keys = training_set.keys
    for name in (_WHOLE, _ERASED):
        connection.execute(
            f"create or replace temp table {name}_rows as from {name}.{training_set.relation} "
            f"where prediction_at <= {literal(at)}"
        )
    for name, other in ((_WHOLE, _ERASED), (_ERASED, _WHOLE)):
        lost = (
            f"from {name}_rows anti join {other}_rows using ({quoted(*keys)}) "
            f"where outcome_known_at <= {literal(at)}"
        )
        if rows := number(connection, f"select count(*) {lost}"):
            check.found(
                "(row)",
                rows,
                one_row(connection, f"select {quoted(*keys)} {lost} order by all limit 1"),
                "there" if name == _WHOLE else "not there",
                f"{'not ' * (name == _WHOLE)}there, as without what came later",
                "What was to be known only later decides which rows there are: leave it out of the spine.",
            )
    columns = [column for column in columns_of(connection, "whole_rows") if column not in keys]
    pairs = f"from whole_rows as w inner join erased_rows as e on {same(keys, 'w', 'e')}"
    check.rows += number(connection, f"select count(*) {pairs}")
    early = [
        f"{count:,} in the {length} before"
        for length in ("hour", "day")
        if (
            count := number(
                connection,
                f"select count(*) {pairs} where w.prediction_at > {literal(at)} - interval '1 {length}'",
            )
        )
    ]
    check.notes.append(
        f"what came after {at}; rows predicted by then, {', '.join(early) or 'none in the day before'}"
    )
    trained = trained_columns(training_set, connection)
    learnt_until = trained_until(training_set, connection)
    splits_move = SPLIT in columns and bool(
        number(connection, f"select count(*) {pairs} where w.{SPLIT} is distinct from e.{SPLIT}")
    )
    if SPLIT in columns and splits_by_time(training_set, connection):
        # If boundaries are shares of time, they move with the data, so a changed split is no leak.
        columns.remove(SPLIT)
    if trained and (splits_move or learnt_until is None or at < learnt_until):
        columns = [column for column in columns if column not in trained]
        check.unchecked.append(
            f"{', '.join(sorted(trained))}: what they are learnt from is not known by {at}; see own time"
        )
    weights = weight_columns(training_set)
    # Only the outcome may become known later than the row is predicted.
    types = columns_of(connection, "whole_rows")
    differing = {
        column: (f"w.outcome_known_at <= {literal(at)} and " if column in ("outcome", *weights) else "")
        + differs(column, types[column])
        for column in columns
    }
    for column, (rows, example) in _differences(connection, differing, keys, pairs).items():
        check.found(column, rows, *example, remedy=_REMEDY.format(at=at))


def _compare_history(
    check: Check, connection: duckdb.DuckDBPyConnection, history: History, at: datetime
) -> None:
    """Compare the states of a history at each instant at which it changes in either warehouse."""
    keys, start, end = history.entity_keys, history.valid_from, history.valid_to
    all_columns = columns_of(connection, f"{_WHOLE}.{history.relation}")
    columns = [
        column
        for column in all_columns
        if column not in (*keys, start, end, *_MOVING) and not column.startswith("dbt_")
    ]
    arrivals = (
        "coalesce(confirmed_at, [updated_at])" if "confirmed_at" in all_columns else "null::timestamp[]"
    )
    for name in (_WHOLE, _ERASED):
        connection.execute(
            f"create or replace temp table {name}_states as "
            f"select {quoted(*keys)}, {start} as _from, "
            f"case when {end} <= {literal(at)} then {end} end as _to, "
            f"list_filter({arrivals}, lambda arrival: arrival <= {literal(at)}) as _arrivals, "
            f"true as _holds, {quoted(*columns)} "
            f"from {name}.{history.relation} where {start} <= {literal(at)}"
        )
    rows = number(connection, "select count(*) from whole_states")
    check.rows += rows
    if _hash(connection, "whole_states") == _hash(connection, "erased_states"):
        return
    connection.execute(
        "create or replace temp table instants as "
        + " union ".join(
            f"select {quoted(*keys)}, unnest([_from, _to] || coalesce(_arrivals, [])) as _at "
            f"from {name}_states"
            for name in (_WHOLE, _ERASED)
        )
    )
    until_now = "list_filter(s._arrivals, lambda arrival: arrival <= i._at)[-1]"
    for name in (_WHOLE, _ERASED):
        values = ", ".join(f'case when _stands then s."{column}" end as "{column}"' for column in columns)
        connection.execute(
            f"create or replace temp table {name}_at_instants as "
            f"select {quoted(*keys, of='i')}, i._at, "
            "coalesce(s._holds and coalesce(i._at < s._to, true), false) as _stands, "
            f"case when _stands then {until_now} end as updated_at, "
            f"{values} from instants as i asof left join {name}_states as s "
            f"on {same(keys, 'i', 's')} and i._at >= s._from"
        )
    pairs = (
        f"from whole_at_instants as w inner join erased_at_instants as e on {same([*keys, '_at'], 'w', 'e')}"
    )
    differing = {column: f'w."{column}" is distinct from e."{column}"' for column in ["updated_at", *columns]}
    for column, (count, example) in _differences(connection, differing, [*keys, "_at"], pairs).items():
        check.found(f"{history.name}.{column}", count, *example, remedy=_HISTORY_REMEDY)


def _hash(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, object]:
    return one_row(connection, f"select count(*), bit_xor(hash(t)), sum(hash(t)::hugeint) from {table} as t")


def _differences(
    connection: duckdb.DuckDBPyConnection, differing: dict[str, str], keys: list[str], pairs: str
) -> dict[str, tuple[int, tuple[dict[str, object], object, object]]]:
    """Return the number of pairs that differ in each column, and keys and both values of the first pair."""
    counts = ", ".join(
        f'count(*) filter ({condition}) as "{column}"' for column, condition in differing.items()
    )
    found: dict[str, tuple[int, tuple[dict[str, object], object, object]]] = {}
    for column, rows in one_row(connection, f"select {counts} {pairs}").items():
        if rows:
            first = one_row(
                connection,
                f'select {quoted(*keys, of="w")}, w."{column}" as _value, e."{column}" as _expected {pairs} '
                f"where {differing[column]} order by {quoted(*keys, of='w')} limit 1",
            )
            value, expected = first.pop("_value"), first.pop("_expected")
            found[column] = (rows, (first, value, expected))
    return found
