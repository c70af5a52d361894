"""Histories and joins with Spark on this machine, beside the same SQL without it."""

from __future__ import annotations

import json

from benchmarks.measure import Cost, middle, run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of, within
from benchmarks.workshop import Workshop

_MASTER = "local[2,4]"
# What Spark may take, of what this machine takes, for ten million transactions.
_LIMITS = {"velocity": 1.75, "training_join": 4.0}
_SAID = {"velocity": "history built", "training_join": "training set joined"}


def run(settings: Settings) -> Report:
    workshop = Workshop(settings.scratch / "workshop")
    workshop.make_transactions(settings.events)
    workshop.run("velocity")
    rows: list[Row] = []
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


def _cost(workshop: Workshop, model: str, master: str) -> Cost:
    cost = run_module("benchmarks.spark_node", str(workshop.folder), model, master)
    found = json.loads(cost.output.splitlines()[-1])
    return Cost(found["cpu"], 0, found["wall"], cost.peak_rss, cost.load, json.dumps(found["content"]))
