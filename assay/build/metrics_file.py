"""Write metrics of the last build to a file for Prometheus (node_exporter's textfile collector)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from assay.build.freshness import Freshness
from assay.ledger.results import NodeResult
from assay.ledger.runs import Run

FILE = "assay.prom"


def write_metrics(
    folder: Path,
    run: Run,
    nodes: Sequence[NodeResult],
    *,
    succeeded_at: datetime | None,
    freshness: Sequence[Freshness],
) -> None:
    """Write the metrics' file in one step.

    Args:
        folder: the folder of the file.
        run: the build, which has ended.
        nodes: the results of its nodes.
        succeeded_at: when the last successful build ended (UTC), this one or an earlier one.
        freshness: the freshness of the sources.

    Raises:
        OSError: the file cannot be written.
    """
    registry = CollectorRegistry()

    def gauge(name: str, said: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"assay_{name}", said, labels, registry=registry)

    gauge("build_succeeded", "Whether the last build succeeded.").set(run.status == "succeeded")
    gauge("build_published", "Whether the last build published gold.").set(run.published_at is not None)
    started, ended = run.started_at, run.ended_at or run.started_at
    gauge("build_ended_timestamp_seconds", "When the last build ended.").set(_seconds(ended))
    gauge("build_duration_seconds", "How long the last build took.").set(_seconds(ended) - _seconds(started))
    if succeeded_at:
        gauge("build_last_success_timestamp_seconds", "When the last build that succeeded ended.").set(
            _seconds(succeeded_at)
        )
    gauge("build_files_loaded", "Files that the last build loaded.").set(run.files_loaded)
    gauge("build_rows_landed", "Rows that the last build loaded.").set(run.rows_landed)
    statuses = gauge("build_nodes", "Nodes of the last build, by how they ended.", ["kind", "status"])
    for (kind, status), number in Counter((node.kind, node.status) for node in nodes).items():
        statuses.labels(kind, status).set(number)
    failed = gauge("build_tests_failed", "Tests of the last build that failed or warned.", ["severity"])
    failed.labels("error").set(run.tests_failed)
    failed.labels("warn").set(sum(node.status == "warn" for node in nodes))
    landed = gauge("build_source_rows_landed", "Rows of a source that the last build loaded.", ["source"])
    for source in run.tables:
        landed.labels(source["source"]).set(source["landed_in_run"])
    available = gauge(
        "source_available_timestamp_seconds", "When a source's last row was usable.", ["source"]
    )
    limits = gauge("source_fresh_for_seconds", "How long a source may be silent.", ["source"])
    stale = gauge("source_stale", "Whether a source has been silent for longer.", ["source"])
    for each in freshness:
        if each.last_available_at:
            available.labels(each.source).set(_seconds(each.last_available_at))
        if each.limit_seconds is not None:
            limits.labels(each.source).set(each.limit_seconds)
            stale.labels(each.source).set(each.is_stale)
    rows = gauge("table_rows", "Rows of a table after the last build.", ["relation"])
    for node in nodes:
        if node.table_rows is not None:
            rows.labels(node.relation).set(node.table_rows)
    rejected = gauge("rejected_rows", "Rows that break a rule, over all builds.", ["table", "rule_id"])
    for reject in run.rejects:
        rejected.labels(reject["table"], reject["rule_id"]).set(reject["rows"])
    folder.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(folder / FILE), registry)
    # Readable by all: the file holds only figures, and the collector usually runs as another user.
    (folder / FILE).chmod(0o644)


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()
