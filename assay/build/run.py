"""Run dbt in a recorded run, and publish the products that passed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import duckdb
from dbt.exceptions import UninstalledPackagesFoundError

from assay.alerts.notify import notify
from assay.build.build import Options, Report, start_run
from assay.build.freshness import read_freshness
from assay.build.inputs import Inputs, identity
from assay.build.metrics_file import write_metrics
from assay.build.plan import Plan, make_plan, node_digests, reads_outside, unfinished
from assay.build.publish import Provenance, publish
from assay.build.refresh import GROUPS, due_at
from assay.build.selection import find_selection
from assay.build.state import State, forget_state, write_state
from assay.console.progress import Display
from assay.core.disk import link_in_place
from assay.core.fault import FAILED, INTERRUPTED, MISUSED, Fault, known_fault
from assay.core.moment import as_variable, in_file_name, now
from assay.core.places import Places
from assay.core.words import counted
from assay.landing.progress import listening
from assay.ledger import runs as ledger
from assay.ledger.account import read_account
from assay.ledger.contracts import ContractState, describe_contracts, read_newest_contracts, record_contracts
from assay.ledger.nodes import make_removed_node, read_nodes, record_nodes
from assay.ledger.results import NodeResult, make_node_results
from assay.ledger.runs import Run
from assay.ledger.schema_results import make_schema_results
from assay.ledger.versions import note_version
from assay.lineage.tell import tell_lineage
from assay.online.published import CATALOG
from assay.online.stores.open import open_store, store_file, store_url
from assay.online.sync import sync
from assay.project.conventions import SERVING, TABLES, is_published, tables_of
from assay.project.dbt_run import DbtOutcome, ask_dbt, run_dbt
from assay.project.failures import judge, plain_message
from assay.project.graph import Manifest
from assay.project.owners import owners
from assay.project.personal import Personal
from assay.project.products import judge_products

_TARGET_PATH = "target"
_FILES_NAMED = 3


@dataclass(frozen=True)
class _Work:
    """What a run is to do: its plan, and the project as parsed for it; None if it is not parsed before."""

    plan: Plan
    manifest: Any
    inputs: Inputs
    state: State | None
    digests: Mapping[str, str]

    @property
    def is_part(self) -> bool:
        return self.plan.run is not None

    @property
    def removed(self) -> list[str]:
        """The ids of what the project had when the state was written, and has no more."""
        return sorted(self.state.digests.keys() - self.digests.keys()) if self.is_part and self.state else []


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

    nodes: list[NodeResult] = []
    kept: list[ContractState] = []
    try:
        work = _plan_work(options, places, inputs, state, run)
        # A build that is killed leaves no state, and so the next one builds everything. A project that dbt
        # cannot parse changes nothing.
        if work.manifest or options.select:
            forget_state(places.warehouse)
        with listening(display.loaded):
            outcome = _run_planned(options, places, work, begin, display)
        if outcome.results:
            manifest = Manifest.read(_target_path(options) / "manifest.json")
            owner_of = owners(manifest)
            personal = Personal.of(manifest)
            nodes = make_node_results(outcome.results, places.warehouse, owner_of, personal)
        report = _conclude(options, places, run, outcome, nodes, work)
        if outcome.results and report.products.product_of:
            kept = _describe_contracts(places, outcome, report, nodes, manifest, work)
        if report.account.schema_changes:
            nodes += make_schema_results(report.account.schema_changes)
        nodes += [make_removed_node(unique_id) for unique_id in work.removed]
    except BaseException as error:
        fault = known_fault(error)
        run.message = str(fault or error) or type(error).__name__
        if run.run_id:
            _end(run, "failed")
            # An interrupt sends no alert, because the person who interrupted the build knows.
            for warning in _record(places, run, nodes, kept, alert=not isinstance(error, KeyboardInterrupt)):
                display.say(f"Warning: {warning}")
        if isinstance(error, KeyboardInterrupt):
            raise Fault("Interrupted: nothing is published. Build again to go on.", INTERRUPTED) from error
        raise fault or error from error
    _end(run, "failed" if report.failed else "succeeded")
    report.warnings += _record(places, run, nodes, kept)
    report.warnings += tell_lineage(run, nodes, outcome.results, places.warehouse)
    return report


def _plan_work(options: Options, places: Places, inputs: Inputs, state: State | None, run: Run) -> _Work:
    """Parse the project, and decide what to run of it."""
    if options.select or options.as_of:
        return _Work(Plan(None), None, inputs, None, {})
    manifest = _parse(places, inputs)
    if manifest is None:
        # dbt's build will report why.
        return _Work(Plan(None), None, inputs, None, {})
    is_known = state is not None and state.inputs.code == inputs.code
    digests = state.digests if state and is_known else node_digests(manifest)
    plan = (
        Plan(None)
        if state is None or options.builds_all
        else make_plan(state, inputs, places, manifest, digests, run.started_at)
    )
    run.options["part"] = plan.run is not None
    return _Work(plan, manifest, inputs, state, digests)


# The project as this process parsed it last: a build that finds the same code does not parse it again.
_parsed: dict[tuple[str, str, str], Any] = {}


def _parse(places: Places, inputs: Inputs) -> Any:
    key = (str(Path.cwd()), inputs.settings, inputs.code)
    if key not in _parsed:
        parsed = ask_dbt(["parse"], places.warehouse)
        _parsed.clear()
        if not parsed.success:
            return None
        _parsed[key] = parsed.result
    return _parsed[key]


def _run_planned(
    options: Options, places: Places, work: _Work, begin: Callable[[str], None], display: Display
) -> DbtOutcome:
    if work.is_part and not work.plan.run:
        # Only something is still to be published, or a test is gone.
        begin(str(uuid4()))
        return DbtOutcome(succeeded=True)
    chosen = (
        work.plan.selection(work.manifest)
        if work.manifest
        else nullcontext(_selected(options, places, display))
    )

    def begin_with_manifest(run_id: str) -> None:
        # The manifest that dbt writes names the run that it is of, not the parse before it.
        if work.manifest:
            work.manifest.metadata.invocation_id = run_id
        begin(run_id)

    with chosen as selection:
        return run_dbt(
            _dbt_arguments(options, work, selection),
            warehouse=places.warehouse,
            on_start=begin_with_manifest,
            watcher=display,
            manifest=work.manifest,
        )


def _describe_contracts(
    places: Places,
    outcome: DbtOutcome,
    report: Report,
    nodes: Sequence[NodeResult],
    manifest: Manifest,
    work: _Work,
) -> list[ContractState]:
    """Describe all contracts; of sources whose tests a part's build did not run, as they were before it."""
    before = {}
    if work.is_part:
        found = read_newest_contracts(places.ledger)
        before = {state.contract: state for state, _ in found if state.side == "source"}
    sources = [source for source in manifest.sources.values() if source["source_name"] not in before]
    results = _results_of_all(outcome.results, work)
    kept = describe_contracts(results, report.products, owners(manifest), nodes, sources)
    judged = {state.contract for state in kept}
    return [*kept, *(state for name, state in before.items() if name not in judged)]


