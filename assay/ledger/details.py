"""One run of the ledger, with its nodes and what they were before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.core.fault import MISUSED, Fault
from assay.core.places import Places
from assay.ledger.nodes import read_nodes
from assay.ledger.results import NodeResult
from assay.ledger.runs import Run, find_success_before, read_runs
from assay.ledger.status import find_builds_under_way, tell_status


@dataclass(frozen=True)
class RunDetails:
    """A run, how it ended, its nodes, and those of the run that succeeded last before it, if one did."""

    run: Run
    status: str
    nodes: list[NodeResult]
    nodes_before: list[NodeResult] | None


def read_run(places: Places, run_id: str) -> RunDetails:
    """Read one run.

    Args:
        places: the project's places.
        run_id: the run's id, or enough of its beginning to be unique.

    Raises:
        Fault: no run has that id, several do, or another program keeps the ledger open.
    """
    history = read_runs(places.ledger)
    run = _named(history, run_id)
    before = find_success_before(history, run)
    return RunDetails(
        run,
        tell_status(run, find_builds_under_way(history, places).get(run.warehouse)),
        read_nodes(places.ledger, run.run_id),
        read_nodes(places.ledger, before.run_id) if before else None,
    )


def _named(history: Sequence[Run], run_id: str) -> Run:
    found = [run for run in history if run.run_id.startswith(run_id)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Fault(f"Several runs begin with {run_id}: {', '.join(run.run_id for run in found)}.", MISUSED)
    raise Fault(f"No run begins with {run_id}. To see them all: assay runs list", MISUSED)
