"""Search in documents beside the event loop, for the routes of one worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from assay.search.results import Answer, Document
from assay.search.tombstones import Tombstones
from assay.search.unavailable import SearchUnavailable
from assay.search.visible import Scope
from assay.server.metrics import SEARCH_UNAVAILABLE

if TYPE_CHECKING:
    from assay.search.query import Index
    from assay.server.shapes import SearchRequest

Found = TypeVar("Found")
_THREADS = 2
# Of the time that a request has: what is left is for the answer.
_SHARE = 0.9


class Searching:
    """Search the index of documents that is published.

    Args:
        index: the file, which a build may replace at any time.
        deleted: the file that says which documents are deleted since.
        seconds: how long a request may take.
    """

    def __init__(self, index: Path, deleted: Path, seconds: float) -> None:
        self._file = index
        self._index: Index | None = None
        self._deleted = Tombstones(deleted)
        self._seconds = seconds * _SHARE
        # A model of vectors that is away or slow holds up nobody who searches by words.
        self._by_words, self._by_vectors = (
            ThreadPoolExecutor(_THREADS, f"search-{name}") for name in ("words", "vectors")
        )

    async def search(self, asked: SearchRequest, as_of: datetime | None, scope: Scope) -> Answer:
        """Return what is found.

        Args:
            asked: the query, how many, the mode and the filter, all of which can be read.
            as_of: as of this moment; now without it.
            scope: what the reader may see.

        Raises:
            SearchUnavailable: there is no index, it cannot be read, the extra is missing, the query's vector
                cannot be made or is of another model than the index's, or it took too long.
            Fault: it is not known which documents are deleted.
        """
        pool = self._by_words if asked.mode == "text" else self._by_vectors
        return await self._beside(
            pool,
            lambda index: index.search(
                asked.query,
                k=asked.k,
                mode=asked.mode,
                filter=asked.filter,
                as_of=as_of,
                scope=scope,
                hidden=self._deleted.find(),
            ),
        )

    async def document(
        self, document_id: str, first: int, as_of: datetime | None, scope: Scope
    ) -> Document | None:
        """Return chunks of a document; None where there are none that the reader may see.

        Args:
            document_id: of the document.
            first: the number of the first chunk.
            as_of: as of this moment; now without it.
            scope: what the reader may see.

        Raises:
            SearchUnavailable: there is no index, it cannot be read, the extra is missing, or it took too
                long.
            Fault: it is not known which documents are deleted.
        """
        return await self._beside(
            self._by_words,
            lambda index: index.document(
                document_id, first=first, as_of=as_of, scope=scope, hidden=self._deleted.find()
            ),
        )

    def close(self) -> None:
        """Begin no search any more."""
        for pool in (self._by_words, self._by_vectors):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _beside(self, pool: ThreadPoolExecutor, ask: Callable[[Index], Found]) -> Found:
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(pool, lambda: ask(self._opened()))
        except TimeoutError as error:
            SEARCH_UNAVAILABLE.inc()
            said = f"The search took longer than {self._seconds:g} s."
            if pool is self._by_vectors:
                said += " The model of the query's vector may be away or busy: mode text needs no vector."
            raise SearchUnavailable(said, said) from error
        except SearchUnavailable:
            SEARCH_UNAVAILABLE.inc()
            raise

    def _opened(self) -> Index:
        # What is opened follows builds. Without documents, nothing of all that is loaded.
        from assay.search.query import open_index

        if self._index is None:
            self._index = open_index(self._file)
        return self._index
