"""What a search answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from assay.core.fault import MISUSED, Fault, unknown

Mode = Literal["hybrid", "vector", "text"]
MODES: tuple[Mode, ...] = get_args(Mode)
MOST_RESULTS = 1_000


@dataclass(frozen=True)
class Result:
    """A chunk that was found.

    Attributes:
        document_id: of its document, unique over all sources.
        chunk_number: its place in the document, from 1.
        source: where the document comes from.
        title: the document's.
        tags: the document's.
        heading_path: the headings above the chunk, joined by ` > `.
        start_at: where the chunk begins in the document's body, in characters.
        end_at: where it ends, exclusive.
        text: the chunk's.
        updated_at: when it last arrived that the chunk is so.
        valid_from: since when the chunk is as it is.
        snippet: the piece of the text that shows why it was found.
        marks: begin and end of the words in the snippet that were searched for.
        score: by which results are in order.
        text_score: BM25 of its words; None where they did not bring it.
        text_rank: its place among those that words brought, from 1.
        vector_score: the cosine of its vector and the query's; None where vectors did not bring it.
        vector_rank: its place among those that vectors brought, from 1.
    """

    document_id: str
    chunk_number: int
    source: str | None
    title: str | None
    tags: list[str]
    heading_path: str
    start_at: int | None
    end_at: int | None
    text: str
    updated_at: datetime | None
    valid_from: datetime
    snippet: str
    marks: list[tuple[int, int]]
    score: float
    text_score: float | None
    text_rank: int | None
    vector_score: float | None
    vector_rank: int | None


@dataclass(frozen=True)
class Answer:
    """What was found, the best first.

    Attributes:
        results: at most `k`, one for each chunk.
        terms: stems of the query's words that were searched for; without the commonest words.
        vector_way: how vectors were searched: `exact`, `hnsw` or `ivfpq`; None where they were not.
    """

    results: list[Result]
    terms: list[str]
    vector_way: str | None


@dataclass(frozen=True)
class DocumentChunk:
    """A chunk of a document; the attributes are those of a result."""

    chunk_number: int
    heading_path: str
    start_at: int | None
    end_at: int | None
    text: str
    updated_at: datetime | None
    valid_from: datetime


@dataclass(frozen=True)
class Document:
    """Chunks of a document, in their order.

    Attributes:
        document_id: unique over all sources.
        source: where it comes from.
        title: its title.
        tags: its tags.
        chunks_in_all: how many chunks it has.
        chunks: those that were wanted. One may repeat the end of the one before, as their places tell.
    """

    document_id: str
    source: str | None
    title: str | None
    tags: list[str]
    chunks_in_all: int
    chunks: list[DocumentChunk]


#: Returns a score for each result of a query; the highest is the best.
Rerank = Callable[[str, Sequence[Result]], Sequence[float]]


def check_mode(mode: str) -> Mode:
    """Return a mode.

    Raises:
        Fault: there is no such mode.
    """
    for known in MODES:
        if mode == known:
            return known
    raise Fault(unknown(f"There is no mode {mode!r}", mode, MODES), MISUSED)
