"""Send the events of a build to where OpenLineage's own settings say, if they say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from assay.ledger.results import NodeResult
from assay.ledger.runs import Run

# OpenLineage's own: an address, a file of settings, or settings one by one.
_VARIABLES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
_FILE = "openlineage.yml"
_SECONDS_TO_SEND = 30


def tell_lineage(run: Run, nodes: Sequence[NodeResult], results: Iterable[Any], warehouse: Path) -> list[str]:
    """Send what a build read and wrote; return what went wrong with that, which fails no build.

    Args:
        run: the build, which has ended.
        nodes: what became of its nodes.
        results: of dbt's run.
        warehouse: the file it wrote.
    """
    if not _is_asked_for():
        return []
    try:
        from openlineage.client import OpenLineageClient

        from assay.lineage.events import events_of
    except ModuleNotFoundError as missing:
        return [
            f"OpenLineage is told where to send lineage, and that needs {missing.name}: "
            "pip install 'assay[lineage]', or take the settings away."
        ]
    sent, events = 0, []
    try:
        events = events_of(run, nodes, results, warehouse)
        client = OpenLineageClient()
        for event in events:
            client.emit(event)
            sent += 1
        client.close(_SECONDS_TO_SEND)
    # Of what a transport may raise there is no list.
    except Exception as error:
        return [f"Lineage was not sent, but for {sent} of {len(events)} events: {error}"]
    return []


def _is_asked_for() -> bool:
    return Path(_FILE).is_file() or any(name.startswith(_VARIABLES) for name in os.environ)
