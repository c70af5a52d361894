"""What it takes to ask a built project: commands that read neither start dbt nor import it."""

from __future__ import annotations

from benchmarks import landing
from benchmarks.measure import middle, run_assay
from benchmarks.settings import Settings
from benchmarks.table import Report, row_of

_RUNS, _SECONDS = 3, 1.0
# `contracts check` ends with 1 for what it finds in the demo.
_DONE = (0, 1)
_COMMANDS = (
    "features list",
    "features describe ftr_card__velocity",
    "training-set list",
    "contracts check",
    "status",
    "runs list",
    "online status",
    "lineage",
)


def run(settings: Settings) -> Report:
    folder = settings.scratch / "readers"
    folder.mkdir(parents=True)
    environment = {
        "ASSAY_LANDING": str(landing.whole_demo(settings.data)),
        "ASSAY_WAREHOUSE": str(folder / "assay.duckdb"),
        "DBT_TARGET_PATH": str(folder / "target"),
    }
    build = run_assay("build", environment=environment)
    rows = [row_of("assay build", [build])]
    for command in _COMMANDS:
        costs = [run_assay(*command.split(), environment=environment, codes=_DONE) for _ in range(_RUNS)]
        cpu = middle([cost.cpu for cost in costs])
        rows.append(row_of(f"assay {command}", costs, limit=f"{_SECONDS:g} s of CPU", met=cpu <= _SECONDS))
    return Report("readers", "commands that read, after a build of the demo", rows)
