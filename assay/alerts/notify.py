"""Send alerts about a run; a failure to send them does not affect the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from assay.alerts.channels import send_all
from assay.alerts.config import read_config
from assay.alerts.runbooks import Runbook
from assay.alerts.states import Alert, find_alerts
from assay.core.fault import MISUSED, Fault
from assay.core.places import ALERTS


def notify(ledger: Path, run_id: str) -> list[str]:
    """Send alerts about the changes in a run through every channel, and return what went wrong.

    Args:
        ledger: the run ledger, which holds the run.
        run_id: the id of the run, which has ended.
    """
    try:
        config = read_config()
        if not config.channels:
            return config.problems
        alerts = find_alerts(ledger, run_id, remind_after=config.remind_after)
    except (Fault, duckdb.Error, OSError) as error:
        return [f"No alerts could be sent: {error}"]
    return config.tell(alerts)[1]


@dataclass
class SentTest:
    """The channels that took a test alert, and what went wrong with others."""

    told: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def send_test_alert() -> SentTest:
    """Send a test alert to every channel of the project in the current folder.

    Raises:
        Fault: alerts.yml names no channels.
    """
    config = read_config()
    if not config.channels and not config.problems:
        raise Fault(f"{ALERTS} names no channels: write them there, such as - type: stdout.", MISUSED)
    alert = Alert(Runbook.ALERTS_TEST, "broken", "a test", "alert", "", None, "warn", "This is a test")
    took, problems = send_all([alert], config.channels)
    return SentTest([str(each) for each in took], [*config.problems, *problems])
