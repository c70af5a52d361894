"""Tables of Delta Lake, by the package deltalake."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from assay.core.fault import MISUSED, Fault
from assay.core.moment import now
from assay.lake.formats import COLUMNS, EXPORT, MARK, RUN, Change

_KNOWN_FEATURES = {"timestampNtz"}


class DeltaFolder:
    """A table of Delta Lake.

    Args:
        folder: of the table, absolute.
        name: of the table.
        schema: its columns in the next version.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._name = name
        self._schema = Schema.from_arrow(schema)

    def read_says(self) -> dict[str, str] | None:
        """Return what the newest version says of itself; None if there is no table."""
        if not DeltaTable.is_deltatable(str(self._folder)):
            return None
        table = self._open()
        if table.metadata().description != MARK:
            raise Fault(
                f"{self._folder} is a table that another program has made: name another place.", MISUSED
            )
        features = {*(table.protocol().reader_features or ())} - _KNOWN_FEATURES
        if features or table.metadata().partition_columns:
            raise Fault(
                f"{self._folder}: another program has changed how the table is kept "
                f"({', '.join(sorted(features)) or 'partitions'}): name another place.",
                MISUSED,
            )
        said = table.history(1)[0]
        return {key: str(said[key]) for key in (EXPORT, RUN, COLUMNS) if key in said}

    def read_version(self) -> str:
        """Return the number of the newest version."""
        return str(self._open().version())

    def list_files(self) -> list[Path]:
        """Return the data files of the newest version."""
        return [self._folder / path for path in self._open().get_add_actions()["path"].to_pylist()]

    def name_fields(self, columns: pa.Schema) -> str:
        """Return nothing: Delta Lake finds columns by their names."""
        return ""

    def commit(self, change: Change) -> None:
        """Make a new version, in one step."""
        added = list(self._describe(change.added))
        says = CommitProperties(custom_metadata=dict(change.says))
        if change.replaces:
            # It says anew which columns there are, and which features of the format they need.
            create_table_with_add_actions(
                str(self._folder),
                self._schema,
                added,
                mode="overwrite" if DeltaTable.is_deltatable(str(self._folder)) else "error",
                name=self._name,
                description=MARK,
                commit_properties=says,
            )
            return
        milliseconds = int(now().timestamp() * 1000)
        removed = [
            RemoveAction(str(file.relative_to(self._folder)), True, milliseconds) for file in change.removed
        ]
        self._open().create_write_transaction(
            [*added, *removed], mode="append", schema=self._schema, commit_properties=says
        )

    def _open(self) -> DeltaTable:
        return DeltaTable(str(self._folder))

    def _describe(self, files: Iterable[Path]) -> Iterable[AddAction]:
        for file in files:
            found = file.stat()
            yield AddAction(
                path=str(file.relative_to(self._folder)),
                size=found.st_size,
                partition_values={},
                modification_time=int(found.st_mtime * 1000),
                data_change=True,
                stats=json.dumps({"numRecords": pq.read_metadata(file).num_rows}),
            )
