"""Make it cheap that pandas is not installed.

DuckDB's client imports pandas twice for every value of a parameter, as long as no import succeeds: the 384
numbers of a vector take 100 ms where pandas is not installed, and 6 ms where it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_NAME = "pandas"
# Somebody may install it while the process runs.
_SECONDS_BETWEEN_LOOKS = 1.0


class PandasFinder:
    """Ends the import of pandas at once while it is not installed; whoever only looks for it is let be."""

    def __init__(self) -> None:
        self._looked = -_SECONDS_BETWEEN_LOOKS
        self._is_there = True

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Leave all to the finders behind this one.

        Raises:
            ModuleNotFoundError: pandas is imported, and is not installed.
        """
        if name != _NAME:
            return None
        now = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked, self._is_there = now, PathFinder.find_spec(name) is not None
        # Those who look without importing are told None, not an error.
        if not self._is_there and sys._getframe(2).f_code.co_name == "_find_and_load_unlocked":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def hasten_imports_of_pandas() -> None:
    """Put the finder before Python's own, once."""
    if not any(isinstance(each, PandasFinder) for each in sys.meta_path):
        sys.meta_path.insert(0, PandasFinder())
