"""Print what the checks examined and found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.leakage.findings import Check


def print_checks(checks: Sequence[Check], console: Console, *, strict: bool = False) -> None:
    """Print a line for each check, then each finding in full, and what could not be checked.

    With `strict`, columns that depend on data without a time are failures.
    """
    table = table_titled("Looked for leaks")
    table.add_column("check")
    for name in ("rows looked at", "could show a leak", "leaks", "warnings"):
        table.add_column(name, justify="right")
    for check in checks:
        telling = check.rows if check.telling is None else check.telling
        figures = (check.rows, telling, len(check.findings), len(check.warnings))
        table.add_row(check.name, *(f"{figure:,}" for figure in figures))
    console.print(table)
    for check in checks:
        for note in check.notes:
            line(console, f"Looked at by {check.name}: {note}.")
    for check in checks:
        for finding in check.findings:
            line(console, f"FAILED {finding}")
    for check in checks:
        for reason in check.not_erasable:
            line(console, f"{'FAILED' if strict else 'Warning:'} {check.name}: cannot be erased: {reason}.")
        for finding in check.warnings:
            line(console, f"Warning: {finding}")
    for check in checks:
        for reason in check.unchecked:
            line(console, f"Not looked at by {check.name}: {reason}.")
