"""History that lands late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.printed import Found

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.backfill.plan import BackfillPlan
    from assay.backfill.run import LandedFile


class Backfills:
    """Lands files of the past, and says from when on their rows count.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def plan(
        self, source: str, start: str, end: str, files: Sequence[str | Path], *, available: str | None = None
    ) -> Found[BackfillPlan]:
        """Return what a backfill will read, write and cost; nothing is written.

        Args:
            source: `source.table`.
            start: the first day or moment of the interval (UTC).
            end: the first day or moment behind it.
            files: the files that hold it.
            available: `event+LAG`, how long after its event a row would have been available; without it,
                rows count from when they land.

        Raises:
            Fault: a name, moment, length or file is of no use, or a build is under way.
        """
        from assay.backfill.display import print_plan
        from assay.backfill.plan import plan_backfill

        paths = [Path(self._project.as_given(each)) for each in files]
        with self._project.places() as places:
            plan = plan_backfill(places, source, start, end, paths, available)
        return Found(plan, print_plan, self._project.root)

    def run(
        self,
        source: str,
        start: str,
        end: str,
        files: Sequence[str | Path],
        *,
        available: str | None = None,
        reason: str = "",
    ) -> Found[list[LandedFile]]:
        """Land files of the past, build, and return what became of their rows.

        Args:
            source: `source.table`.
            start: the first day or moment of the interval (UTC).
            end: the first day or moment behind it.
            files: the files that hold it; what is loaded already lands no more.
            available: as of `plan`.
            reason: why, for the run ledger.

        Raises:
            Fault: as of `plan`, or the build could not be done.
        """
        from assay.backfill.display import print_landed
        from assay.backfill.run import land_backfill, read_landed
        from assay.build.build import Options, build

        plan = self.plan(source, start, end, files, available=available).found
        landed: list[LandedFile] = []
        with self._project.places() as places:
            if names := land_backfill(places, plan, reason):
                with self._project.display() as display:
                    build(Options(), display)
                landed = read_landed(places, plan, names)
        return Found(landed, lambda found, console: print_landed(plan, found, console), self._project.root)
