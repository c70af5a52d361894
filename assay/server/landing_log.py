"""What a server is told, on its way to the landing zone: a file a minute, which the next build loads."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path
from uuid import uuid4

from assay.core.disk import append_whole, cut_torn_line, make_private_folder, open_private, sync
from assay.core.moment import now

SECONDS_OPEN = 60.0
_BYTES_OPEN = 8 << 20
# The landing tables of what servers are told.
PREDICTIONS, EXPOSURES = "predictions", "exposures"
_SOURCE = "serving"


class LandingLog:
    """The file of one process. While it is open, its name keeps builds from loading it; a lock tells so.

    Args:
        landing: the landing zone's folder.
        table: the landing table, PREDICTIONS or EXPOSURES.
    """

    def __init__(self, landing: Path, table: str) -> None:
        self._folder = landing / _SOURCE / table
        self._path = self._folder
        self._file: int | None = None
        self._opened_at = 0.0

    def note(self, line: bytes) -> None:
        """Append a line, whole: the system keeps it when the process dies.

        Args:
            line: JSON with an end of line.

        Raises:
            OSError: it cannot be written; nothing of it is kept.
        """
        if self._file is None:
            make_private_folder(self._folder)
            self._path, self._file = _opened(self._folder)
            self._opened_at = time.monotonic()
        append_whole(self._file, line)

    async def sync(self) -> None:
        """Wait until all that was noted is on the disk, while other requests are answered.

        Raises:
            OSError: it cannot be written.
        """
        if self._file is None:
            return
        # Of its own, for the file may be handed over meanwhile.
        file = os.dup(self._file)
        try:
            await asyncio.to_thread(os.fdatasync, file)
        finally:
            os.close(file)

    def hand_over_if_due(self) -> None:
        """Hand the file to the next build, once it is old or large enough.

        Raises:
            OSError: as `hand_over`.
        """
        if self._file is None:
            return
        is_old = time.monotonic() - self._opened_at >= SECONDS_OPEN
        if is_old or os.fstat(self._file).st_size >= _BYTES_OPEN or not self._path.exists():
            self.hand_over()

    def hand_over(self) -> None:
        """Hand the file to the next build now; the next line opens another, whatever becomes of this one.

        Raises:
            OSError: somebody has removed the file, or its folder cannot be written.
        """
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            _hand_over(self._path)
        finally:
            # Without its lock, a file that is still there is a leftover, which the next build takes.
            os.close(file)


def hand_over_leftovers(landing: Path) -> int:
    """Hand over what processes left open that have died, and return how many files others still write.

    Args:
        landing: the landing zone's folder.
    """
    still_open = 0
    for path in (landing / _SOURCE).glob("*/_open-*.jsonl"):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cut_torn_line(file)
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
        file = open_private(path, os.O_WRONLY | os.O_APPEND)
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return path, file
        os.close(file)


def _hand_over(path: Path) -> None:
    sync(path)
    name = path.stem.removeprefix("_open-")
    path.rename(path.with_name(f"{path.parent.name}-{now():%Y-%m-%dT%H-%M-%S-%f}-{name}.jsonl"))
    sync(path.parent)
