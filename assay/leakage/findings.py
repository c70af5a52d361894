"""What a check has looked at, and what it has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from assay.project.personal import read_personal


@dataclass(frozen=True)
class LeakFinding:
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
    """The outcome of a check.

    Attributes:
        name: the check's name.
        rows: how many rows it looked at.
        telling: how many of them could have shown a difference; None where each could.
        findings: the leaks.
        warnings: what a person should look at, and may be right.
        unchecked: what it could not look at, and why.
        notes: what else it has to say of what it looked at.
        not_erasable: columns that nobody can prove, since they rest on something without a time, and on what.
        cleared: columns of the training set that it looked at, and found nothing in.
        suspected: columns that it cannot clear, whatever others find.
    """

    name: str
    rows: int = 0
    telling: int | None = None
    findings: list[LeakFinding] = field(default_factory=list)
    warnings: list[LeakFinding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_erasable: list[str] = field(default_factory=list)
    cleared: set[str] = field(default_factory=set)
    suspected: set[str] = field(default_factory=set)

    def found(
        self,
        column: str,
        rows: int,
        example: dict[str, Any],
        value: Any,
        expected: Any,
        remedy: str,
        *,
        is_warning: bool = False,
    ) -> None:
        """Add a finding, unless no rows show it. Personal data is masked: findings end in logs."""
        if rows:
            personal = read_personal()
            keys = ", ".join(f"{name} {_text(key)}" for name, key in personal.shown(example).items())
            of = [column.rpartition(".")[2]]
            held, wanted = (_text(personal.example(each, of)) for each in (value, expected))
            finding = LeakFinding(self.name, column, rows, keys, held, wanted, remedy)
            (self.warnings if is_warning else self.findings).append(finding)


def _text(value: Any) -> str:
    return "NULL" if value is None else str(value)
