"""What the export of a table needs of an open format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

#: What each version of a table says of itself: its export, the publication's run, and the table's columns.
EXPORT, RUN, COLUMNS = "assay.export", "assay.run", "assay.columns"
#: By this a table of an open format says who writes it.
MARK = "Exported by Assay."


@dataclass(frozen=True)
class Change:
    """What a new version of a table changes.

    Files are Parquet within the table's folder. `replaces` tells that no file stays, and columns may differ.
    """

    added: Sequence[Path]
    removed: Sequence[Path]
    replaces: bool
    says: Mapping[str, str]


class Format(Protocol):
    """A table of an open format in a folder of its own, which may not be there yet."""

    def read_says(self) -> dict[str, str] | None:
        """Return what the newest version says of itself; None if there is no table.

        Raises:
            Fault: another program made the table, or it has what an export cannot rewrite.
        """

    def read_version(self) -> str:
        """Return the name of the newest version, by which people read it later."""

    def list_files(self) -> list[Path]:
        """Return the data files of the newest version."""

    def name_fields(self, columns: pa.Schema) -> str:
        """Return the options of DuckDB's COPY by which Parquet files have these columns, or nothing."""

    def commit(self, change: Change) -> None:
        """Make a new version, in one step."""
