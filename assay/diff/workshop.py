"""The folder in which a review works, which is gone when it ends, however it ends."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.console.progress import Display
from assay.core.fault import INTERRUPTED, Fault
from assay.core.lock import Holder, locked
from assay.core.places import Places

# Behind the warehouse's name, which no folder of a person begins with: what is left there is removed.
_SUFFIX = ".diff"


@contextmanager
def workshop(places: Places, display: Display) -> Iterator[Path]:
    """Provide an empty folder beside the warehouse, which is removed afterwards; one diff at a time.

    Raises:
        Fault: another diff went on for ten minutes, the folder cannot be made, or somebody ends the process.
    """

    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting for another diff: {holder or 'it has just begun'}")

    folder = places.warehouse.with_name(f"{places.warehouse.name}{_SUFFIX}").absolute()
    with locked(folder, command="assay diff", wait=600, on_wait=waiting):
        # One that was killed has left its own: a running one would hold the lock.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        try:
            with _termination_interrupts():
                yield folder
        except KeyboardInterrupt as error:
            raise Fault("Interrupted: nothing was compared.", INTERRUPTED) from error
        finally:
            shutil.rmtree(folder)


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Have SIGTERM, which CI sends to what is cancelled, do what Ctrl-C does: clean up, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
