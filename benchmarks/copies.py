"""Look for near-duplicates among made-up chunks, and print what was found: `python -m benchmarks.copies N`.

A thousand chunks are copies of others with one to three of 150 words changed, and as many have twelve words
changed, which is too many. Every tenth chunk begins with the same thirty words.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from assay.corpus.copies import Copies
from benchmarks.measure import own_cpu

PLANTED = 1_000
SIMILARITY = 0.8
_AT_ONCE = 2_000
_WORDS, _VOCABULARY = 150, [f"word{number}" for number in range(30_000)]
_HEADER = " ".join(_VOCABULARY[:30])


def main() -> int:
    count = int(sys.argv[1])
    draw = random.Random(1)
    step = (count - 2 * PLANTED) // PLANTED
    originals: list[str] = []
    found: set[int] = set()
    wrong = 0
    started, making, number = time.monotonic(), 0.0, 0
    with TemporaryDirectory() as folder, Copies(SIMILARITY, Path(folder)) as copies:
        chunks = _chunks(count, step, originals, draw)
        while True:
            before = own_cpu()
            some = list(islice(chunks, _AT_ONCE))
            batch = [(number + place, text) for place, (text, _) in enumerate(some)]
            making += own_cpu() - before
            if not batch:
                break
            for (place, _), (_, original), copy in zip(batch, some, copies.find(batch), strict=True):
                if copy and copy.of == original:
                    found.add(place)
                elif copy:
                    wrong += 1
            number += len(batch)
    print(
        json.dumps(
            {
                "recall": len(found) / PLANTED,
                "precision": len(found) / max(len(found) + wrong, 1),
                "making_cpu": making,
                "wall": time.monotonic() - started,
            }
        )
    )
    return 0


def _chunks(
    count: int, step: int, originals: list[str], draw: random.Random
) -> Iterator[tuple[str, int | None]]:
    """Yield each chunk with the number of the chunk that it is a copy of, None for others."""
    plain = count - 2 * PLANTED
    for number in range(plain):
        text = " ".join(draw.choices(_VOCABULARY, k=_WORDS))
        if number % 10 == 1:
            text = f"{_HEADER} {text}"
        if number % step == 0 and len(originals) < PLANTED:
            originals.append(text)
        yield text, None
    for place, text in enumerate(originals):
        yield _changed(text, draw.randint(1, 3), draw), place * step
        yield _changed(text, 12, draw), None


def _changed(text: str, words: int, draw: random.Random) -> str:
    changed = text.split()
    for place in draw.sample(range(len(changed)), words):
        changed[place] = "changed"
    return " ".join(changed)


if __name__ == "__main__":
    sys.exit(main())
