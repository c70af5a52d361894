"""Provide the warehouse that a training set is taken from: the built one, or one rebuilt from its bronze."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from assay.console.progress import Display
from assay.core.fault import Fault, known_fault
from assay.core.lock import Holder
from assay.core.moment import as_variable
from assay.core.places import Places, find_target
from assay.landing.past import copy_landing, has_landing
from assay.ledger.runs import Run, read_runs
from assay.project.code_version import code_version
from assay.project.conventions import TRAINING_SET
from assay.project.dbt_run import run_dbt
from assay.project.failures import judge, plain_message
from assay.project.lake import read_newest_snapshot
from assay.project.lease import hold_warehouse
from assay.project.project import Project
from assay.project.warehouse import connect, connect_published

_SECONDS_TO_WAIT = 600.0


@dataclass(frozen=True)
class Source:
    """A warehouse that holds training sets, and the dbt manifest of the code that built it.

    `run_id` is of the last run that changed it. `as_of` is the moment it was built for; None for the present.
    `lake_snapshot` is the number of the lake's snapshot that it is or was copied from; None without a lake.
    """

    warehouse: Path
    manifest: dict[str, Any]
    run_id: str
    as_of: datetime | None
    code_version: str | None
    lake_snapshot: int | None = None


def read_published_sets(places: Places) -> list[str]:
    """Return the names of the training sets that are published.

    Raises:
        Fault: nothing is published, or the file cannot be read.
    """
    if not places.published.is_file():
        raise Fault(
            f"Nothing is published yet in {places.published.parent}: training sets are made of what is "
            "published, and a build with --select publishes nothing. To build everything: assay build"
        )
    try:
        with connect_published(places.published) as connection:
            rows = connection.execute(
                "select table_name from duckdb_tables() where starts_with(table_name, ?) order by all",
                [TRAINING_SET],
            ).fetchall()
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    return [name for (name,) in rows]


@contextmanager
def as_built(places: Places, command: str, display: Display) -> Iterator[Source | None]:
    """Lock the warehouse as its last build left it; None if its code may have changed since.

    The last build must have passed and been published, so that all contracts are met, and have left no
    training set for later. The manifest must be its own, or of the build whose parts were built since.
    """
    with _held(places.main_warehouse, command, display):
        # A run that found nothing to do, and so did not start dbt, left the warehouse as it was.
        runs = [
            run
            for run in read_runs(places.ledger)
            if run.warehouse == str(places.main_warehouse)
            and not (run.status == "succeeded" and run.dbt_seconds is None)
        ]
        try:
            manifest = _manifest(find_target())
        except (OSError, ValueError):
            manifest = {}
        latest = runs[0] if runs else None
        is_whole = latest and latest.published_at and latest.status == "succeeded"
        if latest and is_whole and not latest.options.get("later") and _is_of(manifest, runs):
            snapshot = read_newest_snapshot(places.main_warehouse)
            yield Source(places.main_warehouse, manifest, latest.run_id, None, latest.code_version, snapshot)
        else:
            yield None


@contextmanager
def rebuilt(
    name: str,
    places: Places,
    folder: Path,
    display: Display,
    *,
    command: str,
    as_of: datetime | None,
    files: Collection[int] | None = None,
    beside: Sequence[str] = (),
) -> Iterator[Source]:
    """Build a training set and everything upstream in `folder`, from landed rows, with the current code.

    The landing zone is not read. Contracts are tested as in any build.

    Args:
        name: the training set.
        places: the places of the main warehouse, whose bronze is copied.
        folder: an empty folder.
        display: shows the progress.
        command: the command that other processes are told holds the lock.
        as_of: the moment to build for, None for everything known.
        files: the ids of the files to build from; None for all.
        beside: models to build beside the training set.

    Raises:
        Fault: nothing has landed, or the build fails.
    """
    warehouse = folder / "rebuilt.duckdb"
    try:
        with _held(places.main_warehouse, command, display):
            if not has_landing(places.main_warehouse):
                raise Fault(f"Nothing has landed in {places.main_warehouse} yet. To build: assay build")
            snapshot = read_newest_snapshot(places.main_warehouse)
            copy_landing(places.main_warehouse, warehouse, Project().manifest.outside_tables)
        if files is not None:
            _keep_files(warehouse, files)
        display.say(f"Rebuilding {name} from what has landed")
        outcome = _build([name, *beside], warehouse, folder, display, as_of)
    except (duckdb.Error, OSError) as error:
        raise known_fault(error) or error from error
    if isinstance(outcome.exception, KeyboardInterrupt):
        raise outcome.exception
    if outcome.exception:
        message = plain_message(str(outcome.exception))
        raise known_fault(outcome.exception) or Fault(f"{name} cannot be built: {message}")
    if not outcome.results:
        raise Fault(f"{name} cannot be built: the project has no such model any more.")
    if failures := judge(outcome.results).failures:
        told = "\n".join(f"  {failure}: {failure.message}" for failure in failures)
        raise Fault(f"{name} cannot be built with the present code:\n{told}")
    manifest = _manifest(folder / "target")
    run_id = manifest["metadata"]["invocation_id"]
    yield Source(warehouse, manifest, run_id, as_of, code_version(), snapshot)


def _is_of(manifest: dict[str, Any], runs: Sequence[Run]) -> bool:
    """Tell whether a manifest is of the last run; builds of parts leave that of the same code as it is."""
    written = str(manifest.get("metadata", {}).get("invocation_id"))
    for run in runs:
        if run.run_id == written or not run.options.get("part"):
            return run.run_id == written
    return False


def _build(
    names: Sequence[str], warehouse: Path, folder: Path, display: Display, as_of: datetime | None
) -> Any:
    landing = folder / "landing"
    landing.mkdir()
    selected = [f"+{name}" for name in names]
    arguments = ["build", "--select", *selected, "--indirect-selection", "cautious"]
    arguments += ["--exclude-resource-type", "unit_test", "--target-path", str(folder / "target")]
    if as_of:
        arguments += ["--vars", json.dumps({"as_of": as_variable(as_of)})]
    return run_dbt(
        arguments, warehouse=warehouse, landing=landing, on_start=lambda run_id: None, watcher=display
    )


def _keep_files(warehouse: Path, files: Collection[int]) -> None:
    """Delete the rows of all other files from a warehouse that holds only landed rows."""
    with connect(warehouse, read_only=False) as connection:
        tables = connection.execute(
            "select table_name from duckdb_columns() "
            "where schema_name = 'landing' and column_name = 'file_id'"
        ).fetchall()
        connection.begin()
        for (table,) in tables:
            connection.execute(
                f'delete from landing."{table}" where not list_contains(?, file_id)', [list(files)]
            )
        connection.commit()


@contextmanager
def _held(warehouse: Path, command: str, display: Display) -> Iterator[None]:
    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting for a build: {holder or 'it has just begun'}")

    with hold_warehouse(warehouse, command=command, wait=_SECONDS_TO_WAIT, on_wait=waiting):
        yield


def _manifest(target: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((target / "manifest.json").read_text())
    return found
