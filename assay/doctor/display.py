"""Print what `assay doctor` finds, and what `assay upgrade` changes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import line
from assay.doctor.checks import Check

_WIDTH = 15


def print_checks(checks: Sequence[Check], console: Console) -> None:
    """Print each check, with what to do where it is not well."""
    for check in checks:
        line(console, f"{check.state:8} {check.name:{_WIDTH}} {check.detail}")
        if check.remedy:
            line(console, f"{'':8} {'':{_WIDTH}} To do: {check.remedy}")


def print_upgrade(changes: Sequence[str], console: Console) -> None:
    """Print each change."""
    for change in changes or ["Nothing to change: all is of the installed version."]:
        line(console, change)
