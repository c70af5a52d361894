"""Embed the texts of chunks, each once, for a Python model of dbt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from assay.core.places import find_places
from assay.documents.chunk import embedding_text
from assay.embedding.cache import Cached
from assay.embedding.configured import configured_maker
from assay.embedding.maker import Maker

_TEXTS_AT_A_TIME = 256


def embed_chunks(session: Any, chunks: Any, *, done: str | None) -> Any:
    """Return the embedding of each text that has none of the configured model yet.

    Rows of texts that no chunk has or had, and of other models, are deleted: vectors of two models cannot be
    compared. So are those without a vector: the model may take their text now.

    Args:
        session: dbt's connection.
        chunks: the relation of chunks, with `chunk_hash`, `title`, `heading_path` and `text`.
        done: the table of what is embedded already, as SQL; None where all is to be embedded.

    Returns:
        A reader of rows of `chunk_hash`, `model`, `vector` and `problem`, in the order of the hashes.

    Raises:
        Fault: the configured model cannot be loaded or reached, or what it returns is no embedding.
    """
    maker = configured_maker()
    model = f"{maker.name}@{maker.digest[:12]}"
    texts = f"({chunks.sql_query()}) where chunk_hash is not null"
    is_in_lake = _is_lake(session)
    if done:
        session.execute(
            f"delete from {done} where model <> $1 or vector is null "
            f"or chunk_hash not in (select chunk_hash from {texts})",
            [model],
        )
        if not is_in_lake:
            _fit(session, done, maker.dimension)
        texts += f" and chunk_hash not in (select chunk_hash from {done})"
    new = session.sql(
        "select chunk_hash, any_value(struct_pack(title, heading_path, text)) as parts "
        f"from {texts} group by all order by all"
    )
    schema = pa.schema(
        [
            ("chunk_hash", pa.string()),
            ("model", pa.string()),
            # A lake has no vectors of one length.
            ("vector", pa.list_(pa.float32(), -1 if is_in_lake else maker.dimension)),
            ("problem", pa.string()),
        ]
    )
    cached = Cached(maker, find_places().embeddings)
    return pa.RecordBatchReader.from_batches(schema, _batches(new, schema, cached, model))


def _is_lake(session: Any) -> bool:
    return bool(
        session.execute(
            "select 1 from duckdb_databases() where database_name = current_database() and type = 'ducklake'"
        ).fetchall()
    )


def _fit(session: Any, done: str, dimension: int) -> None:
    """Give the column of vectors the length of the model's; where it has another, no row is left."""
    [(length,)] = session.execute(
        f"select regexp_extract(any_value(column_type), '\\[(\\d+)\\]', 1) from (describe {done}) "
        "where column_name = 'vector'"
    ).fetchall()
    if length != str(dimension):
        session.execute(f"alter table {done} alter vector type float[{dimension}] using null")


def _batches(new: Any, schema: pa.Schema, cached: Cached, model: str) -> Iterator[pa.RecordBatch]:
    maker = cached.maker
    for batch in new.to_arrow_reader(_TEXTS_AT_A_TIME):
        texts = [embedding_text(**parts) for parts in batch["parts"].to_pylist()]
        found = cached.embed_each(texts)
        has_none = [place in found.problems for place in range(len(texts))]
        problems = [found.problems.get(place) or _cut_short(maker, text) for place, text in enumerate(texts)]
        columns = [
            batch["chunk_hash"],
            pa.array([model] * len(texts)),
            pa.FixedSizeListArray.from_arrays(
                pa.array(found.vectors.reshape(-1)), maker.dimension, mask=pa.array(has_none)
            ).cast(schema.field("vector").type),
            pa.array(problems, pa.string()),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _cut_short(maker: Maker, text: str) -> str | None:
    # A token is a byte at least.
    if len(text.encode()) <= maker.max_tokens or (tokens := maker.count_tokens(text)) <= maker.max_tokens:
        return None
    return (
        f"the text has {tokens} tokens and the model takes {maker.max_tokens}: the rest is not in the vector"
    )
