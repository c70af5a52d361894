"""Where the loader's progress is told, when dbt stands between the loader and whoever wants to hear of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str], None]


def _silent(message: str) -> None:
    pass


_listener: Listener = _silent


def report(message: str) -> None:
    """Pass on what has been loaded, in a few words, to the listener of this process."""
    _listener(message)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send reports to `listener`, which may be called from another thread, until the block ends."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before
