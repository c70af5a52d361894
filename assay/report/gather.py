"""Gather what the page tells: of the run ledger, the warehouse, what it published, and the training sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay.alerts.availability import read_availability
from assay.alerts.states import find_alerts
from assay.core.fault import Fault
from assay.core.moment import now
from assay.core.places import Places
from assay.ledger.account import Account, read_account
from assay.ledger.contracts import read_newest_contracts
from assay.ledger.explain import Explanation, explain_result
from assay.ledger.nodes import read_nodes, read_test_statuses
from assay.ledger.results import NodeResult
from assay.ledger.rollbacks import read_rollback
from assay.ledger.runs import Run, find_success_before, read_runs
from assay.ledger.status import find_builds_under_way, tell_status
from assay.project.graph import read_manifest
from assay.project.personal import read_personal
from assay.report.blocks import Need, Section
from assay.report.docs import Docs
from assay.report.sections.availability import availability_section
from assay.report.sections.broken import broken_section
from assay.report.sections.contracts import contracts_section
from assay.report.sections.drift import drift_section
from assay.report.sections.experiments import experiments_section
from assay.report.sections.freshness import freshness_section
from assay.report.sections.landing import landing_section
from assay.report.sections.quality import quality_section
from assay.report.sections.runs import runs_section
from assay.report.sections.training import retraining_section, versions_section
from assay.report.sections.volume import volume_section
from assay.report.summary import Summary, summarize
from assay.report.tables import Absent, opened_tables
from assay.training.store import VersionStore

# Explaining looks rows up in the warehouse; of more tests `assay explain` tells.
_EXPLAINED = 20
_NEEDS_A_SECTION = 8
_RUNS_JUDGED = 30


@dataclass(frozen=True)
class Part:
    """A section with its anchor and its title."""

    name: str
    title: str
    section: Section


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    `absent` are the titles of sections that there is nothing for, with the reason; `docs` is the page of
    dbt's documentation, where there is one; `note` says where tables are from, if not from the warehouse.
    """

    warehouse: Path
    run: Run
    summary: Summary
    parts: list[Part]
    absent: list[tuple[str, str]]
    docs: Path | None
    note: str

    @property
    def needs(self) -> list[tuple[Need, Part]]:
        """What needs a person and the part that tells more, the worst first."""
        found = [(need, part) for part in self.parts for need in _first(part.section.needs)]
        return sorted(found, key=lambda each: each[0].tone != "bad")


def gather(places: Places, *, with_rows: bool) -> Page:
    """Gather the page of a warehouse.

    Args:
        places: of the project.
        with_rows: whether rows that failed or were rejected are shown.

    Raises:
        Fault: no build of the warehouse is recorded, or another program keeps the ledger open.
    """
    everything = read_runs(places.ledger)
    holder = find_builds_under_way(everything, places).get(str(places.warehouse))
    history = [run for run in everything if run.warehouse == str(places.warehouse)]
    if not history:
        raise Fault(f"No build of {places.warehouse} is recorded in {places.ledger}. To build: assay build")
    statuses = [(run, tell_status(run, holder)) for run in history]
    run, status = next((each for each in statuses if each[0].ended_at), statuses[0])
    nodes = read_nodes(places.ledger, run.run_id)
    before = find_success_before(history, run)
    docs = Docs(places.docs, nodes)
    account = _account(places, run)
    contracts = read_newest_contracts(places.ledger)
    personal = read_personal() if with_rows else None
    store = VersionStore(places)
    at = now()

    def broken() -> Section:
        alerts = find_alerts(places.ledger, run.run_id, remind_after=1) if run.ended_at else []
        # A part of the project does not run all tests, and a past moment is another warehouse.
        judged = [each for each in history if each.ended_at and not each.options.get("select")][:_RUNS_JUDGED]
        tests = read_test_statuses(places.ledger, [each.run_id for each in judged])
        explained = _explained(places, run, nodes)
        return broken_section(nodes, alerts, explained, docs, personal, tests, judged[::-1])

    def ran() -> Section:
        nodes_before = read_nodes(places.ledger, before.run_id) if before else []
        return runs_section(run, nodes, nodes_before, statuses, docs)

    with opened_tables(places) as tables:
        makers: list[tuple[str, str, Callable[[], Section]]] = [
            ("broken", "What broke", broken),
            ("contracts", "Contracts", lambda: contracts_section(contracts)),
            (
                "availability",
                "Published in time",
                lambda: availability_section(read_availability(places, at)[0], at),
            ),
            ("freshness", "Freshness and lateness", lambda: freshness_section(tables)),
            (
                "landing",
                "Landing and quarantine",
                lambda: landing_section(account, before, tables, docs, personal),
            ),
            ("volume", "Volume", lambda: volume_section(tables, docs)),
            ("quality", "Quality", lambda: quality_section(tables, docs)),
            ("drift", "Feature drift", lambda: drift_section(tables, docs)),
            ("experiments", "Experiments", lambda: experiments_section(tables)),
            ("retraining", "Retraining", lambda: retraining_section(tables, docs, store.versions())),
            (
                "training-sets",
                "Training sets",
                lambda: versions_section(store.versions(), docs),
            ),
            ("runs", "What ran", ran),
        ]
        parts, absent = [], []
        for name, title, make in makers:
            try:
                parts.append(Part(name, title, make()))
            except (Absent, Fault) as error:
                absent.append((title, str(error)))
        needs = [need for part in parts for need in part.section.needs]
        stopped = [state for state, _ in contracts if state.side != "source" and state.status != "kept"]
        # What is broken itself is the cause of the rest.
        held_back = [state.contract for state in sorted(stopped, key=lambda each: each.status)]
        rollback = read_rollback(places.warehouse)
        summary = summarize(run, status, history, places.published, account, needs, held_back, rollback)
        return Page(places.warehouse, run, summary, parts, absent, docs.page, tables.note)


def _first(needs: Sequence[Need]) -> list[Need]:
    """Return the worst, and how many more there are."""
    ordered = sorted(needs, key=lambda need: need.tone != "bad")
    shown, rest = ordered[:_NEEDS_A_SECTION], ordered[_NEEDS_A_SECTION:]
    return [*shown, Need(rest[0].tone, f"{len(rest):,} more.")] if rest else shown


def _account(places: Places, run: Run) -> Account:
    try:
        return read_account(places.warehouse, run.run_id)
    except duckdb.Error:
        # A build has the warehouse, or it is of another version; the section says that nothing is known.
        return Account()


def _explained(places: Places, run: Run, nodes: Sequence[NodeResult]) -> dict[str, Explanation]:
    tests = [node for node in nodes if node.is_bad and node.kind.endswith("test")]
    worst = sorted(tests, key=lambda node: node.status == "warn")[:_EXPLAINED]
    manifest = read_manifest() if worst else None
    return {node.unique_id: explain_result(places, run, node, manifest) for node in worst}
