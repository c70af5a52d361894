"""Search in an index."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from assay.core.encryption import attach_file, is_encrypted
from assay.core.extensions import load_extension
from assay.core.fault import MISUSED, Fault
from assay.embedding.configured import configured_maker
from assay.embedding.maker import VARIABLE, Maker
from assay.search.filters import read_filter
from assay.search.frequencies import Frequencies
from assay.search.ivfpq import read_index
from assay.search.ranking import Fused, NearVectors, Ranked, fuse, rank_by_vector, rank_by_words
from assay.search.rerank import reranked
from assay.search.results import MOST_RESULTS, Answer, Document, DocumentChunk, Rerank, Result, check_mode
from assay.search.snippet import make_snippet
from assay.search.unavailable import SearchUnavailable
from assay.search.visible import Hidden, Scope, Visible, visible
from assay.search.words import Term, Vocabulary, count_words, find_marks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_WORDS = 1_000
NOTHING_HIDDEN: Hidden = {}
# How many of each ranking are fused, and how many a reranker sees.
_DEPTH = 100
_RERANKED = 50
_ROWS = """
select
    chunk_id, document_id, chunk_number, source, title, coalesce(tags, []) as tags, heading_path, start_at,
    end_at, text, updated_at, valid_from
from {chunks}
where chunk_id in ({found})
"""
_DOCUMENT = """
with document as (
    select *, count(*) over () as chunks_in_all
    from {chunks}
    where document_id = $document_id and {visible}
)

select
    document_id, source, title, coalesce(tags, []) as tags, chunks_in_all,
    chunk_number, heading_path, start_at, end_at, text, updated_at, valid_from
