"""Find where landed files lie now: as they landed, within a merged file, or in a cold folder or bucket."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from assay.core.places import Places
from assay.landing.merged import find_merged, read_merged
from assay.ledger.retentions import cold_copies


def find_copies(places: Places, names: Collection[str]) -> dict[str, list[Path | str]]:
    """Find the files that hold landed files: these themselves, or the merged files that they are in.

    A landed file that was removed for good has none. Cold folders and buckets are not asked. Of an object, it
    is the URL.

    Args:
        places: of the project.
        names: of landed files, as bronze has them.

    Raises:
        Fault: another program keeps the run ledger open.
        OSError: a merged file cannot be read.
    """
    found: dict[str, list[Path | str]] = {name: [] for name in names}
    cold = cold_copies(places.ledger)
    for name in found:
        if (places.landing / name).is_file():
            found[name].append(places.landing / name)
        found[name] += [copy.where if copy.is_object else Path(copy.where) for copy in cold.get(name, ())]
    for table in {tuple(name.split("/")[:2]) for name in found}:
        for merged in find_merged(places.landing.joinpath(*table)):
            for name in {member.name for member in read_merged(merged).members} & found.keys():
                found[name].append(merged)
    return found
