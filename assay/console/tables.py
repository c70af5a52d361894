"""Tables and lines as all commands print them."""

from __future__ import annotations

import os
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

_WIDTH_WITHOUT_TERMINAL = 100
_WIDTH_OF_ANY_TABLE = 100_000
_GAP = 3
_FEW_LETTERS = 16
# Texts of documents and names of files hold any, and a terminal does what they say.
_CONTROLS = dict.fromkeys(
    {*range(32), *range(127, 160)} - {ord("\n"), ord("\t")}, "\N{REPLACEMENT CHARACTER}"
)


class PlainConsole(Console):
    """A console that prints data as it is: nothing in brackets is a style, nothing in colons a picture."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)


class _Piped(PlainConsole):
    """A console for pipes: prose is 100 columns wide; tables, which programs may read, are never cut."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects; prose is wrapped at 100 columns."""
        if not any(isinstance(each, Table) for each in objects):
            options.setdefault("width", _WIDTH_WITHOUT_TERMINAL)
        super().print(*objects, **options)


def console_for_people() -> Console:
    """Return a console on standard output; without a terminal or COLUMNS, it never cuts a table."""
    console = PlainConsole()
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return _Piped(width=_WIDTH_OF_ANY_TABLE)


class _Plain(Table):
    """A table whose cells are printed as they are, on any console."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row; brackets in a text are part of it."""
        super().add_row(*(Text(each) if isinstance(each, str) else each for each in cells), **options)


class _Wide(_Plain):
    """A table whose rows are printed one below the other where it is wider than the terminal."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = sum(_least_width(each, console, options) + _GAP for each in self.columns) - _GAP
        if needed <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        yield self.title or ""
        for cells in zip(*(each.cells for each in self.columns), strict=True):
            row = Table.grid(padding=(0, _GAP))
            row.add_column(no_wrap=True)
            row.add_column(overflow="fold")
            for column, cell in zip(self.columns, cells, strict=True):
                if str(cell):
                    row.add_row(Text(str(column.header)), cell)
            yield ""
            yield row
        yield ""


def _least_width(column: Column, console: Console, options: ConsoleOptions) -> int:
    """Return how wide a column must be to be read: figures whole, words a few letters a line."""
    header, *cells = (
        Measurement.get(console, options.update(width=_WIDTH_OF_ANY_TABLE), each)
        for each in (column.header, *column.cells)
    )
    is_whole = column.no_wrap or column.justify == "right"
    longest = max((each.maximum for each in cells), default=0)
    return max(header.minimum, longest if is_whole else min(longest, _FEW_LETTERS))


def table_titled(title: str, *, is_wide: bool = False) -> Table:
    """Return an empty table in the style that all commands use.

    Args:
        title: stands above it.
        is_wide: whether it may be wider than a terminal, where its rows are printed one below the other.
    """
    named = Text(title, style="bold")
    kind = _Wide if is_wide else _Plain
    return kind(title=named, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def line(console: Console, text: str) -> None:
    """Print text on one line, without markup."""
    console.print(without_controls(text), soft_wrap=True, markup=False, emoji=False)


def without_controls(text: str) -> str:
    """Return a text in which signs stand for characters that a terminal would obey."""
    return text.translate(_CONTROLS)
