"""Check that labels match their declaration: the outcome's window, when it is known, and the rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from assay.core.sql import quoted
from assay.leakage.declared import TrainingSet
from assay.leakage.differences import Differences
from assay.leakage.erased import Erased
from assay.leakage.findings import Check
from assay.leakage.replay import Condition, Replay, everything, everything_as_it_is, known_by
from assay.leakage.silver import gates_of
from assay.leakage.tables import columns_of, differs, literal, number, one_row, same
from assay.project.conventions import LABEL_COLUMNS
from assay.project.graph import Manifest, Node, parent_ids, relation_of

MOMENTS = 8
# Rows may be drawn among all entities, so all are examined; with more rows than this, only some entities.
_MOST_ROWS = 200_000
_ENTITIES = 200
# How much of the past is erased, None for all. Without any past, labels of active entities have no rows.
_PASTS = (timedelta(days=1), timedelta(days=14), timedelta(days=60), None)
# How far beside the window events are moved to an instant from the window.
_EDGE = timedelta(days=14)
_INSTANT = timedelta(microseconds=1)
_PAST = (
    "Its window begins before the prediction, so features may hold the outcome: begin it at prediction_at."
)
_FUTURE = "It ends later than meta.label.window and horizon say: declare what it takes to know it."
_DRAW = (
    "Rows drawn by outcome must rest on nothing else that comes after the prediction: draw them by a "
    "hash, from what was known then."
)
# By this factor, moved events come nearer to the end of the window; their order stays.
_NEARER = 1000
# The macro that draws rows by the number of all rows.
_OF_ALL = "downsample"
_POPULATION = (
    "Rows are chosen by what happens after the prediction: take all that could be asked for then, or declare "
    "meta.label.population, {known_after: 2s} or drawn_by_outcome."
)


def check_labels(training_set: TrainingSet, erased: Erased, warehouse: Path, *, moments: int) -> Check:
    """Build the label again without the past, without later events, and from what was known; compare.

    Args:
        training_set: the declared training set.
        erased: the erased warehouse, with the compiled models.
        warehouse: the warehouse file, which is only read.
        moments: the number of prediction times to try.
    """
    check = Check("labels")
    if not moments:
        check.unchecked.append("no moments were asked for")
        return check
    with Replay(training_set, erased, warehouse) as replay:
        connection = replay.connection
        gates = gates_of(erased.manifest, erased.manifest.ancestors([training_set.label_name]).values())
        replay.cut(
            f"select {quoted(replay.entity)} from (select distinct {quoted(replay.entity)} "
            f"from {training_set.label}) order by md5({quoted(replay.entity)}::varchar) limit {_ENTITIES}"
            if replay.entity and _is_large(replay, gates)
            else None
        )
        base = replay.run(training_set.label_name, everything, clock=erased.until)
        connection.execute(f"create or replace temp table whole_rows as from {base}")
        check.rows = number(connection, "select count(*) from whole_rows")
        _check_declared(check, training_set, connection)
        if replay.gates:
            _Label(check, replay, training_set, erased, gates).check(moments)
    return check


def _check_declared(check: Check, training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> None:
    """Compare the label's declaration with its rows."""
    missing = [name for name in ("window", "horizon", "population") if getattr(training_set, name) is None]
    if missing:
        check.unchecked.append(
            f"{training_set.label_name} declares no {', '.join(missing)}: say under meta.label when its "
            "outcome begins and ends, when it is known, and which rows it has"
        )
    keys = quoted(*training_set.keys)
    if training_set.window and training_set.window[0] < timedelta():
        example = one_row(connection, f"select {keys}, prediction_at from whole_rows order by all limit 1")
        value = f"made of what happens from {-training_set.window[0]} before the prediction on"
        check.found("outcome", check.rows, example, value, "of what comes after it", _PAST)
    if training_set.horizon is None:
        return
    early = (
        f"from {training_set.label} where outcome_known_at < prediction_at + interval "
        f"'{training_set.horizon.total_seconds()} seconds'"
    )
    if rows := number(connection, f"select count(*) {early}"):
        example = one_row(connection, f"select {keys}, outcome_known_at {early} order by all limit 1")
        check.found(
            "outcome_known_at", rows, example, "earlier", f"{training_set.horizon} after the prediction",
            "Known so early, outcomes are taken for features and splits before they can be.",
        )  # fmt: skip


