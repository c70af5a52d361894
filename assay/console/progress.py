"""Show a run while it goes on: a bar on a terminal, a few lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from assay.core.words import counted

_SECONDS_BETWEEN_LINES = 15.0
_NAMES_SHOWN = 2


class Display(Protocol):
    """Shows the progress of a run; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, message: str) -> None:
        """Show a line that stays."""

    def loaded(self, message: str) -> None:
        """Show that the loader has committed something."""

    def planned(self, nodes: int) -> None:
        """Show that dbt is about to run this many nodes."""

    def started(self, node: str) -> None:
        """Show that a node begins."""

    def ended(self, node: str) -> None:
        """Show that a node has ended or is skipped."""

    def heard(self, event: Any) -> None:
        """Receive an event of dbt; each event comes here, also those that the other methods show."""


def display_on(console: Console) -> Display:
    """Return the display that suits `console`."""
    return _Bar(console) if console.is_terminal else Lines(console)


class _Bar:
    def __init__(self, console: Console) -> None:
        self._running: list[str] = []
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("reading the project", total=None, detail="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, message: str) -> None:
        self._progress.console.print(message, highlight=False, soft_wrap=True)

    def loaded(self, message: str) -> None:
        self.say(f"landed {message}")

    def planned(self, nodes: int) -> None:
        self._progress.update(self._task, description="building", total=nodes, completed=0)

    def started(self, node: str) -> None:
        self._running.append(node)
        self._show()

    def ended(self, node: str) -> None:
        if node in self._running:
            self._running.remove(node)
        self._progress.advance(self._task)
        self._show()

    def heard(self, event: Any) -> None:
        pass

    def _show(self) -> None:
        self._progress.update(self._task, detail=", ".join(self._running[:_NAMES_SHOWN]))


class Lines:
    """A few lines of progress.

    Args:
        console: where they are written.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._nodes = 0
        self._done = 0
        self._next_line_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def say(self, message: str) -> None:
        """Show a line that stays."""
        self._console.print(message, highlight=False, soft_wrap=True)

    def loaded(self, message: str) -> None:
        """Show that the loader has committed something."""
        self.say(f"landed {message}")

    def planned(self, nodes: int) -> None:
        """Show that dbt is about to run this many nodes."""
        # A command may run dbt several times.
        self._nodes, self._done = nodes, 0
        self._next_line_at = time.monotonic() + _SECONDS_BETWEEN_LINES
        self.say(f"dbt runs {counted(nodes, 'node')}")

    def started(self, node: str) -> None:
        """Show nothing."""

    def ended(self, node: str) -> None:
        """Show from time to time how many nodes have ended."""
        self._done += 1
        if time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + _SECONDS_BETWEEN_LINES
            self.say(f"{self._done} of {counted(self._nodes, 'node')} done, last {node}")

    def heard(self, event: Any) -> None:
        """Show nothing."""
