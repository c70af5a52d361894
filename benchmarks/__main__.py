"""`python -m benchmarks [--scale small|full] [NAME ...]`, in the project's folder."""

from __future__ import annotations

import argparse
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import (
    aggregates,
    builds,
    corpus,
    demo,
    drift,
    events,
    histories,
    increment,
    lake,
    latest,
    online,
    publish,
    readers,
    search,
    spark,
    spark_curve,
    spark_increment,
    spark_skew,
    streams,
    watching,
)
from benchmarks.measure import CommandFailed
from benchmarks.settings import Settings
from benchmarks.table import Report, machine, print_machine, print_report, write_json

BENCHMARKS: dict[str, Callable[[Settings], Report]] = {
    "events": events.run,
    "increment": increment.run,
    "histories": histories.run,
    "aggregates": aggregates.run,
    "latest": latest.run,
    "online": online.run,
    "demo": demo.run,
    "builds": builds.run,
    "publish": publish.run,
    "readers": readers.run,
    "streams": streams.run,
    "drift": drift.run,
    "watching": watching.run,
    "search": search.run,
    "corpus": corpus.run,
    "spark": spark.run,
    "spark_curve": spark_curve.run,
    "spark_increment": spark_increment.run,
    "spark_skew": spark_skew.run,
    "lake": lake.run,
}


def main() -> int:
    """Run benchmarks, print what they found, and return 1 if a limit is not met, 2 if one of them failed."""
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 140)
    settings = Settings(arguments.scale, arguments.data)
    shutil.rmtree(settings.scratch, ignore_errors=True)
    found = machine()
    print_machine(console, found)
    reports, failed = [], []
    try:
        for name in arguments.names or BENCHMARKS:
            try:
                report = BENCHMARKS[name](settings)
            except Exception as error:
                # What one cannot measure, others can.
                failed.append(name)
                told = str(error) if isinstance(error, CommandFailed) else traceback.format_exc()
                print(f"{name} failed: {told}", file=sys.stderr)
                continue
            print_report(console, report)
            reports.append(report)
            write_json(arguments.out, found, settings.scale, reports)
    finally:
        shutil.rmtree(settings.scratch, ignore_errors=True)
    console.print(f"Written to {arguments.out}")
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
        return 2
    return int(any(row.met is False for report in reports for row in report.rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=sys.modules[__name__].__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "--scale",
        choices=["small", "full"],
        default="small",
        help="small: 1M web events; full: 10M beside them, 5 GB of disk and twenty minutes",
    )
    parser.add_argument("--data", type=Path, default=Path("data/bench"), help="where landing zones are kept")
    parser.add_argument("--out", type=Path, default=Path("target/bench.json"), help="the same as JSON")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
