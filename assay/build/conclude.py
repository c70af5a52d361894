"""Publish what a finished dbt run has built, and note what the next build needs to know."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb

from assay.build.bucket import put_gold_in_bucket, put_roles_in_bucket
from assay.build.build import Options, Report
from assay.build.inputs import identity
from assay.build.outside import outside_ids
from assay.build.plan import unfinished
from assay.build.publications import how_many, keep, prune
from assay.build.publish import Provenance, publish
from assay.build.refresh import GROUPS, due_at
from assay.build.roles import publish_roles
from assay.build.search import forget_deleted, publish_search
from assay.build.state import State
from assay.build.store import read_store
from assay.build.work import Work
from assay.core.disk import link_in_place
from assay.core.fault import FAILED, MISUSED, Fault, known_fault
from assay.core.moment import now
from assay.core.places import Places, find_target
from assay.core.sql import quoted
from assay.core.words import counted, listed
from assay.landing.discover import TRIED_AGAIN
from assay.ledger.account import Account, read_account
from assay.ledger.results import NodeResult
from assay.ledger.rollbacks import end_rollback, read_rollback
from assay.ledger.runs import Run
from assay.online.ahead import Ahead
from assay.online.published import CATALOG
from assay.online.stores.open import open_store, store_url
from assay.online.sync import sync
from assay.project.compiled import has_sql, read_compiled
from assay.project.conventions import SERVING, TABLES, is_published, tables_of
from assay.project.dbt_run import DbtOutcome
from assay.project.failures import Verdict, judge, plain_message
from assay.project.kept import OF_BUILD
from assay.project.lake import find_changed_types, is_lake
from assay.project.lease import require_lease
from assay.project.products import judge_products
from assay.project.shared_lake import is_shared, note_state
from assay.project.warehouse import connect

_FILES_NAMED = 3


def conclude(
    options: Options,
    places: Places,
    run: Run,
    outcome: DbtOutcome,
    nodes: Sequence[NodeResult],
    work: Work,
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
    if is_lake(places.warehouse):
        _refuse_changed_types(places, outcome, work, verdict)
    else:
        _drop_temporary_tables(places.warehouse)
    if is_shared(places.warehouse):
        require_lease(places.warehouse)
        note_state(places.warehouse)
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
    report.failed = report.failed or bool(verdict.failures or report.bucket_fault)
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
    if run.message is None:
        run.message = report.bucket_fault
    if run.message is None and report.rollback:
        run.message = f"Published again, after gold was {report.rollback}"
    _describe_work(report, work)
    return report


def _refuse_changed_types(places: Places, outcome: DbtOutcome, work: Work, verdict: Verdict) -> None:
    """Check that no model has left a table in a lake of which Parquet changes the values.

    Raises:
        Fault: there are such tables; it names what else has failed.
    """
    nodes = [result.node for result in outcome.results]
    nodes += work.manifest.nodes.values() if work.manifest else []
    tables = {(str(node.schema), str(node.alias)) for node in nodes if node.resource_type in TABLES}
    with connect(places.warehouse) as connection:
        changed = find_changed_types(connection, tables)
    if changed:
        failed = "".join(f"\nFailed, too: {failure}" for failure in verdict.failures)
        raise Fault(
            f"A lake changes the values of {listed(changed, _FILES_NAMED)}. Cast to another type, such as "
            f"varchar, bigint or decimal(38, 0). What was published stays as it was.{failed}"
        )


def _drop_temporary_tables(warehouse: Path) -> None:
    """Drop the new rows of incremental models in Python, which dbt-duckdb leaves in tables of their own."""
    with connect(warehouse, read_only=False) as connection:
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where database_name = current_database() and contains(table_name, '__dbt_tmp')"
        ).fetchall():
            connection.execute(f"drop table {quoted(schema)}.{quoted(table)}")


def _describe_work(report: Report, work: Work) -> None:
    if work.manifest:
        built = {
            each
            for each, node in work.manifest.nodes.items()
            if node.resource_type in TABLES and node.config.materialized != "ephemeral"
        }
        report.of_nodes = len(built)
        report.built_nodes = len(built & work.plan.run) if work.plan.run is not None else None
    for group, ids in work.plan.waiting.items():
        due = due_at(group, work.state.refreshed_at.get(group)) if work.state else None
        if due:
            report.waiting[group] = (len(ids), due)


def state_after(places: Places, run: Run, outcome: DbtOutcome, report: Report, work: Work) -> State:
    """Return what the next build needs to know of one that has been published as far as it passed."""
    before = work.state if work.is_part else None
    ran = {result.node.unique_id for result in outcome.results}
    refreshed = GROUPS if before is None else work.plan.refreshed
    begun = run.started_at.isoformat()
    changed = set(before.unpublished if before else []) | _changed_tables(outcome.results)
    is_published = report.publication is not None
    is_synced = not is_published or CATALOG not in report.products.passed
    store = read_store(places) if report.online else None
    unread = _unread_tables(report.account)
    landed = {table: digest for table, digest in work.inputs.landed.items() if table not in unread}
    failed = unfinished(outcome.results) | (set(before.failed if before else []) - ran)
    return State(
        inputs=replace(work.inputs, landed=landed),
        warehouse=identity(places.warehouse) or "",
        run_id=run.run_id,
        digests=dict(work.digests),
        reads_outside=bool(outside_ids(work.manifest)),
        failed=sorted(failed & work.digests.keys()),
        waiting={group: list(ids) for group, ids in work.plan.waiting.items()},
        refreshed_at=(before.refreshed_at if before else {}) | dict.fromkeys(refreshed, begun),
        published=identity(places.published),
        unpublished=sorted(changed - report.products.passed if is_published else changed),
        store=store or (work.state.store if work.state and is_synced else None),
        synced=report.online is not None or (is_synced and (work.state is None or work.state.synced)),
        search=identity(places.search) if report.is_searched else "",
        are_roles_applied=report.are_roles_applied,
        manifest=identity(find_target() / OF_BUILD) if work.starts_dbt or work.keeps_manifest else None,
    )


def compiled_after(work: Work, state: State) -> dict[str, str]:
    """Return the SQL of models and snapshots by id, of those whose code was compiled as it is.

    Args:
        work: what the run did.
        state: after it.
    """
    compiled = read_compiled(work.inputs.of_code)
    if not compiled and work.is_part and (before := work.state):
        left = {*state.failed, *itertools.chain(*state.waiting.values())}
        compiled = {
            id_: sql
            for id_, sql in read_compiled(before.inputs.of_code).items()
            if id_ in work.digests and before.digests.get(id_) == work.digests[id_] and id_ not in left
        }
    return compiled | {
        id_: node.compiled_code
        for id_, node in work.manifest.nodes.items()
        if has_sql(node) and node.compiled_code
    }


def _unread_tables(account: Account) -> set[str]:
    """Return the landing tables with files that the next build tries to read again."""
    tried_again = [each for each in account.troubled if each.error.startswith(TRIED_AGAIN)]
    folders = [each.source_file.split("/") for each in tried_again]
    return {f"{parts[0]}.{parts[1]}" if len(parts) > 2 else "" for parts in folders}


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
    if report.rollback:
        # What a stream noted while the store was taken back is not there.
        Ahead(places.ahead).go_back({})
    try:
        report.online = sync(places.published, open_store(store_url(None, places)), ahead=Ahead(places.ahead))
    except Fault as fault:
        report.online_fault = str(fault)
        report.warnings.append(f"{fault}\nThe online store stays as it was. To update it: assay online sync")


def _publish(places: Places, run: Run, outcome: DbtOutcome, report: Report, work: Work) -> None:
    """Publish the products without a failure; of the others, readers keep the last published tables."""
    report.products = judge_products(find_results_of_all(outcome.results, work))
    if places.published_until_now.is_file() and not places.published.exists():
        places.published_until_now.replace(places.published)
    changed = None
    published = identity(places.published)
    # Where nothing was ever published, there is nothing to leave as it is.
    if published and work.is_part and work.state and work.state.published == published:
        changed = set(work.state.unpublished) | _changed_tables(outcome.results)
    provenance = Provenance(run.run_id, run.started_at)
    _keep(places, report)
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
    if report.publication:
        # An index that is gone or was changed is written anew, also if nothing of the documents has changed.
        is_as_left = work.state is not None and work.state.search == identity(places.search)
        _publish_search(places, report, changed if is_as_left else None, work.manifest)
    if places.published.is_file() and not run.as_of:
        _publish_roles(places, report)
    if report.publication and not run.as_of:
        products = report.products
        anew = products.passed if changed is None else products.passed & changed
        report.published_products = sorted({products.product_of[table] for table in anew})
        _keep(places, report)
        prune(places.published, how_many())
        if report.is_searched:
            _forget_deleted(places, report)
        _note_bucket_fault(report, put_gold_in_bucket(places))
        report.rollback = read_rollback(places.warehouse)
        if CATALOG in report.products.passed:
            _put_online(places, report)
        end_rollback(places.warehouse)


def _publish_search(places: Places, report: Report, changed: set[str] | None, manifest: Any) -> None:
    """Bring search to what is published; what prevents that fails no build, and is tried in the next."""
    try:
        report.search = publish_search(places, changed, manifest=manifest, tell=report.warnings.append)
    except (Fault, OSError, duckdb.Error) as error:
        report.warnings.append(f"{known_fault(error) or error}\nSearch stays as it was: {places.search}")
        report.is_searched = False


def _publish_roles(places: Places, report: Report) -> None:
    """Bring files of roles to what is published; what prevents that fails no build, and is tried again."""
    try:
        report.roles = publish_roles(places)
    except (Fault, OSError, duckdb.Error) as error:
        report.warnings.append(
            f"{known_fault(error) or error}\nTo write the files of roles: assay roles apply"
        )
        report.are_roles_applied = False
    _note_bucket_fault(report, put_roles_in_bucket(places))


def _note_bucket_fault(report: Report, fault: str | None) -> None:
    """Note that the bucket from which others read could not take something, if it could not."""
    report.bucket_fault = "\n".join(filter(None, [report.bucket_fault, fault])) or None
    report.warnings += filter(None, [fault])


def _forget_deleted(places: Places, report: Report) -> None:
    """Hide what is not published any more no longer; what prevents that fails no build."""
    try:
        forget_deleted(places)
    except (Fault, OSError, duckdb.Error) as error:
        report.warnings.append(f"{known_fault(error) or error}\nDocuments that were deleted stay hidden.")


def _keep(places: Places, report: Report) -> None:
    """Keep what is published; a publication that cannot be kept does not fail the build."""
    if places.as_of:
        return
    try:
        keep(places.published)
    except OSError as error:
        why = known_fault(error) or error
        report.warnings.append(f"{why}\nNobody can go back to what {places.published} holds once it is old.")


def find_results_of_all(results: Sequence[Any], work: Work) -> list[Any]:
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
    from dbt.exceptions import UninstalledPackagesFoundError

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
