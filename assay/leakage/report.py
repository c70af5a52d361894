"""Show what the checks have looked at and found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.leakage.findings import Check
from assay.runs.report import line, table_titled


def print_checks(checks: Sequence[Check], console: Console) -> None:
    """Print a line for each check, then each finding in full, and what could not be checked."""
    table = table_titled("Looked for leaks")
    table.add_column("check")
    table.add_column("rows looked at", justify="right")
    table.add_column("findings", justify="right")
    for check in checks:
        table.add_row(check.name, f"{check.rows:,}", str(len(check.findings)))
    console.print(table)
    for check in checks:
        for finding in check.findings:
            line(console, f"FAILED {finding}")
    for check in checks:
        for reason in check.unchecked:
            line(console, f"Not looked at by {check.name}: {reason}.")
