"""The rows that a version of a training set trains on, as the reference of a comparison."""

from __future__ import annotations

from dataclasses import replace

from assay.core.fault import MISUSED, Fault
from assay.core.sql import quoted, text
from assay.drift.source import Source
from assay.drift.spec import Rows
from assay.training.store import Version


class Trained:
    """What a version trains on: its rows of split `train`, or all of them where it has no splits.

    Args:
        version: the version.
    """

    def __init__(self, version: Version) -> None:
        self.name = version.manifest.version
        self.views = sorted({feature.view for feature in version.manifest.features})
        self._set = version.manifest.name
        self._features = version.manifest.features
        self._columns = [column.name for column in version.manifest.columns]
        self._data = version.data

    @property
    def rows(self) -> Rows:
        """What people are told of them."""
        return Rows(f"{self.name}, the rows it trains on")

    def shared(self, source: Source) -> Source:
        """Return the source with the columns that were trained on alone.

        Raises:
            Fault: there are none.
        """
        names = self._names(source)
        missing = [name for name in (*source.numeric, *source.categorical) if name not in names]
        if len(missing) == len(source.numeric) + len(source.categorical):
            raise Fault(f"{self.name} has nothing of {source.name} that could be compared.", MISUSED)
        return replace(
            source,
            numeric=[name for name in source.numeric if name in names],
            categorical=[name for name in source.categorical if name in names],
            left_out=source.left_out | dict.fromkeys(missing, f"is not in {self.name}"),
        )

    def select(self, source: Source) -> str:
        """Return SQL of its rows, with the columns as `source`, which it shares, names them."""
        names = self._names(source)
        columns = ", ".join(
            f"{quoted(names[name])} as {quoted(name)}" for name in (*source.numeric, *source.categorical)
        )
        return f"select {columns} from read_parquet({text(self._data)}) where {self._condition}"

    @property
    def _condition(self) -> str:
        return "split = 'train'" if "split" in self._columns else "true"

    def _names(self, source: Source) -> dict[str, str]:
        """Columns of the version, by the names that they have in the source."""
        if source.name == self._set:
            return {name: name for name in self._columns}
        return {feature.name: feature.column for feature in self._features if feature.view == source.name}
