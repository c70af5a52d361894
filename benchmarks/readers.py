"""What it takes to ask a built project: commands that read neither start dbt nor import it."""

from __future__ import annotations

import sys

from benchmarks import landing, measure
from benchmarks.measure import middle
from benchmarks.settings import Settings
from benchmarks.table import Report, row_of

_RUNS, _SECONDS = 3, 1.0
_ASSAY = [sys.executable, "-c", "from assay.cli import app; app()"]
_COMMANDS = (
    "features list",
    "features describe ftr_card__velocity",
    "training-set list",
    "contracts check",
    "status",
    "runs list",
    "online status",
)


def run(settings: Settings) -> Report:
    folder = settings.scratch / "readers"
    folder.mkdir(parents=True)
    environment = {
        "ASSAY_LANDING": str(landing.whole_demo(settings.data)),
        "ASSAY_WAREHOUSE": str(folder / "assay.duckdb"),
        "DBT_TARGET_PATH": str(folder / "target"),
    }
    build = measure.run([*_ASSAY, "build"], environment)
    rows = [row_of("assay build", [build])]
    for command in _COMMANDS:
        costs = [measure.run([*_ASSAY, *command.split()], environment) for _ in range(_RUNS)]
        cpu = middle([cost.cpu for cost in costs])
        rows.append(row_of(f"assay {command}", costs, limit=f"{_SECONDS:g} s of CPU", met=cpu <= _SECONDS))
    return Report("readers", "commands that read, after a build of the demo", rows)
