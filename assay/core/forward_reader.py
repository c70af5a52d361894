"""A stream of bytes that can be made from its start alone."""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ForwardReader(io.RawIOBase):
    """A stream that is read from its start; going back begins anew.

    Whoever derives from it calls `_begin` before the first read, and puts what comes next into `_left`.
    """

    _left = memoryview(b"")
    _at = 0

    def _begin(self) -> None:
        """Go to the start."""
        self._left, self._at = memoryview(b""), 0

    @abstractmethod
    def _fill(self) -> bool:
        """Put what comes next into `_left` if that is empty; return whether there is something.

        Raises:
            OSError: it cannot be read.
        """

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can go to another place."""
        return True

    def tell(self) -> int:
        """Return how many bytes are before the next one."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, at most to the end; return it.

        Args:
            offset: in bytes.
            whence: where it counts from, as for each file.
        """
        if whence == os.SEEK_END:
            while self._fill():
                self._take(len(self._left))
        target = max(offset + (0 if whence == os.SEEK_SET else self._at), 0)
        if target < self._at:
            self._begin()
        while self._at < target and self._fill():
            self._take(target - self._at)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what comes next into a buffer; return how many bytes."""
        if not self._fill():
            return 0
        into = memoryview(buffer)
        found = self._take(len(into))
        into[: len(found)] = found
        return len(found)

    def _take(self, count: int) -> memoryview:
        found, self._left = self._left[:count], self._left[count:]
        self._at += len(found)
        return found
