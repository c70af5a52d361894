"""Take nodes over from dbt while a build runs, and compute them with Spark."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from assay.core.disk import make_private_folder
from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.words import counted
from assay.spark.engine import Computed, compute, remove
from assay.spark.jobs import Here, Increment, Job, ModelCode, decide, decide_increment
from assay.spark.plan import read_columns
from assay.spark.session import cancel_jobs, check_installed, find_master, has_started, start
from assay.spark.size import FROM, count_rows, find_least_rows
from assay.spark.tasks import set_all


class NoHandover:
    """This machine computes all nodes."""

    plugins: Sequence[str] = ()

    def cancel(self) -> None:
        """Do nothing."""


class Handover:
    """Computes nodes for one build; Spark starts with the first of them.

    `plugins` are modules of plugins that dbt-duckdb loads for that.

    Args:
        master: of the cluster.
        folder: where machines exchange files.
        say: tells people a line.
        least_rows: of a node; one that has fewer is computed here.
    """

    plugins: Sequence[str] = ("assay.spark.dbt_plugin",)

    def __init__(self, master: str, folder: Path, say: Callable[[str], None], least_rows: int) -> None:
        self._master, self._folder, self._say = master, folder, say
        self._least_rows = least_rows
        self._too_small: set[str] = set()
        self._lock = threading.Lock()
        self._spark: Any = None
        self._is_own = True
        self._is_cancelled = False

    def compute(self, asked: Mapping[str, Any], connection: duckdb.DuckDBPyConnection) -> str | None:
        """Compute a node; return the SQL that gives its rows, or None where it stays on this machine.

        Args:
            asked: the fields of `ModelCode`, the `database` of the model, and the `settings` of its session;
                where a history is kept up, `increment` has the fields of `Increment`.
            connection: of the warehouse.

        Raises:
            Fault: it declares a key that does not hold, or it cannot be computed.
        """
        settings = dict(asked["settings"])
        if settings.get("default_collation"):
            self._say(f"{asked['name']} is computed here: default_collation makes one key of several texts")
            return None
        set_all(connection, settings.items())
        columns = read_columns(connection, asked["database"])
        others = ("database", "settings", "increment")
        model = ModelCode(**{name: value for name, value in asked.items() if name not in others})
        is_counted = self._least_rows > 0
        decision: Job | Here
        if asked.get("increment"):
            increment = Increment(**asked["increment"])
            columns[increment.touched] = _columns_of(increment.asked[increment.touched], connection)
            decision = decide_increment(model, increment, columns)
            # `place_increment` was told how much is new.
            is_counted = False
        else:
            decision = decide(model, columns)
        if isinstance(decision, Here):
            if decision.is_refused:
                raise Fault(f"meta.distribute_by: {decision.why}. Mend it, or take it out")
            return None
        if is_counted and count_rows(decision, connection) < self._least_rows:
            self._too_small.add(model.name)
            return None
        with self._lock:
            if self._is_cancelled:
                raise Fault("The build was interrupted.")
            if self._spark is None:
                self._is_own = not has_started()
                self._spark = start(self._master)
            make_private_folder(self._folder)
            found = compute(decision, model.name, connection, columns, self._spark, self._folder, settings)
        self._tell(model.name, found)
        return found.sql

    def place_increment(self, events: int) -> str | None:
        """Return the file for the entities that are to be computed again; None where that is too little.

        Args:
            events: from which they are computed.
        """
        if events < self._least_rows:
            return None
        make_private_folder(self._folder)
        return str(self._folder / f"touched-{uuid4().hex}.parquet")

    def _tell(self, name: str, found: Computed) -> None:
        self._say(f"Spark computed {counted(found.rows, 'row')} for {name} in {counted(found.parts, 'task')}")
        if found.is_skewed:
            self._say(
                f"Warning: {name}: {found.heaviest} has {found.heaviest_rows:,} of {found.rows_read:,} rows. "
                f"One key is never split: its task took {found.heaviest_cpu:.1f} of the "
                f"{sum(found.task_cpu):.1f} CPU seconds of all, and the node waits for it."
            )

    def cancel(self) -> None:
        """End what Spark is doing: dbt waits for it."""
        self._is_cancelled = True
        if self._spark is not None:
            cancel_jobs(self._spark)

    def end(self) -> None:
        """Stop Spark, unless this process had it before, and remove what machines exchanged."""
        if self._too_small:
            self._say(
                f"This machine computed {counted(len(self._too_small), 'node')} that could go to Spark, "
                f"because each has fewer than {self._least_rows:,} rows ({FROM})"
            )
        if self._spark is not None and self._is_own:
            # If Java has died, nothing is left to stop.
            with suppress(Exception):
                self._spark.stop()
        remove(self._folder)


def _columns_of(query: str, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"describe {query}").fetchall()}


_handovers: list[Handover] = []


def current() -> Handover | None:
    """Return the handover of the build that runs; None where none hands nodes over."""
    return _handovers[-1] if _handovers else None


@contextmanager
def handed_over(places: Places, say: Callable[[str], None]) -> Iterator[Handover | NoHandover]:
    """Hand nodes over to the engine that ASSAY_ENGINE names while the block runs.

    Args:
        places: of the project.
        say: tells people a line.

    Raises:
        Fault: the variable names another engine, or what it needs is not installed.
    """
    master = find_master()
    if master is None:
        yield NoHandover()
        return
    check_installed(master)
    least_rows = find_least_rows()
    folder = places.warehouse.with_name(f"{places.warehouse.name}.spark").absolute()
    # Of a build that was killed.
    remove(folder)
    handover = Handover(master, folder, say, least_rows)
    _handovers.append(handover)
    try:
        yield handover
    finally:
        _handovers.pop()
        handover.end()
