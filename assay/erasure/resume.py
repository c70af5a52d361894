"""End an erasure that was killed, before anything else is built."""

from __future__ import annotations

from assay.console.progress import Display
from assay.core.places import Places
from assay.erasure.journal import journal_file
from assay.erasure.locked import lock_for_erasure


def resume(places: Places, *, wait: float, display: Display) -> None:
    """End an erasure that was begun and killed, if there is one.

    Args:
        places: of the project.
        wait: how long to wait for a build to end, in seconds.
        display: shows the progress.

    Raises:
        Fault: it cannot be ended now.
    """
    if not journal_file(places.warehouse).exists():
        return
    # Imports dbt, which takes longer than a build that has nothing to do.
    from assay.erasure.forget import end_other

    with lock_for_erasure(places, wait, display):
        end_other(places, display)
