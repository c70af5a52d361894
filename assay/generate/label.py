"""`assay label add`: an outcome to predict, from one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.moment import length_of
from assay.core.words import listed
from assay.features.columns import columns_of_queries
from assay.generate.gold import (
    GoldModel,
    GoldPlan,
    add_model,
    check_length,
    check_name,
    find_column,
    find_events,
    find_group,
    find_owner,
    find_time,
    quote_column,
    quote_text,
    read_project,
)
from assay.generate.scramble import find_scramble
from assay.project.conventions import LABEL_COLUMNS
from assay.project.paths import own_models

_PREFIX = "lbl_"
_AT = "available_at"
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
# So long after they happened events may land, and change an outcome, unless said otherwise.
_LATE = "1d"


@dataclass(frozen=True)
class Spine:
    """The rows that predictions are made for: one is asked for when it is known, and not before `at`."""

    model: str
    keys: Sequence[str]
    at: str

    @property
    def prediction_at(self) -> str:
        """When a prediction is asked for, as SQL."""
        return _AT if self.at == _AT else f"greatest({quote_column(self.at)}, {_AT})"

    def condition(self) -> str:
        """Which rows predictions are made for, as SQL."""
        needed = dict.fromkeys([*self.keys, self.at, _AT])
        return _conditions([f"{quote_column(each)} is not null" for each in needed])


@dataclass(frozen=True)
class Happening:
    """An outcome: something happens within a time after the prediction or, if `is_absent`, nothing does.

    `keys` are what the model calls the keys of the spine, in their order.
    """

    model: str
    keys: Sequence[str]
    at: str
    window: str
    horizon: str
    where: str | None = None
    is_absent: bool = False


@dataclass(frozen=True)
class Settled:
    """An outcome that stands in the row itself, and is known so long after the prediction.

    `scramble` changes outcomes that landed and are not known yet, where that can be told.
    """

    column: str
    horizon: str
    where: str | None = None
    scramble: str | None = None


def add_label(
    name: str,
    *,
    spine: str,
    key: Sequence[str],
    prediction_at: str | None = None,
    outcome_from: str | None = None,
    outcome_key: Sequence[str] | None = None,
    outcome_at: str | None = None,
    window: str | None = None,
    absent: bool = False,
    outcome: str | None = None,
    known_after: str | None = None,
    where: str | None = None,
    dry_run: bool = False,
) -> GoldPlan:
    """Add a label to the project in the current folder: what happens later, or a column of the row.

    Args:
        name: `lbl_<what>`, or only what.
        spine: the model of silver or gold whose rows predictions are made for.
        key: the columns that name the entity; outcomes are of the same.
        prediction_at: the column that says when a prediction is asked for, `available_at` by default; it is
            not asked for before the row is known.
        outcome_from: the model of silver or gold whose rows are what may happen.
        outcome_key: what that model calls the columns of `key`, where it has other names for them.
        outcome_at: the column that says when it happened; `event_at` by default.
        window: how long after the prediction it may happen, such as 30d.
        absent: whether the outcome is that nothing happens.
        outcome: the column of the spine that is the outcome, in place of `outcome_from`.
        known_after: how long after the prediction the outcome is known; of what happens, a day after the
            window by default.
        where: SQL that tells which rows of `outcome_from` count, or of the spine.
        dry_run: whether nothing is written.

    Returns:
        What was written, or would be; no files where the label is there already.

    Raises:
        Fault: something named is not there, or cannot be; nothing is written then.
    """
    _check_kind(
        outcome, outcome_from, window, known_after, is_absent=absent, has_more=bool(outcome_at or outcome_key)
    )
    if outcome_key and len(outcome_key) != len(key):
        raise Fault(
            f"--outcome-key {','.join(outcome_key)}: name a column for each of --key {','.join(key)}, in its "
            "order.",
            MISUSED,
        )
    name = check_name(name, _PREFIX, "renewal or lbl_renewal")
    project = read_project()
    rows = find_events(project, spine, "--spine")
    events = find_events(project, outcome_from, "--outcome-from") if outcome_from else rows
    reads = [rows] if events is rows else [rows, events]
    with columns_of_queries(project, name, reads) as columns_of:

        def kinds_of(node: Any) -> dict[str, str]:
            found = columns_of(f"select * from {{{{ ref({quote_text(node.name)}) }}}}")
            return {each.name: each.data_type for each in found}

        kinds = kinds_of(rows)
        keys = [find_column(each, kinds, rows.name, "--key") for each in key]
        at = find_time(prediction_at, _AT, kinds, rows.name, "--prediction-at")
        find_time(None, _AT, kinds, rows.name, "--prediction-at")
        for each in (at, _AT):
            _check_utc(each, kinds, rows.name)
        of = Spine(rows.name, keys, at)
        what: Happening | Settled
        if window:
            of_events = kinds_of(events)
            if not outcome_key and (lacking := [each for each in keys if each not in of_events]):
                raise Fault(
                    f"--key {lacking[0]}: {events.name} has no such column. Say what it calls the key, as "
                    f"--outcome-key COLUMN: there are {listed(list(of_events), 20)}.",
                    MISUSED,
                )
            same = [
                find_column(each, of_events, events.name, "--outcome-key") for each in outcome_key or keys
            ]
            find_time(None, _AT, of_events, events.name, "--outcome-at")
            happened_at = find_time(outcome_at, "event_at", of_events, events.name, "--outcome-at")
            what = Happening(
                events.name, same, happened_at, window, known_after or _later(window), where, absent
            )
        else:
            assert outcome
            assert known_after
            column = find_column(outcome, kinds, rows.name, "--outcome")
            scramble = find_scramble(project, rows, column, _interval(known_after))
            what = Settled(column, known_after, where, scramble)
        id_column = _id_column(name, keys)
        shields = {each: shield for each in kinds if (shield := project.shields.of(each, rows))}
        wanted = _model(name, id_column, of, what, reads, find_owner(project, rows, None).value, shields)
        return add_model(project, wanted, columns_of, dry_run=dry_run)


def _check_kind(
    outcome: str | None,
    outcome_from: str | None,
    window: str | None,
    known_after: str | None,
    *,
    is_absent: bool,
    has_more: bool,
) -> None:
    if bool(outcome) == bool(outcome_from):
        raise Fault(
            "Say what the outcome is: --outcome-from MODEL --window 30d, if something happens after the "
            "prediction; or --outcome COLUMN --known-after 30d, if a column of the row itself tells it.",
            MISUSED,
        )
    if outcome_from and not window:
        raise Fault("--outcome-from needs --window: how long after the prediction it may happen.", MISUSED)
    if outcome and not known_after:
        raise Fault(
            f"--outcome {outcome} needs --known-after: how long after the prediction it is known.", MISUSED
        )
    if outcome and (window or is_absent or has_more):
        raise Fault(
            "--window, --outcome-key, --outcome-at and --absent go with --outcome-from, not --outcome.",
            MISUSED,
        )
    if window:
        check_length(window, "--window")
    if known_after:
        check_length(known_after, "--known-after")
    if window and known_after and length_of(known_after) < length_of(window):
        raise Fault(
            f"--known-after {known_after} is shorter than --window {window}: what happens until the window's "
            "end is not known before.",
            MISUSED,
        )


def _check_utc(name: str, kinds: Mapping[str, str], model: str) -> None:
    if "zone" in kinds[name]:
        raise Fault(
            f"{model}.{name} is {kinds[name]}: the times of a label have no zone, and are in UTC. Make it so "
            f"in {model}, as {{{{ assay.as_utc({quote_text(name)}) }}}}.",
            MISUSED,
        )


def _id_column(name: str, keys: Sequence[str]) -> str:
    found = f"{name.removeprefix(_PREFIX)}_id"
    if doubled := [each for each in keys if each in (found, *LABEL_COLUMNS)]:
        raise Fault(
            f"The label would have two columns {doubled[0]}: choose another name than {name}."
            if doubled[0] == found
            else f"--key {doubled[0]}: a label has a column {doubled[0]} of its own.",
            MISUSED,
        )
    return found


def _later(window: str) -> str:
    """Return the window and the time in which events may land late."""
    return _shortest(length_of(window) + length_of(_LATE))


def _shortest(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _interval(length: str) -> str:
    return f"interval '{_words(length)}'"


def _words(length: str) -> str:
    number, unit = length[:-1], _UNITS[length[-1]]
    return f"{number} {unit}{'s' * (number != '1')}"


def _conditions(conditions: Sequence[str]) -> str:
    if len(conditions) == 1:
        return f"    where {conditions[0]}"
    return "    where\n        " + "\n        and ".join(conditions)


def _ctes(**named: str) -> str:
    """Return SQL of named steps, the last of which is the result."""
    steps = ",\n\n".join(f"{name} as (\n\n{sql.strip(chr(10))}\n\n)" for name, sql in named.items())
    return f"with {steps}\n\nselect * from final\n"


def write_label_sql(id_column: str, spine: Spine, what: Happening | Settled) -> str:
    """Return the SQL of a label."""
    return (
        _happening_sql(id_column, spine, what)
        if isinstance(what, Happening)
        else _settled_sql(id_column, spine, what)
    )


def _all_of(model: str) -> str:
    return f"    select * from {{{{ ref({quote_text(model)}) }}}}"


def _id(keys: Sequence[str], of: str = "") -> str:
    columns = [quote_column(each, of) for each in keys]
    return f"concat_ws('@', {', '.join([*columns, f'{of}.prediction_at' if of else 'prediction_at'])})"


def _happening_sql(id_column: str, spine: Spine, what: Happening) -> str:
    keys = [quote_column(each) for each in spine.keys]
    of_spine = "".join(f"        {each},\n" for each in keys)
    of_outcomes = zip(map(quote_column, what.keys), keys, strict=True)
    renamed = "".join(f"        {own}{f' as {key}' * (own != key)},\n" for own, key in of_outcomes)
    pairs = [f"{quote_column(each, 'known')} = {quote_column(each, 'outcomes')}" for each in spine.keys]
    same = "".join(f"{each}\n            and " for each in pairs)
    rows = {} if spine.model == what.model else {"spine": _all_of(spine.model)}
    return _ctes(
        **rows,
        events=_all_of(what.model),
        outcomes=(
            f"    select\n{renamed}"
            f"        {quote_column(what.at)} as happened_at,\n"
            "        available_at\n"
            "    from events" + (f"\n    where ({what.where})" if what.where else "")
        ),
        predictions=(
            f"    select distinct\n{of_spine}"
            f"        {spine.prediction_at} as prediction_at\n"
            f"    from {'spine' if rows else 'events'}\n{spine.condition()}"
        ),
        # What was asked for before events were written down, or too late to know, has no outcome.
        known=(
            "    select\n        *,\n"
            f"        prediction_at + {_interval(what.horizon)} as outcome_known_at\n"
            "    from predictions\n"
            "    where\n"
            f"        prediction_at + {_interval(what.horizon)} <= {{{{ assay.known_until('events') }}}}\n"
            "        and prediction_at >= (select min(available_at) from events)"
        ),
        final=(
            "    select\n"
            f"        {_id(spine.keys, 'known')} as {id_column},\n"
            + "".join(f"        {quote_column(each, 'known')},\n" for each in spine.keys)
            + "        known.prediction_at,\n"
            f"        count(outcomes.happened_at) {'=' if what.is_absent else '>'} 0 as outcome,\n"
            "        known.outcome_known_at\n"
            "    from known\n"
            "    left join outcomes\n"
            "        on\n"
            f"            {same}known.prediction_at < outcomes.happened_at\n"
            f"            and known.prediction_at + {_interval(what.window)} >= outcomes.happened_at\n"
            "            and known.outcome_known_at >= outcomes.available_at\n"
            "    group by all"
        ),
    )


def _settled_sql(id_column: str, spine: Spine, what: Settled) -> str:
    keys = "".join(f"        {quote_column(each)},\n" for each in spine.keys)
    where = f"\n        and ({what.where})" if what.where else ""
    return _ctes(
        spine=_all_of(spine.model),
        predictions=(
            f"    select\n{keys}"
            f"        {spine.prediction_at} as prediction_at,\n"
            f"        {quote_column(what.column)} as outcome\n"
            f"    from spine\n{spine.condition()}\n"
            f"        and {quote_column(what.column)} is not null{where}"
        ),
        final=(
            "    select\n"
            f"        {_id(spine.keys)} as {id_column},\n"
            f"{keys}"
            "        prediction_at,\n"
            "        outcome,\n"
            f"        prediction_at + {_interval(what.horizon)} as outcome_known_at\n"
            "    from predictions\n"
            f"    where prediction_at + {_interval(what.horizon)} <= {{{{ assay.known_until('spine') }}}}"
        ),
    )


def _model(
    name: str,
    id_column: str,
    spine: Spine,
    what: Happening | Settled,
    reads: Sequence[Any],
    owner: str,
    shields: Mapping[str, str],
) -> GoldModel:
    rows = reads[0]
    bare = name.removeprefix(_PREFIX)
    window = what.window if isinstance(what, Happening) else "0s"
    # Outcomes that are made of what lands later need no scrambling: the search for leaks erases that.
    scramble = [] if isinstance(what, Happening) else [what.scramble] if what.scramble else None
    label: dict[str, Any] = {
        **({} if scramble is None else {"scramble": scramble}),
        "window": {"from": "0s", "to": window},
        "horizon": what.horizon,
        "population": {"known_after": "0s"},
    }
    of_keys = [shields[each] for each in spine.keys if each in shields]
    personal = {id_column: of_keys[0]} if of_keys else {}
    if isinstance(what, Settled) and what.column in shields:
        personal["outcome"] = shields[what.column]
    columns = [id_column, *spine.keys, *LABEL_COLUMNS]
    entity = " and ".join(each.replace("_", " ") for each in spine.keys)
    told = _told(what, entity, spine.keys)
    return GoldModel(
        folder=own_models() / "gold" / "training",
        sql=write_label_sql(id_column, spine, what),
        entry={
            "name": name,
            "description": (
                f"{told} Asked for each {entity} of {spine.model}, and known {_words(what.horizon)} later; "
                "what lands after that changes no outcome."
            ),
            "config": {"meta": {"label": label}, **find_group(rows)},
            "constraints": [{"type": "primary_key", "columns": [id_column]}],
            "data_tests": [
                {
                    "dbt_expectations.expect_column_pair_values_A_to_be_greater_than_B": {
                        "name": f"{bare}_is_known_only_after_it_is_asked_for",
                        "arguments": {"column_A": "outcome_known_at", "column_B": "prediction_at"},
                    }
                }
            ],
        },
        reads=reads,
        columns=columns,
        meta={"label": {"window": label["window"], "horizon": what.horizon}},
        evidence=list(_evidence(spine, what, told)),
        product=f"{bare}_training",
        owner=owner,
        descriptions={
            id_column: f"The {entity}, and the time of the prediction.",
            "outcome": told,
        },
        personal=personal,
        required=columns,
    )


def _told(what: Happening | Settled, entity: str, keys: Sequence[str]) -> str:
    if isinstance(what, Settled):
        return f"{what.column.replace('_', ' ').capitalize()} of the row."
    by = f" ({', '.join(what.keys)})" * (list(what.keys) != list(keys))
    which = f" where {' '.join(what.where.split())}" if what.where else ""
    return (
        f"Whether {what.model} has {'no' if what.is_absent else 'a'} row of the same {entity}{by}{which} "
        f"in the {_words(what.window)} after the prediction."
    )


def _evidence(spine: Spine, what: Happening | Settled, told: str) -> Iterator[str]:
    yield f"A prediction for each row of {spine.model}, by {', '.join(spine.keys)}, at {spine.prediction_at}"
    yield f"Outcome: {told[0].lower()}{told[1:-1]}"
    if isinstance(what, Happening):
        late = _shortest(length_of(what.horizon) - length_of(what.window))
        yield f"Known {what.horizon} after the prediction: {late} more than the window, for what lands late"
    else:
        yield f"Known {what.horizon} after the prediction, as you say"
        yield f"Note: {spine.model} shows {what.column} as soon as the row is known: make no feature of it"
        yield (
            "assay training-set verify proves it: meta.label.scramble changes what landed of it"
            if what.scramble
            else "assay training-set verify proves it with meta.label.scramble alone (docs/training-sets.md)"
        )
