"""Run dbt within this process, and report which nodes run, how long they take, and how they end.

dbt is imported where it runs: that takes two seconds, and most commands do without it.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol
from unittest import mock

from assay.core.sql import quoted
from assay.project.head_start import made_once, prepare_import
from assay.project.lake import is_lake, named_in_profile

# The environment variables in which the project finds the warehouse and the landing folder.
_WAREHOUSE, _LANDING = "ASSAY_WAREHOUSE", "ASSAY_LANDING"
# The plugin of dbt-duckdb that opens lakes.
_LAKES = "assay.project.lake_plugin"
# dbt prints nothing on the console, and writes everything to logs/dbt.log.
_QUIET = ["--log-level", "none", "--log-level-file", "debug", "--no-print", "--no-use-colors"]


class Watcher(Protocol):
    """Receives what dbt does; dbt's threads call its methods."""

    def planned(self, nodes: int) -> None:
        """Receive the number of nodes that dbt is about to run."""

    def started(self, node: str) -> None:
        """Receive the name of a node that begins."""

    def ended(self, node: str) -> None:
        """Receive the name of a node that has succeeded, failed, or is skipped."""

    def heard(self, event: Any) -> None:
        """Receive an event of dbt: each one, also those behind the other methods."""


class Unwatched:
    """A watcher that does nothing."""

    def planned(self, nodes: int) -> None:
        """Do nothing."""

    def started(self, node: str) -> None:
        """Do nothing."""

    def ended(self, node: str) -> None:
        """Do nothing."""

    def heard(self, event: Any) -> None:
        """Do nothing."""


@dataclass
class DbtOutcome:
    """How a dbt command ended.

    `seconds` is the wall time of the whole command; `duckdb_seconds` the sum over all SQL statements, which
    run on several threads. `exception` is set where dbt could not run the nodes at all.
    """

    succeeded: bool = False
    results: list[Any] = field(default_factory=list)
    exception: BaseException | None = None
    seconds: float = 0.0
    duckdb_seconds: float = 0.0


def run_dbt(
    arguments: list[str],
    *,
    warehouse: Path,
    on_start: Callable[[str], None],
    watcher: Watcher,
    landing: Path | None = None,
    manifest: Any = None,
    attached: Mapping[str, Path] | None = None,
    plugins: Sequence[str] = (),
    on_interrupt: Callable[[], None] = lambda: None,
) -> DbtOutcome:
    """Run a dbt command in the project of the current folder; nothing is printed on the console.

    The warehouse is closed again when this returns, and can be opened in any mode.

    Args:
        arguments: the command and its options, as on dbt's command line.
        warehouse: the file the profile is to open.
        on_start: called with dbt's invocation id before anything else happens; an exception stops the run.
        watcher: receives what dbt does.
        landing: the folder from which files are loaded; None for the project's own.
        manifest: the project's parsed manifest; None to parse the project.
        attached: files that are attached read-only, by the name of their catalog.
        plugins: modules of plugins of dbt-duckdb, beside those of the profile.
        on_interrupt: called when the user interrupts, to end what dbt waits for and cannot end itself.
    """
    runner = _dbt_runner()
    events = DbtEvents(on_start, watcher)
    started = time.monotonic()
    places = {_WAREHOUSE: str(warehouse)} | ({_LANDING: str(landing)} if landing else {})
    # The catalog of a lake takes one writer at a time.
    threads = ["--threads", "1"] if is_lake(warehouse) else []
    result = None
    with _environment(places), _profile_opens(warehouse, attached or {}, plugins), made_once():
        try:
            with _interrupts_noted(on_interrupt) as interrupts:
                result = runner(manifest=manifest, callbacks=[events]).invoke([*_QUIET, *arguments, *threads])
        finally:
            release_warehouse(failed=not (result and result.success))
    return DbtOutcome(
        succeeded=result.success,
        results=list(getattr(result.result, "results", [])),
        exception=result.exception or (interrupts[0] if interrupts else None),
        seconds=time.monotonic() - started,
        duckdb_seconds=events.duckdb_seconds,
    )


def ask_dbt(arguments: list[str], warehouse: Path, manifest: Any = None) -> Any:
    """Run a dbt command that builds nothing, and return dbt's result; the files of the last build stay.

    Args:
        arguments: the command and its options, as on dbt's command line.
        warehouse: the file the profile is to name.
        manifest: the project's parsed manifest; None to parse the project.

    Raises:
        KeyboardInterrupt: the user interrupts it; dbt would return it as one of its errors.
    """
    runner = _dbt_runner()
    result = None
    with _environment({_WAREHOUSE: str(warehouse)}), _profile_opens(warehouse, {}), made_once():
        try:
            with _interrupts_noted() as interrupts:
                result = runner(manifest=manifest).invoke([*_QUIET, "--no-write-json", *arguments])
        finally:
            release_warehouse(failed=not (result and result.success))
    if interrupts:
        raise interrupts[0]
    return result


