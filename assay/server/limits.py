"""How much the holder of a key may ask for, and write, in a stretch of time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from assay.server.rejected import Rejected


class Limit:
    """So much a second for each name, and `most` at once after a pause; of one process.

    Args:
        each_second: how much is granted each second.
        most: how much can be saved up.
        clock: seconds that only ever grow.
    """

    def __init__(self, each_second: float, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._each_second = each_second
        self._most = most
        self._clock = clock
        self._left: dict[str | None, tuple[float, float]] = {}

    def has_left(self, name: str | None, amount: float = 1) -> bool:
        """Take an amount, where so much is left."""
        return self._take(name, amount) == 0

    def take(self, name: str | None, amount: float, said: str) -> None:
        """Take an amount.

        Raises:
            Rejected: so much is not left; it says so, and when it will be.
        """
        if wait := self._take(name, amount):
            raise Rejected(429, said, math.ceil(wait))

    def _take(self, name: str | None, amount: float) -> float:
        """Take an amount, or return the seconds until there is as much."""
        at = self._clock()
        left, since = self._left.get(name, (self._most, at))
        left = min(self._most, left + (at - since) * self._each_second)
        enough = left >= amount
        self._left[name] = left - amount if enough else left, at
        return 0.0 if enough else (amount - left) / self._each_second
