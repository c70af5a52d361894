"""A table's change log as Debezium delivers it: JSON lines, a file a week."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TypeAlias

from example.dirt import Dirt
from example.landing import Landing
from example.malformed import broken_json
from example.period import DAY_MS, Period

Row: TypeAlias = Mapping[str, str | bool]
WEEK = 7
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A change of one row. The log's position `lsn` is given in the order of commits."""

    committed_ms: int
    op: str
    before: Row | None
    after: Row | None
    snapshot: str = "false"
    lsn: int = 0
    #: When it was delivered.
    ts_ms: int = 0


class ChangeLog:
    """Collects a table's changes and lands those of each week."""

    def __init__(
        self, rng: Random, landing: Landing, period: Period, source: str, table: str, key: str, rows: int
    ) -> None:
        self._rng = rng
        self._landing = landing
        self._period = period
        self._source = source
        self._table = table
        self._key = key
        self._ends_ms = period.epoch_ms(period.days)
        self._lsn = 24_000_000 + rng.randrange(1_000_000)
        self._week: list[Change] = []
        self._undelivered: list[tuple[int, str]] = []
        self._logged = 0
        self.folder = f"{source}/{table}"
        self.dirt = Dirt(
            rng,
            rows,
            rejected=(
                "exact_duplicate",
                "malformed_json",
                "missing_key",
                "repeated_change",
                "tombstone",
                "unknown_op",
            ),
            kept=("out_of_order",),
            counted=("tombstone",),
        )

    def snapshot(self, rows: Sequence[Row]) -> None:
        """The rows that were there when the log began."""
        start = self._period.epoch_ms(0)
        for i, row in enumerate(rows):
            self._week.append(Change(start, "r", None, row, "last" if i == len(rows) - 1 else "true"))

    def record(self, committed_ms: int, before: Row | None, after: Row | None) -> None:
        """A row inserted, updated or deleted; within a week in any order."""
        op = "c" if before is None else "d" if after is None else "u"
        self._week.append(Change(committed_ms, op, before, after))

    def end_day(self, day: int) -> None:
        """Land the week's file if a week, or the period, ends with this day."""
        last = day + 1 == self._period.days
        if (day + 1) % WEEK and not last:
            return
        self._deliver_week()
        closes_ms = self._period.epoch_ms(day + 1)
        lines = [text for at_ms, text in self._undelivered if last or at_ms < closes_ms]
        self._undelivered = self._undelivered[len(lines) :]
        if lines:
            path = self._landing.path(self.folder, self._period.at(day + 1, 0, 30), f"{self._table}.jsonl")
            self._landing.write_lines(self.folder, path, lines)

    def _deliver_week(self) -> None:
        changes = sorted(self._week, key=lambda change: change.committed_ms)
        self._week = []
        overtaking: set[Change] = set()
        for change, successor in zip(changes, self._successors(changes), strict=True):
            self._logged += 1
            delivered = self._logged_change(change)
            kind = None
            if self._logged >= self.dirt.due:
                # What overtakes another change must not be overtaken itself.
                rival = None if change in overtaking else successor
                kind = self.dirt.pick(self._logged, partial(_fits, change, rival))
            if kind == "out_of_order" and successor is not None:
                overtaking.add(successor)
                overtaken_ms = successor.committed_ms + self._rng.randrange(5_000, 30_000)
                delivered = replace(delivered, ts_ms=overtaken_ms)
            self._deliver(delivered.ts_ms, self._line(delivered))
            if change.op == "d":
                self._deliver(delivered.ts_ms, "null")
                self.dirt.count("tombstone")
            elif kind is not None:
                self._deliver_bad_line(kind, delivered)
        self._undelivered.sort(key=lambda line: line[0])

    def _logged_change(self, change: Change) -> Change:
        lag_ms = self._logged // 20 if change.op == "r" else 0
        return replace(
            change,
            lsn=self._next_lsn(),
            ts_ms=change.committed_ms + lag_ms + self._rng.randrange(50, 900),
        )

    def _deliver_bad_line(self, kind: str, change: Change) -> None:
        """The line a kind of dirt adds beside the good one."""
        again_ms = self._redelivery_ms(change.ts_ms)
        if kind == "exact_duplicate":
            self._deliver(again_ms, self._line(change))
        elif kind == "repeated_change":
            self._deliver(again_ms, self._line(replace(change, ts_ms=again_ms)))
        elif kind == "malformed_json":
            self._deliver(change.ts_ms, broken_json(self._rng, self._line(change), str(change.lsn)))
        elif kind == "unknown_op":
            self._deliver(change.ts_ms, self._line(replace(change, op="x", lsn=self._next_lsn())))
        elif kind == "missing_key" and change.after is not None:
            keyless = {name: value for name, value in change.after.items() if name != self._key}
            bad = replace(change, op="c", before=None, after=keyless, snapshot="false", lsn=self._next_lsn())
            self._deliver(change.ts_ms, self._line(bad))

    def _redelivery_ms(self, ts_ms: int) -> int:
        delay_ms = self._rng.choice((10 * MINUTE_MS, 3 * DAY_MS)) * self._rng.uniform(0.01, 1)
        latest_ms = self._ends_ms + 20 * MINUTE_MS
        return min(ts_ms + int(delay_ms), latest_ms)

    def _next_lsn(self) -> int:
        self._lsn += 8 * self._rng.randrange(5, 60)
        return self._lsn

    def _deliver(self, at_ms: int, line: str) -> None:
        self._undelivered.append((at_ms, line))

    def _line(self, change: Change) -> str:
        source = {
            "version": "2.7.0.Final",
            "connector": "postgresql",
            "name": self._source,
            "ts_ms": change.committed_ms,
            "snapshot": change.snapshot,
            "db": self._source,
            "schema": "public",
            "table": self._table,
            "lsn": change.lsn,
        }
        envelope = {
            "before": change.before,
            "after": change.after,
            "source": source,
            "op": change.op,
            "ts_ms": change.ts_ms,
        }
        return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))

    def _successors(self, changes: Sequence[Change]) -> list[Change | None]:
        """For each change the next one of the same row, if there is one."""
        upcoming: dict[object, Change] = {}
        successors: list[Change | None] = []
        for change in reversed(changes):
            key = (change.after or change.before or {})[self._key]
            successors.append(upcoming.get(key))
            upcoming[key] = change
        return successors[::-1]


def _fits(change: Change, successor: Change | None, kind: str) -> bool:
    if kind == "out_of_order":
        return change.op == "u" and successor is not None and successor.op == "u"
    return change.op != "d"
