"""Rank chunks by their words (BM25) and by their vectors, and fuse the two rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from assay.search.filters import Filter
from assay.search.frequencies import Frequencies
from assay.search.ivfpq import find_near
from assay.search.visible import Visible
from assay.search.words import Term

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The usual parameters of BM25, those of DuckDB's own index too.
_K1, _B = 1.2, 0.75
# Of Reciprocal Rank Fusion: the first ranks count the more, the lower it is. Words weigh more than the
# vectors of the embedded model, which are weaker.
_FUSION_K = 10
_WEIGHTS = {"text": 1.0, "vector": 0.5}
# So many vectors are compared one by one in the time that an index takes.
_EXACT_UP_TO = 20_000
# Of what an index returns, states that are not visible are dropped, and coarse distances are corrected.
_SPARE = 2

_EXACT = """
select chunks.chunk_id, array_inner_product(vector, $vector::varchar::float[{dimension}]) as score
from {chunks} inner join {vectors} using (text_id)
where {visible} and {filter}
order by score desc, chunk_id
limit $depth
"""
_NEAR = """
with near as (
    select text_id, array_negative_inner_product(vector, $vector::varchar::float[{dimension}]) as distance
    from current_vectors
    order by distance
    limit {near}
)

select chunks.chunk_id, -distance as score
from near inner join chunks using (text_id)
where {visible} and {filter}
order by score desc, chunk_id
limit $depth
"""


@dataclass(frozen=True)
class NearVectors:
    """An index of the vectors of texts that a chunk has now.

    Attributes:
        way: `hnsw`, `ivfpq`, or `exact` for none.
        count: how many vectors there are.
        coarse: the index `ivfpq`.
    """

    way: str
    count: int
    coarse: Any = None


@dataclass(frozen=True)
class Ranked:
    """Chunks, the best first, and their scores."""

    chunks: list[int]
    scores: list[float]


@dataclass(frozen=True)
class Fused:
    """A chunk with its score, and its place (from 0) in the rankings that have it."""

    chunk: int
    score: float
    places: dict[str, int]


def rank_by_words(
    connection: duckdb.DuckDBPyConnection,
    frequencies: Frequencies,
    terms: Sequence[Term],
    seen: Visible,
    kept: Filter,
    depth: int,
) -> Ranked:
    """Rank by BM25; how frequent a term is, is counted over all chunks that are visible."""
    import numpy as np

    # In one order of terms: sums differ in their last digits by it.
    numbers = sorted(each.term_id for each in terms if each.term_id is not None)
    population = frequencies.population(connection, seen, kept) if numbers else None
    if population is None or not len(population.chunks):
        return Ranked([], [])
    total = len(population.chunks)
    sums = np.zeros(len(frequencies.lengths))
    for postings in frequencies.postings(connection, numbers):
        texts, frequency = postings.texts, postings.frequencies
        count = population.having[texts].sum()
        weight = np.log((total - count + 0.5) / (count + 0.5) + 1)
        norms = _K1 * (1 - _B + _B * frequencies.lengths[texts] / population.mean)
        sums[texts] += weight * frequency * (_K1 + 1) / (frequency + norms)
    scores = sums[population.texts] * population.kept
    least = np.partition(scores, -depth)[-depth] if len(scores) > depth else 0.0
    found = np.flatnonzero(scores >= least if least else scores)
    best = found[np.lexsort((population.chunks[found], -scores[found]))][:depth]
    return Ranked(population.chunks[best].tolist(), scores[best].tolist())


def rank_by_vector(
    connection: duckdb.DuckDBPyConnection,
    frequencies: Frequencies,
    vector: NDArray[np.float32],
    seen: Visible,
    kept: Filter,
    depth: int,
    *,
    near: NearVectors,
) -> tuple[Ranked, str]:
    """Rank by the cosine of vectors, and tell how: exactly where few are to be compared, else by the index.

    Args:
        connection: to the index.
        frequencies: of the index.
        vector: the query's, of length 1.
        seen: which chunks there are.
        kept: which of them are wanted.
        depth: how many to rank.
        near: the index of vectors.
    """
    import numpy as np

    parts = {"chunks": seen.chunks, "visible": seen.sql, "filter": kept.sql, "dimension": len(vector)}
    # As one text: DuckDB's client takes a list value by value, which takes longer than the search.
    as_text = f"[{', '.join(map(repr, vector.tolist()))}]"
    parameters = {**seen.parameters, **kept.parameters, "vector": as_text, "depth": depth}
    if near.way != "exact" and seen.is_now:
        population = frequencies.population(connection, seen, kept)
        if population.count > _EXACT_UP_TO:
            is_part = population.count < near.count
            if near.way == "hnsw":
                most = max(depth, _SPARE * depth * near.count // population.count) if is_part else depth
                rows = connection.execute(_NEAR.format(**parts, near=most), parameters).fetchall()
            else:
                among = np.unique(population.texts[population.kept]).astype(np.int64) if is_part else None
                found = find_near(near.coarse, vector, _SPARE * depth, among)
                # As constants they are looked up, and not joined.
                chosen = f"text_id in ({', '.join(map(str, found)) or 'null'}) and {kept.sql}"
                sql = _EXACT.format(**{**parts, "filter": chosen}, vectors="current_vectors")
                rows = connection.execute(sql, parameters).fetchall()
            if len(rows) >= depth:
                return _ranked(rows), near.way
    vectors = "current_vectors" if seen.is_now else "vectors"
    rows = connection.execute(_EXACT.format(**parts, vectors=vectors), parameters).fetchall()
    return _ranked(rows), "exact"


def fuse(rankings: dict[str, Ranked]) -> list[Fused]:
    """Fuse rankings by Reciprocal Rank Fusion; a single one keeps its order and its scores."""
    places: dict[int, dict[str, int]] = {}
    for name, ranked in rankings.items():
        for place, chunk in enumerate(ranked.chunks):
            places.setdefault(chunk, {})[name] = place
    if len(rankings) == 1:
        name, ranked = next(iter(rankings.items()))
        return [Fused(chunk, ranked.scores[found[name]], found) for chunk, found in places.items()]
    fused = [
        Fused(
            chunk,
            sum(_WEIGHTS[name] / (_FUSION_K + 1 + place) for name, place in sorted(found.items())),
            found,
        )
        for chunk, found in places.items()
    ]
    return sorted(fused, key=lambda each: (-each.score, each.chunk))


def _ranked(rows: list[tuple[int, float]]) -> Ranked:
    return Ranked([chunk for chunk, _ in rows], [float(score) for _, score in rows])
