"""Take what production holds: a copy that nobody changes, and which of its tables are of which code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb

from assay.build.outside import outside_ids
from assay.build.state import State, read_state
from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.lock import Holder
from assay.core.places import Places
from assay.core.sql import quoted
from assay.diff.code import CodeVersion, changed_ids
from assay.diff.hashed import read_fingerprint
from assay.ledger.runs import read_runs
from assay.project.graph import ancestor_ids
from assay.project.lake import is_lake
from assay.project.lake_copies import copy_catalog, name_copy
from assay.project.lease import find_holder, hold_warehouse
from assay.project.shared_lake import is_shared, note_state
from assay.project.warehouse import attach

_SECONDS_TO_WAIT = 600.0
_COMMAND = "assay diff"


@dataclass(frozen=True)
class Production:
    """What production holds.

    Attributes:
        file: a copy of its warehouse, or of what it published last.
        name: of its catalog, as dbt's SQL calls it.
        run_id: of the build that made it; None if nobody knows.
        state: what that build left behind; None if nobody knows.
        sha: the commit of that build; None if nobody knows, or files differed from the commit.
        relations: schema and name of each table and view, in lower case.
        is_published: whether it is what was published, because a build has the warehouse.
        fingerprint: of the key that hashed its personal data; None if nobody knows.
    """

    file: Path
    name: str
    run_id: str | None
    state: State | None
    sha: str | None
    relations: frozenset[tuple[str, str]]
    is_published: bool
    fingerprint: str | None

    def is_of(self, code: CodeVersion) -> bool:
        """Tell whether its last build knew of the same macros, variables, packages and settings."""
        return self.state is not None and self.state.inputs.settings == code.settings

    def current(self, code: CodeVersion, made_of: CodeVersion | None) -> set[str]:
        """Return the nodes and sources whose tables are what a version makes of what has landed.

        Args:
            code: the version.
            made_of: the version that production was built from, if it is known.
        """
        if self.state and self.is_of(code):
            same = {each for each, digest in code.digests.items() if self.state.digests.get(each) == digest}
        elif made_of:
            same = code.prints.keys() - changed_ids(code, made_of)
        else:
            return set()
        # What reads the clock, or files elsewhere, would differ though the code does not.
        behind = outside_ids(code.manifest)
        if self.state:
            behind |= {*self.state.failed, *chain(*self.state.waiting.values())}
        nodes = code.manifest.nodes
        # Of a seed above 1 MiB, dbt's checksum is that of its path.
        behind |= {each for each, node in nodes.items() if getattr(node.checksum, "name", "") == "path"}
        others = (code.prints.keys() - same) | behind
        return {each for each in same - behind if not ancestor_ids(each, nodes) & others}

    def holds(self, node: Any) -> bool:
        """Tell whether a node's table or view is there."""
        return (node.schema.lower(), node.alias.lower()) in self.relations


def take_production(places: Places, folder: Path, display: Display) -> Production:
    """Copy the warehouse as its last build left it; of one that a build is writing, what is published.

    A build that begins meanwhile waits until the copy is made, and no longer.

    Args:
        places: of the project.
        folder: an empty folder for the copy, which keeps its name, because views name their catalog.
        display: shows who has the warehouse.

    Raises:
        Fault: nothing is built, there is no room for the copy, or another program writes to the warehouse.
    """
    warehouse = places.warehouse
    if is_shared(warehouse):
        # Another machine may have made it.
        note_state(warehouse)
    if not warehouse.is_file():
        raise Fault(
            f"There is no warehouse {warehouse} to compare with. To build it: assay build; or name it in "
            "ASSAY_WAREHOUSE.",
            MISUSED,
        )
    folder.mkdir(parents=True)
    file = folder / name_copy(warehouse)
    holder = find_holder(warehouse)
    if holder and not holder.copies and places.published.is_file():
        display.say(f"{warehouse} is being built ({holder}): comparing with what was published last")
        # A publication is never written to: the next one takes its name.
        os.link(places.published, file)
        return _described(file, places, is_published=True)
    with _held(warehouse, display):
        _copy(warehouse, file)
        return _described(file, places, is_published=False)


def copy_warehouse(warehouse: Path, folder: Path, display: Display) -> Path:
    """Copy a warehouse that builds write into a folder, and return the copy.

    Raises:
        Fault: there is no room for it, or another program writes to the warehouse.
    """
    with _held(warehouse, display):
        _copy(warehouse, folder / name_copy(warehouse))
    return folder / name_copy(warehouse)


@contextmanager
def _held(warehouse: Path, display: Display) -> Iterator[None]:
    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting for a build: {holder or 'it has just begun'}")

    with hold_warehouse(warehouse, command=_COMMAND, wait=_SECONDS_TO_WAIT, on_wait=waiting, copies=True):
        yield


def _copy(warehouse: Path, file: Path) -> None:
    needed, free = warehouse.stat().st_size, shutil.disk_usage(file.parent).free
    if needed > free:
        raise Fault(
            f"A diff works on a copy of {warehouse}, and there is no room for it in {file.parent}: it takes "
            f"{needed >> 20:,} MiB, and {free >> 20:,} are free. Free some, and try again."
        )
    # Opened, so that no program outside of Assay writes to it meanwhile.
    with duckdb.connect() as connection:
        try:
            attach(connection, warehouse, warehouse.stem)
        except duckdb.Error as error:
            raise known_fault(error) or error from error
        if is_lake(warehouse):
            copy_catalog(warehouse, file)
            return
        shutil.copyfile(warehouse, file)
        log = warehouse.with_name(f"{warehouse.name}.wal")
        if log.exists():
            shutil.copyfile(log, file.with_name(log.name))


def _described(file: Path, places: Places, *, is_published: bool) -> Production:
    name = places.warehouse.stem
    with duckdb.connect() as connection:
        attach(connection, file, name)
        relations = connection.execute(
            "select lower(schema_name), lower(table_name) from duckdb_tables() where database_name = $1 "
            "union select lower(schema_name), lower(view_name) from duckdb_views() where database_name = $1",
            [name],
        ).fetchall()
        fingerprint = read_fingerprint(connection, name)
        state = None if is_published else read_state(places.warehouse)
        run_id = state.run_id if state else None
        if is_published:
            [(run_id,)] = connection.execute(
                f"select run_id from {quoted(name)}.published.publication"
            ).fetchall()
    runs = {run.run_id: run.code_version for run in read_runs(places.ledger)} if run_id else {}
    version = runs.get(run_id or "")
    sha = None if not version or version.endswith("-dirty") else version
    return Production(file, name, run_id, state, sha, frozenset(relations), is_published, fingerprint)
