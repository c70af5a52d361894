"""Check that a row does not change if everything that became available after its prediction is erased."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.sql import quoted, text
from assay.leakage.declared import SPLIT, WEIGHT, TrainingSet
from assay.leakage.differences import Differences
from assay.leakage.erased import Erased
from assay.leakage.findings import Check
from assay.leakage.replay import Replay, everything, known_by
from assay.leakage.sample import Sample
from assay.leakage.splits import splits_by_time
from assay.leakage.tables import columns_of, differs, literal, number, one_row, same
from assay.leakage.trained import made_by_hand, trained_columns, trained_until, weight_columns
from assay.project.conventions import LABEL_COLUMNS

MOMENTS = 16
# The default number of prediction times; each takes about half a second.
_OWN_OUTCOMES = 4
_OWN_OUTCOME = "It holds the row's own outcome, which changes it: fit parameters without the row, by folds."
_REMEDY = "It rests on something that became available after {at}: join histories as of prediction_at."


def check_own_time(
    training_set: TrainingSet, erased: Erased, warehouse: Path, *, moments: int, seed: int
) -> Check:
    """Erase what became available after the prediction of some rows, and compare these and earlier rows.

    The chosen rows have another arrival soon after their prediction, so that they show columns that look
    ahead by minutes. Some rows are drawn by a hash of the seed.

    Args:
        training_set: the declared training set.
        erased: the erased warehouse, with the compiled models.
        warehouse: the warehouse file, which is only read.
        moments: the number of prediction times to try; each takes about half a second.
        seed: the same seed draws the same rows.
    """
    check = Check("own time")
    if not moments:
        check.unchecked.append("no moments were asked for")
        return check
    with Replay(training_set, erased, warehouse) as replay:
        _check(check, replay, training_set, erased, moments, seed)
    return check


def _check(
    check: Check, replay: Replay, training_set: TrainingSet, erased: Erased, moments: int, seed: int
) -> None:
    connection, keys = replay.connection, training_set.keys
    if not replay.gates:
        check.unchecked.append("no model above it says by known_as_of when its rows became available")
        return
    learnt_until = trained_until(training_set, connection)
    sample = Sample(replay, training_set)
    chosen = sample.choose(moments, seed, learnt_until, learns=training_set.learns_from_rows)
    if not chosen:
        check.unchecked.append("there are no rows with a prediction time")
        return
    whole = replay.run(training_set.name, everything, clock=erased.until, labels="from {slice}")
    connection.execute(f"create or replace temp table whole_rows as from {whole}")
    compared = [
        column for column in columns_of(connection, "whole_rows") if column not in (*keys, *LABEL_COLUMNS)
    ]
    if SPLIT in compared and splits_by_time(training_set, connection):
        compared.remove(SPLIT)
    connection.execute(
        f"create or replace temp table told as select {quoted(*keys)}, prediction_at as at "
        "from whole_rows where false"
    )
    differences = Differences(keys)
    tried: list[datetime] = []
    seen: set[str] = set()
    trained = trained_columns(training_set, connection)
    by_hand = sorted({WEIGHT}.intersection(compared).difference(training_set.weights))
    for at in chosen:
        labels = _labels_at(replay, training_set, at)
        try:
            known = replay.run(training_set.name, known_by(at), until=at, clock=at, labels=labels)
        except duckdb.Error as error:
            check.unchecked.append(
                f"{at}: it cannot be built of what was known then: {str(error).splitlines()[0]}"
            )
            continue
        tried.append(at)
        connection.execute(f"create or replace temp table erased_rows as from {known}")
        connection.execute(f"insert into told select {quoted(*keys)}, {literal(at)} from erased_rows")
        is_learnt = (
            learnt_until is not None and at >= learnt_until and not _training_rows_move(connection, keys)
        )
        wanted = [column for column in compared if column not in trained or is_learnt]
        seen.update(wanted)
        _compare(differences, connection, keys, wanted, weight_columns(training_set), at)
        if is_learnt and by_hand:
            # Built again with the final outcomes, because a weight may depend on the row's own outcome.
            labels = f"from {{slice}} where prediction_at <= {literal(at)}"
            known = replay.run(training_set.name, known_by(at), until=at, clock=at, labels=labels)
            connection.execute(f"create or replace temp table erased_rows as from {known}")
            _compare(differences, connection, keys, by_hand, set(), at)
    differences.tell(check, _REMEDY)
    if training_set.learns_from_rows and SPLIT in columns_of(connection, "whole_rows"):
        _check_own_outcomes(check, replay, training_set, erased)
    if not tried:
        check.not_erasable.append("all columns: at no moment can it be built of what was known then")
    check.rows = number(connection, f"select count(distinct ({quoted(*keys)})) from told")
    check.telling = sample.could_show("told")
    check.notes.append(f"{len(tried)} moments: {sample.reach('told')}")
    check.not_erasable += [f"{name}, taken as built: {reason}" for name, reason in replay.unread.items()]
    # A model that was not rebuilt cannot differ.
    check.cleared = set() if replay.unread else seen
    if left := trained & set(compared) - seen:
        names = ", ".join(sorted(left))
        check.unchecked.append(f"{names}: no row is predicted after the training rows they are learnt from")


def _check_own_outcomes(check: Check, replay: Replay, training_set: TrainingSet, erased: Erased) -> None:
    """Change the outcome of one training row at a time: none of its other columns may change."""
    connection, keys = replay.connection, training_set.keys
    columns = [
        column
        for column in made_by_hand(training_set, connection)
        if column not in weight_columns(training_set)
    ]
    types = columns_of(connection, "whole_rows")
    found = Differences(keys)
    rows = connection.execute(
        f"select {quoted(*keys)}, prediction_at from whole_rows where {SPLIT} = 'train' "
        f"order by md5(concat_ws('|', {quoted(*keys)})) limit {_OWN_OUTCOMES}"
    ).fetchall()
    for *row, at in rows:
        values = [f"{quoted(key)} = {text(value)}" for key, value in zip(keys, row, strict=True)]
        labels = _labels_with_others(replay, training_set, f"not ({' and '.join(values)})")
        other = replay.run(training_set.name, everything, clock=erased.until, labels=labels)
        for column in columns:
            differing = connection.execute(
                f"select w.{quoted(column)}, e.{quoted(column)} from whole_rows as w "
                f"inner join {other} as e on {same(keys, 'w', 'e')} "
                f"where {' and '.join(f'w.{each}' for each in values)} and {differs(column, types[column])}"
            ).fetchall()
            if differing:
                found.add(column, [tuple(row)], differing[0][0], differing[0][1], at)
    found.tell(check, _OWN_OUTCOME)


def _training_rows_move(connection: duckdb.DuckDBPyConnection, keys: list[str]) -> bool:
    """Tell whether the training rows are others, as with boundaries that are shares of time."""
    moved = (
        f"select count(*) from whole_rows as w inner join erased_rows as e on {same(keys, 'w', 'e')} "
        f"where (w.{SPLIT} = 'train') is distinct from (e.{SPLIT} = 'train')"
    )
    return number(connection, moved) > 0


def _labels_at(replay: Replay, training_set: TrainingSet, at: datetime) -> str:
    """Return SQL of the labels at a moment, in which outcomes that were not known yet are changed."""
    labels = _labels_with_others(replay, training_set, f"outcome_known_at <= {literal(at)}")
    return f"{labels} where prediction_at <= {literal(at)}"


def _labels_with_others(replay: Replay, training_set: TrainingSet, kept: str) -> str:
    """Return SQL of the labels with changed outcomes, except in the kept rows."""
    type_ = columns_of(replay.connection, training_set.label)["outcome"]
    other = "not outcome" if type_ == "BOOLEAN" else "null"
    return f"select * replace (case when {kept} then outcome else {other} end as outcome) from {{slice}}"


def _compare(
    differences: Differences,
    connection: duckdb.DuckDBPyConnection,
    keys: list[str],
    columns: list[str],
    weights: set[str],
    at: datetime,
) -> None:
    types = columns_of(connection, "whole_rows")
    pairs = f"from whole_rows as w inner join erased_rows as e on {same(keys, 'w', 'e')}"
    # A weight also depends on the row's own outcome.
    known = f"w.outcome_known_at <= {literal(at)} and "
    differing = {
        column: f"{known if column in weights else ''}{differs(column, types[column])}" for column in columns
    }
    if not differing:
        return
    counts = ", ".join(f"count(*) filter ({each}) as {quoted(column)}" for column, each in differing.items())
    for column, rows in one_row(connection, f"select {counts} {pairs}").items():
        if rows:
            found = connection.execute(
                f"select {quoted(*keys, of='w')}, w.{quoted(column)}, e.{quoted(column)} {pairs} "
                f"where {differing[column]} order by w.prediction_at desc, {quoted(*keys, of='w')}"
            ).fetchall()
            differences.add(column, [row[:-2] for row in found], found[0][-2], found[0][-1], at)
    for name, other, value, expected in (
        ("whole", "erased", "there", "not there, as without what came later"),
        ("erased", "whole", "not there", "there, as without what came later"),
    ):
        lost = connection.execute(
            f"select {quoted(*keys)} from {name}_rows anti join {other}_rows using ({quoted(*keys)}) "
            f"where prediction_at <= {literal(at)} order by all"
        ).fetchall()
        differences.add("(row)", lost, value, expected, at)
