"""Results that show themselves as the command line prints them, in a notebook as HTML."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from assay.api.folder import working_in
from assay.api.frame import Frame

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")
_COLUMNS, _LINES = 120, 25
_HTML = '<pre style="white-space:pre;overflow-x:auto;line-height:normal">{code}</pre>'


class Printed:
    """What a command of the command line would print.

    Args:
        write: prints it on a console.
        folder: the project's, in which it is printed: what is personal, and so masked, is read there.
    """

    def __init__(self, write: Callable[[Console], Any], folder: Path) -> None:
        self._write, self._folder = write, folder

    def print(self, console: Console) -> None:
        """Print it, as the command does."""
        with working_in(self._folder):
            self._write(console)

    def __repr__(self) -> str:
        return str(self._recorded().export_text()).rstrip()

    def _repr_html_(self) -> str:
        return self._recorded().export_html(inline_styles=True, code_format=_HTML)

    def _recorded(self) -> Console:
        from assay.console.tables import PlainConsole

        console = PlainConsole(
            record=True,
            file=io.StringIO(),
            width=_COLUMNS,
            height=_LINES,
            force_jupyter=False,
        )
        self.print(console)
        return console


class Found(Printed, Generic[Item]):
    """One finding, `found`; shown as the command prints it.

    Args:
        found: the finding.
        write: prints it on a console.
        folder: the project's.
    """

    def __init__(self, found: Item, write: Callable[[Item, Console], Any], folder: Path) -> None:
        super().__init__(lambda console: write(self.found, console), folder)
        self.found = found


class PrintedList(Printed, Sequence[Item], Generic[Item]):
    """Findings, in an order that is said where they come from; shown as the command prints them.

    Args:
        items: the findings.
        write: prints them on a console.
        folder: the project's.
    """

    def __init__(
        self, items: Sequence[Item], write: Callable[[list[Item], Console], Any], folder: Path
    ) -> None:
        super().__init__(lambda console: write(self._items, console), folder)
        self._items = list(items)

    def to_frame(self) -> Frame:
        """Return a row for each finding, with a column for each of its fields.

        Lists and other objects are texts of JSON.
        """
        return make_frame(self._items)

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


def make_frame(items: Sequence[Any]) -> Frame:
    """Return data classes as rows; fields that Arrow has no plain type for are texts of JSON."""
    import pyarrow as pa

    rows = [{field.name: _plain(getattr(item, field.name)) for field in fields(item)} for item in items]
    return Frame(lambda: pa.Table.from_pylist(rows))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | date):
        return value
    return str(value) if isinstance(value, Path) else json.dumps(value, default=str)
