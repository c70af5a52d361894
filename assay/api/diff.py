"""The part of a project that reviews changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.api.folder import ProjectFolder, working_in
from assay.api.printed import Printed
from assay.core.fault import extra_needed

if TYPE_CHECKING:
    from assay.diff.review import Review


class Diff(Printed):
    """What a change does; `review` has it table by table.

    Args:
        review: of the change.
        folder: the project's.
    """

    def __init__(self, review: Review, folder: Path) -> None:
        from assay.diff.display import print_review

        super().__init__(lambda console: print_review(review, console), folder)
        self.review = review

    @property
    def is_broken(self) -> bool:
        """Whether the change breaks a contract, or does not build."""
        return self.review.is_broken

    def write(self, file: str | Path) -> Path:
        """Write it as one HTML file, and return the file; the charts were drawn if `diff` was told to.

        Args:
            file: a path in the project's folder, or an absolute one.

        Raises:
            Fault: the file cannot be written, or extra `report` is not installed.
        """
        with working_in(self._folder):
            with extra_needed("report", by="The page"):
                from assay.diff.page import write_page

            return self._folder / write_page(self.review, Path(file))

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON, as `assay diff --json` prints them."""
        from assay.diff.document import as_document

        return as_document(self.review)


class Changes(ProjectFolder):
    """Reviews changes of the project."""

    def diff(
        self,
        base: str | Path,
        *,
        to: str | Path | None = None,
        select: str | None = None,
        out: str | Path | None = None,
    ) -> Diff:
        """Compare what two versions of the code make of what has landed; production is only read.

        What differs in code, and what depends on it, is built beside the warehouse. Of two warehouses, the
        tables are compared as they are.

        Args:
            base: a branch, tag or commit; or the file of a warehouse, or the folder of a published one.
            to: another one of the same kind; without it, the files of the project as they are, or its
                warehouse.
            select: which of the tables to compare, in dbt's selection syntax; of warehouses, their names.
            out: an HTML file to write, which takes extra `report`.

        Raises:
            Fault: a version is unknown, dbt cannot parse it, the base does not build, or there is no
                warehouse.
        """
        from assay.diff.review import review

        page = None if out is None else self.as_given(out)
        one, other = (name if name is None else self._as_named(name) for name in (base, to))
        with self.places() as places, self.display() as display:
            if page:
                with extra_needed("report", by="The page"):
                    from assay.diff.page import require_file
                require_file(Path(page))
            found = Diff(review(places, one or "", other, select, display, with_charts=bool(page)), self.root)
        if page:
            found.write(page)
        return found

    def _as_named(self, name: str | Path) -> str:
        """Return a warehouse's path as it is called in the project's folder; the name of a version stays."""
        from assay.diff.warehouses import find_warehouse

        return self.as_given(Path(name).expanduser()) if find_warehouse(str(name)) else str(name)
