"""Let one process at a time find out what has changed and tell people of it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from assay.core.fault import LOCKED, Fault
from assay.core.lock import hold
from assay.core.places import Places

_SECONDS_TO_WAIT = 30.0


def alerts_lock(places: Places) -> AbstractContextManager[None]:
    """Hold the lock while the block runs.

    Raises:
        Fault: another process has held it for half a minute.
    """
    return hold(
        places.ledger.with_name("alerts.lock"),
        command="assay alerts check",
        wait=_SECONDS_TO_WAIT,
        refuse=lambda holder: Fault(f"Another process checks alerts: {holder}. Try again.", LOCKED),
    )
