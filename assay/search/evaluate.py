"""Measure how well a search finds what is known to answer queries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from assay.core.fault import MISUSED, Fault
from assay.search.judgements import Query
from assay.search.query import Index
from assay.search.results import MODES, Rerank, Result

_NDCG_AT = 10
# A document has several chunks, of which the best counts.
_CHUNKS_A_DOCUMENT = 3
_MOST_CHUNKS = 1_000


@dataclass(frozen=True)
class Quality:
    """How well one mode finds, as means over all queries.

    Attributes:
        mode: `hybrid`, `vector` or `text`.
        ndcg: normalized discounted cumulative gain of the first ten documents; the gain is the score.
        recall: which share of the relevant documents is among the first `k`.
        mrr: one by the rank of the first relevant document, 0 if it is not among the first `k`.
    """

    mode: str
    ndcg: float
    recall: float
    mrr: float


@dataclass(frozen=True)
class Evaluation:
    """How well each mode finds.

    Attributes:
        modes: a finding for each.
        k: up to which rank documents count.
        queries: how many were asked.
        unjudged: how many were not, because no document is judged relevant to them.
        missing: how many documents are judged relevant that the index never held.
    """

    modes: list[Quality]
    k: int
    queries: int
    unjudged: int
    missing: int


def evaluate(
    index: Index,
    queries: Sequence[Query],
    judgements: Mapping[str, Mapping[str, float]],
    *,
    k: int = 100,
    modes: Sequence[str] = MODES,
    rerank: Rerank | None = None,
) -> Evaluation:
    """Ask queries in each mode, and compare the documents that are found with those that are relevant.

    A query with a time is answered as of it.

    Args:
        index: to search in.
        queries: what is asked.
        judgements: how relevant documents are, by query.
        k: up to which rank documents count.
        modes: which to compare.
        rerank: scores the best results of each query anew.

    Raises:
        Fault: no query has a relevant document, `k` is no number from 1 to 1,000, or the index cannot be
            searched.
    """
    if not 1 <= k <= _MOST_CHUNKS:
        raise Fault(f"Documents count up to a rank from 1 to {_MOST_CHUNKS:,}, and not {k:,}.", MISUSED)
    relevant = {
        query: {document: score for document, score in scores.items() if score > 0}
        for query, scores in judgements.items()
    }
    asked = [query for query in queries if relevant.get(query.query_id)]
    if not asked:
        raise Fault("No query has a document that is judged relevant: do their ids match?", MISUSED)
    known = index.known_documents()
    judged = {document for query in asked for document in relevant[query.query_id]}
    vectors = index.embed([query.text for query in asked]) if set(modes) != {"text"} else [None] * len(asked)
    found = []
    for mode in modes:
        figures = []
        for query, vector in zip(asked, vectors, strict=True):
            answer = index.search(
                query.text,
                k=min(_CHUNKS_A_DOCUMENT * k, _MOST_CHUNKS),
                mode=mode,
                as_of=query.asked_at,
                rerank=rerank,
                vector=vector,
            )
            ranked = [*_documents(answer.results)][:k]
            figures.append(_measure(ranked, relevant[query.query_id]))
        found.append(Quality(mode, *(sum(each) / len(asked) for each in zip(*figures, strict=True))))
    return Evaluation(found, k, len(asked), len(queries) - len(asked), len(judged - known))


def _documents(results: Sequence[Result]) -> Iterator[str]:
    """Yield each document once, where its best chunk stands."""
    yield from dict.fromkeys(each.document_id for each in results)


def _measure(ranked: Sequence[str], relevant: Mapping[str, float]) -> tuple[float, float, float]:
    """Return nDCG, recall and reciprocal rank of the documents of a query."""
    best = sorted(relevant.values(), reverse=True)
    gains = [relevant.get(document, 0.0) for document in ranked]
    hits = [rank for rank, gain in enumerate(gains, start=1) if gain]
    return (
        _discounted(gains[:_NDCG_AT]) / _discounted(best[:_NDCG_AT]),
        len(hits) / len(relevant),
        1 / hits[0] if hits else 0.0,
    )


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
