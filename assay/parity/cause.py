"""Say why a logged value differs from the offline one, by the states that gold has of the entity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from assay.core.sql import quoted
from assay.core.words import moment
from assay.online.definition import OnlineView
from assay.parity.sample import NUMBER, SPINE


@dataclass(frozen=True)
class _State:
    valid_from: datetime
    valid_to: datetime
    value: Any


def likely_cause(
    connection: duckdb.DuckDBPyConnection,
    view: OnlineView,
    history: str,
    feature: str,
    asked: tuple[int, datetime],
    is_served: Callable[[Any], bool],
) -> str:
    """Say why a value may have been served that is not the one of its instant.

    Args:
        connection: with the questions in `parity_spine`.
        view: the feature view.
        history: its table, as SQL.
        feature: one of its features.
        asked: the question's number in `parity_spine`, and its instant (UTC).
        is_served: tells whether a value of the history is the one that was served.
    """
    number, at = asked
    if feature in view.derived:
        return "it is computed when it is asked for: compare the features and inputs of its expression first"
    states = _states(connection, view, history, feature, number)
    if not states:
        return "gold has no such entity: compare how the keys are written"
    if at < states[0].valid_from:
        return f"gold knows the entity since {moment(states[0].valid_from)} UTC only: compare as_of"
    return _by_states(states, at, is_served)


def _by_states(states: Sequence[_State], at: datetime, is_served: Callable[[Any], bool]) -> str:
    same = [state for state in states if is_served(state.value)]
    before = [state for state in same if state.valid_to <= at]
    after = [state for state in same if state.valid_from > at]
    now = next((state for state in reversed(states) if state.valid_from <= at < state.valid_to), None)
    late = "what gold has since then landed, was built or was synced later"
    if before:
        return f"it is the value until {moment(before[-1].valid_to)} UTC: {late}"
    if is_served(None) and now:
        return f"nothing was online yet, though gold has it since {moment(now.valid_from)} UTC: {late}"
    if after:
        return f"it is the value from {moment(after[0].valid_from)} UTC on: it was asked for after as_of"
    if now and is_served(now.value):
        return "it is the value of that instant, older than max_age allows: compare max_age then and now"
    return (
        "gold never had this value for the entity: another definition of the view served it, "
        "or what was logged is not what was served"
    )


def _states(
    connection: duckdb.DuckDBPyConnection, view: OnlineView, history: str, feature: str, number: int
) -> list[_State]:
    is_of_entity = " and ".join(f"history.{quoted(key.name)} = asked.{quoted(key.name)}" for key in view.keys)
    rows = connection.execute(
        f"select history.valid_from, history.valid_to, history.{quoted(feature)} from {history} as history "
        f"inner join {SPINE} as asked on {is_of_entity} where asked.{NUMBER} = ? order by history.valid_from",
        [number],
    ).fetchall()
    return [_State(*row) for row in rows]