def _record(
    places: Places, run: Run, nodes: list[NodeResult], kept: list[ContractState], *, alert: bool = True
) -> list[str]:
    """Record a run that has ended and send its alerts; return what went wrong with either."""
    try:
        ledger.record(places.ledger, run)
        record_nodes(places.ledger, run.run_id, nodes)
        record_contracts(places.ledger, run.run_id, kept)
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
    return notify(places.ledger, run.run_id) if alert else []


def _conclude(
    options: Options,
    places: Places,
    run: Run,
    outcome: DbtOutcome,
    nodes: Sequence[NodeResult],
    work: _Work,
) -> Report:
    """Publish the products of a finished dbt run, or say why they are not published."""
    run.dbt_seconds, run.duckdb_seconds = outcome.seconds, outcome.duckdb_seconds
    _raise_if_impossible(outcome)
    if options.select and not outcome.results:
        raise Fault(f"--select {options.select} matches nothing in this project.", MISUSED)
    verdict = judge(outcome.results, {node.unique_id: node.message for node in nodes})
    for failure in verdict.failures:
        if fault := known_fault(failure.message):
            raise fault
    account = read_account(places.warehouse, run.run_id)
    run.files_loaded = sum(table.files_in_run for table in account.landed)
    run.rows_landed = sum(table.landed_in_run for table in account.landed)
    run.tables = [
        asdict(landed) | {"checked": [asdict(row) for row in account.checked if row.source == landed.source]}
        for landed in account.landed
    ]
    run.rejects = [asdict(rejects) for rejects in account.rejects]
    run.tests_passed, run.tests_failed = verdict.tests_passed, verdict.tests_failed
    report = Report(places, run, verdict, account)
    report.failed = bool(verdict.failures)
    if options.strict and account.troubled:
        report.failed = True
        verb = "is" if account.files_not_loaded == 1 else "are"
        files = counted(account.files_not_loaded, "file")
        report.withheld = f"{files} {verb} not loaded, and --strict was given"
    elif options.select:
        report.withheld = (
            "--select builds a part, which may leave gold half-checked; build without it to publish"
        )
    else:
        _publish(places, run, outcome, report, work)
    if report.publication:
        run.published_path = str(report.publication.path)
        run.published_at = now()
        run.published_tables = report.publication.tables
        run.published_rows = report.publication.rows
    run.message = report.withheld
    if run.message is None and verdict.failures:
        stopped = report.products.stopped
        run.message = (
            f"{len(verdict.failures)} of {counted(verdict.nodes_run, 'node')} failed; not published: "
            + (", ".join(sorted(stopped)) if stopped else "nothing of gold")
        )
    elif run.message is None and account.troubled:
        files = counted(account.files_not_loaded, "landed file")
        run.message = f"{files} could not be loaded: " + ", ".join(
            each.named for each in account.troubled[:_FILES_NAMED]
        )
    _describe_work(report, work)
    if work.manifest:
        write_state(places.warehouse, _state_after(places, run, outcome, report, work))
    return report


