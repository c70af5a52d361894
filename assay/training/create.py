"""Make versions of training sets (`assay training-set create`)."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime

from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault
from assay.core.places import find_places
from assay.training.code import describe_unknown_set
from assay.training.recipe import TRAINING_SETS, Recipe
from assay.training.source import (
    as_built,
    as_newest_build_left,
    as_of_snapshot,
    read_published_sets,
    rebuilt,
)
from assay.training.store import Version, VersionStore


def create(
    name: str, as_of: datetime | None, display: Display, *, snapshot: int | None = None
) -> tuple[Version, bool]:
    """Make a version of a training set of the project in the current folder.

    The version is taken from the warehouse as it is. If a moment is given, or the code may have changed since
    the last build, it is taken from a temporary warehouse that is built for it.

    Args:
        name: of the training set.
        as_of: the moment of which it is to know; None for all that is known.
        display: shows the progress.
        snapshot: the number of the snapshot of a lake whose rows it is to have; None for the newest.

    Returns:
        The version, and whether it is new: the same content is the same version.

    Raises:
        Fault: there is no such training set, or it cannot be built.
    """
    if snapshot is None:
        known = read_published_sets(find_places())
        if name not in known:
            raise Fault(
                f"{describe_unknown_set(name, known)} A new one is there once assay build has published it.",
                MISUSED,
            )
    return create_version(name, as_of, display, TRAINING_SETS, snapshot=snapshot)


def create_version(
    name: str, as_of: datetime | None, display: Display, recipe: Recipe, *, snapshot: int | None = None
) -> tuple[Version, bool]:
    """Make a version of a set of any kind, as `create` does.

    Raises:
        Fault: it cannot be built.
    """
    places = find_places()
    given = None if snapshot is None else as_of_snapshot(name, recipe.kind, places, snapshot)
    store = VersionStore(places)
    command = f"assay {recipe.command} {name}"
    with store.workshop(command, display) as workshop, ExitStack() as stack:
        source = given
        if as_of is None and source is None:
            newest = as_newest_build_left(name, recipe.kind, places, display)
            source = newest if newest and recipe.is_current(newest) else None
        if as_of is None and source is None:
            source = stack.enter_context(as_built(places, command, display))
            if source is None or not recipe.is_current(source):
                stack.close()
                why = (
                    f"What {name} declares has changed since the last build"
                    if source
                    else "The warehouse is not as a published build left it"
                )
                display.say(f"{why}, so {name} is built afresh, from what has landed.")
                source = None
        if source is None:
            (workshop / "rebuilt").mkdir()
            source = stack.enter_context(
                rebuilt(
                    name,
                    places,
                    workshop / "rebuilt",
                    display,
                    command=command,
                    as_of=as_of,
                    beside=recipe.beside,
                )
            )
        (workshop / "version").mkdir()
        return _keep(store, recipe.take(name, source, workshop / "version"))


def _keep(store: VersionStore, version: Version) -> tuple[Version, bool]:
    for other in store.versions():
        if other.manifest.version == version.manifest.version:
            return other, False
    return store.keep(version), True
