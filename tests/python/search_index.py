"""Documents as gold has them, and an index of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from assay.documents.chunk import embedding_text
from assay.embedding.maker import Maker
from assay.embedding.static import StaticModel
from assay.search.index import IndexCounts, write_index

EVER = datetime(9999, 12, 31)
_CHUNKS = """
create schema gold;
create table gold.doc_chunks (
    document_id varchar, chunk_number integer, source varchar, title varchar, tags varchar[],
    heading_path varchar,
    start_at integer, end_at integer, text varchar, tokens integer, chunk_hash varchar, valid_from timestamp,
    valid_to timestamp, updated_at timestamp, confirmed_at timestamp[]
);
"""


@dataclass(frozen=True)
class Chunk:
    """A state of a chunk; `again_at` is when the same arrived again."""

    document_id: str
    text: str
    chunk_number: int = 1
    source: str | None = "help"
    title: str | None = None
    tags: list[str] = field(default_factory=list)
    heading_path: str = ""
    valid_from: datetime = datetime(2025, 1, 1)
    valid_to: datetime = EVER
    start_at: int = 0
    again_at: tuple[datetime, ...] = ()

    @property
    def embedded(self) -> str:
        return embedding_text(self.title, self.heading_path, self.text)

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.embedded.encode()).hexdigest()


def write_gold(
    file: Path,
    chunks: Iterable[Chunk],
    maker: Maker | None = None,
    *,
    is_embedded: Callable[[Chunk], bool] = lambda chunk: True,
) -> Path:
    """Write a database with `gold.doc_chunks` and `gold.doc_embeddings`, and return it."""
    chunks = list(chunks)
    maker = maker or StaticModel()
    file.unlink(missing_ok=True)
    with duckdb.connect(file) as connection:
        connection.execute(_CHUNKS)
        if chunks:
            _insert(connection, "doc_chunks", pa.Table.from_pylist([_row(chunk) for chunk in chunks]))
        connection.execute(
            "create table gold.doc_embeddings "
            f"(chunk_hash varchar, model varchar, vector float[{maker.dimension}], problem varchar)"
        )
        texts = {chunk.hash: chunk.embedded for chunk in chunks if is_embedded(chunk)}
        made = pa.table(
            {
                "chunk_hash": list(texts),
                "model": [f"{maker.name}@{maker.digest}"] * len(texts),
                "vector": list(maker.embed(list(texts.values()))),
            }
        )
        if texts:
            _insert(connection, "doc_embeddings", made)
        unfit = sorted({each.hash for each in chunks} - texts.keys())
        rows = pa.table({"chunk_hash": pa.array(unfit, "string"), "problem": ["unfit"] * len(unfit)})
        _insert(connection, "doc_embeddings", rows)
    return file


def index_of(folder: Path, chunks: Iterable[Chunk], maker: Maker | None = None, **how: Any) -> IndexCounts:
    """Write the index `search.duckdb` in a folder."""
    return write_index(write_gold(folder / "assay.duckdb", chunks, maker, **how), folder / "search.duckdb")


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    connection.register("rows", rows)
    connection.execute(f"insert into gold.{table} by name from rows")
    connection.unregister("rows")


def _row(chunk: Chunk) -> dict[str, Any]:
    arrivals = [chunk.valid_from, *chunk.again_at]
    return {
        **{name: value for name, value in asdict(chunk).items() if name != "again_at"},
        "end_at": chunk.start_at + len(chunk.text),
        "tokens": len(chunk.text.split()),
        "chunk_hash": chunk.hash,
        "updated_at": arrivals[-1],
        # As histories have it: only where there were several.
        "confirmed_at": arrivals if chunk.again_at else None,
    }
