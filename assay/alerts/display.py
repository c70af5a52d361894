"""Print which alerts stand, and what to do about them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.alerts.states import Alert
from assay.console.tables import line
from assay.ledger.alerts import StandingAlert


def print_alerts(alerts: Sequence[Alert], console: Console) -> None:
    """Print a line for each alert."""
    for alert in alerts:
        line(console, str(alert))
    if not alerts:
        line(console, "No alert stands.")


def print_runbook(page: str, console: Console) -> None:
    """Print a page as it is written."""
    line(console, page.rstrip())


def print_closed(closed: StandingAlert, console: Console) -> None:
    """Print which alert nobody is told of any more."""
    line(console, f"Closed: {closed.runbook} {closed.name}. Nobody is told of it again until it was over.")
