"""A history of which one card has much, made with Spark: how much longer does the task of that card take?"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.measure import Cost, middle, run_module
from benchmarks.settings import FULL_EVENTS, SMALL_EVENTS, Settings
from benchmarks.spark_curve import MASTER, MODEL
from benchmarks.table import Report, Row, row_of
from benchmarks.workshop import Workshop

# What one card has of all transactions.
_SHARES = (0.0, 0.01, 0.3)


def run(settings: Settings) -> Report:
    events = FULL_EVENTS if settings.is_full else 3 * SMALL_EVENTS
    workshop = Workshop(settings.scratch / "skew")
    rows: list[Row] = []
    for share in _SHARES:
        workshop.make_transactions(events, heaviest=share, questions=1)
        workshop.compiled(MODEL)
        rows += _measure(workshop, f"{events / 1e6:g}M, one card has {share:.0%}", settings.runs)
    workshop.remove()
    return Report("spark_skew", f"a history made by {MASTER}, without the start of Spark", rows)


def _measure(workshop: Workshop, said: str, runs: int) -> list[Row]:
    costs, tasks = [], []
    for _ in range(runs):
        cost = run_module("benchmarks.spark_node", str(workshop.folder), MODEL, MASTER)
        found = json.loads(cost.output.splitlines()[-1])
        tasks.append(found["tasks"])
        costs.append(Cost(found["cpu"], 0, found["wall"], found["tasks"]["peak"], cost.load))
    return [
        row_of(f"{said}, and the peak of a task", costs),
        _of_tasks(f"... the largest of {len(tasks[0]['cpu'])} tasks", tasks),
    ]


def _of_tasks(said: str, tasks: list[dict[str, Any]]) -> Row:
    """The CPU seconds of the largest task, and how often it takes those of the middle one."""
    largest = middle([max(each["cpu"]) for each in tasks])
    return Row(
        said,
        len(tasks),
        cpu=largest,
        ratio=largest / middle([middle(each["cpu"]) for each in tasks]),
        baseline="the middle one",
    )
