"""Check that nothing is known too early: events when feature views read them, rows when predicted."""

from __future__ import annotations

import duckdb

from assay.core.sql import quoted
from assay.leakage.declared import AVAILABLE_AT, TrainingSet, Windows
from assay.leakage.findings import Check
from assay.leakage.tables import columns_of, number, one_row, same

_BY_AVAILABILITY = (
    "Give windowed_history the column available_at: it says when the event could first be used."
)


def check_knowledge(training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> Check:
    """Look for events that are known too early, and for rows whose outcome is known when predicted."""
    check = Check("knowledge time")
    _check_rows(check, training_set, connection)
    for relation in training_set.ages_unknown:
        _check_age(check, relation, connection)
    views = {features.view.name: features.view for features in training_set.features}
    for view in views.values():
        if view.windows is None:
            check.unchecked.append(f"{view.name}: it is not one call of windowed_history over a model")
        else:
            _check_events(check, view.name, view.windows, connection)
            _check_own_events(check, view.name, view.windows, training_set, connection)
    return check


def _check_rows(check: Check, training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> None:
    """Check that each label is one unchanged row, and is predicted before its outcome is known."""
    rows, labels, keys = training_set.relation, training_set.label, quoted(*training_set.keys)
    check.rows += number(connection, f"select count(*) from {rows}")
    shared = [column for column in columns_of(connection, labels) if column in columns_of(connection, rows)]
    for there, here, meaning in ((labels, rows, "missing"), (rows, labels, "not among the labels")):
        other = f"from {there} except all select {quoted(*shared)} from {here}"
        if count := number(connection, f"select count(*) from (select {quoted(*shared)} {other})"):
            example = one_row(
                connection, f"select {keys} from (select {quoted(*shared)} {other}) order by all limit 1"
            )
            check.found(
                "(row)", count, example, meaning, "each label once, as it is",
                "Rows must not be left out or changed for what is known later: take all labels.",
            )  # fmt: skip
    early = f"from {rows} where outcome_known_at <= prediction_at"
    if count := number(connection, f"select count(*) {early}"):
        example = one_row(connection, f"select {keys}, prediction_at {early} order by all limit 1")
        check.found(
            "outcome_known_at", count, example, "not after prediction_at", "later",
            "What is known already need not be predicted.",
        )  # fmt: skip


def _check_age(check: Check, relation: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Warn if values were confirmed later: for instants in between, `updated_at` lies in the future."""
    moved = f"from {relation} where updated_at > valid_from"
    if count := number(connection, f"select count(*) {moved}"):
        example = one_row(connection, f"select valid_from, updated_at {moved} order by all limit 1")
        confirmed_at = example.pop("updated_at")
        check.found(
            f"{relation}.updated_at", count, example,
            f"its age is counted from {confirmed_at}", "from the last confirmation before prediction_at",
            "Give the feature confirmed_at: true, or no max_age.",
        )  # fmt: skip


def _check_events(check: Check, view: str, windows: Windows, connection: duckdb.DuckDBPyConnection) -> None:
    """Check that no event is used at or before the instant it happens, or before it was available."""
    columns = columns_of(connection, windows.relation)
    events = f"{windows.relation} where {windows.where or 'true'}"
    check.rows += number(connection, f"select count(*) from {events}")
    used_at = f"({windows.available_at})"
    bounds = [(windows.event_at, "later than it happened", f"{used_at} <= ({windows.event_at})")]
    if AVAILABLE_AT in columns:
        bounds.append((AVAILABLE_AT, "when it became available", f"{used_at} < {AVAILABLE_AT}"))
    for bound, meaning, condition in bounds:
        early = f"from {events} and {condition}"
        if count := number(connection, f"select count(*) {early}"):
            example = one_row(
                connection,
                f"select {quoted(*windows.entity_keys)}, {used_at} as _value, ({bound}) as _bound "
                f"{early} order by all limit 1",
            )
            value, limit = example.pop("_value"), example.pop("_bound")
            check.found(
                f"{view}.*", count, example, f"known at {value}", f"{meaning}, {limit}", _BY_AVAILABILITY
            )


def _check_own_events(
    check: Check,
    view: str,
    windows: Windows,
    training_set: TrainingSet,
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Check that a row's own event, if events have the row's key, is not known when the row is predicted."""
    keys = training_set.keys
    if not set(keys) <= columns_of(connection, windows.relation).keys():
        return
    own = (
        f"from (select {quoted(*keys)}, prediction_at as _asked_at from {training_set.relation}) as asked "
        f"inner join (select *, ({windows.available_at}) as _known_at from {windows.relation} "
        f"where {windows.where or 'true'}) as events "
        f"on {same(keys, 'asked', 'events')} and _known_at <= _asked_at"
    )
    if count := number(connection, f"select count(*) {own}"):
        example = one_row(
            connection, f"select {quoted(*keys, of='asked')}, _known_at, _asked_at {own} order by all limit 1"
        )
        known_at, asked_at = example.pop("_known_at"), example.pop("_asked_at")
        check.found(
            f"{view}.*", count, example, f"its own event known at {known_at}", f"after {asked_at}",
            "An event is known later than it happens: give the source's lag in its config.meta.availability.",
        )  # fmt: skip
