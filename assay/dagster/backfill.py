"""Land history late from Dagster: a job with a partition for each day, whose files follow a pattern.

Dagster reads annotations as they are: none of them may be a text here.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

from dagster import (
    AssetKey,
    AssetMaterialization,
    DailyPartitionsDefinition,
    Failure,
    JobDefinition,
    OpExecutionContext,
    in_process_executor,
    job,
    op,
)

from assay.api.project import open_project
from assay.dagster.log import RunLog
from assay.dagster.materialize import TOLD, end_alert, faults_told
from assay.dagster.outcome import as_table

_DAY = "{day}"


def backfill_job(
    project_dir: str | Path,
    source: str,
    files: Sequence[str],
    *,
    first_day: date,
    available: str | None = None,
) -> JobDefinition:
    """Return a job that lands a day of the past for each of its partitions, as `assay backfill run` does.

    A day whose files are loaded already lands nothing, so a range of days can be launched again.

    Args:
        project_dir: the folder of the project's `dbt_project.yml`.
        source: the landing table, `source.table`.
        files: patterns of the files that hold a day, from the project's folder on; `{day}` stands for the
            day, as 2026-01-31.
        first_day: the first day (UTC) that can be landed.
        available: `event+LAG`, how long after its event a row would have been available; without it, rows
            count from when they land.
    """
    root = open_project(project_dir).root
    name = f"backfill_{source.replace('.', '_')}"

    @op(name=f"land_{name}")
    def land(context: OpExecutionContext) -> None:
        day = context.partition_time_window.start.date()
        patterns = [each.replace(_DAY, day.isoformat()) for each in files]
        found = sorted({path for pattern in patterns for path in _matching(root, pattern) if path.is_file()})
        if not found:
            raise Failure(f"There is no file of {day}: {', '.join(patterns)}.", allow_retries=False)
        log = RunLog(context.log)
        with faults_told(log):
            project = open_project(root, console=log.console)
            result = project.backfills.run(
                source,
                day.isoformat(),
                (day + timedelta(days=1)).isoformat(),
                found,
                available=available,
                reason=f"Run {context.run_id} of Dagster's job {context.job_name}",
            )
            landed = result.found
            table = {"files": as_table([asdict(each) for each in landed])} if landed else {}
            context.log_event(
                AssetMaterialization(
                    AssetKey(source.split(".")),
                    partition=context.partition_key,
                    metadata={"rows of this run": sum(each.rows for each in landed), **table},
                )
            )
            if result.problems:
                told = {TOLD: result.failed_build.run_id} if result.failed_build else {}
                raise Failure("\n".join(result.problems), metadata=told, allow_retries=False)
            end_alert(context, project)

    @job(
        name=name,
        description=f"Lands days of the past of {source}.",
        partitions_def=DailyPartitionsDefinition(first_day.isoformat()),
        executor_def=in_process_executor,
    )
    def backfill() -> None:
        land()

    return backfill


def _matching(root: Path, pattern: str) -> list[Path]:
    whole = Path(pattern)
    folder = Path(whole.anchor) if whole.is_absolute() else root
    return list(folder.glob(str(whole.relative_to(whole.anchor))))
