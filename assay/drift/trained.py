"""Use the rows that a version of a training set trains on as the reference of a comparison."""

from __future__ import annotations

from dataclasses import replace

from assay.core.fault import MISUSED, Fault
from assay.core.parquet import rows_of_parquet
from assay.core.sql import quoted
from assay.drift.source import Source
from assay.drift.spec import Rows
from assay.training.store import Version


class Trained:
    """The rows that a version trains on: those of split `train`, or all rows if it has no splits.

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
        """The rows in the form for messages."""
        return Rows(f"{self.name}, the rows it trains on")

    def shared(self, source: Source) -> Source:
        """Return the source with only those columns that the version has too.

        Raises:
            Fault: they have no column in common.
        """
        names = self._names(source)
        missing = [name for name in (*source.numeric, *source.categorical) if name not in names]
        if len(missing) == len(source.numeric) + len(source.categorical):
            raise Fault(f"{self.name} has no column of {source.name} that could be compared.", MISUSED)
        return replace(
            source,
            numeric=[name for name in source.numeric if name in names],
            categorical=[name for name in source.categorical if name in names],
            left_out=source.left_out | dict.fromkeys(missing, f"is not in {self.name}"),
        )

    def select(self, source: Source) -> str:
        """Return the SQL of the version's rows, with the columns named as in `source`.

        Raises:
            Fault: the version is encrypted and there is no key, or another one.
        """
        names = self._names(source)
        columns = ", ".join(
            f"{quoted(names[name])} as {quoted(name)}" for name in (*source.numeric, *source.categorical)
        )
        return f"select {columns} from {rows_of_parquet(self._data)} where {self._condition}"

    @property
    def _condition(self) -> str:
        return "split = 'train'" if "split" in self._columns else "true"

    def _names(self, source: Source) -> dict[str, str]:
        """Return the version's columns by their names in the source."""
        if source.name == self._set:
            return {name: name for name in self._columns}
        return {feature.name: feature.column for feature in self._features if feature.view == source.name}
