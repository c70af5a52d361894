"""Hold the lock of the warehouse while something is erased: no build may run meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from assay.console.progress import Display
from assay.core.lock import Holder
from assay.core.places import Places
from assay.project.lease import hold_warehouse


@contextmanager
def lock_for_erasure(
    places: Places, wait: float, display: Display, *, command: str = "assay forget"
) -> Iterator[None]:
    """Hold the warehouse's lock while the block runs.

    Args:
        places: of the project.
        wait: how long to wait for a build to end, in seconds.
        display: told whom it waits for.
        command: the command that others are told holds the lock.

    Raises:
        Fault: a build held it during the whole wait.
    """

    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting up to {wait:.0f} s for a build: {holder or 'it has just begun'}")

    with hold_warehouse(places.warehouse, command=command, wait=wait, on_wait=waiting):
        yield