def _dbt_runner() -> Any:
    prepare_import()
    from dbt.cli.main import dbtRunner

    return dbtRunner


@contextmanager
def _profile_opens(
    warehouse: Path, attached: Mapping[str, Path], plugins: Sequence[str] = ()
) -> Iterator[None]:
    """Make dbt build into this file, whatever its profile names: a file, memory, or an attached database."""
    from dbt.adapters.duckdb.credentials import DuckDBCredentials

    read = DuckDBCredentials.__pre_deserialize__

    def read_with_file(_: type, data: dict[str, Any]) -> Any:
        replaced = data.get("database") or ""
        attachments = [
            *(each for each in data.get("attach") or [] if each.get("alias") != replaced),
            *(_attachment(name, file) | {"read_only": True} for name, file in attached.items()),
        ]
        lakes = [_LAKES] if any(map(is_lake, (warehouse, *attached.values()))) else []
        opened_with = [
            *(each for each in data.get("plugins") or [] if each.get("module") != _LAKES),
            # Without an alias, the last part of the module is its name, and of one name dbt keeps the last.
            *({"module": name, "alias": name} for name in (*lakes, *plugins)),
        ]
        place: dict[str, Any] = {"path": str(warehouse)}
        if is_lake(warehouse):
            place = {"path": ":memory:", "database": warehouse.stem}
            attachments = [_attachment(warehouse.stem, warehouse), *attachments]
        # Without attachments there is no such key: dbt parses all files again when the profile differs.
        others = {"attach": attachments, "plugins": opened_with}
        data = {key: value for key, value in data.items() if key not in ("database", *others)}
        return read(data | place | {key: values for key, values in others.items() if values})

    with mock.patch.object(DuckDBCredentials, "__pre_deserialize__", classmethod(read_with_file)):
        yield


def _attachment(name: str, file: Path) -> dict[str, Any]:
    """Return how a profile attaches a warehouse under a name."""
    if is_lake(file):
        return {"path": named_in_profile(file), "alias": name, "is_ducklake": True}
    # dbt-duckdb writes the name into its SQL as it is.
    return {"path": str(file), "alias": quoted(name)}


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_noted(
    on_interrupt: Callable[[], None] = lambda: None,
) -> Iterator[list[KeyboardInterrupt]]:
    """Note each interrupt of the user, and call a function.

    Python drops an interrupt where no exception can be raised, such as while an object is finalised, and
    libraries may catch it as their own error. Without the note, the run would go on.
    """
    noted: list[KeyboardInterrupt] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(KeyboardInterrupt())
        on_interrupt()
        raise noted[-1]

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


class DbtEvents:
    """Follows dbt's events, which come from all of its threads."""

    def __init__(self, on_start: Callable[[str], None], watcher: Watcher) -> None:
        self.duckdb_seconds = 0.0
        self._on_start: Callable[[str], None] | None = on_start
        self._watcher = watcher
        self._lock = threading.Lock()
        # How many starts of a node have not ended yet: each batch of a model starts under the model's id.
        self._open: Counter[str] = Counter()

    def __call__(self, event: Any) -> None:
        """Follow an event of dbt."""
        with self._lock:
            if self._on_start:
                on_start, self._on_start = self._on_start, None
                on_start(event.info.invocation_id)
            self._watcher.heard(event)
            match event.info.name:
                case "SQLQueryStatus":
                    self.duckdb_seconds += event.data.elapsed
                case "ConcurrencyLine":
                    self._watcher.planned(event.data.node_count)
                case "NodeStart" | "NodeFinished" | "SkippingDetails" as name:
                    self._follow(name, event.data.node_info)

    def _follow(self, name: str, node: Any) -> None:
        if node.resource_type == "unit_test" or node.materialized == "ephemeral":
            # dbt's count of nodes to run does not include hooks.
            return
        if name == "NodeStart":
            self._open[node.unique_id] += 1
            if self._open[node.unique_id] == 1:
                self._watcher.started(node.node_name)
            return
        if name == "NodeFinished":
            self._open[node.unique_id] -= 1
        # After a hook that failed, nodes are skipped that never began; others that are skipped end as well.
        if not self._open[node.unique_id]:
            self._watcher.ended(node.node_name)


def release_warehouse(*, failed: bool) -> None:
    """Close the connections that dbt-duckdb keeps open for the next command of the same process.

    Args:
        failed: whether the command failed.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters

    reset_adapters()  # type: ignore[no-untyped-call]
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if failed:
        # Tracebacks of failed nodes keep cursors alive, and cursors keep the file open.
        gc.collect()
