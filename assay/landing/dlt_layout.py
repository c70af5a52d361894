"""The layout of dlt's filesystem destination, so that what dlt itself wrote lands as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

#: Where dlt writes a file, within the folder of its dataset.
LAYOUT = "{table_name}/{load_id}.{file_id}.{ext}"
#: The name of such a file.
FILE = re.compile(r"(?P<load_id>\d{9,11}\.\d{1,9})\.[0-9A-Za-z_-]+\.[a-z_]+(\.gz)?")
_LOADS = "_dlt_loads"
#: A file of this name marks a dataset.
MARK = "init"
_LOAD = re.compile(r".*__(\d+\.\d+)\.jsonl")
NOT_COMPLETE = (
    "Cannot be loaded (of a load that dlt has not completed): the next build after that loads it. "
    "If dlt has given the load up, remove the file."
)


def completed_loads(dataset: Path) -> frozenset[str] | None:
    """Return the ids of loads that dlt has completed; None where the folder is none of dlt's datasets.

    Raises:
        OSError: the list of loads cannot be read.
    """
    loads = dataset / _LOADS
    if not loads.is_dir():
        return None
    return frozenset(found[1] for file in loads.iterdir() if (found := _LOAD.fullmatch(file.name)))


@dataclass(frozen=True)
class Dataset:
    """A folder of the landing zone that dlt may have written, with the loads of dlt that are complete.

    Args:
        folder: the folder.
        complete: the ids of the loads; None where dlt lists none, so that nothing is known of them.
    """

    folder: Path
    complete: frozenset[str] | None

    def is_mark(self, file: Path) -> bool:
        """Tell whether a file only marks the dataset as one of dlt's, and has no rows."""
        return file == self.folder / MARK and any(self.folder.glob("_dlt_*"))

    def lacks(self, file: Path) -> bool:
        """Tell whether a file of a table is of a load that is not complete."""
        named = FILE.fullmatch(file.name)
        return self.complete is not None and named is not None and named["load_id"] not in self.complete


class Datasets:
    """The datasets of a landing zone; which loads are complete is read once.

    Args:
        landing: the landing zone's folder.
    """

    def __init__(self, landing: Path) -> None:
        self._landing = landing
        self._known: dict[Path, Dataset] = {}

    def of(self, folder: Path) -> Dataset | None:
        """Return the dataset that a folder is, or that it is a table of; None where it can be neither."""
        dataset = folder if folder.parent == self._landing else folder.parent
        if dataset.parent != self._landing:
            return None
        if dataset not in self._known:
            self._known[dataset] = Dataset(dataset, completed_loads(dataset))
        return self._known[dataset]
