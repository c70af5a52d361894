"""What a row holds must not change when all that became available after the row's own prediction is erased."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from assay.leakage.declared import LABEL_COLUMNS, SPLIT, TrainingSet
from assay.leakage.differences import Differences
from assay.leakage.erased import Erased
from assay.leakage.findings import Check
from assay.leakage.replay import Replay, everything, known_by
from assay.leakage.tables import columns_of, differs, literal, number, one_row, same
from assay.leakage.trained import trained_columns, trained_until, weight_columns
from assay.sql import quoted

MOMENTS = 16
# Of a slice so many entities more than those of the rows that are asked for.
_MORE_ENTITIES = 30
_REACHES = ("1 hour", "1 day", "30 days")
_REMEDY = "It rests on something that became available after {at}: join histories as of prediction_at."


def check_own_time(
    training_set: TrainingSet, erased: Erased, warehouse: Path, *, moments: int, seed: int
) -> Check:
    """Erase what became available after some rows' predictions, and compare these rows and all before.

    Rows are chosen of which something else arrived soon after their prediction, so that columns that look
    ahead by minutes show it; some are drawn by a hash of the seed.

    Args:
        training_set: as declared.
        erased: how the models were compiled.
        warehouse: the warehouse file, which is only read.
        moments: how many prediction times are tried; each takes about half a second.
        seed: another one draws other rows.
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
    chosen = _choose(replay, training_set, moments, seed, learnt_until)
    if not chosen:
        check.unchecked.append("there are no rows with a prediction time")
        return
    whole = replay.run(training_set.name, everything, clock=erased.until, labels="from {slice}")
    connection.execute(f"create or replace temp table whole_rows as from {whole}")
    compared = [
        column
        for column in columns_of(connection, "whole_rows")
        if column not in (*keys, *LABEL_COLUMNS, SPLIT)
    ]
    connection.execute(
        f"create or replace temp table _assay_told as select {quoted(*keys)}, prediction_at as at "
        "from whole_rows where false"
    )
    differences = Differences(keys)
    tried: list[datetime] = []
    trained = trained_columns(training_set, connection)
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
        connection.execute(f"insert into _assay_told select {quoted(*keys)}, {literal(at)} from erased_rows")
        wanted = [
            column
            for column in compared
            if column not in trained or (learnt_until is not None and at >= learnt_until)
        ]
        check.cleared.update(wanted)
        _compare(differences, connection, keys, wanted, weight_columns(training_set), at)
    differences.tell(check, _REMEDY)
    _tell_reach(check, replay, training_set, tried)
    check.unchecked += [f"{name}, taken as built: {reason}" for name, reason in replay.unread.items()]
    if trained & set(compared) and not any(learnt_until and at >= learnt_until for at in tried):
        names = ", ".join(sorted(trained & set(compared)))
        check.unchecked.append(f"{names}: no row is predicted after the training rows they are learnt from")


def _labels_at(replay: Replay, training_set: TrainingSet, at: datetime) -> str:
    """Write the labels as they were then: outcomes that were not known yet are others."""
    type_ = columns_of(replay.connection, training_set.label)["outcome"]
    other = "not outcome" if type_ == "BOOLEAN" else "null"
    return (
        f"select * replace (case when outcome_known_at <= {literal(at)} then outcome else {other} end as outcome) "
        f"from {{slice}} where prediction_at <= {literal(at)}"
    )


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
    # A weight depends on the row's own outcome too.
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


