"""What BM25 counts in an index, kept in memory once it was asked for: the file of an index never changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import duckdb

from assay.search.filters import Filter
from assay.search.visible import Visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Value = TypeVar("_Value")

_CHUNKS = "select chunk_id, text_id, {filter} as kept from {chunks} where {visible}"
# As a constant, a term tells which parts of the table need not be read; as one of a list it does not.
_POSTINGS = "select term_id, text_id, frequency from postings where term_id = {term}"
# So many bytes of each kind are kept. What is small takes some, too: its key, its arrays and its place.
_MOST_BYTES = 64_000_000
_BYTES_OF_EACH = 1_000


@dataclass(frozen=True)
class Population:
    """The chunks that a search may see, in arrays with a place for each of them.

    Attributes:
        chunks: their numbers.
        texts: the numbers of their texts; several chunks may have one.
        kept: whether the filter keeps them.
        having: how many of them have a text, by its number.
        mean: of the number of words.
    """

    chunks: NDArray[np.int32]
    texts: NDArray[np.intp]
    kept: NDArray[np.bool_]
    having: NDArray[np.intp]
    mean: float

    @cached_property
    def count(self) -> int:
        """How many the filter keeps."""
        return int(self.kept.sum())

    @property
    def bytes(self) -> int:
        """How much memory they take: those of whom few are seen have a place for each text, too."""
        return sum(each.nbytes for each in (self.chunks, self.texts, self.kept, self.having))


@dataclass(frozen=True)
class Postings:
    """The texts that have a term, in the order of their numbers, and how often each has it."""

    texts: NDArray[np.intp]
    frequencies: NDArray[np.float64]

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return self.texts.nbytes + self.frequencies.nbytes


class Frequencies:
    """The frequencies of one index.

    Args:
        connection: to the index.

    Attributes:
        lengths: the number of words of each text, by its number.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        import numpy as np

        found = connection.execute("select distinct text_id, words from chunks").fetchnumpy()
        self.lengths = np.zeros(1 + found["text_id"].max(initial=0))
        self.lengths[found["text_id"]] = found["words"]
        self._populations: _Recent[Population] = _Recent(_MOST_BYTES)
        self._postings: _Recent[Postings] = _Recent(_MOST_BYTES)

    def population(self, connection: duckdb.DuckDBPyConnection, seen: Visible, kept: Filter) -> Population:
        """Return the chunks that are visible, and which of them a filter keeps."""
        import numpy as np

        parameters = {**seen.parameters, **kept.parameters}
        key = (seen.sql, kept.sql, repr(parameters))
        if (known := self._populations.get(key)) is None:
            sql = _CHUNKS.format(chunks=seen.chunks, visible=seen.sql, filter=kept.sql)
            rows = connection.execute(sql, parameters).fetchnumpy()
            texts = rows["text_id"].astype(np.intp)
            having = np.bincount(texts, minlength=len(self.lengths))
            mean = self.lengths[texts].mean() if len(texts) else 0.0
            known = Population(rows["chunk_id"], texts, rows["kept"], having, mean or 1.0)
            self._populations.keep(key, known, known.bytes + sum(map(len, key)))
        return known

    def postings(self, connection: duckdb.DuckDBPyConnection, terms: Sequence[int]) -> list[Postings]:
        """Return where terms stand, in their order.

        Args:
            connection: to the index.
            terms: their numbers.
        """
        import numpy as np

        found = {term: self._postings.get(term) for term in terms}
        if new := [term for term, known in found.items() if known is None]:
            sql = " union all ".join(_POSTINGS.format(term=term) for term in new)
            rows = connection.execute(sql).fetchnumpy()
            for term in new:
                own = rows["term_id"] == term
                postings = Postings(
                    rows["text_id"][own].astype(np.intp), rows["frequency"][own].astype(float)
                )
                found[term] = postings
                self._postings.keep(term, postings, postings.bytes)
        return [each for each in found.values() if each]


class _Recent(Generic[_Value]):
    """What was asked for last; the oldest goes where all of it together takes too many bytes."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[_Value, int]] = OrderedDict()

    def get(self, key: Hashable) -> _Value | None:
        """Return a value that is kept, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def keep(self, key: Hashable, value: _Value, size: int) -> None:
        """Keep a value of a size in bytes."""
        size += _BYTES_OF_EACH
        with self._lock:
            if key not in self._kept:
                self._kept[key] = value, size
                self._size += size
            while self._size > self._most and len(self._kept) > 1:
                _, (_, freed) = self._kept.popitem(last=False)
                self._size -= freed
