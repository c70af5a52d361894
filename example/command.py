"""`assay demo`: land made-up data, and say what it holds."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from assay.console.tables import table_titled
from assay.core.fault import INTERRUPTED, MISUSED, Fault, known_fault
from example import generate


def land_demo(
    out: Path,
    console: Console,
    *,
    customers: int,
    days: int,
    events: int,
    seed: int,
    start: date,
    drift: bool,
) -> None:
    """Land demo data under `out`, which is new or empty, and print how much of it there is.

    Raises:
        Fault: `out` holds something, a number makes no sense, or the disk is full; nothing is left behind.
    """
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("a day at a time", total=days)
            manifest = generate(
                out,
                customers=customers,
                days=days,
                events=events,
                seed=seed,
                start=start,
                drift=drift,
                progress=lambda done: progress.advance(task, done),
            )
    except (FileExistsError, ValueError) as error:
        raise Fault(str(error), MISUSED) from error
    except KeyboardInterrupt as error:
        # Half of it would pass for all of it at the next build.
        shutil.rmtree(out)
        raise Fault("Interrupted: nothing is landed.", INTERRUPTED) from error
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)
        raise known_fault(error) or Fault(f"{error.filename}: {error.strerror}", MISUSED) from error
    table = table_titled(f"Landed in {out}")
    table.add_column("source")
    table.add_column("rows", justify="right")
    table.add_column("of them flawed, to be rejected", justify="right")
    for name, rows in manifest["rows"].items():
        table.add_row(name, f"{rows:,}", f"{sum(manifest['planted'][name].values()):,}")
    console.print(table)
    for each in manifest["drift"]:
        console.print(f"To be found in {each['column']}, {each['from']} to {each['to']}: {each['why']}")
    console.print("Next: assay build")
