"""Provide the warehouse that a training set is taken from: the built one, or one rebuilt from its bronze."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.lock import Holder
from assay.core.moment import as_variable
from assay.core.places import Places, find_target
from assay.core.words import listed
from assay.landing.past import copy_landing, has_landing
from assay.ledger.runs import Run, read_runs
from assay.project.code_version import code_version
from assay.project.conventions import TRAINING_SET, is_of_kind
from assay.project.dbt_run import run_dbt
from assay.project.failures import judge, plain_message
from assay.project.graph import Manifest
from assay.project.lake import is_lake, read_newest_snapshot
from assay.project.lake_builds import BuildInLake, find_build, find_neighbours, note_build
from assay.project.lease import find_holder, hold_warehouse
from assay.project.project import Project
from assay.project.shared_lake import is_shared, note_state
from assay.project.warehouse import connect, connect_published
from assay.training.code import DeclaredSet, SetInManifest, describe_unknown

#: The kind of models that are training sets.
SETS = "training_sets"
_SECONDS_TO_WAIT = 600.0


@dataclass(frozen=True)
class Source:
    """A warehouse that holds training sets, and the dbt manifest of the code that built it.

    `run_id` is of the last run that changed it. `as_of` is the moment it was built for; None for the present.
    `lake_snapshot` is the number of the lake's snapshot that it is or was copied from; None without a lake.
    `build` is the build of a lake whose snapshot it is, where the manifest is not at hand.
    """

    warehouse: Path
    manifest: dict[str, Any]
    run_id: str
    as_of: datetime | None
    code_version: str | None
    lake_snapshot: int | None = None
    build: BuildInLake | None = None

    @property
    def read_snapshot(self) -> int | None:
        """The number of the snapshot as which the warehouse is read; None if it is no lake."""
        return self.lake_snapshot if is_lake(self.warehouse) else None

    @property
    def dbt_version(self) -> str:
        """The version of dbt that built it."""
        return self.build.dbt_version if self.build else str(self.manifest["metadata"]["dbt_version"])

    def find_declared(self, name: str) -> SetInManifest | DeclaredSet:
        """Return what a training set declares.

        Raises:
            Fault: there is no such training set, or it declares no primary key.
        """
        if self.build:
            return DeclaredSet.read(self.build.declared[SETS][name])
        return SetInManifest(self.manifest, name)


def read_published_sets(places: Places) -> list[str]:
    """Return the names of the training sets that are published; of a lake, from whichever folder.

    Raises:
        Fault: nothing is published, or the file cannot be read.
    """
    if is_lake(places.main_warehouse) and (build := find_build(places.main_warehouse)):
        return sorted(build.declared[SETS])
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
        found = _find_passed_build(places)
        if found and not found[0][0].options.get("later"):
            [run, *_], manifest = found
            snapshot = read_newest_snapshot(places.main_warehouse)
            yield Source(places.main_warehouse, manifest, run.run_id, None, run.code_version, snapshot)
        else:
            yield None


def as_of_snapshot(name: str, kind: str, places: Places, snapshot: int) -> Source:
    """Return a lake as a build left it in a snapshot; nobody has to wait for it.

    Args:
        name: the training set or corpus.
        kind: what of these it is, as `is_of_kind` calls it.
        places: of the lake.
        snapshot: the number of a snapshot that is kept.

    Raises:
        Fault: the snapshot is not one that a build left which passed, or has no such set.
    """
    build = find_build(places.main_warehouse, snapshot)
    if build is None:
        near = listed([str(number) for number in find_neighbours(places.main_warehouse, snapshot)], 2)
        others = f"The nearest that are: {near}." if near else "Build once more: then there is one."
        raise Fault(
            f"Snapshot {snapshot} of the lake is not what a build has left that passed, so contracts may be "
            f"broken in it. {others} To list all: assay lake snapshots",
            MISUSED,
        )
    declared = build.declared.get(kind, {})
    if name not in declared:
        raise Fault(f"In snapshot {snapshot}: {describe_unknown(kind, name, [*declared])}", MISUSED)
    waited = build.waiting.get(name)
    found = build if waited is None else find_build(places.main_warehouse, waited)
    if found is None:
        raise Fault(
            f"In snapshot {snapshot} of the lake, {name} was as in snapshot {waited}, which is expired. "
            "Those that are kept: assay lake snapshots",
            MISUSED,
        )
    return _of_build(places, found)


def as_newest_build_left(name: str, kind: str, places: Places, display: Display) -> Source | None:
    """Return a lake as its newest build left it, or, while somebody writes it, the newest one that passed.

    None if the warehouse is no lake, if something else was written since, or if the training set or corpus
    is new.
    """
    newest = read_newest_snapshot(places.main_warehouse)
    if newest is None:
        return None
    build = find_build(places.main_warehouse, newest)
    holder = None if build else find_holder(places.main_warehouse)
    if holder and (latest := find_build(places.main_warehouse)):
        build = find_build(places.main_warehouse, latest.waiting.get(name, latest.snapshot))
    if build is None or name in build.waiting or name not in build.declared.get(kind, {}):
        return None
    if holder:
        display.say(f"The lake is being written ({holder}), so {name} is of snapshot {build.snapshot}")
    return _of_build(places, build)


def note_sets(
    places: Places,
    waiting: Collection[str],
    products: dict[str, Any],
    others: Mapping[str, Callable[[Manifest, str], DeclaredSet]],
) -> None:
    """Note in the catalog of a lake what the build has left that has just ended, if it passed.

    Args:
        places: of the lake, which the caller holds.
        waiting: the ids of nodes that the build has left for later.
        products: those that it has published.
        others: for each other kind of sets, what reads from a manifest what one of a name declares.

    Raises:
        Fault: a catalog in Postgres cannot be reached.
    """
    found = _find_passed_build(places) if is_lake(places.warehouse) and not places.as_of else None
    if found is None:
        return
    [run, *before], values = found
    left = find_build(places.warehouse)
    # What waits is as the build before has left it, if that is known.
    known = {}
    if left and before and left.run_id == before[0].run_id:
        before_it = itertools.chain(*left.declared.values())
        known = {name: left.waiting.get(name, left.snapshot) for name in before_it}
    manifest = Manifest(values)
    kinds = {SETS: _declared_set, **others}
    declared: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
    waited = {}
    for id_, node in manifest.nodes.items():
        if id_ in waiting:
            if node["name"] not in known:
                continue
            waited[node["name"]] = known[node["name"]]
        for kind, read in kinds.items():
            if is_of_kind(node, kind):
                # What is wrong with it, such as no primary key, is told where somebody makes a version of it.
                with suppress(Fault):
                    declared[kind][node["name"]] = asdict(read(manifest, node["name"]))
    version = str(values["metadata"]["dbt_version"])
    note_build(places.warehouse, run.run_id, run.code_version, version, declared, waited, products)


def _declared_set(manifest: Manifest, name: str) -> DeclaredSet:
    return DeclaredSet.of(SetInManifest(manifest, name))


def _of_build(places: Places, build: BuildInLake) -> Source:
    return Source(places.main_warehouse, {}, build.run_id, None, build.code_version, build.snapshot, build)


def _find_passed_build(places: Places) -> tuple[list[Run], dict[str, Any]] | None:
    """Return all runs, newest first, and the manifest of the last one's code; None if that has not passed."""
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
    if latest and latest.published_at and latest.status == "succeeded" and _is_of(manifest, runs):
        return runs, manifest
    return None


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
            if is_shared(places.main_warehouse):
                # Another machine may have made it.
                note_state(places.main_warehouse)
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
