"""Who read or wrote what, and who was turned away: a line each, appended and never changed."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from assay.core.disk import append_whole, cut_torn_line, make_private_folder, open_private
from assay.core.moment import now
from assay.server.limits import Limit

FILE = "audit.jsonl"
_MOST_BYTES = 64 << 20
_FILES = 16
# Of whom nobody knows, and of whom asks too often: more would push what others did out of the log.
_LINES_A_SECOND, _LINES_AT_ONCE = 1.0, 60.0
_LONGEST = 300


class Audit:
    """The log in a folder; several processes may append to it.

    A line is in the system's hands when `note` returns, and outlives the process; `sync` brings it to the
    disk. A file that is full is kept under a number, the newest as 1; the oldest goes.

    Raises:
        OSError: the folder or the file cannot be made.
    """

    def __init__(self, folder: Path, most_bytes: int = _MOST_BYTES, files: int = _FILES) -> None:
        make_private_folder(folder)
        self._path = folder / FILE
        self._most_bytes = most_bytes
        self._files = files
        self._file = self._opened()
        self._limit = Limit(_LINES_A_SECOND, _LINES_AT_ONCE)
        self._unwritten: Counter[tuple[str | None, int]] = Counter()
        with self._held():
            cut_torn_line(self._file)

    def note(self, what: str, request: dict[str, Any], **more: Any) -> None:
        """Append what a request did.

        Args:
            what: `read`, `wrote` or `refused`.
            request: who sent it (`reader`), its `request_id`, `method` and `path`.
            more: what it read or wrote, or why it was refused.

        Raises:
            OSError: it cannot be written; the log is as it was.
        """
        self._append({f"{what}_at": f"{now().isoformat()}Z"} | request | more)

    def note_refused(self, request: dict[str, Any], status: int, why: str, *, few: bool) -> None:
        """Append that a request was turned away.

        Args:
            request: see `note`.
            status: of the answer.
            why: what was answered.
            few: whether so many a minute are enough; the others are counted, and told by `sync`.

        Raises:
            OSError: it cannot be written; the log is as it was.
        """
        reader = request["reader"]
        if few and not self._limit.has_left(reader):
            self._unwritten[reader, status] += 1
            return
        self.note("refused", request, status=status, why=why)

    def sync(self) -> None:
        """Bring to the disk what was noted, and append how many refusals were not.

        Raises:
            OSError: it cannot be written.
        """
        for (reader, status), number in list(self._unwritten.items()):
            if self._limit.has_left(reader):
                self.note("refused", {"reader": reader}, status=status, requests=number)
                del self._unwritten[reader, status]
        os.fdatasync(self._file)

    def close(self) -> None:
        """Write what is left, and close the file."""
        with suppress(OSError):
            for (reader, status), number in self._unwritten.items():
                self.note("refused", {"reader": reader}, status=status, requests=number)
            os.fdatasync(self._file)
        os.close(self._file)

    def _append(self, line: dict[str, Any]) -> None:
        told = {name: shortened(value) if isinstance(value, str) else value for name, value in line.items()}
        content = orjson.dumps(told) + b"\n"
        with self._held():
            if append_whole(self._file, content) >= self._most_bytes:
                self._begin_another()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the file that now has the path: another process may have begun another."""
        while True:
            file = self._file
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if self._is_current():
                    yield
                    return
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
            self._file = self._opened()
            os.close(file)

    def _is_current(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        own = os.fstat(self._file)
        return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)

    def _begin_another(self) -> None:
        """Give the file a number; who appends next finds it gone, and makes another."""
        os.fdatasync(self._file)
        for number in range(self._files - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1)) if number < self._files - 1 else older.unlink()
        self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"audit.{number}.jsonl")

    def _opened(self) -> int:
        return open_private(self._path, os.O_RDWR | os.O_APPEND)


def shortened(text: str, most: int = _LONGEST) -> str:
    """Return the beginning of what a caller sent, without halves of characters, which no line can hold."""
    return text[:most] if text.isascii() else text[:most].encode(errors="replace").decode()