def _choose(
    replay: Replay, training_set: TrainingSet, moments: int, seed: int, learnt_until: datetime | None
) -> list[datetime]:
    """Return prediction times to try, after cutting a slice with their rows and what arrived next."""
    connection = replay.connection
    keys = quoted(*training_set.keys)
    entities = replay.entities()
    late = f"prediction_at >= {literal(learnt_until)}" if learnt_until else "false"
    _find_next_arrivals(replay, training_set, entities)
    is_late = bool(
        training_set.learns_from_rows
        and number(connection, f"select count(*) from _assay_asked where {late}")
    )
    asked = f"_assay_asked where {late if is_late else 'true'}"
    found: list[datetime] = []

    def take(query: str, count: int) -> None:
        rows = connection.execute(query).fetchall()
        found.extend([at for (at, *_) in rows if at not in found][:count])

    # Soonest: where most rows have something within the hour, then where it comes soonest.
    by_chance = moments // 4
    for number_, _ in enumerate(entities):
        soon = f"_assay_soon_{number_}"
        take(
            f"select prediction_at, count(*) filter ({soon} <= interval '1 hour') as soon, min({soon}) as soonest "
            f"from {asked} and {soon} is not null group by all order by soon desc, soonest, prediction_at limit {4 * moments}",
            max(1, (moments - by_chance) // len(entities)),
        )
    drawn = f"order by md5(concat_ws('|', {seed}, {keys})), {keys}"
    take(f"select prediction_at from _assay_asked where {late} {drawn} limit {moments}", by_chance // 2)
    take(f"select prediction_at from {asked} {drawn} limit {moments * 2}", moments - len(found))
    _cut(replay, entities, found, drawn)
    return sorted(found[:moments])


def _find_next_arrivals(replay: Replay, training_set: TrainingSet, entities: list[list[str]]) -> None:
    """Note of each row how soon after its prediction something of each of its entities arrived, and of whom.

    A row's own event happens when it is predicted, and is passed over.
    """
    connection = replay.connection
    connection.execute(
        f"create or replace temp table _assay_asked as from {training_set.label} where prediction_at is not null"
    )
    for position, entity in enumerate(entities):
        arrivals = [
            f"select {quoted(*entity)}, event_at, available_at, "
            f"{quoted(replay.entity) if replay.entity in columns else 'null'} as _whose "
            f"from {gate['schema']}.{quoted(gate['alias'])} where available_at is not null"
            for gate in replay.gates
            if {*entity, "event_at", "available_at"} <= (columns := replay.columns(gate)).keys()
        ]
        if not arrivals:
            connection.execute(
                f"create or replace temp table _assay_asked as select *, null::interval as _assay_soon_{position}, "
                f"null::varchar as _assay_whose_{position} from _assay_asked"
            )
            continue
        window = f"(partition by {quoted(*entity)} order by available_at, event_at)"
        connection.execute(
            f"create or replace temp table _assay_arrivals as select *, "
            f"lead(event_at) over {window} as _event_after, lead(available_at) over {window} as _after, "
            f"lead(_whose) over {window} as _whose_after from ({' union all '.join(arrivals)})"
        )
        own = "arrivals.event_at = asked.prediction_at"
        connection.execute(
            f"create or replace temp table _assay_asked as select asked.*, "
            f"case when {own} then arrivals._after else arrivals.available_at end - asked.prediction_at "
            f"as _assay_soon_{position}, "
            f"case when {own} then arrivals._whose_after else arrivals._whose end::varchar as _assay_whose_{position} "
            f"from _assay_asked as asked asof left join _assay_arrivals as arrivals "
            f"on {same(entity, 'asked', 'arrivals')} and arrivals.available_at > asked.prediction_at"
        )


def _cut(replay: Replay, entities: list[list[str]], chosen: list[datetime], drawn: str) -> None:
    """Cut the slice: whose rows are predicted at the chosen times, what arrives soon there, and some more."""
    if replay.entity is None:
        replay.cut("select null")
        return
    entity = quoted(replay.entity)
    times = ", ".join(literal(at) for at in chosen)
    whose = " union ".join(
        [
            f"(select {entity}::varchar as entity from (select *, least({soons}) as _soonest from _assay_asked "
            f"where prediction_at in ({times})) order by _soonest nulls last limit {2 * _MORE_ENTITIES})"
            if (soons := ", ".join(f"_assay_soon_{position}" for position, _ in enumerate(entities)))
            else "select null"
        ]
        + [
            f"(select _assay_whose_{position} from _assay_asked where prediction_at in ({times}) "
            f"and _assay_soon_{position} <= interval '1 day' order by _assay_soon_{position} limit {_MORE_ENTITIES})"
            for position, _ in enumerate(entities)
        ]
        + [
            f"(select {entity}::varchar from (select distinct {entity} from _assay_asked) order by md5({entity}::varchar) limit {_MORE_ENTITIES})"
        ]
    )
    type_ = columns_of(replay.connection, "_assay_asked")[replay.entity]
    replay.cut(f"select distinct entity::{type_} as entity from ({whose}) where entity is not null")


def _tell_reach(check: Check, replay: Replay, training_set: TrainingSet, tried: list[datetime]) -> None:
    """Count the rows that could have shown a difference: something of theirs was erased."""
    connection = replay.connection
    keys = training_set.keys
    check.rows = number(connection, f"select count(distinct ({quoted(*keys)})) from _assay_told")
    positions = range(len(replay.entities()))
    if not positions or not tried:
        return
    soonest = f"least({', '.join(f'_assay_soon_{position}' for position in positions)})"
    figures = ", ".join(
        f"count(distinct ({quoted(*keys)})) filter (_soonest <= interval '{reach}')" for reach in _REACHES
    )
    counted = connection.execute(
        f"select count(distinct ({quoted(*keys)})), {figures} from (select asked.*, {soonest} as _soonest, told.at "
        f"from _assay_asked as asked inner join _assay_told as told on {same(keys, 'asked', 'told')} "
        "and asked.prediction_at = told.at)"
    ).fetchone()
    assert counted is not None
    rows, *within = counted
    check.telling = number(
        connection,
        f"select count(distinct ({quoted(*keys, of='asked')})) from _assay_asked as asked "
        f"inner join _assay_told as told on {same(keys, 'asked', 'told')} "
        f"where asked.prediction_at + {soonest} > told.at",
    )
    reached = ", ".join(f"{count:,} within {reach}" for count, reach in zip(within, _REACHES, strict=True))
    check.notes.append(
        f"{len(tried)} moments: {rows:,} rows at their own prediction time, of which something else arrived "
        f"afterwards, {reached}; a column that looks ahead less far than that shows in none"
    )
