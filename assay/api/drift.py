"""What drifts: findings that show themselves, and a chart of them."""

from __future__ import annotations

from pathlib import Path

from assay.api.charts import Plot, plot_drift
from assay.api.printed import PrintedList
from assay.drift.compare import Comparison
from assay.drift.display import print_comparisons


class Drift(PrintedList[Comparison]):
    """Comparisons of feature views and tables.

    Args:
        found: what was compared.
        folder: the project's.
    """

    def __init__(self, found: list[Comparison], folder: Path) -> None:
        super().__init__(found, print_comparisons, folder)

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
