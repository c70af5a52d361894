"""What models predicted, on its way to the landing zone: a file a minute, which the next build loads."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import orjson

from assay.disk import sync
from assay.runs.moment import now

_SECONDS_OPEN = 60.0
_BYTES_OPEN = 8 << 20
_OPEN = re.compile(r"_open-(\d+)\.jsonl")


class PredictionLog:
    """The file of one process. While it is open, its name keeps builds from loading it.

    Args:
        landing: the landing zone's folder.
    """

    def __init__(self, landing: Path) -> None:
        self._folder = landing / "serving" / "predictions"
        self._path = self._folder / f"_open-{os.getpid()}.jsonl"
        self._file: int | None = None
        self._opened_at = 0.0

    def note(self, prediction: dict[str, Any]) -> None:
        """Append a prediction: one write, which the system keeps when the process dies.

        Raises:
            OSError: it cannot be written.
        """
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            self._opened_at = time.monotonic()
        os.write(self._file, orjson.dumps(prediction) + b"\n")

    def hand_over_if_due(self) -> None:
        """Hand the file to the next build, once it is old or large enough."""
        if self._file is None:
            return
        is_old = time.monotonic() - self._opened_at >= _SECONDS_OPEN
        if is_old or os.fstat(self._file).st_size >= _BYTES_OPEN:
            self.hand_over()

    def hand_over(self) -> None:
        """Hand the file to the next build now; the next prediction opens another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            _hand_over(self._path)

    def hand_over_leftovers(self) -> None:
        """Hand over what processes of this machine left open that have died."""
        for path in self._folder.glob("_open-*.jsonl"):
            found = _OPEN.fullmatch(path.name)
            if found and (int(found[1]) == os.getpid() or not _is_running(int(found[1]))):
                _hand_over(path)


def _hand_over(path: Path) -> None:
    sync(path)
    path.rename(
        path.with_name(f"predictions-{now():%Y-%m-%dT%H-%M-%S-%f}{path.stem.removeprefix('_open')}.jsonl")
    )
    sync(path.parent)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
