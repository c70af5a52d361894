"""Pass the loader's progress to a listener in the same process, since dbt, which calls it, does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str], None]


def _silent(message: str) -> None:
    pass


_listener: Listener = _silent


def report(message: str) -> None:
    """Pass a short text about what has been loaded to the listener of this process, if there is one."""
    _listener(message)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send reports to `listener` until the block ends; other threads may call it."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before
