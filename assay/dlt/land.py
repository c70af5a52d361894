"""Run a source of dlt and land its load packages, each once, whenever a run may end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.fault import LOCKED, Fault
from assay.core.lock import Holder, hold
from assay.core.moment import now
from assay.dlt.faults import faults_of_dlt
from assay.dlt.mend import mend_dataset, mend_packages
from assay.dlt.packages import LandedTable, land_packages
from assay.dlt.source import Target
from assay.landing.dlt_layout import LAYOUT

if TYPE_CHECKING:
    import dlt
    from dlt.common.runtime.collector_base import Collector
    from dlt.extract import DltSource

#: The folder of the landing zone in which dlt keeps cursors, schemas and packages that are not complete.
#: Nothing in it is read as data, because its name begins with an underscore.
STATE = "_dlt"
_DATASET = "landed"
_PIPELINE = "assay"
# What dlt does unless a person has set otherwise: send nothing about its use, keep no second copy of what
# landed, and leave it to Assay to say what went wrong.
_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
}


@dataclass(frozen=True)
class LandedSource:
    """What a run of a source landed, by package and table, and how far its cursors have come.

    `error` says why it failed; nothing of it has landed then.
    """

    place: str
    into: str
    tables: list[LandedTable] = field(default_factory=list)
    cursors: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    def name_of(self, table: LandedTable) -> str:
        """Return a landing table as `source.table`."""
        return f"{Target.parse(self.into).source}.{table.table}"

    @property
    def rows(self) -> int:
        """How many rows landed."""
        return sum(each.rows for each in self.tables)


def land_source(
    place: str, source: DltSource, target: Target, landing: Path, collector: Collector
) -> LandedSource:
    """Fetch what is new in a source, and land it.

    What dlt has fetched but not landed before, because the process ended, lands first. Rows are appended: a
    row that changed lands again, and a source that is fetched whole lands whole.

    Args:
        place: the source as people name it.
        source: as dlt knows it.
        target: the source or table of the landing zone that rows land in.
        landing: the landing zone's folder.
        collector: counts rows while they are fetched.

    Raises:
        Fault: the source cannot be read, or another process lands it.
    """
    folder = (landing / STATE / str(target)).absolute()
    with _alone(folder, target), _settings(), faults_of_dlt(place):
        staged = folder / _DATASET
        mend_dataset(staged)
        mend_packages(folder / _PIPELINE)
        pipeline = _open_pipeline(folder, collector)
        landed = land_packages(staged, landing / target.source, now())
        pipeline.sync_destination()
        if pipeline.has_pending_data:
            landed += _complete(pipeline, staged, landing / target.source)
            # The cursors of the package that is complete now stand in the dataset.
            pipeline.sync_destination()
        pipeline.extract(source, write_disposition="append")
        landed += _complete(pipeline, staged, landing / target.source)
        return LandedSource(place, str(target), landed, dict(_cursors(pipeline.state)))


def _open_pipeline(folder: Path, collector: Collector) -> dlt.Pipeline:
    import dlt

    return dlt.pipeline(
        _PIPELINE,
        pipelines_dir=str(folder),
        destination=dlt.destinations.filesystem(bucket_url=str(folder), layout=LAYOUT),
        dataset_name=_DATASET,
        progress=collector,
    )


def _complete(pipeline: dlt.Pipeline, staged: Path, source: Path) -> list[LandedTable]:
    """Let dlt complete the packages that it has fetched, and land them."""
    pipeline.normalize()
    pipeline.load()
    return land_packages(staged, source, now())


def _cursors(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield how far the cursors of a source have come, by resource and column."""
    for source in (state.get("sources") or {}).values():
        for resource, known in (source.get("resources") or {}).items():
            for column, cursor in (known.get("incremental") or {}).items():
                if cursor.get("last_value") is not None:
                    yield f"{resource}.{column}", str(cursor["last_value"])


@contextmanager
def _alone(folder: Path, target: Target) -> Iterator[None]:
    def refuse(holder: Holder | None) -> Fault:
        return Fault(
            f"Another process lands {target}: {holder or folder}. Try again when it is done.", LOCKED
        )

    with hold(folder.with_name(f"{folder.name}.lock"), command="assay land dlt", refuse=refuse):
        yield


@contextmanager
def _settings() -> Iterator[None]:
    added = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
