"""Run `assay build`: lock the warehouse, run dbt, publish the products that passed, and record the run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
from dbt.exceptions import UninstalledPackagesFoundError

from assay.alerts.notify import notify
from assay.build.freshness import read_freshness
from assay.build.metrics_file import write_metrics
from assay.build.publish import Provenance, Publication, publish
from assay.build.selection import find_selection
from assay.console.progress import Display
from assay.core.disk import link_in_place
from assay.core.fault import FAILED, INTERRUPTED, MISUSED, Fault, known_fault
from assay.core.lock import Holder, locked
from assay.core.moment import as_variable, in_file_name, now
from assay.core.places import Places, find_places
from assay.core.words import counted
from assay.landing.declared import lands_files
from assay.landing.discover import LandingFolderMissing, discover
from assay.landing.past import copy_landing, has_landing
from assay.landing.progress import listening
from assay.ledger import runs as ledger
from assay.ledger.account import Account, read_account
from assay.ledger.contracts import ContractState, describe_contracts, record_contracts
from assay.ledger.nodes import record_nodes
from assay.ledger.results import NodeResult, make_node_results
from assay.ledger.runs import Run
from assay.ledger.schema_results import make_schema_results
from assay.ledger.versions import note_version, refuse_older_version
from assay.lineage.tell import tell_lineage
from assay.online.published import CATALOG
from assay.online.stores.open import open_store, store_url
from assay.online.sync import Synced, sync
from assay.pii.key import find_pii_key
from assay.project.code_version import code_version
from assay.project.dbt_run import DbtOutcome, run_dbt
from assay.project.failures import Verdict, judge, plain_message
from assay.project.graph import Manifest
from assay.project.owners import owners
from assay.project.packages import make_linked_packages_ready
from assay.project.paths import model_paths
from assay.project.personal import Personal
from assay.project.products import Products, judge_products
from assay.server.prediction_log import SECONDS_OPEN, hand_over_leftovers

_TARGET_PATH = "target"
_FILES_NAMED = 3


@dataclass(frozen=True)
class Options:
    """The options of the command line; `wait` is in seconds, `as_of` in UTC."""

    full_refresh: bool = False
    select: str | None = None
    as_of: datetime | None = None
    strict: bool = False
    wait: float = 600.0

    @property
    def command(self) -> str:
        """The command line with these options."""
        parts = ["assay build"]
        parts += ["--full-refresh"] * self.full_refresh
        parts += [f"--select {self.select}"] * bool(self.select)
        parts += [f"--as-of {self.as_of.isoformat()}"] if self.as_of else []
        parts += ["--strict"] * self.strict
        return " ".join(parts)


@dataclass
class Report:
    """The outcome of a build. `withheld` says why nothing is published; `products` knows the stopped ones."""

    places: Places
    run: Run
    verdict: Verdict
    account: Account
    products: Products = field(default_factory=Products)
    publication: Publication | None = None
    online: list[Synced] | None = None
    withheld: str | None = None
    failed: bool = False
    warnings: list[str] = field(default_factory=list)


def build(options: Options, display: Display) -> Report:
    """Build the warehouse of the project in the current folder, and publish gold if it passes.

    Raises:
        Fault: the build could not be done, or was interrupted; a run that had begun is recorded as failed.
    """
    if options.select is not None and not options.select.strip():
        raise Fault("--select is empty: name what to build, or leave it out to build everything.", MISUSED)
    places = find_places(options.as_of)
    make_linked_packages_ready()
    refuse_older_version(places.ledger)
    # Checks the key here, because dbt would show a fault within a connection only as its own error.
    find_pii_key()
    if hand_over_leftovers(places.landing):
        display.say(
            f"The next build loads the predictions of the last {SECONDS_OPEN:g} s: a server writes them"
        )
    warnings = _check_landing(places.landing)
    for warning in warnings:
        display.say(f"Warning: {warning}")

    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting up to {options.wait:.0f} s for another build: {holder or 'it has just begun'}")

    with locked(places.warehouse, command=options.command, wait=options.wait, on_wait=waiting):
        try:
            if options.as_of and not has_landing(places.warehouse):
                with locked(
                    places.main_warehouse, command=options.command, wait=options.wait, on_wait=waiting
                ):
                    copied = copy_landing(places.main_warehouse, places.warehouse)
                if copied:
                    display.say(f"Copied what had landed from {places.main_warehouse}")
            _check_warehouse(places.warehouse)
        except (duckdb.Error, OSError) as error:
            raise known_fault(error) or error from error
        display.say(f"Building {places.warehouse} from {places.landing}")
        report = _recorded_build(options, places, display)
    report.warnings = warnings + report.warnings
    return report


def _check_landing(landing: Path) -> list[str]:
    if not landing.exists() and not lands_files(*model_paths()):
        return []
    try:
        if next(discover(landing), None) is None:
            return [
                f"The landing folder {landing} holds no files, so nothing new is loaded. "
                "Files go into <source>/<table>/ folders within it."
            ]
    except LandingFolderMissing as error:
        raise Fault(str(error), MISUSED) from error
    except OSError as error:
        raise Fault(f"{error.filename} cannot be read ({error.strerror}): check its permissions.") from error
    return []


def _check_warehouse(warehouse: Path) -> None:
    """Open the warehouse once, so that an unusable file is reported before dbt starts."""
    if warehouse.exists():
        duckdb.connect(str(warehouse)).close()


def _recorded_build(options: Options, places: Places, display: Display) -> Report:
    run = Run(
        run_id="",
        warehouse=str(places.warehouse),
        started_at=now(),
        command=options.command,
        options=asdict(options) | {"as_of": options.as_of.isoformat() if options.as_of else None},
        as_of=options.as_of,
        code_version=code_version(),
    )

    def begin(run_id: str) -> None:
        run.run_id = run_id
        note_version(places.ledger)
        ledger.record(places.ledger, run)

    nodes: list[NodeResult] = []
    kept: list[ContractState] = []
    try:
        with listening(display.loaded):
            outcome = run_dbt(
                _dbt_arguments(options, _selected(options, places, display)),
                warehouse=places.warehouse,
                on_start=begin,
                watcher=display,
            )
        if outcome.results:
            manifest = _target_path(options) / "manifest.json"
            owner_of = owners(manifest)
            graph = Manifest.read(manifest)
            personal = Personal.of(graph)
            nodes = make_node_results(outcome.results, places.warehouse, owner_of, personal)
        report = _conclude(options, places, run, outcome, nodes)
        if report.products.product_of:
            kept = describe_contracts(
                outcome.results, report.products, owner_of, nodes, graph.sources.values()
            )
        if report.account.schema_changes:
            nodes += make_schema_results(report.account.schema_changes)
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
                nodes,
                succeeded_at=ledger.find_last_success(places.ledger, run.warehouse),
                freshness=read_freshness(places.warehouse),
            )
    except (Fault, duckdb.Error, OSError) as error:
        return [f"The run could not be recorded in {places.ledger}: {known_fault(error) or error}"]
    return notify(places.ledger, run.run_id) if alert else []


def _conclude(
    options: Options, places: Places, run: Run, outcome: DbtOutcome, nodes: Sequence[NodeResult]
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
        _publish(places, run, outcome, report)
        if report.publication and CATALOG in report.products.passed and not options.as_of:
            _put_online(places, report)
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
    return report


def _put_online(places: Places, report: Report) -> None:
    """Sync the online store with the published file; a store that is away does not fail the build."""
    try:
        report.online = sync(places.published, open_store(store_url(None, places)))
    except Fault as fault:
        report.warnings.append(f"{fault}\nThe online store stays as it was. To update it: assay online sync")


def _publish(places: Places, run: Run, outcome: DbtOutcome, report: Report) -> None:
    """Publish the products without a failure; of the others, readers keep the last published tables."""
    report.products = judge_products(outcome.results)
    if places.published_until_now.is_file() and not places.published.exists():
        places.published_until_now.replace(places.published)
    provenance = Provenance(run.run_id, run.started_at)
    report.publication = publish(places.warehouse, places.published, report.products, provenance)
    if report.publication is None:
        failures = len(report.verdict.failures)
        report.withheld = (
            f"{failures} of {counted(report.verdict.nodes_run, 'node')} failed"
            if failures
            else "no model is in gold"
        )
    if places.published.is_file():
        link_in_place(places.published_until_now, places.published)


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
    if selection is None:
        return [options.select]
    for told in selection.told():
        display.say(told)
    return selection.select


def _dbt_arguments(options: Options, select: list[str]) -> list[str]:
    arguments = ["build", *_project_arguments(options)]
    if options.full_refresh:
        arguments.append("--full-refresh")
    if select:
        arguments += ["--select", *select, "--indirect-selection", "buildable"]
    if options.as_of:
        # Unit tests bring their own rows and times: they test the code, which is the same at any moment.
        arguments += ["--exclude-resource-type", "unit_test"]
    return arguments


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
