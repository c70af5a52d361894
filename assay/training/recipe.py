"""How versions of one kind of set are made and searched for leaks: training sets here, others elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.console.progress import Display
from assay.leakage import Check, find_leaks
from assay.training.source import SETS, Source
from assay.training.store import Version
from assay.training.take import take


@dataclass(frozen=True)
class Recipe:
    """What is particular to a kind of versions.

    `command` of `assay` makes one of models of the `kind`. `take` writes a version of a name from a source to
    a folder. `find_leaks` looks for leaks in a version that was rebuilt from a source. `beside` names models
    that are built beside. `is_current` tells whether a source was built with what is declared now.
    """

    command: str
    kind: str
    take: Callable[[str, Source, Path], Version]
    find_leaks: Callable[[Version, Source, Display], list[Check]]
    beside: tuple[str, ...] = ()
    is_current: Callable[[Source], bool] = lambda source: True


def _find_leaks(version: Version, source: Source, display: Display) -> list[Check]:
    display.say("Building it once more, without what became available late in it: a leak would show")
    return find_leaks(version.manifest.name, warehouse=source.warehouse, watcher=display, say=display.say)


TRAINING_SETS = Recipe("training-set create", SETS, take, _find_leaks)
