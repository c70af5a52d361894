"""End an erasure that was killed, and forget again who came back: before a build, and after it."""

from __future__ import annotations

from itertools import groupby

from assay.build.build import Options, Report, build
from assay.console.progress import Display
from assay.core.places import Places, find_places
from assay.erasure.forgotten import find_returned
from assay.erasure.journal import journal_file
from assay.erasure.locked import lock_for_erasure
from assay.pii.forgotten import forgotten_file

_REASON = "came back in a file that landed later"


def build_without_forgotten(options: Options, display: Display) -> Report:
    """End an erasure that was killed, build, and forget again who came back in what was loaded.

    Args:
        options: of the build; a part of one, and a warehouse as of a moment, are not looked through.
        display: shows the progress.

    Raises:
        Fault: the build could not be done, or somebody cannot be forgotten now.
    """
    places = find_places(options.as_of)
    resume(places, wait=options.wait, display=display)
    report = build(options, display)
    if not (report.failed or report.unchanged_since or options.select or options.as_of):
        erase_returned(places, display)
    return report


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
    from assay.erasure.carry_out import end_other

    with lock_for_erasure(places, wait, display):
        end_other(places, display)


def erase_returned(places: Places, display: Display) -> None:
    """Forget again whoever was forgotten and came back in a file that the last build loaded.

    Raises:
        Fault: the list is damaged, or somebody cannot be forgotten now.
    """
    if not forgotten_file(places.warehouse).exists():
        return
    for _, people in groupby(find_returned(places.warehouse), lambda person: person.partition("=")[0]):
        # Imports dbt, which takes longer than a build that has nothing to do.
        from assay.erasure.forget import forget

        display.say("Somebody who was forgotten came back in a landed file, and is removed again")
        forget(places, [*people], reason=_REASON, wait=0, display=display)
