"""A warehouse without all that became available after a moment, built in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from assay.manifest.graph import Manifest
from assay.runs.dbt_run import Watcher, run_dbt
from assay.runs.failures import plain_message
from assay.runs.fault import Fault
from assay.runs.moment import as_variable
from assay.runs.past import copy_landing

# The macro that says up to when labels can be known.
_KNOWN_UNTIL = "known_until"


@dataclass(frozen=True)
class Erased:
    """The warehouse file, what was built in it, and the last instant it knows of."""

    path: Path
    manifest: Manifest
    at: datetime


class Silent:
    """A watcher that tells nobody."""

    def planned(self, nodes: int) -> None:
        """Nobody is told."""

    def started(self, node: str) -> None:
        """Nobody is told."""

    def ended(self, node: str) -> None:
        """Nobody is told."""

    def heard(self, event: Any) -> None:
        """Nobody is told."""


def parse(folder: Path, watcher: Watcher) -> Manifest:
    """Parse the project of the current folder; what dbt writes goes to `folder`.

    Raises:
        Fault: it cannot be parsed.
    """
    _dbt(["parse"], folder, None, watcher)
    return Manifest.read(folder / "target" / "manifest.json")


def build_erased(
    manifest: Manifest,
    training_sets: Sequence[str],
    *,
    warehouse: Path,
    at: datetime,
    labelled_until: datetime,
    folder: Path,
    scramble: Sequence[str] = (),
    watcher: Watcher,
) -> Erased:
    """Build training sets of the project of the current folder from what was available by `at`.

    Most rows predicted shortly before `at` have no outcome yet, and labels leave them out. So what asks up to
    when labels can be known is built again in a second step, in which the clock stands later while the data
    stays erased: all rows predicted by `at` are in the training set then, whatever their outcome.

    Args:
        manifest: of the project.
        training_sets: names of models.
        warehouse: the file whose landed rows are taken; it is only read.
        at: what became available later is erased.
        labelled_until: where the clock stands in the second step.
        folder: an empty folder; warehouse, target and logs go there.
        scramble: SQL statements that change landed rows before anything is built, such as outcomes that were
            not known yet; `{at}` stands for the moment, as a literal.
        watcher: told of every node.

    Raises:
        Fault: nothing has landed in the warehouse, or it could not be built.
    """
    # Of the same name: views name the catalog, which is the file's name.
    erased = folder / warehouse.name
    if copy_landing(warehouse, erased) == 0:
        raise Fault(f"Nothing has landed in {warehouse}: build it first (assay build).")
    with duckdb.connect(str(erased)) as connection:
        for statement in scramble:
            connection.execute(statement.format(at=f"timestamp '{at}'"))
    selected = [f"+{name}" for name in training_sets]
    _build(selected, folder, erased, at, watcher)
    relabelled = manifest.users_of(_KNOWN_UNTIL, manifest.ancestors(list(training_sets)))
    if relabelled and labelled_until > at:
        with duckdb.connect(str(erased)) as connection:
            connection.execute("delete from landing.warehouse")
        _build(["--full-refresh", "--select", *relabelled], folder, erased, labelled_until, watcher)
    return Erased(erased, manifest, at)


def _build(arguments: list[str], folder: Path, warehouse: Path, at: datetime, watcher: Watcher) -> None:
    select = arguments if "--select" in arguments else ["--select", *arguments]
    tests = ["--exclude-resource-type", "test", "unit_test"]
    variables = ["--vars", json.dumps({"as_of": as_variable(at)})]
    _dbt(["build", *select, *tests, *variables], folder, warehouse, watcher)


def _dbt(arguments: list[str], folder: Path, warehouse: Path | None, watcher: Watcher) -> None:
    paths = ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    # Files that have landed since the warehouse was built would be in one of the two alone.
    empty = folder / "landing"
    empty.mkdir(parents=True, exist_ok=True)
    outcome = run_dbt(
        [*arguments, *paths],
        warehouse=warehouse or folder / "none.duckdb",
        landing=empty,
        on_start=lambda _: None,
        watcher=watcher,
    )
    if not outcome.succeeded:
        messages = [each.message for each in outcome.results if str(each.status) == "error"]
        reason = messages[0] if messages else str(outcome.exception)
        raise Fault(f"The warehouse for the check could not be built: {plain_message(reason)}")
