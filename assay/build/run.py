"""Run dbt in a recorded run, and conclude it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import duckdb

from assay.alerts.availability_alerts import watch_availability
from assay.alerts.notify import notify
from assay.build.build import Options, Report, start_run
from assay.build.conclude import compiled_after, conclude, find_results_of_all, state_after
from assay.build.findings import tell_findings
from assay.build.freshness import read_freshness
from assay.build.from_lake import describe_products
from assay.build.inputs import Inputs
from assay.build.landings import find_landings
from assay.build.metrics_file import write_metrics
from assay.build.state import State, forget_state, write_state
from assay.build.work import Work, plan_work, run_planned, target_path
from assay.console.progress import Display
from assay.core.fault import INTERRUPTED, Fault, known_fault
from assay.core.moment import now
from assay.core.places import Places
from assay.corpus.declared import KIND, read_corpus
from assay.landing.progress import listening
from assay.ledger import runs as ledger
from assay.ledger.availability import record_landings, record_publications
from assay.ledger.contracts import ContractState, describe_contracts, read_newest_contracts, record_contracts
from assay.ledger.nodes import make_removed_node, read_nodes, record_nodes
from assay.ledger.results import NodeResult, make_node_results
from assay.ledger.runs import Run
from assay.ledger.schema_results import make_schema_results
from assay.ledger.versions import note_version
from assay.lineage.tell import tell_lineage
from assay.project.compiled import keep_compiled
from assay.project.dbt_run import DbtOutcome
from assay.project.graph import Manifest
from assay.project.kept import OF_BUILD, point_to
from assay.project.owners import owners
from assay.project.personal import Personal
from assay.training.source import note_sets


def run_recorded(
    options: Options, places: Places, inputs: Inputs, state: State | None, display: Display
) -> Report:
    """Run dbt on what is not up to date, publish what passed, and record the run.

    Args:
        options: of the build.
        places: of the project; the warehouse is locked.
        inputs: what the build depends on.
        state: what the last build left behind; None to build everything.
        display: shows the progress.

    Raises:
        Fault: the build could not be done, or was interrupted; a run that had begun is recorded as failed.
    """
    run = start_run(options, places)

    def begin(run_id: str) -> None:
        run.run_id = run_id
        note_version(places.ledger)
        ledger.record(places.ledger, run)

    owner_by_name: dict[str, str | None] = {}
    nodes: list[NodeResult] = []
    kept: list[ContractState] = []
    try:
        work = plan_work(options, places, inputs, state, run)
        # A build that is killed leaves no state, and so the next one builds everything. A project that dbt
        # cannot parse changes nothing.
        if work.manifest or options.select:
            forget_state(places.warehouse)
        with listening(display.loaded):
            outcome = run_planned(options, places, work, begin, display)
        if outcome.results:
            manifest = Manifest.read(target_path(options) / "manifest.json")
            owner_of = owners(manifest)
            owner_by_name = {node["name"]: owner_of.get(id_) for id_, node in manifest.nodes.items()}
            personal = Personal.of(manifest)
            nodes = make_node_results(outcome.results, places.warehouse, manifest, owner_of, personal)
        report = conclude(options, places, run, outcome, nodes, work)
        if outcome.results and report.products.product_of:
            kept = _describe_contracts(places, outcome, report, nodes, manifest, work)
        if report.account.schema_changes:
            nodes += make_schema_results(report.account.schema_changes)
        nodes += [make_removed_node(unique_id) for unique_id in work.removed]
    except BaseException as error:
        fault = known_fault(error)
        interrupted = "interrupted" if isinstance(error, KeyboardInterrupt) else ""
        run.message = str(fault or error) or interrupted or type(error).__name__
        if run.run_id:
            _end(run, "failed")
            # An interrupt sends no alert, because the person who interrupted the build knows.
            for warning in _record(places, run, nodes, kept, alert=not isinstance(error, KeyboardInterrupt)):
                display.say(f"Warning: {warning}")
        if isinstance(error, KeyboardInterrupt):
            raise Fault("Interrupted: nothing is published. Build again to go on.", INTERRUPTED) from error
        raise fault or error from error
    _end(run, "failed" if report.failed else "succeeded")
    report.warnings += _record(
        places, run, nodes, kept, report.published_products, manifest if outcome.results else None
    )
    if not run.as_of:
        report.warnings += tell_findings(places, report, outcome.results, owner_by_name)
    waiting = {*itertools.chain(*work.plan.waiting.values())}
    note_sets(places, waiting, describe_products(report.products), {KIND: read_corpus})
    report.warnings += tell_lineage(run, nodes, outcome.results, places.warehouse)
    if work.manifest:
        # Last of all: a run that was killed before its end is done again, and recorded.
        after = state_after(places, run, outcome, report, work)
        write_state(places.warehouse, after)
        keep_compiled(work.inputs.of_code, compiled_after(work, after))
        if work.starts_dbt and not work.keeps_manifest:
            point_to(work.inputs.of_code, OF_BUILD, run.run_id, places.warehouse)
    return report


def _describe_contracts(
    places: Places,
    outcome: DbtOutcome,
    report: Report,
    nodes: Sequence[NodeResult],
    manifest: Manifest,
    work: Work,
) -> list[ContractState]:
    """Describe all contracts; of sources whose tests a part's build did not run, as they were before it."""
    before = {}
    if work.is_part:
        found = read_newest_contracts(places.ledger)
        before = {state.contract: state for state, _ in found if state.side == "source"}
    sources = [source for source in manifest.sources.values() if source["source_name"] not in before]
    results = find_results_of_all(outcome.results, work)
    kept = describe_contracts(results, report.products, owners(manifest), nodes, sources)
    judged = {state.contract for state in kept}
    return [*kept, *(state for name, state in before.items() if name not in judged)]


def _record(
    places: Places,
    run: Run,
    nodes: list[NodeResult],
    kept: list[ContractState],
    published: Sequence[str] = (),
    manifest: Manifest | None = None,
    *,
    alert: bool = True,
) -> list[str]:
    """Record a run that has ended and send its alerts; return what went wrong with either."""
    try:
        ledger.record(places.ledger, run)
        record_nodes(places.ledger, run.run_id, nodes)
        record_contracts(places.ledger, run.run_id, kept)
        record_publications(places.ledger, run, published)
        if manifest and not run.as_of:
            record_landings(places.ledger, run, find_landings(places.warehouse, run.run_id, manifest))
        if not run.as_of:
            write_metrics(
                places.ledger.parent,
                run,
                read_nodes(places.ledger, run.run_id),
                succeeded_at=ledger.find_last_success(places.ledger, run.warehouse),
                freshness=read_freshness(places.warehouse),
            )
    except (Fault, duckdb.Error, OSError) as error:
        return [f"The run could not be recorded in {places.ledger}: {known_fault(error) or error}"]
    if not alert:
        return []
    return notify(places.ledger, run.run_id) + ([] if run.as_of else watch_availability(places))


def _end(run: Run, status: ledger.Status) -> None:
    run.status, run.ended_at = status, now()
