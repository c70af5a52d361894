"""Random draws: named streams, weighted choices, arrivals, and exact shares of a total."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


def stream(seed: int, name: str) -> Random:
    """A random stream of its own for each name, so that drawing more from one shifts no other."""
    return Random(f"{seed}/{name}")


class Weighted(Generic[T]):
    """Draws items in proportion to their weights, in logarithmic time."""

    def __init__(self, items: Sequence[T], weights: Sequence[float]) -> None:
        self._items = items
        self._cumulative = list(accumulate(weights))
        self._last = len(items) - 1

    def draw(self, rng: Random) -> T:
        """One item."""
        cumulative = self._cumulative
        return self._items[bisect(cumulative, rng.random() * cumulative[-1], 0, self._last)]


def arrivals(rng: Random, mean: float, opens_ms: int, closes_ms: int) -> Iterator[int]:
    """Times of a Poisson process between two instants, ascending; `mean` of them on average."""
    if mean <= 0:
        return
    at = float(opens_ms)
    while (at := at + rng.expovariate(mean / (closes_ms - opens_ms))) < closes_ms:
        yield int(at)


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `total`, as near to the weights as can be (largest remainder)."""
    scale = total / sum(weights)
    shares = [int(weight * scale) for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: shares[i] - weights[i] * scale)
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
