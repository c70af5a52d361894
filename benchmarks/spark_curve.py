"""A history of ever more transactions, built here and with Spark: where does Spark take less?"""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.measure import Cost, middle
from benchmarks.settings import FULL_EVENTS, SMALL_EVENTS, Settings
from benchmarks.table import Report, Row, row_of
from benchmarks.workshop import Workshop

_MASTER = "local[2,4]"
_SMALL = (SMALL_EVENTS, 3 * SMALL_EVENTS)
_FULL = (*_SMALL, FULL_EVENTS, 3 * FULL_EVENTS)
_MODEL = "velocity"


def run(settings: Settings) -> Report:
    rows: list[Row] = []
    for events in _FULL if settings.is_full else _SMALL:
        rows += measure(settings.scratch / "curve", events, 3 if events < FULL_EVENTS else 1)
    return Report("spark_curve", f"a history built by dbt and {_MASTER}, without the start of Spark", rows)


def measure(folder: Path, events: int, runs: int) -> list[Row]:
    """Build the history of so many transactions on both, so often, in a folder that is removed at the end."""
    workshop = Workshop(folder)
    workshop.make_transactions(events, questions=1)
    here, there = ([_build(workshop, master) for _ in range(runs)] for master in (None, _MASTER))
    workshop.remove()
    said = f"history of {events / 1e6:g}M"
    if len({cost.output for cost in here + there}) > 1:
        # Whatever it takes, other rows are wrong.
        return [row_of(f"{said}, Spark", there, limit="equal rows", met=False)]
    ratio = middle([cost.cpu for cost in there]) / middle([cost.cpu for cost in here])
    return [
        row_of(f"{said}, here", here),
        row_of(f"{said}, Spark, and the peak of a task", there, baseline="here", ratio=ratio),
    ]


def _build(workshop: Workshop, master: str | None) -> Cost:
    """Build the history, take it out again, and return what it cost, with its content as the output."""
    node = workshop.run(_MODEL, master=master)[_MODEL]
    with duckdb.connect(workshop.warehouse) as connection:
        (*content,) = connection.execute(
            f"select count(*), bit_xor(hash(h)), sum(hash(h)::hugeint)::varchar from {_MODEL} as h"
        ).fetchall()
        connection.execute(f"drop table {_MODEL}; drop table {_MODEL}__input; checkpoint")
    return Cost(node.cpu, 0, node.wall, node.task_peak if master else node.peak_rss, 0, str(content))
