"""What `assay build` of the default demo costs, by what has changed since the build before."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

from assay.build.build import Options, build
from assay.console.progress import display_on
from benchmarks import landing
from benchmarks.measure import Cost, middle, own_cpu, run_assay, run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of, within

_RUNS = 3
_ROWS = 20
_FULL_SECONDS, _NOTHING_SECONDS, _WARM_SECONDS = 30.0, 2.0, 5.0
_ONE_FILE = 0.25
_TABLE = Path("payments", "card_transactions")


def run(settings: Settings) -> Report:
    folder = settings.scratch / "builds"
    landed = folder / "landing"
    shutil.copytree(landing.whole_demo(settings.data), landed)
    environment = {
        "ASSAY_LANDING": str(landed),
        "ASSAY_WAREHOUSE": str(folder / "data" / "assay.duckdb"),
        "DBT_TARGET_PATH": str(folder / "target"),
    }
    full = []
    for _ in range(_RUNS):
        shutil.rmtree(folder / "data", ignore_errors=True)
        full.append(_build(environment))
    files = _new_files(landed)
    nothing = [_build(environment) for _ in range(_RUNS)]
    one_file = []
    for _ in range(_RUNS):
        next(files)
        one_file.append(_build(environment))
    watched = run_module("benchmarks.builds", str(landed), environment=environment).output
    warm = middle(json.loads(watched.splitlines()[-1]))
    shutil.rmtree(folder)
    whole, part = (middle([cost.cpu for cost in costs]) for costs in (full, one_file))
    idle = middle([cost.cpu for cost in nothing])
    return Report(
        "builds",
        "assay build of the default demo",
        [
            row_of(
                "first build: all nodes, tests and unit tests",
                full,
                limit=f"{_FULL_SECONDS:g} s of CPU",
                met=whole <= _FULL_SECONDS,
            ),
            row_of(
                "nothing new",
                nothing,
                limit=f"{_NOTHING_SECONDS:g} s of CPU",
                met=idle <= _NOTHING_SECONDS,
            ),
            row_of(
                f"one new file of {_ROWS} rows",
                one_file,
                baseline="first build",
                **within(part / whole, _ONE_FILE, f"{_ONE_FILE:.0%} of the first build"),
            ),
            Row(
                "... in a process that has built before, as with --watch",
                _RUNS,
                cpu=warm,
                limit=f"{_WARM_SECONDS:g} s of CPU",
                met=warm <= _WARM_SECONDS,
            ),
        ],
    )


def _build(environment: dict[str, str]) -> Cost:
    return run_assay("build", environment=environment)


def _new_files(landed: Path) -> Iterator[Path]:
    """Land one file of new card transactions at each step."""
    newest = max((landed / _TABLE).rglob("*.csv.gz"))
    with gzip.open(newest, "rt", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:_ROWS]
    happened = [datetime.fromisoformat(row["trans_date_trans_time"]) for row in rows]
    number = len(list((landed / _TABLE).rglob("more_*.csv")))
    while True:
        number += 1
        arrived = max(happened) + timedelta(days=1, hours=number)
        file_name = landed / _TABLE / f"landed_at={arrived:%Y-%m-%dT%H-%M-%S}" / f"more_{number}.csv"
        file_name.parent.mkdir(parents=True)
        with file_name.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            for place, row in enumerate(rows):
                when = arrived - timedelta(minutes=1 + place)
                new = {
                    "trans_num": f"{number:016x}{place:016x}",
                    "trans_date_trans_time": f"{when:%Y-%m-%d %H:%M:%S}",
                    "unix_time": str(int(when.timestamp())),
                }
                writer.writerow(row | {name: value for name, value in new.items() if name in row})
        yield file_name


def _main(landed: Path) -> None:
    """Build for a new file again and again in this process, and print the CPU seconds but of the first."""
    files = _new_files(landed)
    spent = []
    with display_on(Console(quiet=True)) as display:
        for _ in range(1 + _RUNS):
            next(files)
            before = own_cpu()
            if build(Options(), display).failed:
                sys.exit("the build failed")
            spent.append(own_cpu() - before)
    print(json.dumps(spent[1:]))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
