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
    from assay.ledger.runs import Run


class BackfillResult(Found["list[LandedFile]"]):
    """What became of the files of a backfill: `found`; and of the build that loaded them.

    Args:
        landed: the files that have landed.
        plan: of the backfill.
        failed_build: the run of the build, where a model or test failed; None where all went well.
        folder: the project's.
    """

    def __init__(
        self, landed: list[LandedFile], plan: BackfillPlan, failed_build: Run | None, folder: Path
    ) -> None:
        from assay.backfill.display import print_landed, tell_failed

        super().__init__(
            landed, lambda found, console: print_landed(plan, found, failed_build, console), folder
        )
        self.failed_build = failed_build
        self.problems = [f"{each.name}: {each.error}" for each in landed if each.error]
        if failed_build:
            self.problems.append(tell_failed(failed_build))


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
    ) -> BackfillResult:
        """Land files of the past, build, and return what became of their rows.

        Args:
            source: `source.table`.
            start: the first day or moment of the interval (UTC).
            end: the first day or moment behind it.
            files: the files that hold it; what is loaded already lands no more.
            available: as of `plan`.
            reason: why, for the run ledger.

        Returns:
            What became of each file. `problems` says which are not loaded, and that a model or test failed;
            look at it.

        Raises:
            Fault: as of `plan`, or the build could not be done.
        """
        from assay.backfill.run import land_backfill, read_landed
        from assay.build.build import Options, build

        plan = self.plan(source, start, end, files, available=available).found
        landed: list[LandedFile] = []
        failed_build = None
        with self._project.places() as places:
            if names := land_backfill(places, plan, reason):
                with self._project.display() as display:
                    report = build(Options(), display)
                failed_build = report.run if report.failed else None
                landed = read_landed(places, plan, names)
        return BackfillResult(landed, plan, failed_build, self._project.root)
