"""Define a project for Dagster, which reads annotations as they are: none of them may be a text here."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from dagster import (
    AssetExecutionContext,
    AssetSpec,
    DailyPartitionsDefinition,
    Definitions,
    in_process_executor,
    multi_asset,
)

from assay.api.project import open_project
from assay.contracts.availability import read_promises
from assay.core.places import Places
from assay.dagster.assets import AS_OF, describe_assets
from assay.dagster.automation import make_failure_sensor, make_file_sensor, make_jobs, make_schedule
from assay.dagster.materialize import build_as_of, materialize_selected
from assay.dagster.outcome import Told
from assay.dlt.declared import find_declared
from assay.landing.discover import LandingFolderMissing, UnreadableFile, discover
from assay.project.project import Project

_EPOCH = date(1970, 1, 1)


def definitions(project_dir: str | Path) -> Definitions:
    """Return a project's assets, checks, jobs, schedule and sensors. Nothing is built for that.

    Each Dagster run is one run in the run ledger of Assay, which builds what has changed, and publishes.

    Args:
        project_dir: the folder of its `dbt_project.yml`.

    Raises:
        Fault: there is no dbt project in the folder, or dbt cannot parse it.
    """
    opened = open_project(project_dir)
    root = opened.root
    with opened.places() as places:
        assets = describe_assets(Project().manifest, read_promises()[0], find_declared())
        first_day = find_first_day(places)

    def assay(context: AssetExecutionContext) -> Iterator[Told]:
        yield from materialize_selected(context, root, assets)

    def as_of(context: AssetExecutionContext) -> Iterator[Told]:
        yield from build_as_of(context, root)

    past = AssetSpec(
        AS_OF,
        description="The warehouse as it was known at the end of a day, in a file of its own.",
        group_name="as_of",
        kinds={"duckdb"},
        partitions_def=DailyPartitionsDefinition(first_day.isoformat()),
    )
    return Definitions(
        assets=[
            multi_asset(
                name="assay",
                specs=assets.specs,
                check_specs=list(assets.checks.values()),
                can_subset=True,
                description="One run of assay build.",
            )(assay),
            multi_asset(name="as_of", specs=[past])(as_of),
        ],
        jobs=make_jobs(has_training_sets=bool(assets.training_sets), has_dlt=bool(assets.dlt)),
        schedules=[make_schedule()],
        sensors=[make_file_sensor(root), make_failure_sensor(root)],
        # The warehouse has one writer, and DuckDB uses all cores.
        executor=in_process_executor,
    )


def find_first_day(places: Places) -> date:
    """Return the day (UTC) on which the first file landed; today where none has.

    Dagster counts days from 1970 on, and what says that it landed before is a mistake.
    """
    days = [datetime.now(UTC).date()]
    try:
        for file in discover(places.landing):
            try:
                days.append(file.landed_at.date())
            except UnreadableFile:
                continue
    except LandingFolderMissing:
        pass
    return min(day for day in days if day >= _EPOCH)
