"""Tables and lines as all commands print them."""

from __future__ import annotations

import os
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 100
_WIDTH_OF_ANY_TABLE = 100_000


class _Piped(Console):
    """A console for pipes: prose is 100 columns wide; tables, which programs may read, are never cut."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects; prose is wrapped at 100 columns."""
        if not any(isinstance(each, Table) for each in objects):
            options.setdefault("width", _WIDTH_WITHOUT_TERMINAL)
        super().print(*objects, **options)


def console_for_people() -> Console:
    """Return a console on standard output; without a terminal or COLUMNS, it never cuts a table."""
    console = Console(highlight=False)
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return _Piped(highlight=False, width=_WIDTH_OF_ANY_TABLE)


def table_titled(title: str) -> Table:
    """Return an empty table in the style that all commands use."""
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def line(console: Console, text: str) -> None:
    """Print text on one line, without markup."""
    console.print(text, soft_wrap=True, markup=False, emoji=False)
