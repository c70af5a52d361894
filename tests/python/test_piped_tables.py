"""What the command line prints without a terminal is whole."""

from __future__ import annotations

import pytest

from assay.console.tables import console_for_people, table_titled


def test_without_a_terminal_a_table_cuts_no_value_and_prose_is_wrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    values = [letter * 90 + " " + letter * 200 for letter in "abc"]
    table = table_titled("Keys")
    for number in range(3):
        table.add_column(f"column {number}", no_wrap=not number)
    table.add_row(*values)
    console = console_for_people()
    console.print(table)
    console.print("word " * 50)
    rows, prose = capsys.readouterr().out.split("word", 1)
    assert any(all(value in row for value in values) for row in rows.splitlines())
    assert all(len(each) <= 100 for each in prose.splitlines())
