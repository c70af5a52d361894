"""What a benchmark found, as a table for people and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Cost, middle

_GIBIBYTE = 1 << 30


@dataclass(frozen=True)
class Row:
    """A line of the table.

    `cpu`, `wall` (seconds) and `peak_rss` (bytes) are medians over `runs` runs. `ratio` is what the
    requirement speaks of, most often CPU over that of `baseline`; `limit` says the requirement in words, and
    `met` whether it is met.
    """

    what: str
    runs: int = 1
    cpu: float | None = None
    wall: float | None = None
    peak_rss: float | None = None
    ratio: float | None = None
    baseline: str = ""
    limit: str = ""
    met: bool | None = None
    every_run: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """All that one benchmark found; `remarks` say what the rows leave open."""

    name: str
    title: str
    rows: list[Row]
    remarks: list[str] = field(default_factory=list)


def row_of(what: str, costs: Sequence[Cost], **rest: Any) -> Row:
    """A row of the medians of several runs."""
    every_run = [
        {
            "cpu": cost.cpu,
            "system": cost.system,
            "wall": cost.wall,
            "peak_rss": cost.peak_rss,
            "load": cost.load,
        }
        for cost in costs
    ]
    return Row(
        what,
        len(costs),
        middle([cost.cpu for cost in costs]),
        middle([cost.wall for cost in costs]),
        max(cost.peak_rss for cost in costs),
        every_run=every_run,
        **rest,
    )


def within(ratio: float, limit: float, said: str) -> dict[str, Any]:
    """The fields of a row that is held against a limit."""
    return {"ratio": ratio, "limit": said, "met": ratio <= limit}


def machine() -> dict[str, Any]:
    """What the figures were measured on, as far as it matters."""
    load = os.getloadavg()
    return {
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": load,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def print_machine(console: Console, found: dict[str, Any]) -> None:
    console.print(
        f"{found['cores']} cores, {found['memory'] / _GIBIBYTE:.0f} GiB, {found['system']}; "
        f"load {found['load'][0]:.1f} now, {found['load'][2]:.1f} over a quarter of an hour"
    )


def print_report(console: Console, report: Report) -> None:
    table = Table(title=f"{report.name}: {report.title}", title_justify="left")
    table.add_column("what", overflow="fold")
    for heading in ("runs", "CPU s", "wall s", "peak GiB", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("to", overflow="fold")
    table.add_column("limit", overflow="fold")
    table.add_column("met")
    for row in report.rows:
        table.add_row(
            row.what,
            str(row.runs),
            _number(row.cpu),
            _number(row.wall),
            _number(row.peak_rss / _GIBIBYTE if row.peak_rss is not None else None),
            _number(row.ratio),
            row.baseline,
            row.limit,
            "" if row.met is None else "yes" if row.met else "NO",
        )
    console.print(table)
    for remark in report.remarks:
        console.print(remark, highlight=False)
    console.print()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def write_json(path: Path, found: dict[str, Any], scale: str, reports: Sequence[Report]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"scale": scale, "machine": found, "benchmarks": [asdict(report) for report in reports]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
