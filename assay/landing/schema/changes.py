"""Describe a difference between a file and its table's declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assay.landing.declared import LandingTable, Mode
from assay.landing.schema.logical_types import LogicalType, covers

Kind = Literal["new", "lost", "renamed", "type"]


@dataclass(frozen=True)
class Change:
    """One difference between a file and its table's declaration.

    `rows` is the number of rows with the difference: rows with a value in a new column, rows that lack a
    lost column, or rows with a value that does not read as `expected_type`. `found_type` is the type as
    which most values do read. `suggested_name` is a guess: the new name of a renamed column, or the old name
    of a new column.
    """

    column: str
    kind: Kind
    rows: int
    expected_type: LogicalType | None = None
    found_type: LogicalType | None = None
    suggested_name: str | None = None

    def mode(self, table: LandingTable) -> Mode:
        """Return the mode that treats the change; a renamed column is treated as a lost one."""
        return table.mode_of("lost" if self.kind == "renamed" else self.kind)

    def __str__(self) -> str:
        match self.kind:
            case "type":
                return f"{self.column} reads as {self.found_type} instead of {self.expected_type}"
            case "new":
                guess = f", perhaps {self.suggested_name} under another name" if self.suggested_name else ""
                return f"has {self.column}, which nobody declared{guess}"
        guess = f", perhaps called {self.suggested_name} now" if self.suggested_name else ""
        return f"lacks {self.column}{guess}"

    def is_accepted(self, table: LandingTable | None) -> bool:
        """Tell whether the declaration accepts the change; without a declared table, it is accepted."""
        if table is None:
            return True
        match self.kind:
            case "new":
                return self.column in table.expected or self.column in table.aliases
            case "lost" | "renamed":
                is_gone = bool(table.expected) and self.column not in table.expected
                has_alias = table.aliases.get(self.suggested_name or "") == self.column
                return is_gone or has_alias or self.column in table.optional
        declared = table.types.get(self.column)
        return declared is not None and self.found_type is not None and covers(declared, self.found_type)
