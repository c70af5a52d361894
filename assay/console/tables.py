"""Tables and lines as all commands print them."""

from __future__ import annotations

import os

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 100


def console_for_people() -> Console:
    """Return a console on standard output; without a terminal it is 100 columns wide, or as COLUMNS says."""
    console = Console(highlight=False)
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)


def table_titled(title: str) -> Table:
    """Return an empty table in the style of all of them."""
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def line(console: Console, text: str) -> None:
    """Print text as it is, however wide."""
    console.print(text, soft_wrap=True, markup=False, emoji=False)
