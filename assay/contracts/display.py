"""Print contracts and the differences from them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.contracts.check import Checked
from assay.contracts.diff import Change
from assay.contracts.document import Finding


def print_check(checked: Checked, console: Console) -> None:
    """Print the contracts, and the findings of a check."""
    if checked.contracts:
        table = table_titled("Contracts")
        for column in ("contract", "of", "owner", "status"):
            table.add_column(column, no_wrap=True)
        for column in ("tables", "rules"):
            table.add_column(column, justify="right")
        table.add_column("consumers")
        for contract in checked.contracts:
            rules = sum(1 for each in contract.tables for _ in each.all_rules())
            table.add_row(
                contract.id,
                "source" if contract.is_of_source else "product",
                contract.owner or "-",
                str(contract.raw.get("status", "-")),
                str(len(contract.tables)),
                str(rules),
                ", ".join(contract.consumers) or "-",
            )
        console.print(table)
    else:
        line(console, "There are no contracts.")
    _print_findings(checked.findings, console)
    if not checked.findings:
        looked_at = (
            "contracts, dbt's YAML and the warehouse" if checked.has_data else "contracts and dbt's YAML"
        )
        line(console, f"No differences between {looked_at}.")
        if not checked.has_data:
            line(console, "There is no warehouse yet: after assay build, its tables are compared, too.")


def print_sync(synced: Checked, console: Console) -> None:
    """Print which files a sync wrote, or why it wrote none."""
    _print_findings(synced.findings, console)
    if synced.findings:
        line(console, "Nothing is written.")
        return
    for path in synced.written:
        line(console, f"Written: {path}")
    if not synced.written:
        line(console, "Nothing to write: dbt's side is as the contracts have it.")
    if synced.rules_changed:
        line(
            console,
            "Rules have changed. Rows that landed before are held to them by: assay build --full-refresh",
        )


def print_diff(changes: Sequence[Change], console: Console) -> None:
    """Print each change, breaking ones first."""
    for change in sorted(changes, key=lambda each: (not each.is_breaking, each.where)):
        word = "BREAKING" if change.is_breaking else "fine    "
        line(console, f"{word}  {change.rule}  {change.where}: {change.what}")
    breaking = sum(change.is_breaking for change in changes)
    line(console, f"{breaking} breaking of {len(changes)} changes." if changes else "No changes.")


def _print_findings(findings: Sequence[Finding], console: Console) -> None:
    for finding in findings:
        line(console, str(finding))
    if findings:
        line(console, "1 finding." if len(findings) == 1 else f"{len(findings)} findings.")
