"""Search: how well it finds what is judged, and what a query costs and finds among many vectors."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assay.embedding.static import StaticModel
from assay.search.evaluate import Evaluation, evaluate
from assay.search.index import write_index
from assay.search.judgements import Query, read_judgements, read_queries
from assay.search.query import Index, open_index
from assay.search.results import Answer, Mode, Result
from benchmarks.measure import own_cpu
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, within

# A folder with documents, queries and judgements, in the manner of BEIR or of the Cranfield collection.
FOLDER = "SEARCH_QUALITY"
_MANY, _NUMBERS = 100_000, 384
_VERY_MANY, _FEWER_NUMBERS = 1_000_000, 128
_QUERIES, _WARM = 100, 20
_P50_MS, _HNSW_RECALL = 20.0, 0.95
_IVFPQ_RECALL, _IVFPQ_MEMORY = 0.8, 0.1
_VOCABULARY, _WORDS_A_CHUNK, _WORDS_A_QUERY = 50_000, 100, 6
# Embeddings lie near a surface of far fewer dimensions than they have, and in clusters.
_TRUE_DIMENSIONS, _CLUSTERS = 32, 1_000
_SOURCES = {"corpus.jsonl", "docs.jsonl"}

Matrix = NDArray[np.float32]


def run(settings: Settings) -> Report:
    settings.scratch.mkdir(parents=True, exist_ok=True)
    quality, remarks = _quality(settings)
    return Report(
        "search",
        "quality against judgements, and queries among many vectors",
        [*quality, *_many(settings), *_very_many(settings)],
        remarks,
    )


# Quality


def _quality(settings: Settings) -> tuple[list[Row], list[str]]:
    folder = os.environ.get(FOLDER)
    if not folder:
        said = f"not measured: {FOLDER} names no folder with corpus.jsonl, queries.jsonl and judgements"
        return [Row("nDCG@10, hybrid", 0, limit=said)], []
    documents, queries, judgements = _read_collection(Path(folder))
    file = settings.scratch / "search.duckdb"
    write_index(_gold_of_documents(settings.scratch / "documents.duckdb", documents), file)
    found = evaluate(open_index(file), queries, judgements)
    ndcg: dict[Mode | str, float] = {each.mode: each.ndcg for each in found.modes}
    ndcg["bm25s"] = _by_bm25s(documents, queries, judgements)
    rows = [Row(f"nDCG@10, {name}", ratio=ndcg[name]) for name in ("bm25s", "text", "vector")]
    best = max(ndcg["bm25s"], ndcg["text"], ndcg["vector"])
    rows.append(
        Row(
            "nDCG@10, hybrid",
            ratio=ndcg["hybrid"],
            limit="above words, vectors and bm25s",
            met=ndcg["hybrid"] > best,
        )
    )
    return rows, [_told(Path(folder), found, len(documents))]


def _told(folder: Path, found: Evaluation, documents: int) -> str:
    figures = ", ".join(f"{each.mode} {each.recall:.3f} / {each.mrr:.3f}" for each in found.modes)
    return (
        f"{folder.name}: {documents:,} documents, {found.queries:,} queries with a relevant document; "
        f"recall@{found.k} / MRR: {figures}."
    )


def _read_collection(folder: Path) -> tuple[list[dict[str, Any]], list[Query], dict[str, dict[str, float]]]:
    files = {path.name.removesuffix(".gz"): path for path in sorted(folder.rglob("*")) if path.is_file()}
    documents = next(files[name] for name in sorted(_SOURCES & files.keys()))
    judgements = next(files[name] for name in ("qrels.jsonl", "test.tsv", "qrels.tsv") if name in files)
    return [*_read_documents(documents)], read_queries(files["queries.jsonl"]), read_judgements(judgements)


def _read_documents(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        for row in map(json.loads, lines):
            if row["text"].strip():
                yield {"id": str(row.get("_id", row.get("id"))), "title": row["title"], "text": row["text"]}


def _by_bm25s(
    documents: Sequence[dict[str, Any]],
    queries: Sequence[Query],
    judgements: dict[str, dict[str, float]],
) -> float:
    """Return what the reference library finds of titles and texts, with its own defaults and stop words."""
    import bm25s

    def tokens(texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", show_progress=False)

    reference = bm25s.BM25()
    reference.index(tokens([f"{each['title']}\n{each['text']}" for each in documents]), show_progress=False)

    class Reference:
        def search(self, query: str, **_: Any) -> Answer:
            places, scores = reference.retrieve(tokens([query]), k=100, show_progress=False)
            pairs = zip(places[0], scores[0], strict=True)
            return Answer([_result(documents[place]["id"], float(score)) for place, score in pairs], [], None)

        def known_documents(self) -> frozenset[str]:
            return frozenset(each["id"] for each in documents)

    return evaluate(Reference(), queries, judgements, modes=["text"]).modes[0].ndcg  # type: ignore[arg-type]


def _result(document: str, score: float) -> Result:
    ranks = (score, None, None, None, None)
    return Result(document, 1, None, None, [], "", None, None, "", None, datetime.min, "", [], *ranks)


def _gold_of_documents(file: Path, documents: Sequence[dict[str, Any]]) -> Path:
    """Write documents as gold has them, each as one chunk."""
    model = StaticModel()
    texts = [f"{each['title']}\n{each['text']}" for each in documents]
    return _write_gold(
        file,
        [(each["id"], each["title"], each["text"]) for each in documents],
        model.embed(texts),
        f"{model.name}@{model.digest}",
    )


# Many vectors


def _many(settings: Settings) -> list[Row]:
    rng = np.random.default_rng(1)
    vectors, asked = _embeddings(rng, _MANY, _NUMBERS)
    words = np.array([f"w{number:05}" for number in range(_VOCABULARY)])
    odds = 1 / np.arange(1, _VOCABULARY + 1)
    odds /= odds.sum()
    bodies = rng.choice(words, (_MANY, _WORDS_A_CHUNK), p=odds)
    gold = _write_gold(
        settings.scratch / "many.duckdb",
        ((f"d{number:06}", None, " ".join(body)) for number, body in enumerate(bodies)),
        vectors,
        "given@00",
    )
    file = settings.scratch / "many_search.duckdb"
    build = _cpu(lambda: write_index(gold, file))
    index = open_index(file, _Given(asked))
    queries = [" ".join(rng.choice(words, _WORDS_A_QUERY, p=odds)) for _ in asked]
    for query, vector in zip(queries[:_WARM], asked, strict=False):
        index.search(query, vector=vector)
    costs = [
        _cpu(lambda query=query, vector=vector: index.search(query, vector=vector))  # type: ignore[misc]
        for query, vector in zip(queries, asked, strict=True)
    ]
    p50 = median(costs)
    size = f"{_MANY:,} chunks, {_NUMBERS} numbers"
    recall, way = _recall(index, vectors, asked)
    return [
        Row(f"index of {size}", cpu=build),
        Row(
            f"hybrid query among {size}, p50",
            len(costs),
            cpu=p50,
            **within(1000 * p50, _P50_MS, f"{_P50_MS:g} ms of CPU"),
        ),
        _recall_row(f"recall@10 of {way} against exact", recall, _HNSW_RECALL),
    ]


def _very_many(settings: Settings) -> list[Row]:
    vectors, asked = _embeddings(np.random.default_rng(2), _VERY_MANY, _FEWER_NUMBERS)
    gold = _write_gold(
        settings.scratch / "very_many.duckdb",
        ((f"d{number:07}", None, f"text {number}") for number in range(_VERY_MANY)),
        vectors,
        "given@00",
    )
    file = settings.scratch / "very_many_search.duckdb"
    build = _cpu(lambda: write_index(gold, file))
    index = open_index(file, _Given(asked))
    recall, way = _recall(index, vectors, asked)
    with duckdb.connect(file, read_only=True) as connection:
        size = connection.execute("select sum(octet_length(content)) from ivfpq").fetchall()[0][0]
    costs = [_cpu(lambda vector=vector: index.search("x", mode="vector", vector=vector)) for vector in asked]  # type: ignore[misc]
    said = f"{_VERY_MANY:,} chunks, {_FEWER_NUMBERS} numbers"
    return [
        Row(f"index of {said}", cpu=build),
        Row(f"vector query among {said}, p50", len(costs), cpu=median(costs)),
        _recall_row(f"recall@10 of {way} against exact", recall, _IVFPQ_RECALL),
        Row(
            "memory of its vectors",
            peak_rss=size,
            baseline="all vectors",
            **within(size / vectors.nbytes, _IVFPQ_MEMORY, f"{_IVFPQ_MEMORY:g} times"),
        ),
    ]


class _Given:
    """A model of which only the name matters: vectors of queries are given."""

    name, digest, max_tokens = "given", "00", 1

    def __init__(self, vectors: Matrix) -> None:
        self.dimension = vectors.shape[1]

    def embed(self, texts: Sequence[str]) -> Matrix:
        raise AssertionError("a search whose vector is given embeds nothing")

    def count_tokens(self, text: str) -> int:
        raise AssertionError("a search whose vector is given counts no tokens")


def _embeddings(rng: np.random.Generator, count: int, dimension: int) -> tuple[Matrix, Matrix]:
    """Return vectors of texts and of queries, of one distribution."""
    centers = rng.normal(size=(_CLUSTERS, _TRUE_DIMENSIONS)).astype(np.float32)
    spread = rng.normal(size=(_TRUE_DIMENSIONS, dimension)).astype(np.float32)

    def draw(count: int) -> Matrix:
        near = centers[rng.integers(_CLUSTERS, size=count)]
        place = near + 0.7 * rng.standard_normal((count, _TRUE_DIMENSIONS), np.float32)
        found = place @ spread + 0.3 * rng.standard_normal((count, dimension), np.float32)
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    return draw(count), draw(_QUERIES)


def _recall(index: Index, vectors: Matrix, asked: Matrix) -> tuple[float, str]:
    """Return which share of the ten nearest the index finds, and how it looked for them."""
    hits, ways = 0, set()
    for vector in asked:
        answer = index.search("x", mode="vector", vector=vector)
        nearest = np.argpartition(-(vectors @ vector), 10)[:10]
        hits += len({int(each.document_id[1:]) for each in answer.results} & set(nearest.tolist()))
        ways.add(str(answer.vector_way))
    return hits / (10 * len(asked)), ", ".join(sorted(ways))


def _recall_row(what: str, recall: float, limit: float) -> Row:
    return Row(what, _QUERIES, ratio=recall, limit=f"{limit:g} at least", met=recall >= limit)


def _cpu(call: Callable[[], Any]) -> float:
    begin = own_cpu()
    call()
    return own_cpu() - begin


def _write_gold(
    file: Path, chunks: Iterable[tuple[str, str | None, str]], vectors: Matrix, model: str
) -> Path:
    """Write chunks and their vectors as gold has them, and return the file."""
    file.unlink(missing_ok=True)
    names, titles, texts = zip(*chunks, strict=True)
    rows = pa.table(
        {
            "document_id": pa.array(names),
            "title": pa.array(titles, pa.string()),
            "text": pa.array(texts),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
        }
    )
    with duckdb.connect(file) as connection:
        connection.register("rows", rows)
        connection.execute("create schema gold")
        connection.execute(
            """
            create table gold.doc_chunks as
            select
                document_id, 1 as chunk_number, 'bench' as source, title, []::varchar[] as tags,
                '' as heading_path, 0 as start_at, len(text)::integer as end_at, text,
                sha256(document_id) as chunk_hash,
                timestamp '2025-01-01' as valid_from, timestamp '9999-12-31' as valid_to,
                timestamp '2025-01-01' as updated_at, null::timestamp[] as confirmed_at
            from rows
            """
        )
        connection.execute(
            "create table gold.doc_embeddings as "
            "select sha256(document_id) as chunk_hash, $model as model, vector from rows",
            {"model": model},
        )
    return file
