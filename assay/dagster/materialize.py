"""Materialize what is selected in a Dagster run: one recorded run of Assay, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    DagsterExecutionInterruptedError,
    Failure,
    MaterializeResult,
    MetadataValue,
    OpExecutionContext,
    RetryRequested,
)

from assay.alerts.runbooks import Runbook
from assay.alerts.standing import watch_changes
from assay.api.build_result import BuildResult
from assay.api.project import Project, open_project
from assay.core.fault import INTERRUPTED, LOCKED, Fault
from assay.dagster.assets import AS_OF, DOCS, LOADER, ONLINE, REPORT, ProjectAssets
from assay.dagster.log import RunLog
from assay.dagster.outcome import Made, Told, as_table, describe_failures, read_outcome
from assay.dlt.land import LandedSource
from assay.online.sync import Synced

#: How long to wait, in seconds, and how often, while another build has the warehouse.
SECONDS_BETWEEN_TRIES, MOST_TRIES = 30, 120
#: In the metadata of a failure: Assay's run, of which the build itself has told people.
TOLD = "alerts sent for run"


def materialize_selected(context: AssetExecutionContext, root: Path, assets: ProjectAssets) -> Iterator[Told]:
    """Build what is selected in one run of Assay, and yield what it made and checked.

    Args:
        context: of the Dagster run.
        root: the project's folder.
        assets: of the project.

    Raises:
        Failure: the build or something after it failed.
        RetryRequested: another build has the warehouse.
    """
    selected = context.selected_asset_keys
    log = RunLog(context.log)
    project = open_project(root, console=log.console)
    result: BuildResult | None = None
    synced: list[Synced] | None = None
    broken: list[str] = []
    with faults_told(log):
        for target, spec in assets.dlt.items():
            if spec.key in selected:
                landed = project.land_declared([target])[0]
                if landed.error:
                    broken.append(landed.error)
                    context.log.error(landed.error)
                else:
                    yield _describe_landed(spec.key, landed)
        if _is_build_asked_for(context, assets):
            result = project.build(select=find_part(context, assets), wait=0, display=log)
            context.instance.add_run_tags(context.run.run_id, {"assay/run": result.run_id})
            yield from _tell_outcome(context, project, assets, result)
            synced = result.report.online
        if ONLINE in selected and synced is None and not (result and result.failed):
            synced = list(project.online.sync())
        if ONLINE in selected and synced is not None:
            views = as_table([asdict(each) for each in synced])
            yield MaterializeResult(asset_key=ONLINE, metadata={"views": views})
        for key, write in ((REPORT, project.report), (DOCS, project.docs)):
            if key in selected and (file := _write_page(context, write, result)):
                yield MaterializeResult(asset_key=key, metadata={"file": MetadataValue.path(str(file))})
        if result and result.failed:
            raise _failure(result, broken)
        for name, spec in assets.training_sets.items():
            if spec.key in selected:
                yield _take_training_set(project, name, spec.key)
        if broken:
            # What had landed is built nevertheless.
            raise Failure("\n".join(broken), allow_retries=False)
        end_alert(context, project)


def build_as_of(context: AssetExecutionContext, root: Path) -> Iterator[Told]:
    """Build the warehouse as it was known at the end of a partition's day.

    Args:
        context: of the Dagster run.
        root: the project's folder.

    Raises:
        Failure: the build failed.
        RetryRequested: another build has the warehouse.
    """
    log = RunLog(context.log)
    with faults_told(log):
        project = open_project(root, console=log.console)
        result = project.build(as_of=context.partition_time_window.end, wait=0, display=log)
        if result.failed:
            raise _failure(result)
        file = str((root / result.report.places.warehouse).absolute())
        yield MaterializeResult(
            asset_key=AS_OF, metadata={"run": result.run_id, "warehouse": MetadataValue.path(file)}
        )
        end_alert(context, project)


def find_part(context: AssetExecutionContext, assets: ProjectAssets) -> str | None:
    """Return what is selected in dbt's syntax; None where all is built, and published.

    Tests that read tables outside of the selection, too, run because they are asked for by name.
    """
    selected = context.selected_asset_keys
    nodes = {id_ for id_, spec in assets.nodes.items() if spec.key in selected}
    if not context.is_subset or any(spec.key in selected for spec in assets.products.values()):
        return None
    checks = {id_ for id_, check in assets.checks.items() if check.key in context.selected_asset_check_keys}
    sources = {id_ for id_ in nodes if id_.startswith("source.")}
    asked = nodes - sources
    # One node loads the files of all landing tables.
    asked |= {id_ for id_ in assets.nodes if sources and id_.endswith(f".{LOADER}")}
    asked |= {id_ for id_ in checks if not assets.parents[id_] <= nodes}
    return " ".join(sorted(assets.selectors[id_] for id_ in asked)) or None


def _is_build_asked_for(context: AssetExecutionContext, assets: ProjectAssets) -> bool:
    selected = context.selected_asset_keys
    built = [*assets.nodes.values(), *assets.products.values()]
    return bool(context.selected_asset_check_keys) or any(spec.key in selected for spec in built)


def _tell_outcome(
    context: AssetExecutionContext, project: Project, assets: ProjectAssets, result: BuildResult
) -> Iterator[Told]:
    keys = [spec.key for spec in (*assets.nodes.values(), *assets.products.values())]
    records = context.instance.get_asset_records(keys)
    known = [each.asset_entry.asset_key for each in records if each.asset_entry.last_materialization]
    with project.places() as places:
        outcome = read_outcome(assets, result, places, known)
    for key, made in outcome.made.items():
        if key in context.selected_asset_keys:
            yield made
        else:
            # A whole build makes what it makes, whoever has selected what.
            context.log_event(AssetMaterialization(key, metadata=made.metadata))
    for check, checked in outcome.checked.items():
        if check in context.selected_asset_check_keys:
            yield checked


def _write_page(
    context: AssetExecutionContext, write: Callable[[], Path], result: BuildResult | None
) -> Path | None:
    """Write a page: of a failed build too, because it says what broke. No page hides why the build failed."""
    try:
        return write()
    except Exception:
        if not (result and result.failed):
            raise
        context.log.warning("A page of the failed build could not be written.", exc_info=True)
        return None


def _describe_landed(key: AssetKey, landed: LandedSource) -> Made:
    tables = [asdict(each) for each in landed.tables]
    return MaterializeResult(
        asset_key=key,
        metadata={
            "rows of this run": landed.rows,
            "files of this run": sum(each.files for each in landed.tables),
            **({"landed": as_table(tables)} if tables else {}),
            **{f"cursor {name}": value for name, value in landed.cursors.items()},
        },
    )


def _take_training_set(project: Project, name: str, key: AssetKey) -> Made:
    version = project.create_training_set(name)
    manifest = version.card.manifest
    return MaterializeResult(
        asset_key=key,
        metadata={
            "version": manifest.version,
            "is new": version.is_new,
            "dagster/row_count": manifest.rows,
            "hash of the content": manifest.content_hash,
            "run": manifest.run_id,
        },
    )


def end_alert(context: AssetExecutionContext | OpExecutionContext, project: Project) -> None:
    """Tell people, if they know that the job had failed, that it has succeeded."""
    succeeded = (Runbook.DAGSTER_RUN_FAILED, context.run.job_name)
    with project.places() as places:
        for problem in watch_changes(places, [], (), [succeeded]):
            context.log.warning(problem)


def _failure(result: BuildResult, broken: Sequence[str] = ()) -> Failure:
    """Return why a run failed: the build, of which it has told people, and `broken`, of which nobody has."""
    told = {} if broken else {TOLD: result.run_id}
    return Failure("\n".join([*broken, describe_failures(result)]), metadata=told, allow_retries=False)


@contextmanager
def faults_told(log: RunLog) -> Iterator[None]:
    """Turn a fault of Assay into what Dagster understands: wait and try again, interrupted, or failed."""
    try:
        yield
    except Fault as fault:
        if fault.exit_code == LOCKED:
            raise RetryRequested(MOST_TRIES, SECONDS_BETWEEN_TRIES) from fault
        if fault.exit_code == INTERRUPTED:
            raise DagsterExecutionInterruptedError from fault
        told = {TOLD: log.run_id} if log.run_id else {}
        raise Failure(str(fault), metadata=told, allow_retries=False) from fault
