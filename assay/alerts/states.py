"""Find in the run ledger what broke, stayed broken or recovered in a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal

from assay.alerts.runbooks import Runbook, runbook_of
from assay.core.words import counted
from assay.ledger.nodes import read_nodes_by_run
from assay.ledger.results import NodeResult
from assay.ledger.runs import Run, read_runs
from assay.project.failures import NOT_RUN

Change = Literal["broken", "still broken", "recovered"]

# The name under which a build alerts that ended before dbt could judge its nodes.
_BUILD = "assay build"
# How many earlier runs are read; something that has been broken for longer counts this many runs.
_RUNS_REMEMBERED = 100


@dataclass(frozen=True)
class Alert:
    """Something whose state changed, such as a model, a test, a stream, or the build itself.

    `runs` counts the runs in which it was broken; `about` is what it concerns, such as the relation that a
    test checks. `runbook` names the page that says what to do.
    """

    runbook: Runbook
    change: Change
    name: str
    kind: str
    about: str
    owner: str | None
    severity: str
    message: str
    runs: int = 1
    run_id: str = ""

    def __str__(self) -> str:
        of = f" of {self.about}" if not self.name.startswith(self.about) else ""
        owner = f" (owner {self.owner})" if self.owner else ""
        since = f" for {self.runs} runs" if self.change == "still broken" else ""
        is_over = self.change == "recovered"
        # What is over needs no more words, but how late a product was.
        is_told = not is_over or self.runbook is Runbook.PRODUCT_LATE
        said = f": {self.message}" if self.message and is_told else ""
        help_ = "" if is_over else f". What to do: assay alerts explain {self.runbook}"
        what = f"{self.kind} {self.name}{of}{owner}"
        return f"{self.change.capitalize()}{since}, {self.severity}: {what}{said.rstrip('.')}{help_}"


@dataclass(frozen=True)
class _State:
    is_bad: bool
    node: NodeResult | None
    message: str


def find_alerts(ledger: Path, run_id: str, *, remind_after: int) -> list[Alert]:
    """Return the changes of state in a run, the worst first.

    Args:
        ledger: the run ledger, which holds the run.
        run_id: the id of the run, which has ended.
        remind_after: after how many runs an alert about something broken is repeated.

    Raises:
        Fault: another program keeps the ledger open.
    """
    history = read_runs(ledger)
    run = next(each for each in history if each.run_id == run_id)
    before = [
        other
        for other in history
        if other.warehouse == run.warehouse and other.ended_at and other.started_at < run.started_at
    ][:_RUNS_REMEMBERED]
    nodes = read_nodes_by_run(ledger, [run.run_id, *(other.run_id for other in before)])
    now = _states(run, nodes[run.run_id])
    earlier = [_states(other, nodes[other.run_id]) for other in before]
    found = []
    for subject, state in now.items():
        past = [states[subject].is_bad for states in earlier if subject in states]
        broken_before = len(list(takewhile(bool, past)))
        if state.is_bad:
            runs = broken_before + 1
            if runs == 1 or (runs - 1) % remind_after == 0:
                found.append(_alert("still broken" if broken_before else "broken", subject, state, runs, run))
        elif broken_before:
            found.append(_alert("recovered", subject, state, broken_before, run))
    order: Sequence[Change] = ("broken", "still broken", "recovered")
    return sorted(found, key=lambda each: (order.index(each.change), each.severity != "error", each.name))


def _states(run: Run, nodes: Sequence[NodeResult]) -> dict[str, _State]:
    # Not dbt's id, which changes with a test's arguments: the broken test would seem to be a new one.
    states = {
        f"{node.kind} {node.name} {node.relation}": _State(node.is_bad, node, node.message or "")
        for node in nodes
        if node.status not in NOT_RUN
    }
    is_judged = any(state.is_bad for state in states.values()) or run.status == "succeeded"
    return states | {_BUILD: _State(not is_judged, None, run.message or "")}


def _alert(change: Change, subject: str, state: _State, runs: int, run: Run) -> Alert:
    node = state.node
    if node is None:
        build = (Runbook.BUILD_FAILED, change, subject, "command")
        return Alert(*build, "", None, "error", state.message, runs, run.run_id)
    rows = counted(node.failing_rows, "failing row") if node.failing_rows else ""
    return Alert(
        runbook_of(node),
        change,
        node.name,
        node.kind,
        node.relation,
        node.owner,
        "warn" if node.status == "warn" or (change == "recovered" and node.severity == "warn") else "error",
        ": ".join(filter(None, (rows, state.message))),
        runs,
        run.run_id,
    )
