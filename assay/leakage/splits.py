"""Check that the outcomes for training are known before the first row for tests is predicted."""

from __future__ import annotations

import duckdb

from assay.core.sql import quoted
from assay.leakage.declared import EMBARGO, SPLIT, TrainingSet
from assay.leakage.findings import Check
from assay.leakage.tables import columns_of, number, one_row
from assay.project.conventions import LABEL_COLUMNS

_PARTS = ("train", "validation", "test")
_NEEDED = ("train", "test")
_TIMES = {"prediction_at", "outcome_known_at"}
_ENOUGH_SAID = 3
_LISTED = 10


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
    _check_twins(check, training_set, connection)
    return check


def splits_by_time(training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether rows are split only by prediction time: parts follow one another and none comes back."""
    return not connection.execute(
        f"""
        with runs as (
            select prediction_at, {SPLIT} as part, lag({SPLIT}) over in_time as part_before
            from (select distinct prediction_at, {SPLIT} from {training_set.relation}) as parts
            window in_time as (order by prediction_at, {SPLIT})
        )
        select part from runs
        where part is distinct from part_before and part is distinct from '{EMBARGO}'
        group by part having count(*) > 1
        union all
        select null from runs group by prediction_at having count(*) > 1
        limit 1
        """
    ).fetchall()


def _check_twins(check: Check, training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> None:
    """Look for an event in two splits under two keys: the model would be tested on what it has learnt.

    Rows are twins if all columns of the label except the key are equal. If the label has enough columns
    beside entity and outcome, rows are also twins if only the time, or only the entity, differs.
    """
    labels = columns_of(connection, training_set.label)
    columns = columns_of(connection, training_set.relation)
    entities = {key for features in training_set.features for key in features.view.entity_keys}
    said = [column for column in labels if column in columns and column not in training_set.keys]
    about = [column for column in said if column not in (*entities, *LABEL_COLUMNS)]
    # A single word or number, such as an amount, may be equal by chance.
    differing = (_TIMES, entities) if len(about) >= _ENOUGH_SAID else ()
    conditions = [said, *([column for column in said if column not in left_out] for left_out in differing)]
    keys = ", ".join(quoted(key) for key in training_set.keys)
    types = columns_of(connection, training_set.relation)
    groups = " union ".join(
        f"select {keys}, {SPLIT}, prediction_at, hash({_meant(same, types)}) as twins, {number_} as kind "
        f"from {training_set.relation} where {SPLIT} in {_PARTS} "
        f"qualify count(distinct {SPLIT}) over (partition by {_meant(same, types)}) > 1"
        for number_, same in enumerate(conditions)
        if same
    )
    rows = connection.execute(
        f"select {keys}, {SPLIT}, min(kind), min(twins) from ({groups}) group by {keys}, {SPLIT} "
        f"order by min(kind), min(twins), {keys}"
    ).fetchall()
    if rows:
        listed = "; ".join(
            f"{' '.join(str(value) for value in row[: len(training_set.keys)])} ({row[-3]})"
            for row in rows[:_LISTED]
        )
        check.found(
            "(row)", len(rows), dict(zip(training_set.keys, rows[0], strict=False)),
            f"one event under two keys, in two splits: {listed}", "each event once, or in one split",
            "See whether these are the same event, and keep it once.",
            is_warning=True,
        )  # fmt: skip


def _meant(columns: list[str], types: dict[str, str]) -> str:
    """Write SQL that normalises columns: texts without case and blanks, floats without their last digits."""
    written = {
        "VARCHAR": "nullif(lower(trim({0})), '')",
        "DOUBLE": "printf('%.9g', {0})",
        "FLOAT": "printf('%.6g', {0}::double)",
    }
    return ", ".join(written.get(types[column], "{0}").format(quoted(column)) for column in columns)
