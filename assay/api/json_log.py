"""Report a build as JSON, one object on each line, for programs that collect logs.

Every line has `time` (UTC), `level` (`info`, `warning` or `error`) and `event`; from the moment dbt begins
also `run_id`, which is dbt's invocation id and the id in the run ledger.
"""

from __future__ import annotations

import threading
import traceback
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import orjson

from assay.core.fault import Fault
from assay.core.moment import now
from assay.project.failures import FAILED

if TYPE_CHECKING:
    from assay.build.build import Report

_LEVELS = {"warn": "warning", "error": "error"}
# dbt's events that are left out: they repeat what is reported for each node, or are only layout.
_NOT_TOLD = ("NodeStart", "NodeFinished", "Formatting")


class JsonLog:
    """A display that writes the progress of a run as lines of JSON; all of dbt's threads may call it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._run_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Fault):
            said = "".join(traceback.format_exception(error))
            self._write("crashed", "error", message=str(error) or type(error).__name__, traceback=said)

    def say(self, message: str) -> None:
        """Write a message for people."""
        level = "warning" if message.startswith("Warning: ") else "info"
        self._write("said", level, message=message.removeprefix("Warning: "))

    def loaded(self, message: str) -> None:
        """Write that the loader has committed something."""
        self._write("loaded", message=message)

    def planned(self, nodes: int) -> None:
        """Write how many nodes dbt is about to run."""
        self._write("planned", nodes=nodes)

    def started(self, node: str) -> None:
        """Do nothing: `heard` writes more about it."""

    def ended(self, node: str) -> None:
        """Do nothing: `heard` writes more about it."""

    def heard(self, event: Any) -> None:
        """Write an event of dbt: nodes that begin and end, and messages above the level debug."""
        self._run_id = event.info.invocation_id
        match event.info.name:
            case "NodeStart":
                self._write("node_started", **_node(event.data.node_info))
            case "NodeFinished":
                result = event.data.run_result
                level = "error" if result.status in FAILED else _LEVELS.get(result.status, "info")
                ended = {"status": result.status, "seconds": result.execution_time}
                if result.num_failures:
                    ended["failing_rows"] = result.num_failures
                elif result.message and level != "info":
                    ended["message"] = result.message
                self._write("node_ended", level, **_node(event.data.node_info), **ended)
            case name if event.info.level != "debug" and name not in _NOT_TOLD:
                level = _LEVELS.get(event.info.level, "info")
                self._write("dbt", level, name=name, message=event.info.msg.strip())

    def fault(self, fault: Fault) -> None:
        """Write why the command failed."""
        self._write("fault", "error", message=str(fault), exit_code=fault.exit_code)

    def report(self, report: Report) -> None:
        """Write the outcome of a build."""
        run, account, verdict = report.run, report.account, report.verdict
        for source in account.landed:
            self._write("landed", **asdict(source))
        for reject in account.rejects:
            self._write("rejected", **asdict(reject))
        for files in account.troubled:
            self._write("file_not_loaded", "warning", **asdict(files))
        for change in account.schema_changes:
            if change.state == "open":
                self._write("schema_change", "warning", **asdict(change))
        for warning in report.warnings:
            self._write("warning", "warning", message=warning)
        for level, failures in (("warning", verdict.warnings), ("error", verdict.failures)):
            for failure in failures:
                self._write("broken", level, **asdict(failure))
        for product, why in report.products.stopped.items():
            self._write("stopped", "error", product=product, why=why)
        if report.publication:
            published = report.publication
            self._write("published", path=str(published.path), tables=published.tables, rows=published.rows)
        else:
            self._write("withheld", "error" if report.failed else "warning", message=report.withheld)
        for view in report.online or []:
            self._write("online", **asdict(view))
        started, ended = run.started_at, run.ended_at or now()
        self._write(
            "ended",
            "error" if report.failed else "info",
            status=run.status,
            seconds=(ended - started).total_seconds(),
            dbt_seconds=run.dbt_seconds,
            duckdb_seconds=run.duckdb_seconds,
            files_loaded=run.files_loaded,
            rows_landed=run.rows_landed,
            tests_passed=run.tests_passed,
            tests_failed=run.tests_failed,
        )

    def _write(self, event: str, level: str = "info", **fields: Any) -> None:
        line = {"time": f"{now().isoformat()}Z", "level": level, "event": event}
        line |= {"run_id": self._run_id} if self._run_id else {}
        with self._lock:
            self._stream.write(orjson.dumps(line | fields, default=str) + b"\n")
            self._stream.flush()


def _node(node: Any) -> dict[str, str]:
    return {"node": node.unique_id, "kind": node.resource_type.replace("_", " ")}
