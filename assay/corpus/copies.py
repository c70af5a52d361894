"""Find texts that are copies of texts before them, exactly or nearly, however many these are.

Near copies are found by MinHash and locality-sensitive hashing: texts that share most of their shingles fall
into the same bucket of an index with near certainty. What the index proposes is compared shingle by shingle.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from assay.core.fault import extra_needed
from assay.corpus.words import folded_text, shingles_of, similarity_of

# The share of copies, just as similar as asked for, that the index must propose.
_RECALL = 0.999
# Each band of the index takes memory for each text: 20 of them 2.3 GB for a million texts.
_MOST_BANDS = 20
_SEED = 1


@dataclass(frozen=True)
class Copy:
    """What a text is a copy of: the number of a text before it, and how similar they are, from 0 to 1."""

    of: int
    similarity: float
    is_exact: bool


class Copies:
    """The texts that are no copies, and an index of them; a context manager.

    Args:
        similarity: from which similarity on texts are copies; None for exact copies alone.
        folder: for a temporary file with the texts.
    """

    def __init__(self, similarity: float | None, folder: Path) -> None:
        self._exact: dict[bytes, int] = {}
        self._texts = _Texts(folder / "texts")
        self._near = _NearCopies(similarity, self._texts) if similarity else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._texts.close()

    def find(self, texts: Sequence[tuple[int, str]]) -> Iterator[Copy | None]:
        """Yield for each text what it is a copy of; a text that is no copy joins those compared with.

        Args:
            texts: each with its number. Many at once are quicker; the outcome is the same.
        """
        folded = [(number, folded_text(text)) for number, text in texts]
        sketches = self._near.sketch([text for _, text in folded]) if self._near else [None] * len(folded)
        for (number, text), sketch in zip(folded, sketches, strict=True):
            digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
            known = self._exact.setdefault(digest, number)
            if known != number:
                yield Copy(known, 1.0, is_exact=True)
                continue
            found = self._near.find(text, sketch) if self._near else None
            if found:
                # What equals a near copy is a near copy of the same text, with its similarity.
                del self._exact[digest]
            elif self._near:
                self._near.add(number, text, sketch)
            yield found


class _NearCopies:
    def __init__(self, similarity: float, texts: _Texts) -> None:
        with extra_needed("corpus", by="To find near-duplicates"):
            from rensa import RMinHash, RMinHashLSH
        self._bands, self._rows = bands_of(similarity)
        self._hashes = self._bands * self._rows
        self._sketches_of = RMinHash.from_token_sets
        self._index = RMinHashLSH(similarity, self._hashes, self._bands)
        self._similarity = similarity
        # Four standard deviations of the estimate below: less than one copy in 30,000 is missed for it.
        self._least = similarity - 4 * math.sqrt(similarity * (1 - similarity) / self._hashes)
        self._texts, self._numbers = texts, array("q")
        self._sketches: list[Any] = []

    def sketch(self, folded: Sequence[str]) -> list[Any]:
        # In order, as sets of texts are in another order in each process.
        return list(self._sketches_of([sorted(shingles_of(text)) for text in folded], self._hashes, _SEED))

    def find(self, folded: str, sketch: Any) -> Copy | None:
        """Return the most similar text, of equally similar ones the first."""
        proposed = sorted(
            place
            for place in self._index.query(sketch)
            if self._sketches[place].jaccard(sketch) >= self._least
        )
        own = shingles_of(folded) if proposed else set()
        best = None
        for place in proposed:
            similarity = similarity_of(own, shingles_of(self._texts.read(place)))
            if similarity >= max(self._similarity, math.nextafter(best.similarity, 2) if best else 0):
                best = Copy(self._numbers[place], similarity, is_exact=False)
        return best

    def add(self, number: int, folded: str, sketch: Any) -> None:
        self._index.insert(len(self._numbers), sketch)
        self._numbers.append(number)
        self._sketches.append(sketch)
        self._texts.add(folded)


class _Texts:
    """Texts in a temporary file, read by their place."""

    def __init__(self, file: Path) -> None:
        self._stream = file.open("w+b")
        self._ends = array("q", [0])

    def add(self, text: str) -> None:
        self._stream.seek(self._ends[-1])
        self._ends.append(self._ends[-1] + self._stream.write(text.encode()))

    def read(self, place: int) -> str:
        begin, end = self._ends[place : place + 2]
        self._stream.seek(begin)
        return self._stream.read(end - begin).decode()

    def close(self) -> None:
        self._stream.close()


def bands_of(similarity: float) -> tuple[int, int]:
    """Return the number of bands of the index, and of rows in each.

    Two texts are proposed if they agree in all rows of a band. More rows propose fewer texts that are no
    copies, and need more bands to propose the same share of copies.
    """
    fitting = [(2, _bands(similarity, 2))]
    fitting += [(rows, bands) for rows in range(3, 17) if (bands := _bands(similarity, rows)) <= _MOST_BANDS]
    rows, bands = fitting[-1]
    return bands, rows


def _bands(similarity: float, rows: int) -> int:
    agreeing = similarity**rows
    return math.ceil(math.log(1 - _RECALL) / math.log1p(-agreeing)) if agreeing < 1 else 1
