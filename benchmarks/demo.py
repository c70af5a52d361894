"""The whole default demo: every model, snapshot, seed and test."""

from __future__ import annotations

from benchmarks import landing
from benchmarks.build import Warehouse
from benchmarks.measure import middle
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of

_SECONDS = 60.0
_RUNS = 3


def warehouse_of_demo(settings: Settings) -> Warehouse:
    """A warehouse for the demo's landing zone, not built yet."""
    warehouse = Warehouse(settings.scratch / "demo", landing.whole_demo(settings.data))
    # dbt reads the project at its first run alone.
    warehouse.build_of_nothing("--select", "web_event_types", "--exclude-resource-type", "test")
    return warehouse


def run(settings: Settings) -> Report:
    warehouse = warehouse_of_demo(settings)
    builds = []
    for _ in range(_RUNS):
        warehouse.remove_data()
        builds.append(warehouse.build())
    warehouse.remove()
    wall = middle([build.cost.wall for build in builds])
    statements = middle([build.statements for build in builds])
    loading = middle([build.loading for build in builds])
    return Report(
        "demo",
        f"dbt build of the default demo, {builds[0].nodes} nodes",
        [
            row_of(
                "whole build",
                [build.cost for build in builds],
                limit=f"wall below {_SECONDS:g} s",
                met=wall < _SECONDS,
            ),
            Row("... dbt's start-up", _RUNS, cpu=middle([build.start_up for build in builds])),
            Row("... SQL statements, over all threads", _RUNS, wall=statements),
            Row("... landing files (brz_files)", _RUNS, wall=loading),
        ],
        ["What is left of the wall time is dbt's own: rendering, logging and its catalogue queries."],
    )
