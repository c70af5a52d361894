"""A build after a hundredth more events has landed, and one after nothing has, beside the full build."""

from __future__ import annotations

import gzip
from pathlib import Path

from benchmarks import landing
from benchmarks.build import Build, Warehouse
from benchmarks.events import SELECTION
from benchmarks.measure import CommandFailed, middle
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of

_SHARE = 0.01


def run(settings: Settings) -> Report:
    zone = landing.web_events(settings.data, settings.events)
    files = sorted(path for path in zone.rglob("*.jsonl*"))
    late = _last_files(files, round(settings.events * _SHARE))
    early = [path for path in files if path not in late]
    dbt, full, grown, unchanged = [], [], [], []
    for _ in range(settings.runs):
        folder = settings.scratch / "increment"
        warehouse = Warehouse(folder, folder / "landing")
        landing.link_files(early, zone, warehouse.landing)
        warehouse.build_of_nothing(*SELECTION)
        dbt.append(warehouse.build_of_nothing(*SELECTION))
        full.append(_build(warehouse, _lines(early)))
        landing.link_files(late, zone, warehouse.landing)
        grown.append(_build(warehouse, _lines(files)))
        unchanged.append(_build(warehouse, _lines(files)))
        warehouse.remove()
    name = f"{settings.events // 1_000_000}M events"
    return Report(
        "increment",
        "bronze and silver of web events when little is new",
        [
            row_of("dbt itself: no file landed", [build.cost for build in dbt]),
            row_of(f"full build, {name}", [build.cost for build in full]),
            *_rows(f"second build, {_lines(late) / settings.events:.1%} more events", grown, full, dbt),
            *_rows("third build, nothing new", unchanged, full, dbt),
        ],
        ["Duplicates are sought among all rows and conservation is tested on all rows at every build."],
    )


def _build(warehouse: Warehouse, lines: int) -> Build:
    """Build, and see that all lines were loaded: a build that loads nothing is a fast one.

    Raises:
        CommandFailed: there are more or fewer.
    """
    build = warehouse.build(*SELECTION)
    if (loaded := warehouse.count_loaded()) != lines:
        raise CommandFailed(f"increment: {loaded:,} of {lines:,} lines were loaded.")
    return build


def _rows(what: str, builds: list[Build], full: list[Build], dbt: list[Build]) -> list[Row]:
    cpu, cpu_of_full, cpu_of_dbt = (
        middle([build.cost.cpu for build in several]) for several in (builds, full, dbt)
    )
    rest = cpu - cpu_of_dbt
    ratio, ratio_of_rest = cpu / cpu_of_full, rest / (cpu_of_full - cpu_of_dbt)
    return [
        row_of(what, [build.cost for build in builds], ratio=ratio, baseline="full build"),
        Row("... without dbt itself", len(builds), cpu=rest, ratio=ratio_of_rest, baseline="full build, so"),
    ]


def _last_files(files: list[Path], lines: int) -> list[Path]:
    """The files that landed last, as many as hold so many lines."""
    taken: list[Path] = []
    for path in sorted(files, key=lambda path: path.parent.name, reverse=True):
        if _lines(taken) >= lines:
            break
        taken.append(path)
    return taken


def _lines(files: list[Path]) -> int:
    return sum(
        (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).count(b"\n")
        for path in files
    )
