"""Send alerts about a run; a failure to send them does not affect the run."""

from __future__ import annotations

from pathlib import Path

import duckdb

from assay.alerts.channels import send_all
from assay.alerts.config import read_config
from assay.alerts.states import find_alerts
from assay.core.fault import Fault


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
    return config.problems + (send_all(alerts, config.channels) if alerts else [])
