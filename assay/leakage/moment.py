"""Choose the moment at which a leak would show best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.fault import MISUSED, Fault
from assay.leakage.declared import AVAILABLE_AT, TrainingSet
from assay.leakage.tables import columns_of, literal, one_row
from assay.project.conventions import LABEL_COLUMNS
from assay.project.warehouse import connect

_SHARE_OF_SPAN = 0.75
_CANDIDATES_A_SOURCE = 500

# SQL of a relation of events, of the time they happen and of the time they are known.
_Source = tuple[str, str, str]


def choose_moment(warehouse: Path, training_sets: Sequence[TrainingSet]) -> tuple[datetime, datetime]:
    """Return the instant at which a leak shows best, and the time at which the last outcome is known.

    A leak shows through events that happened by the instant but became known only after it, in rows that were
    predicted shortly before it. So among the instants in the first three quarters of the time, on days with
    such a row, the one is taken for which the most sources have such an event.

    Raises:
        Fault: a training set is not built, has no rows, or lacks the times of its label.
    """
    with connect(warehouse) as connection:
        starts, ends = zip(*(_span(connection, training_set) for training_set in training_sets), strict=True)
        start, end = min(starts), max(ends)
        sources = {source for training_set in training_sets for source in _sources(connection, training_set)}
        rows = " union all ".join(f"select prediction_at from {each.relation}" for each in training_sets)
        about = start + (end - start) * _SHARE_OF_SPAN
        return _best(connection, sorted(sources), rows, about), end


def _span(connection: duckdb.DuckDBPyConnection, training_set: TrainingSet) -> tuple[datetime, datetime]:
    try:
        span = one_row(
            connection,
            f"select min(prediction_at) as start, max(outcome_known_at) as until "
            f"from {training_set.relation}",
        )
    except duckdb.CatalogException:
        raise Fault(f"{training_set.name} is not built in this warehouse: build it first.") from None
    except duckdb.BinderException:
        raise Fault(
            f"{training_set.name} must carry the columns {', '.join(LABEL_COLUMNS)} of its label "
            f"{training_set.label_name}.",
            MISUSED,
        ) from None
    if span["start"] is None:
        raise Fault(f"{training_set.name} has no rows, so there is nothing to check.")
    return span["start"], span["until"]


def _sources(connection: duckdb.DuckDBPyConnection, training_set: TrainingSet) -> Iterator[_Source]:
    for features in training_set.features:
        if windows := features.view.windows:
            has_column = AVAILABLE_AT in columns_of(connection, windows.relation)
            yield windows.relation, windows.event_at, AVAILABLE_AT if has_column else windows.available_at


def _best(
    connection: duckdb.DuckDBPyConnection, sources: list[_Source], rows: str, about: datetime
) -> datetime:
    """Return the best of the instants at which something happened."""
    if not sources:
        return about
    instants = " union ".join(
        f"(select ({event_at}) as instant from {relation} where ({event_at}) <= {literal(about)} "
        f"order by 1 desc limit {_CANDIDATES_A_SOURCE})"
        for relation, event_at, _ in sources
    )
    pending = " union all ".join(
        f"select instant from instants where exists (from {relation} "
        f"where ({event_at}) <= instant and ({available_at}) > instant)"
        for relation, event_at, available_at in sources
    )
    found = connection.execute(
        f"with instants as ({instants}), first_rows as "
        f"(select prediction_at::date as day, min(prediction_at) as first_at from ({rows}) group by all) "
        f"select instant from ({pending}) left join first_rows on instant::date = day "
        "group by instant, first_at order by first_at < instant desc nulls last, count(*) desc, instant desc "
        "limit 1"
    ).fetchall()
    return found[0][0] if found else about
