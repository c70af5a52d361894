"""What it takes to watch a build: the models that monitor, the run ledger and the report."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.demo import warehouse_of_demo
from benchmarks.measure import middle, run_assay, run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of, within

_RUNS = 3
_MONITORING, _LIMIT = "mon_", 0.25
_SECONDS = 5.0


def run(settings: Settings) -> Report:
    warehouse = warehouse_of_demo(settings)
    monitoring, rest = [], []
    for _ in range(_RUNS):
        warehouse.remove_data()
        of_nodes = warehouse.build().of_nodes
        monitoring.append(sum(spent for node, spent in of_nodes.items() if node.startswith(_MONITORING)))
        rest.append(sum(of_nodes.values()) - monitoring[-1])
    environment = {
        "ASSAY_LANDING": str(warehouse.landing),
        "ASSAY_WAREHOUSE": str(warehouse.file),
        "DBT_TARGET_PATH": str(warehouse.folder / "target"),
    }
    recorded = [
        json.loads(run_module("benchmarks.recorded", environment=environment).output.splitlines()[-1])
        for _ in range(_RUNS)
    ]
    ledger = middle([each["cpu"] for each in recorded])
    rows = [
        Row("statements of all other nodes", _RUNS, wall=middle(rest)),
        Row(
            "statements of models mon_*",
            _RUNS,
            wall=middle(monitoring),
            baseline="all other nodes",
            **within(middle(monitoring) / middle(rest), _LIMIT, f"{_LIMIT:.0%} of them"),
        ),
        Row(
            "ledger: what became of each node, and samples",
            _RUNS,
            ledger,
            middle([each["wall"] for each in recorded]),
        ),
        _report_row(ledger, environment, warehouse.folder / "report"),
    ]
    warehouse.remove()
    return Report("watching", "monitoring models, run ledger and report of the demo", rows)


def _report_row(ledger: float, environment: dict[str, str], out: Path) -> Row:
    limit = f"with the ledger, {_SECONDS:g} s of CPU"
    costs = [run_assay("report", "--out", str(out), environment=environment) for _ in range(_RUNS)]
    return row_of(
        "assay report", costs, limit=limit, met=ledger + middle([cost.cpu for cost in costs]) <= _SECONDS
    )
