"""Labels keep to what they declare: when their outcome begins, when it is known, and which rows they have."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from assay.leakage.declared import LABEL_COLUMNS, TrainingSet
from assay.leakage.differences import Differences
from assay.leakage.erased import Erased
from assay.leakage.findings import Check
from assay.leakage.replay import Condition, Replay, everything, known_by
from assay.leakage.tables import columns_of, differs, literal, number, one_row, same
from assay.manifest.graph import Manifest, Node
from assay.sql import quoted

MOMENTS = 8
_ENTITIES = 200
# How much of the past is erased, None for all, without which labels of those who were active have no rows.
_PASTS = (timedelta(days=1), timedelta(days=14), timedelta(days=60), None)
_PAST = (
    "Its window begins before the prediction, so features may hold the outcome: begin it at prediction_at."
)
_FUTURE = "It ends later than meta.label.window and horizon say: declare what it takes to know it."
_POPULATION = (
    "Rows are chosen by what happens after the prediction: take all that could be asked for then, or declare "
    "meta.label.population, {known_after: 2s} or drawn_by_outcome."
)


def check_labels(training_set: TrainingSet, erased: Erased, warehouse: Path, *, moments: int) -> Check:
    """Build the label again without the past, without what comes after its window, and of what was known.

    Args:
        training_set: as declared.
        erased: how the models were compiled.
        warehouse: the warehouse file, which is only read.
        moments: how many prediction times are tried.
    """
    check = Check("labels")
    if not moments:
        check.unchecked.append("no moments were asked for")
        return check
    with Replay(training_set, erased, warehouse) as replay:
        connection = replay.connection
        replay.cut(
            f"select {quoted(replay.entity)} from (select distinct {quoted(replay.entity)} "
            f"from {training_set.label}) order by md5({quoted(replay.entity)}::varchar) limit {_ENTITIES}"
            if replay.entity
            else "select null"
        )
        base = replay.run(training_set.label_name, everything, clock=erased.until)
        connection.execute(f"create or replace temp table whole_rows as from {base}")
        check.rows = number(connection, "select count(*) from whole_rows")
        _check_declared(check, training_set, connection)
        if replay.gates:
            _Label(check, replay, training_set, erased).check(moments)
    return check


def _check_declared(check: Check, training_set: TrainingSet, connection: duckdb.DuckDBPyConnection) -> None:
    """Compare what is declared with the rows."""
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
    """A label that is built again of other rows."""

    def __init__(self, check: Check, replay: Replay, training_set: TrainingSet, erased: Erased) -> None:
        self._check = check
        self._replay = replay
        self._set = training_set
        self._erased = erased
        self._events = {
            gate["unique_id"] for gate in replay.gates if not _is_change_log(erased.manifest, gate)
        }
        self._pairs = (
            f"from whole_rows as w inner join erased_rows as e on {same(training_set.keys, 'w', 'e')}"
        )
        self._types = columns_of(replay.connection, "whole_rows")
        self._told: set[tuple[object, ...]] = set()

    def check(self, moments: int) -> None:
        past, future, known = (Differences(self._set.keys) for _ in range(3))
        for at in self._moments(moments):
            start = max(self._set.window[0], timedelta()) if self._set.window else timedelta()
            for length in _PASTS:
                begin = literal(at + start - length) if length else "timestamp '0001-01-01'"
                gone = f"event_at >= {begin} and event_at < {literal(at + start)}"
                self._build(self._without(gone))
                self._compare(past, "outcome", f"w.prediction_at >= {literal(at)}", at)
            if self._set.window and self._set.horizon is not None:
                gone = f"event_at > {literal(at + self._set.window[1])}"
                self._build(self._without(f"{gone} or available_at > {literal(at + self._set.horizon)}"))
                self._compare(future, "outcome", f"w.prediction_at <= {literal(at)}", at)
            if not (self._set.population and self._set.population.is_drawn_by_outcome):
                self._check_population(known, at)
        past.tell(self._check, _PAST)
        future.tell(self._check, _FUTURE)
        known.tell(self._check, _POPULATION, is_warning=self._set.population is None)
        self._check.telling = len(self._told)
        self._note_drawn()
        self._check.unchecked += [
            f"{name}, taken as built: {why}" for name, why in self._replay.unread.items()
        ]

    def _check_population(self, known: Differences, at: datetime) -> None:
        """Compare which rows there are, and what they say of themselves, with what was known then."""
        lag = self._set.population.known_after if self._set.population else timedelta()
        self._build(known_by(at))
        by_then = f"prediction_at <= {literal(at - lag)}"
        for column in self._types:
            if column not in (*self._set.keys, *LABEL_COLUMNS):
                self._compare(known, column, f"w.{by_then}", at)
        connection, keys = self._replay.connection, quoted(*self._set.keys)
        for name, other, value, expected in (
            ("whole", "erased", "there, of outcome {}", "not there, as without what came later"),
            ("erased", "whole", "not there", "there, as without what came later"),
        ):
            rows = connection.execute(
                f"select {keys}, outcome from {name}_rows anti join {other}_rows using ({keys}) "
                f"where {by_then} order by all"
            ).fetchall()
            for outcome in sorted({row[-1] for row in rows}, key=str):
                lost = [row[:-1] for row in rows if row[-1] == outcome]
                told = value.format(outcome)
                known.add(
                    "(row)" if name == "erased" else f"(row) of outcome {outcome}", lost, told, expected, at
                )

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

    def _without(self, gone: str) -> Condition:
        """Keep all but some events; of change logs, what held before is needed."""

        def condition(node: Node, columns: dict[str, str]) -> str:
            is_kept = (
                node["unique_id"] not in self._events or not {"event_at", "available_at"} <= columns.keys()
            )
            return "true" if is_kept else f"not coalesce({gone}, false)"

        return condition

    def _build(self, known: Condition) -> None:
        relation = self._replay.run(self._set.label_name, known, clock=self._erased.until)
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
        """Return prediction times spread over the rows."""
        rows = self._replay.connection.execute(
            "select quantile_disc(prediction_at, list_transform(range(?), lambda i: (i + 1) / (? + 1))) "
            "from whole_rows",
            [moments, moments],
        ).fetchone()
        return sorted(set(rows[0])) if rows and rows[0] else []


def _is_change_log(manifest: Manifest, gate: Node) -> bool:
    """Whether rows of silver say what holds from then on, and not what happens: by their reader's name."""
    return any(
        gate["unique_id"] in node["depends_on"].get("nodes", []) and node["name"].endswith("__changes")
        for node in manifest.nodes.values()
    )
