"""Name every kind of alert. Each has a page that says what it means and what to do: its runbook."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from assay.contracts.contract import KEEPS_PROMISES
from assay.core.fault import MISUSED, Fault, unknown
from assay.ledger.results import NodeResult
from assay.project.packages import package_folder

_FOLDER = Path("docs", "runbooks")


class Runbook(StrEnum):
    """A kind of alert; its value is the name of the page in docs/runbooks."""

    ALERTS_TEST = "alerts-test"
    BUILD_FAILED = "build-failed"
    CONTRACT_BROKEN = "contract-broken"
    DAGSTER_RUN_FAILED = "dagster-run-failed"
    FEATURE_DRIFTED = "feature-drifted"
    FILES_NOT_LOADED = "files-not-loaded"
    GOLD_ROLLED_BACK = "gold-rolled-back"
    MODEL_FAILED = "model-failed"
    ONLINE_DIFFERS = "online-differs"
    ONLINE_NOT_SYNCED = "online-not-synced"
    PRODUCT_LATE = "product-late"
    QUALITY_BROKEN = "quality-broken"
    RETRAINING_DUE = "retraining-due"
    SCHEMA_CHANGED = "schema-changed"
    SOURCE_SILENT = "source-silent"
    STREAM_BEHIND = "stream-behind"
    STREAM_BROKER_AWAY = "stream-broker-away"
    STREAM_OFFSETS_LOST = "stream-offsets-lost"
    STREAM_SILENT = "stream-silent"
    STREAM_STOPPED = "stream-stopped"
    TEST_FAILED = "test-failed"


def runbook_of(node: NodeResult) -> Runbook:
    """Return the kind of alert that a build sends about a node."""
    if node.kind == "schema change":
        return Runbook.SCHEMA_CHANGED
    if not node.kind.endswith("test"):
        return Runbook.MODEL_FAILED
    return Runbook.CONTRACT_BROKEN if node.name.endswith(KEEPS_PROMISES) else Runbook.TEST_FAILED


def read_runbook(name: str) -> str:
    """Return the text of a page.

    Raises:
        Fault: there is no kind of alert of that name.
    """
    known = sorted(Runbook)
    if name not in known:
        raise Fault(unknown(f"There is no alert {name}", name, known), MISUSED)
    return (package_folder() / _FOLDER / f"{name}.md").read_text(encoding="utf-8")
