"""What models predicted, on its way to the landing zone: a file a minute, which the next build loads."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from assay.disk import sync
from assay.runs.moment import now

SECONDS_OPEN = 60.0
_BYTES_OPEN = 8 << 20
_FOLDER = Path("serving", "predictions")


class PredictionLog:
    """The file of one process. While it is open, its name keeps builds from loading it; a lock tells so.

    Args:
        landing: the landing zone's folder.
    """

    def __init__(self, landing: Path) -> None:
        self._folder = landing / _FOLDER
        self._path = self._folder
        self._file: int | None = None
        self._opened_at = 0.0

    def note(self, prediction: dict[str, Any]) -> None:
        """Append a prediction: one write, which the system keeps when the process dies.

        Raises:
            OSError: it cannot be written.
        """
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path, self._file = _opened(self._folder)
            self._opened_at = time.monotonic()
        os.write(self._file, orjson.dumps(prediction) + b"\n")

    def hand_over_if_due(self) -> None:
        """Hand the file to the next build, once it is old or large enough."""
        if self._file is None:
            return
        is_old = time.monotonic() - self._opened_at >= SECONDS_OPEN
        if is_old or os.fstat(self._file).st_size >= _BYTES_OPEN:
            self.hand_over()

    def hand_over(self) -> None:
        """Hand the file to the next build now; the next prediction opens another."""
        if self._file is not None:
            _hand_over(self._path)
            os.close(self._file)
            self._file = None


def hand_over_leftovers(landing: Path) -> int:
    """Hand over what processes left open that have died, and return how many files others still write.

    Args:
        landing: the landing zone's folder.
    """
    still_open = 0
    for path in (landing / _FOLDER).glob("_open-*.jsonl"):
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _hand_over(path)
        except BlockingIOError:
            still_open += 1
        except FileNotFoundError:
            # Its process, or another build, has handed it over meanwhile.
            pass
        finally:
            os.close(file)
    return still_open


def _opened(folder: Path) -> tuple[Path, int]:
    """Open a file and lock it, which a build may have taken for a leftover in between: then another."""
    while True:
        path = folder / f"_open-{uuid4().hex}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return path, file
        os.close(file)


def _hand_over(path: Path) -> None:
    sync(path)
    name = path.stem.removeprefix("_open-")
    path.rename(path.with_name(f"predictions-{now():%Y-%m-%dT%H-%M-%S-%f}-{name}.jsonl"))
    sync(path.parent)
