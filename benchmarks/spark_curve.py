"""A history of ever more transactions, built here and with Spark: where does Spark take less?"""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.measure import Cost, middle
from benchmarks.settings import FULL_EVENTS, SMALL_EVENTS, Settings
from benchmarks.table import Report, Row, row_of
from benchmarks.workshop import Workshop

MASTER = "local[2,4]"
_SMALL = (SMALL_EVENTS, 3 * SMALL_EVENTS)
_FULL = (*_SMALL, FULL_EVENTS, 3 * FULL_EVENTS)
MODEL = "velocity"


def run(settings: Settings) -> Report:
    rows: list[Row] = []
    for events in _FULL if settings.is_full else _SMALL:
        rows += measure(settings.scratch / "curve", events, 3 if events < FULL_EVENTS else 1)
    return Report("spark_curve", f"a history built by dbt and {MASTER}, without the start of Spark", rows)


def measure(folder: Path, events: int, runs: int) -> list[Row]:
    """Build the history of so many transactions on both, so often, in a folder that is removed at the end."""
    workshop = Workshop(folder)
    workshop.make_transactions(events, questions=1)
    here, there = ([_build_anew(workshop, master) for _ in range(runs)] for master in (None, MASTER))
    workshop.remove()
    return beside(f"history of {events / 1e6:g}M", here, there)


def beside(said: str, here: list[Cost], there: list[Cost]) -> list[Row]:
    """Return the rows of a history that was built here and with Spark, if both have the same content."""
    if len({cost.output for cost in here + there}) > 1:
        # Whatever it takes, other rows are wrong.
        return [row_of(f"{said}, Spark", there, limit="equal rows", met=False)]
    ratio = middle([cost.cpu for cost in there]) / middle([cost.cpu for cost in here])
    return [
        row_of(f"{said}, here", here),
        row_of(f"{said}, Spark, and the peak of a task", there, baseline="here", ratio=ratio),
    ]


def build(workshop: Workshop, master: str | None) -> Cost:
    """Build the history, and return what it cost, with its content as the output."""
    node = workshop.run(MODEL, master=master)[MODEL]
    with duckdb.connect(workshop.warehouse) as connection:
        content = connection.execute(
            f"select count(*), bit_xor(hash(h)), sum(hash(h)::hugeint)::varchar from {MODEL} as h"
        ).fetchall()
    return Cost(node.cpu, 0, node.wall, node.task_peak if master else node.peak_rss, 0, str(content))


def _build_anew(workshop: Workshop, master: str | None) -> Cost:
    """Build the history, and take it out again."""
    cost = build(workshop, master)
    with duckdb.connect(workshop.warehouse) as connection:
        connection.execute(f"drop table {MODEL}; drop table {MODEL}__input; checkpoint")
    return cost
