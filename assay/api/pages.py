"""The part of a project that writes pages for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder
from assay.api.printed import Found
from assay.core.fault import extra_needed

if TYPE_CHECKING:
    from assay.lineage.page import Page


class Pages(ProjectFolder):
    """Writes HTML files that need no network."""

    def report(self, out: str | Path | None = None, *, with_rows: bool = True) -> Path:
        """Write what ran, what broke and how the data is, as one HTML file; return its path.

        Args:
            out: the folder it goes to; `report` in the project without it.
            with_rows: whether rows that failed or were rejected are shown.

        Raises:
            Fault: no build is recorded, or extra `report` is not installed.
        """
        folder = Path("report") if out is None else Path(self.as_given(out))
        with self.places() as places:
            with extra_needed("report", by="The report"):
                from assay.report.write import write_report

            return self.root / write_report(places, folder, with_rows=with_rows)

    def catalog(self, out: str | Path | None = None, *, with_rows: bool = True) -> Path:
        """Write all features, who uses them and what they hold, as a static site; return its index.

        Args:
            out: the folder it goes to; `catalog` in the project without it.
            with_rows: whether the histories of single entities are shown.

        Raises:
            Fault: dbt cannot read the project, the folder holds something else, or extra `report` is not
                installed.
        """
        folder = Path("catalog") if out is None else Path(self.as_given(out))
        with self.places() as places:
            with extra_needed("report", by="The catalog"):
                from assay.catalog.write import write_catalog

            with self.display() as display:
                return self.root / write_catalog(places, folder, display, with_rows=with_rows)

    def lineage(self, about: str | None = None, *, out: str | Path | None = None) -> Found[Page]:
        """Write a page that shows, column by column, what is made of what; `found.path` is the file.

        Args:
            about: the table, or `table.column`, that it opens on; a feature view without it.
            out: the HTML file; `assay_lineage.html` in dbt's target folder without it.

        Raises:
            Fault: there is no warehouse, another program has it open, dbt cannot read the project, or there
                is nothing of the name.
        """
        from assay.lineage.display import print_page
        from assay.lineage.page import write_page

        file = None if out is None else Path(self.as_given(out))
        with self.places() as places:
            return Found(write_page(places, file, about), print_page, self.root)

    def docs(self) -> Path:
        """Write dbt's documentation, every table, column and test with the graph, and return the HTML file.

        Raises:
            Fault: there is no warehouse yet, or dbt cannot describe the project.
        """
        from assay.project.docs import write_docs

        with self.places() as places, self.display() as display:
            return self.root / write_docs(places, display)
