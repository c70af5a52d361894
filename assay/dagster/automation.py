"""Run a project in Dagster by itself: jobs, a daily schedule, a look at new files, alerts of failed runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from dagster import (
    AssetSelection,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunFailureSensorContext,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    define_asset_job,
    run_failure_sensor,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.plan.objects import StepFailureData

from assay.alerts.runbooks import Runbook
from assay.alerts.standing import watch_changes
from assay.alerts.states import Alert
from assay.api.project import open_project
from assay.build.inputs import read_landed
from assay.dagster.assets import AS_OF, DLT, DOCS, TRAINING_SETS
from assay.dagster.materialize import TOLD

_SECONDS_BETWEEN_LOOKS = 30
_EARLY = "0 5 * * *"
_UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]


def make_jobs(*, has_training_sets: bool, has_dlt: bool) -> list[UnresolvedAssetJobDefinition]:
    """Return the jobs: `build` for each file, `daily` for all else, `land` and `training_sets` for a part."""
    sets = AssetSelection.groups(TRAINING_SETS)
    fetched = AssetSelection.key_prefixes(DLT)
    daily = AssetSelection.all() - AssetSelection.assets(AS_OF) - sets
    jobs = [
        define_asset_job(
            "build",
            daily - AssetSelection.assets(DOCS) - fetched,
            description="Build, publish, report.",
        ),
        define_asset_job("daily", daily, description="Land, build, publish, report, document."),
    ]
    if has_dlt:
        jobs.append(define_asset_job("land", fetched, description="Land what sources of dlt have."))
    if has_training_sets:
        jobs.append(define_asset_job("training_sets", sets, description="Take versions of training sets."))
    return jobs


def make_schedule() -> ScheduleDefinition:
    """Return the schedule that builds each day, early."""
    return ScheduleDefinition(name="each_day", job_name="daily", cron_schedule=_EARLY)


def make_file_sensor(root: Path) -> SensorDefinition:
    """Return the sensor that builds when files have landed, changed or gone."""

    def look(context: SensorEvaluationContext) -> Iterator[RunRequest | SkipReason]:
        with open_project(root).places() as places:
            landed = read_landed(places.landing)
        digest = sha256(json.dumps(landed, sort_keys=True).encode()).hexdigest()
        if not landed:
            yield SkipReason(f"Nothing has landed in {root / places.landing}.")
        elif digest == context.cursor:
            yield SkipReason("No file has landed, changed or gone since the last look.")
        elif context.instance.get_run_ids(RunsFilter(job_name="build", statuses=_UNDER_WAY), limit=1):
            # The next look sees the files, because the cursor stays: one run takes all that landed meanwhile.
            yield SkipReason("A build is under way.")
        else:
            context.update_cursor(digest)
            # Without a key: Dagster would skip files that are as they were before, once one is taken away.
            yield RunRequest()

    return SensorDefinition(
        name="new_files",
        job_name="build",
        evaluation_fn=look,
        minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS,
        description="Builds when files have landed.",
    )


def make_failure_sensor(root: Path) -> SensorDefinition:
    """Return the sensor that tells people of failed runs by the channels of alerts.yml.

    A build sends its own alerts; this one is for what a build cannot tell: a run that was killed, or failed
    before or after the build. The next run of the job that succeeds ends it.
    """

    def tell(context: RunFailureSensorContext) -> SkipReason | None:
        failures = [event.step_failure_data for event in context.get_step_failure_events()]
        if any(each.user_failure_data and TOLD in each.user_failure_data.metadata for each in failures):
            return SkipReason("The build has sent its own alerts.")
        run = context.dagster_run
        said = next(filter(None, map(_describe, failures)), context.failure_event.message)
        about = (run.job_name, "Dagster job", run.job_name)
        alert = Alert(Runbook.DAGSTER_RUN_FAILED, "broken", *about, None, "error", said or "")
        with open_project(root).places() as places:
            for problem in watch_changes(places, [alert], ()):
                context.log.warning(problem)
        return None

    decorate: Callable[[Callable[[RunFailureSensorContext], SkipReason | None]], SensorDefinition] = (
        run_failure_sensor(
            name="failed_runs",
            default_status=DefaultSensorStatus.RUNNING,
            description="Tells of runs that fail without a build's own alert.",
        )
    )
    return decorate(tell)


def _describe(failure: StepFailureData) -> str | None:
    """Return why a step failed: what Assay says of it, or the error that was raised in it."""
    if failure.user_failure_data:
        return failure.user_failure_data.description
    error = failure.error and (failure.error.cause or failure.error)
    return error.message.strip() if error else None