def _describe_work(report: Report, work: _Work) -> None:
    if work.manifest:
        built = {each for each, node in work.manifest.nodes.items() if node.resource_type in TABLES}
        report.of_nodes = len(built)
        report.built_nodes = len(built & work.plan.run) if work.plan.run is not None else None
    for group, ids in work.plan.waiting.items():
        due = due_at(group, work.state.refreshed_at.get(group)) if work.state else None
        if due:
            report.waiting[group] = (len(ids), due)


def _state_after(places: Places, run: Run, outcome: DbtOutcome, report: Report, work: _Work) -> State:
    before = work.state if work.is_part else None
    ran = {result.node.unique_id for result in outcome.results}
    refreshed = GROUPS if before is None else work.plan.refreshed
    begun = run.started_at.isoformat()
    changed = set(before.unpublished if before else []) | _changed_tables(outcome.results)
    is_published = report.publication is not None
    return State(
        inputs=work.inputs,
        warehouse=identity(places.warehouse) or "",
        run_id=run.run_id,
        digests=dict(work.digests),
        reads_outside=reads_outside(work.manifest),
        failed=sorted(unfinished(outcome.results) | (set(before.failed if before else []) - ran)),
        waiting={group: list(ids) for group, ids in work.plan.waiting.items()},
        refreshed_at=(before.refreshed_at if before else {}) | dict.fromkeys(refreshed, begun),
        published=identity(places.published),
        unpublished=sorted(changed - report.products.passed if is_published else changed),
        store=str(file) if report.online and (file := store_file(store_url(None, places))) else None,
        synced=report.online is not None or not is_published or CATALOG not in report.products.passed,
    )


def _changed_tables(results: Sequence[Any]) -> set[str]:
    """Return the tables of gold that a run has built; those of online views only if it built the view."""
    done = {result.node.name: result.node for result in results if str(result.status) == "success"}
    views = {SERVING + name for name in done}
    return {
        table
        for node in done.values()
        if is_published(node)
        for table in tables_of(node)
        if table == str(node.alias) or table in views
    }


def _put_online(places: Places, report: Report) -> None:
    """Sync the online store with the published file; a store that is away does not fail the build."""
    try:
        report.online = sync(places.published, open_store(store_url(None, places)))
    except Fault as fault:
        report.warnings.append(f"{fault}\nThe online store stays as it was. To update it: assay online sync")


