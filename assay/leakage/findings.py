"""What a check has looked at, and what it has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """A leak, or what looks like one.

    Attributes:
        check: the name of the check.
        column: the column concerned, with its table where that is not the training set; `(row)` for rows.
        rows: how many rows show it.
        example: one of them: its keys, and what it holds.
        value: what it holds, as text.
        expected: what it ought to hold, as text.
        remedy: what to do about it.
    """

    check: str
    column: str
    rows: int
    example: str
    value: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.check}: {self.column} in {self.rows} rows, such as {self.example}: "
            f"{self.value}, expected {self.expected}. {self.remedy}"
        )


@dataclass
class Check:
    """The outcome of a check. `unchecked` says what it could not look at, and why."""

    name: str
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def found(
        self, column: str, rows: int, example: dict[str, Any], value: Any, expected: Any, remedy: str
    ) -> None:
        """Add a finding, unless no rows show it."""
        if rows:
            keys = ", ".join(f"{name} {_text(key)}" for name, key in example.items())
            self.findings.append(
                Finding(self.name, column, rows, keys, _text(value), _text(expected), remedy)
            )


def _text(value: Any) -> str:
    return "NULL" if value is None else str(value)
