"""Tell people what a run changed; whatever goes wrong with that, the run is none the worse."""

from __future__ import annotations

from pathlib import Path

import duckdb

from assay.alerts.channels import send_all
from assay.alerts.config import read_config
from assay.alerts.states import find_alerts
from assay.core.fault import Fault


def notify(ledger: Path, run_id: str) -> list[str]:
    """Tell every channel what a run changed, and return what went wrong.

    Args:
        ledger: the run ledger, which has the run.
        run_id: the run, which has ended.
    """
    try:
        config = read_config()
        if not config.channels:
            return config.problems
        alerts = find_alerts(ledger, run_id, remind_after=config.remind_after)
    except (Fault, duckdb.Error, OSError) as error:
        return [f"No alerts could be sent: {error}"]
    return config.problems + (send_all(alerts, config.channels) if alerts else [])
