"""What is new of a history, computed here and with Spark."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.measure import Cost
from benchmarks.settings import SMALL_EVENTS, Settings
from benchmarks.spark_curve import MASTER, MODEL, beside, build
from benchmarks.table import Report, Row
from benchmarks.workshop import Workshop

_BEFORE = 3 * SMALL_EVENTS
# Of more than the second, half of the history would be touched, and Spark would make all of it.
_ADDED = (SMALL_EVENTS * 3 // 10, 2 * SMALL_EVENTS)
_RUNS = 2


def run(settings: Settings) -> Report:
    rows: list[Row] = []
    for added in _ADDED:
        rows += _measure(settings.scratch / "increment", added)
    title = f"added to a history of {_BEFORE / 1e6:g}M transactions, by dbt and {MASTER}"
    return Report("spark_increment", title, rows)


def _measure(folder: Path, added: int) -> list[Row]:
    workshop = Workshop(folder)
    workshop.make_transactions(_BEFORE, questions=1)
    workshop.run(MODEL)
    workshop.add_transactions(_BEFORE, added)
    before = workshop.warehouse.with_suffix(".before")
    shutil.copy(workshop.warehouse, before)
    here, there = ([_build_on(workshop, before, master) for _ in range(_RUNS)] for master in (None, MASTER))
    workshop.remove()
    return beside(f"{added / 1e6:g}M added", here, there)


def _build_on(workshop: Workshop, before: Path, master: str | None) -> Cost:
    """Build from a copy of the warehouse on."""
    shutil.copy(before, workshop.warehouse)
    return build(workshop, master)
