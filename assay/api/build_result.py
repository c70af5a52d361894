"""What a build did: a finding that shows itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.printed import Printed
from assay.build.summary import print_report

if TYPE_CHECKING:
    from assay.build.build import Report


class BuildResult(Printed):
    """What a build did; `report` has all of it for programs.

    Args:
        report: of the build.
        folder: the project's.
    """

    def __init__(self, report: Report, folder: Path) -> None:
        super().__init__(lambda console: print_report(report, console), folder)
        self.report = report

    @property
    def failed(self) -> bool:
        """Whether a model or test failed, or a landed file is not loaded where that was asked for."""
        return self.report.failed

    @property
    def run_id(self) -> str:
        """The id of the run in the run ledger."""
        return self.report.run.run_id
