"""When to spoil a row, and the count of what was spoilt."""

from collections.abc import Callable, Sequence
from itertools import cycle
from random import Random

RATE = 0.0015


class Dirt:
    """Deals kinds of dirt out over the rows of one table, each row at most one.

    `rejected` kinds are meant to be refused downstream, `kept` kinds to be lived with; `counted` kinds arise
    by themselves and are never dealt. Every kind has its turn within the first 60% of the `rows` expected,
    however few, and then at RATE. A kind that does not suit the row whose turn it is waits for one that does.
    """

    def __init__(
        self,
        rng: Random,
        rows: int,
        rejected: Sequence[str],
        kept: Sequence[str] = (),
        counted: Sequence[str] = (),
    ) -> None:
        self.rejected = dict.fromkeys(rejected, 0)
        self.kept = dict.fromkeys(kept, 0)
        kinds = [kind for kind in (*kept, *rejected) if kind not in counted]
        self._rng = rng
        self._turns = cycle(kinds)
        self._gap = max(1.0, min(1 / RATE, 0.6 * rows) / len(kinds))
        self._waiting: list[str] = []
        self._next_turn = self._gap * rng.random()
        #: The next row number for which `pick` is worth calling.
        self.due = self._next_turn

    def pick(self, row: int, fits: Callable[[str], bool]) -> str | None:
        """The kind to plant at this row, which is then counted; None for a row to leave alone."""
        while row >= self._next_turn:
            kind = next(self._turns)
            if kind not in self._waiting:
                self._waiting.append(kind)
            self._next_turn += self._gap * (0.5 + self._rng.random())
        picked = next((kind for kind in self._waiting if fits(kind)), None)
        if picked is not None:
            self._waiting.remove(picked)
            self.count(picked)
        self.due = row + 1 if self._waiting else self._next_turn
        return picked

    def count(self, kind: str) -> None:
        """One more of a kind."""
        tally = self.kept if kind in self.kept else self.rejected
        tally[kind] += 1


def anything_fits(kind: str) -> bool:
    """For tables any row of which suits any kind."""
    return True
