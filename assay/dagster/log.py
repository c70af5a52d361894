"""Write what Assay says into the log of a Dagster run."""

from __future__ import annotations

import io
from typing import Any

from dagster import DagsterLogManager

from assay.console.progress import Lines
from assay.console.tables import PlainConsole
from assay.project.failures import FAILED

_WIDTH = 500


class RunLog(Lines):
    """Shows the progress of a build in the log of a Dagster run.

    `run_id` is the run in Assay's ledger; None until it is recorded.

    Args:
        log: of the Dagster run.
    """

    def __init__(self, log: DagsterLogManager) -> None:
        self.console = PlainConsole(file=_LogFile(log), width=_WIDTH)
        super().__init__(self.console)
        self.run_id: str | None = None
        self._log = log

    def heard(self, event: Any) -> None:
        """Note the run, and log a node that fails at once."""
        self.run_id = self.run_id or str(event.info.invocation_id)
        if event.info.name == "NodeFinished" and event.data.node_info.node_status in FAILED:
            node = event.data.node_info
            self._log.error(f"{node.resource_type.replace('_', ' ')} {node.node_name} failed")


class _LogFile(io.StringIO):
    def __init__(self, log: DagsterLogManager) -> None:
        super().__init__()
        self._log = log

    def write(self, text: str) -> int:
        if said := text.strip():
            self._log.info(said)
        return len(text)
