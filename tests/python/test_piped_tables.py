"""What the command line prints without a terminal is whole."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from assay.console import progress
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


def test_brackets_and_colons_of_data_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    told = "[bold]part[1].csv[/nothing] :smile:"
    table = table_titled(told)
    table.add_column("file")
    table.add_row(told, style="red")
    for console in (console_for_people(), Console(width=80)):
        console.print(table)
        assert capsys.readouterr().out.count(told) == 2
    console_for_people().print(told)
    assert told in capsys.readouterr().out


def test_rows_of_a_table_that_is_too_wide_stand_one_below_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table_titled("Tables", is_wide=True)
    table.add_column("table", overflow="fold")
    for name in ("rows", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("gold.a_table_of_a_long_name", "1,234,567 (+12.3%)", "12.5 > 13.5")
    table.add_row("gold.b", "", "1.0")
    monkeypatch.setenv("COLUMNS", "60")
    console_for_people().print(table)
    assert ["gold.b", "1.0"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    monkeypatch.setenv("COLUMNS", "50")
    console_for_people().print(table)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "Tables",
        "",
        "table   gold.a_table_of_a_long_name",
        "rows    1,234,567 (+12.3%)",
        "size    12.5 > 13.5",
        "",
        "table   gold.b",
        "size    1.0",
        "",
    ]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_begins_anew_with_each_run_of_dbt(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`assay build` after an erasure that was killed ends the erasure first: two runs in one command."""
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    console = Console(file=StringIO(), force_terminal=is_terminal, width=120)
    display = progress.display_on(console)
    for _ in range(2):
        display.planned(2)
        for node in ("first", "second"):
            display.ended(node)
    if is_terminal:
        console.print(display._progress.get_renderable())  # type: ignore[attr-defined]
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("2/2" if is_terminal else "2 of 2 nodes done, last second") in shown
    assert "4/2" not in shown
    assert "4 of 2" not in shown
