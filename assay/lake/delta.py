"""Tables of Delta Lake, by the package deltalake."""

from __future__ import annotations

import json

import pyarrow as pa
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
                stats=json.dumps({"numRecords": file.rows}),
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
