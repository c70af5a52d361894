"""Find columns that are learnt from the training rows: fitted parameters and weights."""

from __future__ import annotations

from datetime import datetime

import duckdb

from assay.leakage.declared import SPLIT, WEIGHT, TrainingSet
from assay.leakage.tables import columns_of, one_row
from assay.project.conventions import LABEL_COLUMNS


def made_by_hand(training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the columns that come neither from a feature view nor from the label."""
    taken = {
        features.prefix + name
        for features in training_set.features
        for name in [*features.columns, *features.derived]
    }
    labels = columns_of(connection, training_set.label)
    return [
        column
        for column in columns_of(connection, training_set.relation)
        if column not in (*taken, *labels, *LABEL_COLUMNS, SPLIT, WEIGHT)
    ]


def weight_columns(training_set: TrainingSet) -> set[str]:
    """Return the columns of weights, which also depend on the row's own outcome."""
    return {WEIGHT, *training_set.weights}


def trained_columns(training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the columns that may depend on all training rows, also on those predicted later.

    If parameters are fitted, these may be any columns made by hand.
    """
    fitted = made_by_hand(training_set, connection) if training_set.learns_from_rows else []
    return {*weight_columns(training_set), *fitted}.intersection(
        columns_of(connection, training_set.relation)
    )


def trained_until(training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """Return when the last outcome of the training rows is known; None without splits."""
    if SPLIT not in columns_of(connection, training_set.relation):
        return None
    until: datetime | None = one_row(
        connection,
        "select max(greatest(prediction_at, outcome_known_at)) as until "
        f"from {training_set.relation} where {SPLIT} = 'train'",
    )["until"]
    return until
