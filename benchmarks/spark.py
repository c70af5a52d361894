"""Histories and joins with Spark on this machine, beside the same SQL without it."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.measure import Cost, middle, run_module
from benchmarks.settings import SMALL_EVENTS, Settings
from benchmarks.table import Report, Row, row_of, within
from benchmarks.workshop import Workshop

_MASTER = "local[2,4]"
# What Spark may take, of what this machine takes, for ten million transactions.
_LIMITS = {"velocity": 1.75, "training_join": 4.0}
# What Spark takes with DuckDB in its tasks, of what it takes by its own SQL.
_OTHERS = {"running_sums": 1.0, "range_join": 0.2}
_SAID_OF_OTHERS = {"running_sums": "sums over a window", "range_join": "range join and group by"}
_QUESTIONS = 100_000
_SAID = {"velocity": "history built", "training_join": "training set joined"}


def run(settings: Settings) -> Report:
    workshop = Workshop(settings.scratch / "workshop")
    # Range joins grow with the square of what the heaviest card has.
    rows = _beside_plain_sql(workshop, settings.runs)
    workshop.make_transactions(settings.events, questions=_QUESTIONS)
    workshop.run("velocity")
    for model, limit in _LIMITS.items():
        workshop.compiled(model)
        here, there = (
            [_cost(workshop, model, master) for _ in range(settings.runs)] for master in ("here", _MASTER)
        )
        contents = {cost.output for cost in here + there}
        ratio = middle([cost.cpu for cost in there]) / middle([cost.cpu for cost in here])
        judged = within(ratio, limit, f"{limit:g} times") if settings.is_full else {"ratio": ratio}
        said = f"{_SAID[model]}, {settings.events / 1e6:g}M"
        rows.append(row_of(f"{said}, here", here))
        # Whatever it takes, other rows are wrong.
        rows.append(
            row_of(f"{said}, Spark", there, baseline="here", **judged)
            if len(contents) == 1
            else row_of(f"{said}, Spark", there, limit="equal rows", met=False)
        )
    workshop.remove()
    return Report("spark", f"nodes computed by {_MASTER}, without the start of Spark", rows)


def _beside_plain_sql(workshop: Workshop, runs: int) -> list[Row]:
    """The history of up to a million transactions, beside the same made by Spark's own SQL."""
    rows: list[Row] = []
    for events in (SMALL_EVENTS // 4, SMALL_EVENTS // 2, SMALL_EVENTS):
        workshop.make_transactions(events)
        workshop.compiled("velocity")
        ours = [
            run_module("benchmarks.spark_node", str(workshop.folder), "velocity", _MASTER)
            for _ in range(runs)
        ]
        own = [_as_cost(cost, "common") for cost in ours]
        for way, limit in _OTHERS.items():
            others = [
                _as_cost(run_module("benchmarks.spark_sql", str(workshop.folder), way, _MASTER), "content")
                for _ in range(runs)
            ]
            said = f"history by Spark's SQL, {_SAID_OF_OTHERS[way]}, {events / 1e6:g}M"
            rows.append(row_of(said, others))
            rows.append(
                row_of(
                    "... DuckDB in tasks of Spark",
                    own,
                    baseline=said,
                    **_judged(own, others, limit if events == SMALL_EVENTS else None),
                )
            )
    return rows


def _judged(own: list[Cost], others: list[Cost], limit: float | None) -> dict[str, Any]:
    if len({cost.output for cost in own + others}) > 1:
        # Whatever it takes, other rows are wrong.
        return {"limit": "equal rows", "met": False}
    ratio = middle([cost.cpu for cost in own]) / middle([cost.cpu for cost in others])
    return {"ratio": ratio} if limit is None else within(ratio, limit, f"{limit:g} times")


def _as_cost(cost: Cost, content: str) -> Cost:
    found = json.loads(cost.output.splitlines()[-1])
    return Cost(found["cpu"], 0, found["wall"], cost.peak_rss, cost.load, json.dumps(found[content]))


def _cost(workshop: Workshop, model: str, master: str) -> Cost:
    cost = run_module("benchmarks.spark_node", str(workshop.folder), model, master)
    return _as_cost(cost, "content")