def _publish(places: Places, run: Run, outcome: DbtOutcome, report: Report, work: _Work) -> None:
    """Publish the products without a failure; of the others, readers keep the last published tables."""
    report.products = judge_products(_results_of_all(outcome.results, work))
    if places.published_until_now.is_file() and not places.published.exists():
        places.published_until_now.replace(places.published)
    changed = None
    if work.is_part and work.state and work.state.published == identity(places.published):
        changed = set(work.state.unpublished) | _changed_tables(outcome.results)
    provenance = Provenance(run.run_id, run.started_at)
    report.publication = publish(places.warehouse, places.published, report.products, provenance, changed)
    if report.publication is None:
        failures = len(report.verdict.failures)
        report.withheld = (
            f"{failures} of {counted(report.verdict.nodes_run, 'node')} failed"
            if failures
            else "no model is in gold"
        )
    if places.published.is_file():
        link_in_place(places.published_until_now, places.published)
    if report.publication and CATALOG in report.products.passed and not run.as_of:
        _put_online(places, report)


def _results_of_all(results: Sequence[Any], work: _Work) -> list[Any]:
    """Return the results of all nodes; those that a part's build did not run succeeded in their last run."""
    if not work.is_part:
        return list(results)
    ran = {result.node.unique_id for result in results}
    return [
        *results,
        *(
            SimpleNamespace(node=node, status="success")
            for unique_id, node in work.manifest.nodes.items()
            if unique_id not in ran and node.resource_type in TABLES
        ),
    ]


def _raise_if_impossible(outcome: DbtOutcome) -> None:
    """Raise the error that prevented dbt from running any node."""
    error = outcome.exception
    if error is None:
        return
    if isinstance(error, Fault | KeyboardInterrupt | SystemExit):
        raise error
    if isinstance(error, UninstalledPackagesFoundError):
        raise Fault(
            "The dbt packages of this project are not installed in dbt_packages/: "
            "run python -m assay.setup_packages (or dbt deps), then build again.",
            MISUSED,
        ) from error
    raise known_fault(error) or Fault(
        f"dbt could not run: {plain_message(str(error), with_place=True)}", FAILED
    ) from error


def _selected(options: Options, places: Places, display: Display) -> list[str]:
    """Return dbt's selection, and print what was added to or left out of the user's selection."""
    if not options.select:
        return []
    selection = find_selection(options.select, _project_arguments(options), places.warehouse)
    for told in selection.told() if selection else []:
        display.say(told)
    selected = selection.select if selection else [options.select]
    return ["--select", *selected, "--indirect-selection", "buildable"]


def _dbt_arguments(options: Options, work: _Work, selection: Sequence[str]) -> list[str]:
    arguments = ["build", *_project_arguments(options), *selection]
    if options.full_refresh:
        arguments.append("--full-refresh")
    if work.is_part and work.state and work.state.inputs.code == work.inputs.code:
        # The last build wrote the manifest of this code, with the SQL of all nodes.
        arguments.append("--no-write-json")
    if options.as_of or _has_tested_code(work):
        # Unit tests bring their own rows and times: they test the code, and it is as it was.
        arguments += ["--exclude-resource-type", "unit_test"]
    return arguments


def _has_tested_code(work: _Work) -> bool:
    """Tell whether the unit tests of this code have passed."""
    state = work.state
    return (
        not work.is_part
        and state is not None
        and not any(each.startswith("unit_test.") for each in state.failed)
        and (state.inputs.settings, state.inputs.code) == (work.inputs.settings, work.inputs.code)
    )


def _project_arguments(options: Options) -> list[str]:
    if not options.as_of:
        return []
    # dbt parses again if variables change. With a target folder for each moment, every parse is kept.
    variables = json.dumps({"as_of": as_variable(options.as_of)})
    return ["--vars", variables, "--target-path", str(_target_path(options))]


def _target_path(options: Options) -> Path:
    target = Path(os.environ.get("DBT_TARGET_PATH") or _TARGET_PATH)
    return target / "as_of" / in_file_name(options.as_of) if options.as_of else target


def _end(run: Run, status: ledger.Status) -> None:
    run.status, run.ended_at = status, now()
