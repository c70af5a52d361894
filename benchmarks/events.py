"""Bronze and silver of web events, beside bare DuckDB reading the same files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import landing
from benchmarks.build import MEMORY_LIMIT, Build, Warehouse
from benchmarks.measure import Cost, middle, run_module
from benchmarks.settings import FULL_EVENTS, SMALL_EVENTS, Settings
from benchmarks.table import Report, Row, row_of, within

SELECTION = (
    *("--select", "+slv_web_events__rejected", "slv_web_events"),
    # Tests of several sources are none of web events alone.
    *("--indirect-selection", "buildable", "--exclude-resource-type", "unit_test"),
)
_CPU_LIMIT = 4.0
_GROWTH_LIMIT = 12.0
_MEMORY_LIMIT = 8 << 30
_RUNS_OF_SMALL = 3


@dataclass(frozen=True)
class _Measured:
    events: int
    bare: list[Cost]
    dbt: list[Build]
    builds: list[Build]

    @property
    def bare_cpu(self) -> float:
        return middle([cost.cpu for cost in self.bare])

    @property
    def cpu(self) -> float:
        return middle([build.cost.cpu for build in self.builds])

    @property
    def cpu_of_dbt(self) -> float:
        return middle([build.cost.cpu for build in self.dbt])

    @property
    def cpu_of_data(self) -> float:
        return self.cpu - self.cpu_of_dbt

    @property
    def peak_rss(self) -> int:
        return max(build.cost.peak_rss for build in self.builds)


def run(settings: Settings) -> Report:
    small = _measure(settings, SMALL_EVENTS, _RUNS_OF_SMALL)
    rows = _rows(small, is_judged=not settings.is_full)
    if settings.is_full:
        full = _measure(settings, FULL_EVENTS, settings.runs)
        rows += _rows(full, is_judged=True) + _growth(small, full)
    return Report(
        "events",
        "bronze and silver of web events with their tests, by dbt",
        rows,
        [
            "Bare DuckDB: one `create table as select` from read_json of the same files, columns and types "
            "declared, with ignore_errors: it keeps no line, tests nothing and drops what it cannot read.",
            "dbt itself: the same build with no file landed, the project parsed already.",
        ],
    )


def _measure(settings: Settings, events: int, runs: int) -> _Measured:
    zone = landing.web_events(settings.data, events)
    warehouse = Warehouse(settings.scratch / f"events-{events}", zone)
    warehouse.build_of_nothing(*SELECTION)
    measured = _Measured(events, [], [], [])
    # In turns, so that both meet the same machine.
    for _ in range(runs):
        measured.bare.append(bare(zone, warehouse.folder))
        measured.dbt.append(warehouse.build_of_nothing(*SELECTION))
        measured.builds.append(warehouse.build(*SELECTION))
        warehouse.remove_data()
    warehouse.remove()
    return measured


def bare(zone: Path, scratch: Path) -> Cost:
    """What bare DuckDB takes for the same files."""
    file = scratch / "bare.duckdb"
    file.unlink(missing_ok=True)
    try:
        return run_module("benchmarks.bare", str(zone), str(file), MEMORY_LIMIT)
    finally:
        file.unlink(missing_ok=True)


def _rows(measured: _Measured, *, is_judged: bool) -> list[Row]:
    name = f"{measured.events // 1_000_000}M events"
    baseline = f"bare DuckDB, {name}"
    costs = [build.cost for build in measured.builds]
    # dbt weighs as much as the small data itself: there the limit is held against the rest.
    whole = measured.cpu / measured.bare_cpu
    data = measured.cpu_of_data / measured.bare_cpu
    said = f"CPU at most {_CPU_LIMIT:g} times the baseline" if is_judged else ""
    holds_whole = is_judged and measured.events == FULL_EVENTS
    whole_fields = within(whole, _CPU_LIMIT, said) if holds_whole else {"ratio": whole}
    data_fields = within(data, _CPU_LIMIT, said) if is_judged and not holds_whole else {"ratio": data}
    return [
        row_of(baseline, measured.bare),
        row_of(f"bronze and silver, {name}", costs, baseline=baseline, **whole_fields),
        row_of(
            f"... dbt itself, {measured.cpu_of_dbt / measured.cpu:.0%} of it",
            [build.cost for build in measured.dbt],
        ),
        Row("... the rest", len(costs), cpu=measured.cpu_of_data, baseline=baseline, **data_fields),
        Row(
            f"... memory, DuckDB limited to {MEMORY_LIMIT}",
            len(costs),
            peak_rss=measured.peak_rss,
            limit="resident at most 8 GiB",
            met=measured.peak_rss <= _MEMORY_LIMIT,
        ),
    ]


def _growth(small: _Measured, full: _Measured) -> list[Row]:
    baseline = f"{small.events // 1_000_000}M events"
    said = f"CPU at most {_GROWTH_LIMIT:g}-fold"
    return [
        Row("growth to 10M events", ratio=full.cpu / small.cpu, baseline=baseline),
        Row(
            "... without dbt itself",
            baseline=baseline,
            **within(full.cpu_of_data / small.cpu_of_data, _GROWTH_LIMIT, said),
        ),
        Row("... of bare DuckDB", ratio=full.bare_cpu / small.bare_cpu, baseline=baseline),
    ]
