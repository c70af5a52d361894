"""Collect the rows that differ, over several moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assay.leakage.findings import Check


@dataclass
class _Differing:
    keys: set[tuple[Any, ...]]
    value: Any
    expected: Any
    at: datetime


@dataclass
class Differences:
    """The keys of the rows that differ in each column, and the values of the first; each row counts once."""

    keys: list[str]
    columns: dict[str, _Differing] = field(default_factory=dict)
    first: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def add(
        self, column: str, rows: Iterable[tuple[Any, ...]], value: Any, expected: Any, at: datetime
    ) -> None:
        """Add rows by their keys; `value` and `expected` are those of the first."""
        rows = list(rows)
        if rows:
            self.first.setdefault(column, rows[0])
            self.columns.setdefault(column, _Differing(set(), value, expected, at)).keys.update(rows)

    def tell(self, check: Check, remedy: str, *, is_warning: bool = False) -> None:
        """Add a finding for each column; `{at}` in the remedy stands for the moment."""
        for column, found in self.columns.items():
            example = dict(zip(self.keys, self.first[column], strict=True))
            check.found(
                column, len(found.keys), {**example, "at": found.at}, found.value, found.expected,
                remedy.replace("{at}", str(found.at)), is_warning=is_warning,
            )  # fmt: skip
