"""Run `assay build`: lock the warehouse, and build what has changed; if nothing has, dbt does not start."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import duckdb

from assay.bucket.landing import fetch_landing
from assay.build.bucket import put_in_bucket
from assay.build.inputs import read_inputs
from assay.build.plan import is_up_to_date
from assay.build.publications import how_many
from assay.build.publish import Publication
from assay.build.refresh import check_lengths
from assay.build.state import read_state
from assay.console.progress import Display
from assay.contracts.availability import read_promises
from assay.core.encryption import check_can_encrypt, find_encryption_key
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.lock import Holder
from assay.core.moment import now
from assay.core.places import Places, find_places
from assay.landing.declared import lands_files
from assay.landing.discover import LandingFolderMissing, discover
from assay.landing.past import copy_landing, has_landing
from assay.ledger.account import Account
from assay.ledger.rollbacks import Rollback
from assay.ledger.runs import Run, read_runs, record
from assay.ledger.versions import note_version, refuse_older_version
from assay.pii.key import find_pii_key
from assay.project.code_version import code_version
from assay.project.failures import Verdict
from assay.project.lake import require_lake
from assay.project.lease import hold_warehouse
from assay.project.packages import make_linked_packages_ready
from assay.project.paths import model_paths
from assay.project.products import Products
from assay.project.warehouse import connect
from assay.server.landing_log import SECONDS_OPEN, hand_over_leftovers

if TYPE_CHECKING:
    from assay.build.inputs import Inputs
    from assay.build.roles import RoleFile
    from assay.build.state import State
    from assay.online.sync import Synced
    from assay.search.index import IndexCounts


@dataclass(frozen=True)
class Options:
    """The options of the command line; `wait` is in seconds, `as_of` in UTC.

    `records_idle` says whether a build that has nothing to do is recorded as a run.
    """

    full_refresh: bool = False
    everything: bool = False
    select: str | None = None
    as_of: datetime | None = None
    strict: bool = False
    wait: float = 600.0
    records_idle: bool = True

    @property
    def command(self) -> str:
        """The command line with these options."""
        parts = ["assay build"]
        parts += ["--full-refresh"] * self.full_refresh
        parts += ["--all"] * self.everything
        parts += [f"--select {self.select}"] * bool(self.select)
        parts += [f"--as-of {self.as_of.isoformat()}"] if self.as_of else []
        parts += ["--strict"] * self.strict
        return " ".join(parts)

    @property
    def builds_all(self) -> bool:
        """Whether all nodes are built, also those for which nothing has changed."""
        return self.full_refresh or self.everything

    @property
    def may_do_nothing(self) -> bool:
        """Whether the build may end where nothing has changed; a strict one still looks at the files."""
        return not (self.builds_all or self.strict)


@dataclass
class Report:
    """The outcome of a build.

    Attributes:
        withheld: why nothing is published.
        products: the products; knows the stopped ones.
        of_nodes: how many models, seeds and snapshots the project has.
        built_nodes: how many of them the build ran; None if it ran all.
        waiting: how many nodes wait until their group is due, and when that is (UTC), by group.
        unchanged_since: the run that built what is there, if nothing had changed and dbt did not start.
        rollback: the rollback that the build has ended, because it published again.
        published_products: the products of which it has published tables anew.
        bucket_fault: why the bucket from which others read could not take it.
        online_fault: why the online store could not take what was published.
        search: what the file that is searched holds, if it was written anew.
        is_searched: whether that file is as what is published.
        roles: the files of roles.
        are_roles_applied: whether these files are as what is published.
    """

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
    of_nodes: int = 0
    built_nodes: int | None = None
    waiting: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    unchanged_since: str | None = None
    rollback: Rollback | None = None
    published_products: list[str] = field(default_factory=list)
    bucket_fault: str | None = None
    online_fault: str | None = None
    search: IndexCounts | None = None
    is_searched: bool = True
    roles: list[RoleFile] = field(default_factory=list)
    are_roles_applied: bool = True


def build(options: Options, display: Display) -> Report:
    """Build the warehouse of the project in the current folder, and publish gold if it passes.

    Raises:
        Fault: the build could not be done, or was interrupted; a run that had begun is recorded as failed.
    """
    if options.select is not None and not options.select.strip():
        raise Fault("--select is empty: name what to build, or leave it out to build everything.", MISUSED)
    places = find_places(options.as_of)
    require_lake(places.main_warehouse)
    make_linked_packages_ready()
    refuse_older_version(places.ledger)
    check_lengths()
    how_many()
    # Checks the keys here, because dbt would show a fault within a connection only as its own error.
    find_pii_key()
    if find_encryption_key():
        check_can_encrypt()
    if hand_over_leftovers(places.landing):
        display.say(f"The next build loads what a server was told in the last {SECONDS_OPEN:g} s")
    warnings = [] if options.as_of else _fetch_landing(places, display)
    warnings += _check_landing(places.landing)
    for warning in warnings:
        display.say(f"Warning: {warning}")

    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting up to {options.wait:.0f} s for another build: {holder or 'it has just begun'}")

    with hold_warehouse(
        places.warehouse,
        command=options.command,
        wait=options.wait,
        on_wait=waiting,
        is_part=options.select is not None,
    ):
        try:
            if options.as_of and not has_landing(places.warehouse):
                with hold_warehouse(
                    places.main_warehouse, command=options.command, wait=options.wait, on_wait=waiting
                ):
                    copied = copy_landing(places.main_warehouse, places.warehouse)
                if copied:
                    display.say(f"Copied what had landed from {places.main_warehouse}")
            _check_warehouse(places.warehouse)
            # Read before dbt looks for files: one that lands in between counts as changed in the next build.
            inputs = read_inputs(places)
        except (duckdb.Error, OSError) as error:
            raise known_fault(error) or error from error
        state = None if options.select or options.as_of else read_state(places.warehouse)
        if state and options.may_do_nothing and is_up_to_date(state, inputs, places, now()):
            report = _record_nothing_to_do(options, places, state)
        else:
            report = _run(options, places, inputs, state, display)
    # Each part of a build that tells people something says what is wrong with alerts.yml.
    report.warnings = list(dict.fromkeys(warnings + report.warnings))
    return report


def _run(options: Options, places: Places, inputs: Inputs, state: State | None, display: Display) -> Report:
    # Imports dbt, which takes longer than a build that has nothing to do.
    from assay.build.run import run_recorded

    display.say(f"Building {places.warehouse} from {places.landing}")
    return run_recorded(options, places, inputs, state, display)


def _record_nothing_to_do(options: Options, places: Places, state: State) -> Report:
    """Record a run that found the warehouse up to date; it has the tables and rejects of the run before."""
    run = start_run(options, places)
    run.run_id, run.options["part"] = str(uuid4()), True
    runs = [each for each in read_runs(places.ledger) if each.warehouse == run.warehouse and each.ended_at]
    before = next((each for each in runs if each.run_id == state.run_id), None)
    if before:
        run.tables, run.rejects = before.tables, before.rejects
    run.message = f"Nothing has landed and no code has changed since run {state.run_id}: nothing to build"
    # What a bucket that was away has not taken.
    fault = put_in_bucket(places)
    run.status, run.ended_at = "failed" if fault else "succeeded", now()
    run.message = fault or run.message
    # For example, dbt could not parse a file, which is as it was before again.
    has_recovered = bool(runs) and runs[0].status == "failed" and not fault
    if options.records_idle or has_recovered or fault:
        note_version(places.ledger)
        record(places.ledger, run)
    none_ran = Verdict([], [], 0, 0, 0, 0)
    report = Report(places, run, none_ran, Account(), withheld=run.message, unchanged_since=state.run_id)
    report.failed, report.warnings = bool(fault), [*filter(None, [fault])]
    if has_recovered and before:
        report.warnings += _tell_recovery(places, run, before)
    if any(read_promises()):
        # Imports what sends alerts, which takes longer than the rest.
        from assay.alerts.availability_alerts import watch_availability

        report.warnings += watch_availability(places)
    return report


def _tell_recovery(places: Places, run: Run, before: Run) -> list[str]:
    """Tell that all is well again after a failed build; metrics are those of the build before it."""
    from assay.alerts.notify import notify
    from assay.build.freshness import read_freshness
    from assay.build.metrics_file import write_metrics
    from assay.ledger.nodes import read_nodes

    nodes, freshness = read_nodes(places.ledger, before.run_id), read_freshness(places.warehouse)
    write_metrics(places.ledger.parent, before, nodes, succeeded_at=before.ended_at, freshness=freshness)
    return notify(places.ledger, run.run_id)


def start_run(options: Options, places: Places) -> Run:
    """Return the record of a run that begins now."""
    return Run(
        run_id="",
        warehouse=str(places.warehouse),
        started_at=now(),
        command=options.command,
        options=asdict(options) | {"as_of": options.as_of.isoformat() if options.as_of else None},
        as_of=options.as_of,
        code_version=code_version(),
    )


def _fetch_landing(places: Places, display: Display) -> list[str]:
    """Fetch what is new in a landing zone that lies in a bucket; return what cannot be fetched."""
    try:
        brought = fetch_landing(display.say)
    except OSError as error:
        raise known_fault(error) or Fault(
            f"{error.filename} cannot be written ({error.strerror})."
        ) from error
    if brought is None:
        return []
    display.say(f"The landing zone's copy in {places.landing}: {brought}")
    return [f"Not landed: {fault}." for fault in brought.faults]


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
        connect(warehouse, read_only=False).close()
