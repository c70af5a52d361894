"""Drift of twenty features: the macro beside numpy and scipy, and beside Evidently's preset."""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb

from benchmarks import measure
from benchmarks.measure import Cost, middle, run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of, within
from benchmarks.workshop import Workshop

# The interpreter of an environment that has Evidently, pandas and DuckDB.
EVIDENTLY = "EVIDENTLY_PYTHON"
_ROWS, _FEATURES, _RUNS = 1_000_000, 20, 3
_LIMIT, _EVIDENTLY_LIMIT = 1.0, 0.1
_SCIPY, _PRESET = "numpy and scipy", "Evidently's DataDriftPreset, with its import"
_TOLERANCE = 1e-9
_WAYS = "benchmarks.drift_ways"

# By turns: normal, exponential, few values, mostly zero. Each is shifted a little more than the one before.
_DRAWS = (
    "sqrt(-2 * ln({u})) * cos(2 * pi() * {v}) + {shift}",
    "-ln({u}) * (1 + {shift})",
    "floor({u} * 50 * (1 + {shift}))::double",
    "if({v} < 0.7 - {shift}, 0, -ln({u}))",
)


def run(settings: Settings) -> Report:
    workshop = Workshop(settings.scratch / "workshop")
    file = str(workshop.warehouse)
    with duckdb.connect(file) as connection:
        connection.execute(f"create table reference as {_rows(seed=1, shift=0)}")
        connection.execute(f"create table current as {_rows(seed=2, shift=0.01)}")
    sql = str(workshop.compiled("drifts"))
    whole: dict[str, list[Cost]] = {"macro": [], "scipy": []}
    starts: dict[str, list[Cost]] = {"macro": [], "scipy": []}
    for _ in range(_RUNS):
        for way in whole:
            starts[way].append(run_module(_WAYS, way, file, "0", sql))
            whole[way].append(run_module(_WAYS, way, file, str(_FEATURES), sql))
    apart = _largest_difference(*(costs[0].output for costs in whole.values()))
    cpu = {
        way: middle([cost.cpu for cost in costs]) - middle([cost.cpu for cost in starts[way]])
        for way, costs in whole.items()
    }
    rows = [
        row_of(_SCIPY, whole["scipy"]),
        row_of(
            "numeric_drift",
            whole["macro"],
            baseline=_SCIPY,
            **within(cpu["macro"] / cpu["scipy"], _LIMIT, f"{_LIMIT:g} times, start and imports aside"),
        ),
        *_evidently_rows(file, whole["macro"]),
    ]
    workshop.remove()
    return Report(
        "drift",
        f"PSI, KS and JS of {_FEATURES} features, {_ROWS / 1e6:g}M rows against {_ROWS / 1e6:g}M",
        rows,
        [
            f"Start and imports: {middle([cost.cpu for cost in starts['scipy']]):.2f} s of CPU for {_SCIPY}, "
            f"{middle([cost.cpu for cost in starts['macro']]):.2f} s for the macro.",
            f"Both find the same, to {apart:.0e}.",
        ],
    )


def _rows(seed: int, shift: float) -> str:
    columns = []
    for number in range(_FEATURES):
        u, v = (
            f"(hash(number * {_FEATURES} + {number}, {seed}, '{part}') % 1000000007 + 1) / 1000000008.0"
            for part in "uv"
        )
        draw = _DRAWS[number % len(_DRAWS)].format(u=u, v=v, shift=shift * number)
        columns.append(f"{draw} as x{number}")
    return f"select {', '.join(columns)} from range({_ROWS}) as numbers (number)"


def _largest_difference(found: str, other: str) -> float:
    """Compare what two ways print, figure for figure.

    Raises:
        ValueError: they differ by more than rounding.
    """
    one, two = json.loads(found), json.loads(other)
    apart = max(abs(a - b) for name in one for a, b in zip(one[name], two[name], strict=True))
    if one.keys() != two.keys() or apart > _TOLERANCE:
        raise ValueError(f"the two ways differ by {apart}:\n{found}\n{other}")
    return apart


def _evidently_rows(file: str, macro: list[Cost]) -> list[Row]:
    limit = f"{_EVIDENTLY_LIMIT:g} times"
    interpreter = os.environ.get(EVIDENTLY)
    if not interpreter:
        said = f"not measured: {EVIDENTLY} names no Python that has evidently, pandas and duckdb"
        return [Row(_PRESET, 0, limit=said)]
    script = str(Path(__file__).with_name("drift_evidently.py"))
    costs = [measure.run([interpreter, script, file, str(_FEATURES)]) for _ in range(_RUNS)]
    ratio = middle([cost.cpu for cost in macro]) / middle([cost.cpu for cost in costs])
    return [
        row_of(_PRESET, costs),
        row_of(
            "numeric_drift, whole process",
            macro,
            baseline="Evidently",
            **within(ratio, _EVIDENTLY_LIMIT, limit),
        ),
    ]
