"""The outcome of a check: what it examined, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from assay.project.personal import read_personal


@dataclass(frozen=True)
class LeakFinding:
    """A leak, or something that looks like one.

    Attributes:
        check: the name of the check.
        column: the column, with its table if that is not the training set; `(row)` for whole rows.
        rows: the number of rows that show the leak.
        example: the keys of one of these rows.
        value: the value in that row, as text.
        expected: the value that the row should have, as text.
        remedy: what to do about the leak.
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
        rows: how many rows the check examined.
        telling: how many of them could have shown a difference; None if each could.
        findings: the leaks.
        warnings: findings that a person should examine, because they may be no leaks.
        unchecked: what the check could not examine, and why.
        notes: other remarks on what the check examined.
        not_erasable: columns that cannot be proven, and the data without a time on which they depend.
        cleared: columns of the training set that the check examined without a finding.
        suspected: columns that the check cannot clear, whatever other checks find.
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
        """Add a finding, unless no rows show it. Personal data is masked, because findings go to logs."""
        if rows:
            personal = read_personal()
            keys = ", ".join(f"{name} {_text(key)}" for name, key in personal.shown(example).items())
            of = [column.rpartition(".")[2]]
            held, wanted = (_text(personal.example(each, of)) for each in (value, expected))
            finding = LeakFinding(self.name, column, rows, keys, held, wanted, remedy)
            (self.warnings if is_warning else self.findings).append(finding)


def _text(value: Any) -> str:
    return "NULL" if value is None else str(value)
