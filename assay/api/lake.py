"""Published tables for tools that know nothing of Assay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.printed import Found
from assay.api.published import find_published

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.lake.export import Exported


class Lake:
    """Tables in open formats.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def export(
        self, table: str, place: str | Path, *, format: str, run: str | None = None
    ) -> Found[Exported]:
        """Export a published table to a folder, as one new version of the table there.

        Args:
            table: its name.
            place: a folder for tables; the table's own folder in it has its name.
            format: `iceberg` or `delta`.
            run: whose publication, or the beginning of its id; what readers have now without it.

        Raises:
            Fault: there is no such table, format or publication, the format lacks a type of a column, the
                place holds something else, or extra `lake` is not installed.
        """
        from assay.lake.display import print_exported
        from assay.lake.export import export_table

        folder = Path(self._project.as_given(place))
        with self._project.places() as places, self._project.display() as display:
            file = find_published(places, run)
            return Found(
                export_table(file, table, format, folder, display), print_exported, self._project.root
            )
