"""Show what dlt fetches while it goes on: a line that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from dlt.common.runtime.collector_base import Collector

_SECONDS_BETWEEN_LINES = 15.0
# What dlt counts beside the rows of resources.
_NO_ROWS = ("Resources", "Files", "Items", "Jobs")


@contextmanager
def shown_rows(console: Console, place: str) -> Iterator[Collector]:
    """Show how many rows have been fetched while the block runs.

    Yields:
        What dlt counts with.
    """
    if console.is_terminal:
        with console.status(f"{place}: connecting") as status:
            yield _make_collector(place, status.update)
        return
    next_line = time.monotonic() + _SECONDS_BETWEEN_LINES

    def show(told: str) -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            console.print(told, highlight=False, soft_wrap=True)

    yield _make_collector(place, show)


def _make_collector(place: str, show: Callable[[str], None]) -> Collector:
    from dlt.common.runtime.collector import NullCollector

    counts: Counter[str] = Counter()

    class Rows(NullCollector):
        def update(self, name: str, inc: int = 1, *_: object, **__: object) -> None:
            # The first step fetches; the later ones count the same rows again.
            if name not in _NO_ROWS and str(self.step).startswith("Extract"):
                counts[name] += inc
                show(f"{place}: {', '.join(f'{each} {count:,}' for each, count in sorted(counts.items()))}")

    return Rows()
