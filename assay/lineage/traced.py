"""What a trace finds: predictions, versions, files and columns, each with its data and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class LandedRows:
    """Rows of a landed file that may have entered features.

    `silver_table` holds them, checked; `linked_by` names the columns by which they were found. Without a
    file, any row of the table may have entered. `row_numbers` are the first of the `rows`. `lies_in` are the
    files that hold the landed file now, where that no longer lies in the landing zone by itself.
    """

    silver_table: str
    linked_by: str | None
    source_file: str | None
    file_version: int | None
    rows: int | None
    row_numbers: list[int]
    lies_in: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ServedView:
    """A feature view that was served for a prediction: its row of an entity that held at `as_of` (UTC).

    `valid_from` begins that row; None where the view knew nothing of the entity.
    """

    feature_view: str
    entity_keys: dict[str, object]
    as_of: datetime
    valid_from: datetime | None
    landed: list[LandedRows]


@dataclass(frozen=True)
class TracedPrediction:
    """A prediction, who made it, and what was in it.

    `source_file` and `row_number` are the line in which it landed; None while a build has the warehouse.
    `kept_version` is the version of a training set that it names, or else was logged to its run, if that is
    there.
    """

    prediction_id: str
    model_name: str
    model_run_id: str | None
    training_version: str | None
    kept_version: str | None
    predicted_at: datetime
    source_file: str | None
    row_number: int | None
    views: list[ServedView]


@dataclass(frozen=True)
class Served:
    """Predictions that were served: how many, by which models, from when until when (UTC), and some ids."""

    predictions: int
    models: list[str]
    first_at: datetime | None
    last_at: datetime | None
    examples: list[str]


@dataclass(frozen=True)
class FileVersion:
    """A version of a landed file, as bronze lists it."""

    file_id: int
    file_version: int
    status: str
    error: str | None
    rows: int
    landed_at: datetime
    run_id: str


@dataclass(frozen=True)
class RowsOfFile:
    """What became of a file's rows in a checked table of silver: kept, or rejected by rules."""

    silver_table: str
    kept: int
    rejected: int
    rule_ids: list[str]


@dataclass(frozen=True)
class TracedFile:
    """A landed file, and what came of it.

    `views` and `training_sets` are made of the tables that hold its rows; `versions` were taken with it.
    `lies_in` are the files that hold it now: itself, a merged file, a copy in a cold folder.
    `served` are predictions whose features its rows may have entered; `perhaps` are more of them, where
    rows cannot be told apart by entity.
    """

    source_file: str
    file_versions: list[FileVersion]
    lies_in: list[str]
    tables: list[RowsOfFile]
    views: list[str]
    training_sets: list[str]
    versions: list[str]
    served: Served
    perhaps: Served


@dataclass(frozen=True)
class FilesOfTable:
    """The files of a landing table that a version was made from."""

    table: str
    files: int
    rows: int
    first_file: str
    last_file: str


@dataclass(frozen=True)
class TracedVersion:
    """A version of a training set: what it was made from, and the predictions of models trained on it.

    `model_run_ids` are the runs of MLflow to which it was logged.
    """

    version: str
    run_id: str
    code_version: str | None
    rows: int
    created_at: datetime
    views: list[str]
    files: list[FilesOfTable]
    model_run_ids: list[str]
    served: Served


@dataclass(frozen=True)
class ColumnStep:
    """A column on the way; `is_same` tells whether the value was taken as it is. `depth` counts from 1."""

    table: str
    column: str
    is_same: bool
    depth: int


@dataclass(frozen=True)
class TracedColumn:
    """A column: what it is made of, what is made of it, and the versions and predictions that had it."""

    table: str
    column: str
    made_of: list[ColumnStep]
    makes: list[ColumnStep]
    views: list[str]
    versions: list[str]
    served: Served
    not_followed: dict[str, str]


Traced = TracedPrediction | TracedVersion | TracedFile | TracedColumn


@dataclass(frozen=True)
class Trace:
    """All that is called as asked: usually one thing.

    `waiting` counts the predictions that landed after their lineage was built, and are in no answer yet.
    """

    what: str
    found: list[Traced] = field(default_factory=list)
    waiting: int = 0
