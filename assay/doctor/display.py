"""Print what `assay doctor` finds, as it finds it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from assay.console.tables import line
from assay.doctor.checks import Check

_WIDTH = 15


def print_checks(checks: Iterator[Check], console: Console) -> list[Check]:
    """Print each check, with what to do where it is not well; return them all."""
    found = []
    for check in checks:
        found.append(check)
        line(console, f"{check.state:8} {check.name:{_WIDTH}} {check.detail}")
        if check.remedy:
            line(console, f"{'':8} {'':{_WIDTH}} To do: {check.remedy}")
    return found