class _Label:
    """Builds a label again from other rows."""

    def __init__(
        self, check: Check, replay: Replay, training_set: TrainingSet, erased: Erased, gates: list[Node]
    ) -> None:
        self._check = check
        self._replay = replay
        self._set = training_set
        self._erased = erased
        self._events = {gate["unique_id"] for gate in gates if not _is_change_log(erased.manifest, gate)}
        self._pairs = (
            f"from whole_rows as w inner join erased_rows as e on {same(training_set.keys, 'w', 'e')}"
        )
        self._types = columns_of(replay.connection, "whole_rows")
        self._told: set[tuple[object, ...]] = set()
        self._is_drawn = bool(training_set.population and training_set.population.is_drawn_by_outcome)
        self._blind: set[str] = set()

    def check(self, moments: int) -> None:
        past, future, known, drawn = (Differences(self._set.keys) for _ in range(4))
        for at in self._moments(moments):
            start = max(self._set.window[0], timedelta()) if self._set.window else timedelta()
            for length in _PASTS:
                begin = literal(at + start - length) if length else "timestamp '0001-01-01'"
                gone = f"event_at >= {begin} and event_at < {literal(at + start)}"
                self._build(self._without(gone))
                self._compare(past, "outcome", f"w.prediction_at >= {literal(at)}", at)
            # Events just before the window show whether it begins a little early.
            before = f"event_at >= {literal(at + start - _EDGE)} and event_at < {literal(at + start)}"
            self._build(everything, self._moved(before, literal(at + start - _INSTANT)))
            self._compare(past, "outcome", f"w.prediction_at = {literal(at)}", at)
            if self._set.window and self._set.horizon is not None:
                gone = f"event_at > {literal(at + self._set.window[1])}"
                self._build(self._without(f"{gone} or available_at > {literal(at + self._set.horizon)}"))
                self._compare(future, "outcome", f"w.prediction_at <= {literal(at)}", at)
                if self._is_drawn:
                    self._compare_population(drawn, f"{{of}}prediction_at <= {literal(at)}", at)
                end = at + self._set.window[1]
                after = f"event_at > {literal(end)} and event_at <= {literal(end + _EDGE)}"
                self._build(everything, self._moved(after, literal(end + _INSTANT)))
                self._compare(future, "outcome", f"w.prediction_at = {literal(at)}", at)
            if self._is_drawn:
                self._check_draw(drawn, at)
            else:
                self._check_population(known, at)
        past.tell(self._check, _PAST)
        future.tell(self._check, _FUTURE)
        known.tell(self._check, _POPULATION, is_warning=self._set.population is None)
        drawn.tell(self._check, _DRAW)
        self._check.telling = len(self._told)
        self._note_drawn()
        self._check.unchecked += sorted(self._blind)
        self._check.not_erasable += [
            f"{name}, taken as built: {why}" for name, why in self._replay.unread.items()
        ]

    def _check_population(self, known: Differences, at: datetime) -> None:
        """Compare the label's rows and columns with those built from what was known then."""
        lag = self._set.population.known_after if self._set.population else timedelta()
        self._build(known_by(at))
        self._compare_population(known, f"{{of}}prediction_at <= {literal(at - lag)}", at)

    def _compare_population(self, found: Differences, condition: str, at: datetime) -> None:
        """Compare the rows by outcome, and their columns.

        In the condition, `{of}` before a column is replaced by the alias of its table.
        """
        for column in self._types:
            if column not in (*self._set.keys, *LABEL_COLUMNS):
                self._compare(found, column, condition.format(of="w."), at)
        for name, value, expected in (
            ("whole", "there, of outcome {}", "not there, as without what came later"),
            ("erased", "not there", "there, as without what came later"),
        ):
            for outcome, lost in self._only_in(name, condition).items():
                # If everything later is erased, outcomes are not the final ones.
                is_known = name == "whole" or self._is_drawn
                column = f"(row) of outcome {outcome}" if is_known else "(row)"
                found.add(column, lost, value.format(outcome), expected, at)

    def _only_in(self, name: str, condition: str) -> dict[object, list[tuple[object, ...]]]:
        """Return the keys of the rows that only one of the two tables has, by outcome."""
        keys, other = quoted(*self._set.keys), "erased" if name == "whole" else "whole"
        found: dict[object, list[tuple[object, ...]]] = {}
        for *key, outcome in self._replay.connection.execute(
            f"select {keys}, outcome from {name}_rows anti join {other}_rows using ({keys}) "
            f"where {condition.format(of='')} order by all"
        ).fetchall():
            found.setdefault(outcome, []).append(tuple(key))
        return found

    def _check_draw(self, drawn: Differences, at: datetime) -> None:
        """Compare the drawn rows if later events differ and outcomes stay the same."""
        if self._set.window:
            self._check_moved(drawn, at, *(at + max(each, timedelta()) for each in self._set.window))
        for gate in sorted(self._events) if len(self._events) > 1 else ():
            self._check_other_events(drawn, at, gate)
        self._check_others(drawn, at)

    def _check_moved(self, drawn: Differences, at: datetime, start: datetime, end: datetime) -> None:
        """Move all events within the window near its end, then near its start, and compare."""
        first, last, there = literal(start), literal(end), f"{{of}}prediction_at = {literal(at)}"
        inside = f"event_at > {first} and event_at < {last}"
        for moved in (
            f"{last} - to_microseconds((epoch_us({last}) - epoch_us(event_at)) // {_NEARER})",
            f"{first} + to_microseconds((epoch_us(event_at) - epoch_us({first})) // {_NEARER})",
        ):
            before = self._without(f"event_at > {literal(at)} and event_at < {first}")
            self._build(before, self._moved(inside, moved))
            if self._outcomes_differ(there):
                self._blind.add(
                    f"how rows of {self._set.label_name} are drawn: outcomes rest on when things happen"
                )
            else:
                self._compare_population(drawn, there, at)

    def _moved(self, inside: str, moved: str) -> Condition:
        """Return columns with the times of events moved; no event is available before it happens."""

        def columns_shown(node: Node, columns: dict[str, str]) -> str:
            if node["unique_id"] not in self._events or not {"event_at", "available_at"} <= columns.keys():
                return "*"
            shown = [
                f"case when {inside} then greatest({moved}, available_at) else available_at end "
                "as available_at"
            ]
            shown += [
                f"case when {inside} and {quoted(name)} = event_at::{type_} then ({moved})::{type_} "
                f"else {quoted(name)} end as {quoted(name)}"
                for name, type_ in columns.items()
                if type_ in ("TIMESTAMP", "DATE") and name != "available_at"
            ]
            return f"* replace ({', '.join(shown)})"

        return columns_shown

    def _check_other_events(self, drawn: Differences, at: datetime, gate: str) -> None:
        """Erase the later rows of one table on which no outcome depends, and compare."""
        there = f"{{of}}prediction_at = {literal(at)}"
        self._build(self._without(f"available_at > {literal(at)}", {gate}))
        lost, gained = (self._only_in(name, there) for name in ("whole", "erased"))
        outcomes = number(
            self._replay.connection,
            f"select count(distinct outcome) from whole_rows where {there.format(of='')}",
        )
        # Outcomes depend on the table if rows of all outcomes disappear or change.
        if not self._outcomes_differ(there) and len(lost.keys() | gained.keys()) < outcomes:
            self._compare_population(drawn, there, at)

    def _check_others(self, drawn: Differences, at: datetime) -> None:
        """Erase the later rows of half of the entities: the rows chosen of other entities must not change."""
        nodes = self._erased.manifest.ancestors([self._set.label_name])
        if self._erased.manifest.users_of(_OF_ALL, nodes):
            self._blind.add(
                f"how rows of {self._set.label_name} are drawn: {_OF_ALL} counts those of all entities"
            )
            return
        found: list[Differences] = []
        for key in dict.fromkeys(key for each in self._replay.entities() for key in each):
            self._build(
                self._without(f"hash({quoted(key)}) % 2 = 0 and available_at > {literal(at)}", having={key})
            )
            found.append(Differences(self._set.keys))
            kept = f"{{of}}prediction_at <= {literal(at)} and hash({{of}}{quoted(key)}) % 2 = 1"
            self._compare_population(found[-1], kept, at)
            if not found[-1].columns:
                return
        for column, each in found[0].columns.items() if found else ():
            drawn.add(column, sorted(each.keys), each.value, each.expected, at)

    def _outcomes_differ(self, condition: str) -> bool:
        differing = (
            f"{self._pairs} where {condition.format(of='w.')} and w.outcome is distinct from e.outcome"
        )
        return number(self._replay.connection, f"select count(*) {differing}") > 0

    def _note_drawn(self) -> None:
        if self._set.population and self._set.population.is_drawn_by_outcome:
            counts = self._replay.connection.execute(
                f"select outcome, count(*) from {self._set.label} group by all order by all"
            ).fetchall()
            told = ", ".join(f"{count:,} of outcome {outcome}" for outcome, count in counts)
            self._check.notes.append(
                f"{self._set.label_name}, whose rows are drawn by outcome as it declares: {told}; shares of "
                "outcomes are not those of the world"
            )

    def _without(self, gone: str, among: set[str] | None = None, having: Iterable[str] = ()) -> Condition:
        """Return a condition that drops some events; change logs keep their rows: earlier states are needed.

        Args:
            gone: the condition of the events to drop.
            among: the ids of the tables that lose them; all tables of events by default.
            having: the columns that `gone` needs beside the times.
        """

        def condition(node: Node, columns: dict[str, str]) -> str:
            is_kept = (
                node["unique_id"] not in (self._events if among is None else among)
                or not {"event_at", "available_at", *having} <= columns.keys()
            )
            return "true" if is_kept else f"not coalesce({gone}, false)"

        return condition

    def _build(self, known: Condition, shown: Condition = everything_as_it_is) -> None:
        relation = self._replay.run(self._set.label_name, known, clock=self._erased.until, shown=shown)
        self._replay.connection.execute(f"create or replace temp table erased_rows as from {relation}")

    def _compare(self, found: Differences, column: str, condition: str, at: datetime) -> None:
        connection, keys = self._replay.connection, quoted(*self._set.keys, of="w")
        self._told.update(connection.execute(f"select {keys} {self._pairs} where {condition}").fetchall())
        rows = connection.execute(
            f"select {keys}, w.{quoted(column)}, e.{quoted(column)} {self._pairs} "
            f"where {condition} and {differs(column, self._types[column])} order by w.prediction_at, {keys}"
        ).fetchall()
        if rows:
            found.add(column, [row[:-2] for row in rows], rows[0][-2], rows[0][-1], at)

    def _moments(self, moments: int) -> list[datetime]:
        """Return prediction times that are spread over all prediction times."""
        [(found,)] = self._replay.connection.execute(
            "select quantile_disc(prediction_at, list_transform(range(?), lambda i: (i + 1) / (? + 1))) "
            "from (select distinct prediction_at from whole_rows)",
            [moments, moments],
        ).fetchall()
        return sorted(set(found or []))


def _is_large(replay: Replay, gates: list[Node]) -> bool:
    return (
        sum(number(replay.connection, f"select count(*) from {relation_of(each)}") for each in gates)
        > _MOST_ROWS
    )


def _is_change_log(manifest: Manifest, gate: Node) -> bool:
    """Tell whether rows of silver are states and not events, by the name of the model that reads them."""
    return any(
        gate["unique_id"] in parent_ids(node) and node["name"].endswith("__changes")
        for node in manifest.nodes.values()
    )
