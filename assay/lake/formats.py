"""What the export of a table needs of an open format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from assay.core.fault import LOCKED, Fault

#: What each version of a table says of itself: its export, the publication's run, and the table's columns.
EXPORT, RUN, COLUMNS = "assay.export", "assay.run", "assay.columns"
#: By this a table of an open format says who writes it.
MARK = "Exported by Assay."


@dataclass(frozen=True)
class NewFile:
    """A file that was written: its key within the table's place, its size in bytes, and its metadata."""

    key: str
    size: int
    metadata: pq.FileMetaData


@dataclass(frozen=True)
class Change:
    """What a new version of a table changes.

    Files are Parquet; those that are removed are named by their keys. `replaces` tells that no file stays,
    and columns may differ.
    """

    added: Sequence[NewFile]
    removed: Sequence[str]
    replaces: bool
    says: Mapping[str, str]


class Format(Protocol):
    """A table of an open format in a place of its own, which may not be there yet."""

    def read_says(self) -> dict[str, str] | None:
        """Return what the newest version says of itself; None if there is no table.

        Raises:
            Fault: another program made the table, or it has what an export cannot rewrite.
        """

    def read_version(self) -> str:
        """Return the name of the newest version, by which people read it later."""

    def list_files(self) -> dict[str, int]:
        """Return the data files of the newest version: the size of each in bytes, by its key."""

    def name_fields(self, columns: pa.Schema) -> str:
        """Return the options of DuckDB's COPY by which Parquet files have these columns, or nothing."""

    def commit(self, change: Change) -> None:
        """Make a new version, in one step, of the one that was read.

        Raises:
            Fault: another process has made a version since.
        """


def written_meanwhile(url: str) -> Fault:
    """Return what is said where somebody else has made a version of a table meanwhile.

    Args:
        url: of the table.
    """
    return Fault(
        f"{url}: another process has written to the table meanwhile. Export again when it is done.", LOCKED
    )


def find_unbounded(metadata: pq.FileMetaData) -> set[str]:
    """Return the columns of a file with bounds that Python has no objects for, as the instant infinity.

    Args:
        metadata: of the file.
    """
    found = set()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            try:
                if column.is_stats_set and column.statistics.has_min_max:
                    _ = column.statistics.min, column.statistics.max
            except (ValueError, OverflowError):
                found.add(column.path_in_schema)
    return found
