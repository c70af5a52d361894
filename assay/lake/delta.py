"""Tables of Delta Lake, by the package deltalake."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from assay.core.fault import MISUSED, Fault
from assay.core.moment import now
from assay.lake.formats import COLUMNS, EXPORT, MARK, RUN, Change, written_meanwhile
from assay.lake.place import TablePlace

_KNOWN_FEATURES = {"timestampNtz"}


class DeltaLake:
    """A table of Delta Lake.

    Args:
        place: of the table.
        schema: its columns in the next version.
    """

    def __init__(self, place: TablePlace, schema: pa.Schema) -> None:
        self._place = place
        self._schema = Schema.from_arrow(schema)
        self._options = place.storage_options()
        self._read: DeltaTable | None = None

    def read_says(self) -> dict[str, str] | None:
        """Return what the newest version says of itself; None if there is no table."""
        if "delta" not in self._place.find_formats():
            return None
        table = self._read = self._open()
        if table.metadata().description != MARK:
            raise Fault(
                f"{self._place.url} is a table that another program has made: name another place.", MISUSED
            )
        features = {*(table.protocol().reader_features or ())} - _KNOWN_FEATURES
        if features or table.metadata().partition_columns:
            raise Fault(
                f"{self._place.url}: another program has changed how the table is kept "
                f"({', '.join(sorted(features)) or 'partitions'}): name another place.",
                MISUSED,
            )
        said = table.history(1)[0]
        return {key: str(said[key]) for key in (EXPORT, RUN, COLUMNS) if key in said}

    def read_version(self) -> str:
        """Return the number of the newest version."""
        return str(self._open().version())

    def list_files(self) -> dict[str, int]:
        """Return the data files of the newest version: the size of each in bytes, by its key."""
        found = self._open().get_add_actions()
        return dict(zip(found["path"].to_pylist(), found["size_bytes"].to_pylist(), strict=True))

    def name_fields(self, columns: pa.Schema) -> str:
        """Return nothing: Delta Lake finds columns by their names."""
        return ""

    def commit(self, change: Change) -> None:
        """Make a new version, in one step, of the one that was read."""
        milliseconds = int(now().timestamp() * 1000)
        added = [
            AddAction(
                path=file.key,
                size=file.size,
                partition_values={},
                modification_time=milliseconds,
                data_change=True,
                stats=json.dumps(_summarize(file.metadata)),
            )
            for file in change.added
        ]
        # Tried again, it would be a version of one that nobody has compared with what is published.
        says = CommitProperties(custom_metadata=dict(change.says), max_commit_retries=0)
        try:
            if change.replaces:
                # It says anew which columns there are, and which features of the format they need.
                create_table_with_add_actions(
                    self._place.url,
                    self._schema,
                    added,
                    mode="error" if self._read is None else "overwrite",
                    name=self._place.name,
                    description=MARK,
                    storage_options=self._options,
                    commit_properties=says,
                )
            else:
                assert self._read
                removed = [RemoveAction(key, True, milliseconds) for key in change.removed]
                self._read.create_write_transaction(
                    [*added, *removed], mode="append", schema=self._schema, commit_properties=says
                )
        except CommitFailedError as error:
            raise written_meanwhile(self._place.url) from error

    def _open(self) -> DeltaTable:
        return DeltaTable(self._place.url, storage_options=self._options)


def _summarize(metadata: pq.FileMetaData) -> dict[str, Any]:
    """Return by what readers leave out a file: rows, and bounds of whole numbers, days and instants."""
    least: dict[str, list[Any]] = {}
    greatest: dict[str, list[Any]] = {}
    unknown = set()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            name = column.path_in_schema
            try:
                found = column.statistics
                if found is None or (not found.has_min_max and found.null_count != column.num_values):
                    unknown.add(name)
                elif found.has_min_max:
                    least.setdefault(name, []).append(found.min)
                    greatest.setdefault(name, []).append(found.max)
            except (ValueError, OverflowError):
                # A day or instant that Python has no object for.
                unknown.add(name)
    summary: dict[str, Any] = {"numRecords": metadata.num_rows, "minValues": {}, "maxValues": {}}
    for name in least.keys() - unknown:
        bounds = [_write(min(least[name])), _write(max(greatest[name]), is_above=True)]
        # A dot stands between a column and what is in it.
        if None not in bounds and "." not in name:
            summary["minValues"][name], summary["maxValues"][name] = bounds
    return summary


def _write(value: object, *, is_above: bool = False) -> int | str | None:
    """Write a bound as the format has it, where instants have milliseconds; None for other types.

    Args:
        value: the bound.
        is_above: whether the bound may be raised; otherwise it may be lowered.
    """
    match value:
        case bool():
            return None
        case int():
            return value
        case datetime():
            rest = value.microsecond % 1000
            try:
                whole = value + timedelta(microseconds=1000 - rest if is_above and rest else -rest)
            except OverflowError:
                return None
            zone = "Z" if whole.tzinfo else ""
            return f"{whole.replace(tzinfo=None).isoformat(timespec='milliseconds')}{zone}"
        case date():
            return value.isoformat()
    return None