from document
where chunk_number >= $first
order by chunk_number
limit $most
"""


def open_index(file: Path, maker: Maker | None = None) -> Index:
    """Open an index to search in it.

    Args:
        file: as `write_index` wrote it.
        maker: of the queries' vectors; the configured one without it.

    Raises:
        Fault: there is no such file, or the extra `search` is not installed.
    """
    return Index(file, maker)


class Index:
    """An index, and the newest one: where a build replaces the file, the next search reads the new one.

    Searches may run in several threads.

    Args:
        file: as `write_index` wrote it.
        maker: of the queries' vectors; the configured one without it.

    Raises:
        Fault: there is no such file, or the extra `search` is not installed.
    """

    def __init__(self, file: Path, maker: Maker | None = None) -> None:
        self._file, self._maker = file, maker
        self._opening = threading.Lock()
        self._open: _Opened | None = None
        self._newest()

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        mode: str = "hybrid",
        filter: str | None = None,
        as_of: datetime | None = None,
        scope: Scope | None = None,
        hidden: Hidden = NOTHING_HIDDEN,
        rerank: Rerank | None = None,
        vector: NDArray[np.float32] | None = None,
    ) -> Answer:
        """Return the chunks that a query is about, the best first. The same index gives the same answer.

        Args:
            query: words, or a question.
            k: how many chunks at most.
            mode: `text` ranks by words (BM25), `vector` by meaning, `hybrid` by both.
            filter: which chunks, such as `tags contains 'x' and source = 'y'`; as many as `k` are found if it
                keeps as many.
            as_of: answer as of this moment (UTC, without zone): of what came later nothing is seen.
            scope: the documents that may be seen; all without it.
            hidden: documents that are deleted and may still be in the index, and since when.
            rerank: scores the best 50 (or `k`) anew.
            vector: the query's, where it is known; of length 1.

        Raises:
            Fault: the query is empty or of more than 1,000 words, the mode or the filter is unknown, `k`
                is no number from 1 to 1,000, the index has no vectors or those of another model than the
                configured one, the index cannot be read, or the model or the reranker does not work.
        """
        ranks = check_mode(mode)
        query = check_query(query)
        if not 1 <= k <= MOST_RESULTS:
            raise Fault(f"A search is for 1 to {MOST_RESULTS:,} results, and not for {k:,}.", MISUSED)
        kept, seen = read_filter(filter), visible(as_of, scope, hidden)
        opened = self._newest()
        if ranks != "text" and vector is None:
            with _by_words_without_vectors():
                vector = opened.check_maker(self._maker or configured_maker()).embed([query])[0]
        depth = max(_DEPTH, k)
        with _reading(self._file), opened.cursor() as cursor:
            terms = opened.vocabulary.find(cursor, query)
            rankings: dict[str, Ranked] = {}
            way = None
            if ranks != "vector":
                rankings["text"] = rank_by_words(cursor, opened.frequencies, terms, seen, kept, depth)
            if ranks != "text" and vector is not None:
                rankings["vector"], way = rank_by_vector(
                    cursor, opened.frequencies, vector, seen, kept, depth, near=opened.near
                )
            fused = fuse(rankings)[: max(k, _RERANKED) if rerank else k]
            results = _results(cursor, seen, fused, rankings, terms)
        if rerank:
            results = reranked(rerank, query, results)[:k]
        return Answer(results, [each.term for each in terms], way)

    def document(
        self,
        document_id: str,
        *,
        as_of: datetime | None = None,
        scope: Scope | None = None,
        hidden: Hidden = NOTHING_HIDDEN,
        first: int = 1,
        most: int = 200,
    ) -> Document | None:
        """Return chunks of a document in their order; None where there are none, or they may not be seen.

        Args:
            document_id: of the document.
            as_of: as it was at this moment (UTC, without zone).
            scope: the documents that may be seen; all without it.
            hidden: documents that are deleted and may still be in the index, and since when.
            first: the number of the first chunk wanted.
            most: how many chunks.

        Raises:
            Fault: the index cannot be read.
        """
        seen = visible(as_of, scope, hidden)
        parameters = {**seen.parameters, "document_id": document_id, "first": first, "most": most}
        opened = self._newest()
        with _reading(self._file), opened.cursor() as cursor:
            found = cursor.execute(
                _DOCUMENT.format(chunks=seen.chunks, visible=seen.sql), parameters
            ).fetchall()
        if not found:
            return None
        document_id, source, title, tags, chunks_in_all, *_ = found[0]
        chunks = [DocumentChunk(*row[5:]) for row in found]
        return Document(document_id, source, title, tags, chunks_in_all, chunks)

    @property
    def model(self) -> str | None:
        """The model of the vectors, as name@hash; None if there are none."""
        return self._newest().model

    def known_documents(self) -> frozenset[str]:
        """Return the ids of all documents, of past ones too."""
        opened = self._newest()
        with _reading(self._file), opened.cursor() as cursor:
            return frozenset(
                each for (each,) in cursor.execute("select distinct document_id from chunks").fetchall()
            )

    def embed(self, queries: list[str]) -> NDArray[np.float32]:
        """Return the vectors of queries.

        Raises:
            Fault: the configured model is not that of the index, or does not work.
        """
        return self._newest().check_maker(self._maker or configured_maker()).embed(queries)

    def _newest(self) -> _Opened:
        with self._opening:
            try:
                found = self._file.stat()
            except FileNotFoundError as missing:
                to_do = "build a project that has documents."
                raise SearchUnavailable(
                    f"There is no index in {self._file}: {to_do}",
                    f"There is no index of documents: {to_do} (assay documents add, then assay build)",
                    MISUSED,
                ) from missing
            stamp = (found.st_ino, found.st_mtime_ns)
            if self._open is None or self._open.stamp != stamp:
                # Searches that run have cursors of their own, which keep the old file open.
                self._open = _opened(self._file, stamp)
            return self._open


@contextmanager
def _by_words_without_vectors() -> Iterator[None]:
    """Tell that words can be searched for, where the block cannot make a query's vector."""
    words = "mode text searches by words alone, and needs no vector."
    try:
        yield
    except SearchUnavailable:
        raise
    except Fault as fault:
        raise SearchUnavailable(
            f"{fault}\nSearch: {words}",
            f"The query's vector cannot be made, because its model does not work: {words}",
            fault.exit_code,
        ) from fault


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Tell that an index is damaged, or of another version, where the block cannot read it."""
    try:
        yield
    except duckdb.Error as error:
        raise SearchUnavailable(
            f"The index {file} cannot be read ({error}): remove it, and build again.",
            "The index of documents cannot be read: build again.",
        ) from error


def _opened(file: Path, stamp: tuple[int, int]) -> _Opened:
    try:
        with _reading(file):
            return _Opened(file, stamp)
    except SearchUnavailable:
        raise
    except Fault as fault:
        # Where an extra is not installed, no file is named.
        told = (
            "The key of the index of documents is missing, or another one."
            if is_encrypted(file)
            else str(fault)
        )
        raise SearchUnavailable(str(fault), told, fault.exit_code) from fault


class _Opened:
    """One state of the file."""

    def __init__(self, file: Path, stamp: tuple[int, int]) -> None:
        self.stamp = stamp
        # A database of its own: by the file's name, DuckDB would return the one that is open already.
        self._connection = duckdb.connect()
        load_extension(self._connection, "fts", extra="search", by="Search")
        # With several threads, sums differ in their last digits, and so would the order of equal results.
        self._connection.execute("set threads = 1")
        attach_file(self._connection, file, "found")
        with self.cursor() as cursor:
            self.model, self.near = _about(cursor)
            if self.near.way == "hnsw":
                load_extension(self._connection, "vss", extra="search", by="Search")
            self.vocabulary = Vocabulary(cursor)
            self.frequencies = Frequencies(cursor)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        cursor.execute("use found")
        return cursor

    def check_maker(self, maker: Maker) -> Maker:
        if self.model is None:
            raise SearchUnavailable(
                "The index has no vectors: search with --mode text, or build embeddings of the documents.",
                "The index has no vectors: search with mode text, or build embeddings of the documents.",
                MISUSED,
            )
        name, _, digest = self.model.rpartition("@")
        if not digest or not maker.digest.startswith(digest):
            raise SearchUnavailable(
                f"The index has vectors of the model {name}, and {VARIABLE} names {maker.name}, or another "
                "state of it: set it as in the build, or build again.",
                f"The index has vectors of another model than the server's {VARIABLE} names, and they cannot "
                "be compared: set it as in the build, or build again. Mode text searches by words alone.",
                MISUSED,
            )
        return maker


def _about(cursor: duckdb.DuckDBPyConnection) -> tuple[str | None, NearVectors]:
    [(model, way)] = cursor.execute("select model, way from about").fetchall()
    [(count,)] = cursor.execute("select count(*) from current_vectors").fetchall()
    return model, NearVectors(way, count, read_index(cursor) if way == "ivfpq" else None)


def check_query(query: str) -> str:
    """Return a query as it is searched for.

    Raises:
        Fault: it has no word, or more than 1,000.
    """
    # DuckDB's texts end at no NUL and hold no half characters.
    query = query.encode("utf-8", "replace").decode().replace("\0", " ").strip()
    words = len(query.split())
    if words <= _MOST_WORDS:
        # What has no spaces may have many, too.
        words = max(words, count_words(query))
    if not words:
        raise Fault("The query is empty: write what to search for.", MISUSED)
    if words > _MOST_WORDS:
        raise Fault(
            f"The query has {words:,} words, and {_MOST_WORDS:,} are the most: search for a passage of it.",
            MISUSED,
        )
    return query


def _results(
    cursor: duckdb.DuckDBPyConnection,
    seen: Visible,
    fused: list[Fused],
    rankings: dict[str, Ranked],
    terms: list[Term],
) -> list[Result]:
    if not fused:
        return []
    sql = _ROWS.format(chunks=seen.chunks, found=", ".join(str(each.chunk) for each in fused))
    found = cursor.execute(sql, {} if seen.is_now else {"as_of": seen.as_of})
    columns = [name for name, *_ in found.description or ()]
    rows = {chunk: dict(zip(columns, (chunk, *rest), strict=True)) for chunk, *rest in found.fetchall()}
    results = []
    for each in fused:
        row = rows[each.chunk]
        row["snippet"], row["marks"] = make_snippet(row["text"], find_marks(row["text"], terms))
        for name in ("text", "vector"):
            place = each.places.get(name)
            row[f"{name}_score"] = None if place is None else rankings[name].scores[place]
            row[f"{name}_rank"] = None if place is None else place + 1
        del row["chunk_id"]
        results.append(Result(**row, score=each.score))
    return results
