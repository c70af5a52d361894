"""What a build did, and what drifts: findings that show themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.api.charts import Plot, plot_drift
from assay.api.printed import Printed, PrintedList
from assay.build.summary import print_report
from assay.drift.compare import Comparison
from assay.drift.display import print_comparisons
from assay.generate.display import print_model, print_plan, print_written

if TYPE_CHECKING:
    from rich.console import Console

    from assay.build.build import Report
    from assay.generate.gold import GoldPlan
    from assay.generate.source import Plan


class BuildResult(Printed):
    """What a build did; `report` has all of it for programs.

    Args:
        report: of the build.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(lambda console: print_report(report, console))
        self.report = report

    @property
    def failed(self) -> bool:
        """Whether a model or test failed, or a landed file is not loaded where that was asked for."""
        return self.report.failed

    @property
    def run_id(self) -> str:
        """The id of the run in the run ledger."""
        return self.report.run.run_id


class SourceChanges(Printed):
    """What was written of a source, or would be.

    Args:
        plan: what was found and proposed.
        is_written: whether it was written.
    """

    def __init__(self, plan: Plan, *, is_written: bool) -> None:
        def write(console: Console) -> None:
            print_plan(plan, console, with_difference=not is_written)
            if is_written and (plan.files or plan.landing):
                print_written(plan, console)

        super().__init__(write)
        self.files = list(plan.files)


class ModelChanges(Printed):
    """What was written of a model, or would be; no files where it is there already.

    Args:
        plan: what was proposed.
        is_written: whether it was written.
    """

    def __init__(self, plan: GoldPlan, *, is_written: bool) -> None:
        super().__init__(lambda console: print_model(plan, console, is_written=is_written))
        self.name = plan.name
        self.files = list(plan.files)


class Drift(PrintedList[Comparison]):
    """Comparisons of feature views and tables.

    Args:
        found: what was compared.
    """

    def __init__(self, found: list[Comparison]) -> None:
        super().__init__(found, print_comparisons)

    @property
    def drifting(self) -> list[str]:
        """The features that drift, as `view.feature`."""
        return [
            f"{each.source.name}.{feature.feature}"
            for each in self
            for feature in each.features
            if feature.verdict == "drift"
        ]

    def plot(self) -> Plot:
        """Draw how far each feature lies from its reference (PSI).

        Raises:
            Fault: nothing was compared, or extra `report` is not installed.
        """
        return plot_drift(self)
