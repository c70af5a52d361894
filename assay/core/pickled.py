"""Keep what a process has made in dbt's target folder, for the next process that would make the same."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from assay.core.disk import replace_private
from assay.core.places import find_target


def read_pickled(name: str, key: Sequence[str]) -> Any:
    """Return what was kept under a name for a key; None if there is nothing of this key.

    Args:
        name: of the file in dbt's target folder.
        key: all that the value follows from.
    """
    try:
        with (find_target() / name).open("rb") as file:
            return pickle.load(file) if pickle.load(file) == tuple(key) else None
    except Exception:
        # Whatever is wrong with the file, the value is made anew.
        return None


def keep_pickled(name: str, key: Sequence[str], value: Any) -> None:
    """Keep a value under a name, in the place of the last one; a folder that cannot be written is let be."""
    with suppress(OSError):
        replace_private(find_target() / name, pickle.dumps(tuple(key)) + pickle.dumps(value))
