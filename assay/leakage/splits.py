"""The outcomes a model learns from must be known before the first row it is judged by is predicted."""

from __future__ import annotations

import duckdb

from assay.leakage.declared import SPLIT, TrainingSet
from assay.leakage.findings import Check
from assay.leakage.tables import columns_of, number, one_row
from assay.sql import quoted

_PARTS = ("train", "validation", "test")
_NEEDED = ("train", "test")


def check_splits(training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> Check:
    """Compare when the outcomes of each split are known with when the next splits begin."""
    check = Check("splits")
    relation = training_set.relation
    if SPLIT not in columns_of(connection, relation):
        check.unchecked.append(f"there is no column {SPLIT}")
        return check
    check.rows = number(connection, f"select count(*) from {relation}")
    for position, part in enumerate(_PARTS):
        rows_of_part = f"from {relation} where {SPLIT} = '{part}'"
        if part in _NEEDED and not number(connection, f"select count(*) {rows_of_part}"):
            check.unchecked.append(f"there are no rows of {part} yet")
        for later in _PARTS[position + 1 :]:
            starts_at = f"(select min(prediction_at) from {relation} where {SPLIT} = '{later}')"
            overlap = f"{rows_of_part} and outcome_known_at > {starts_at}"
            rows = number(connection, f"select count(*) {overlap}")
            if rows:
                first = one_row(
                    connection,
                    f"select {quoted(*training_set.keys)}, outcome_known_at as _value, "
                    f"{starts_at} as _starts_at {overlap} "
                    f"order by outcome_known_at desc, {quoted(*training_set.keys)} limit 1",
                )
                value, start = first.pop("_value"), first.pop("_starts_at")
                check.found(
                    SPLIT,
                    rows,
                    {**first, "split": part},
                    f"outcome known at {value}",
                    f"by {start}, when {later} begins",
                    "Give temporal_split an embargo as long as outcomes take to be known.",
                )
    return check
