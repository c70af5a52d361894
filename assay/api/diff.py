"""The part of a project that reviews changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.api.folder import ProjectFolder
from assay.api.printed import Printed

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

    def to_dict(self) -> dict[str, Any]:
        """Return it as values of JSON, as `assay diff --json` prints them."""
        from assay.diff.document import as_document

        return as_document(self.review)


class Changes(ProjectFolder):
    """Reviews changes of the project."""

    def diff(self, base: str, *, to: str | None = None, select: str | None = None) -> Diff:
        """Compare what two versions of the code make of what has landed; production is only read.

        What differs in code, and what depends on it, is built beside the warehouse.

        Args:
            base: a branch, tag or commit.
            to: another one; the files of the project as they are without it.
            select: which of the touched tables to compare, in dbt's selection syntax.

        Raises:
            Fault: a version is unknown, dbt cannot parse it, the base does not build, or there is no
                warehouse.
        """
        from assay.diff.review import review_code

        with self.places() as places, self.display() as display:
            return Diff(review_code(places, base, to, select, display), self.root)
