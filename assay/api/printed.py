"""Results that show themselves as the command line prints them, in a notebook as HTML."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")
_COLUMNS, _LINES = 120, 25
_HTML = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'


class Printed:
    """What a command of the command line would print.

    Args:
        write: prints it on a console.
    """

    def __init__(self, write: Callable[[Console], None]) -> None:
        self._write = write

    def print(self, console: Console) -> None:
        """Print it, as the command does."""
        self._write(console)

    def __repr__(self) -> str:
        return str(self._recorded().export_text()).rstrip()

    def _repr_html_(self) -> str:
        return self._recorded().export_html(inline_styles=True, code_format=_HTML)

    def _recorded(self) -> Console:
        from rich.console import Console

        console = Console(
            record=True,
            file=io.StringIO(),
            width=_COLUMNS,
            height=_LINES,
            highlight=False,
            force_jupyter=False,
        )
        self._write(console)
        return console


class PrintedList(Printed, Sequence[Item], Generic[Item]):
    """Findings, in an order that is said where they come from; shown as the command prints them.

    Args:
        items: the findings.
        write: prints them on a console.
    """

    def __init__(self, items: Sequence[Item], write: Callable[[Sequence[Item], Console], Any]) -> None:
        super().__init__(lambda console: write(self._items, console))
        self._items = list(items)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        return self._items[place]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)
