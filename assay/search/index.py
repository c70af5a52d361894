"""Write the file that is searched: chunks, their words and their vectors, all states of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assay.core.disk import put_in_place, sync
from assay.core.encryption import attach_file, find_encryption_key
from assay.core.extensions import load_extension
from assay.core.fault import MISUSED, Fault
from assay.core.moment import END_OF_TIME_SQL
from assay.project.conventions import CHUNKS, EMBEDDINGS
from assay.project.warehouse import connect_published
from assay.search.ivfpq import can_make, make_index
from assay.search.words import term_of, words_of, write_stop_words

IVFPQ_VARIABLE = "ASSAY_IVFPQ_FROM"
_IVFPQ_FROM = 200_000
# Below, a scan of all vectors takes as long as the index saves in days of queries.
_HNSW_FROM = 20_000
_BATCH = 10_000

_TERMS = f"""
create table texts as
select dense_rank() over (order by chunk_hash)::integer as text_id, chunk_hash, text, title, heading_path
from landed_chunks
qualify row_number() over (partition by chunk_hash order by document_id, chunk_number, valid_from) = 1;

create table words as
select text_id, word, count(*)::integer as frequency
from (
    select text_id, unnest({words_of("concat_ws(chr(10), title, heading_path, text)")}) as word
    from texts
)
where word <> '' and word not in (select word from stop_words)
group by all;

create table terms as
select dense_rank() over (order by term)::integer as term_id, term, word
from (select word, {term_of("word")} as term from (select distinct word from words))
order by term_id, word;

create index word_by_term on terms (term);

-- A query reads the few groups of rows that hold its terms.
create table postings as
select term_id, text_id, sum(frequency)::integer as frequency
from words inner join terms using (word)
group by term_id, text_id
order by term_id, text_id;
"""
_CHUNKS = """
create table chunks as
select
    -- Of equal scores the lower one comes first.
    row_number() over (order by document_id, chunk_number, valid_from)::integer as chunk_id,
    texts.text_id,
    coalesce(lengths.words, 0)::integer as words,
    landed_chunks.* exclude (chunk_hash)
from landed_chunks
inner join texts using (chunk_hash)
left join (select text_id, sum(frequency) as words from postings group by text_id) as lengths using (text_id)
order by chunk_id;

-- To read one text by a scan unpacks those beside it, too.
create unique index chunk_by_id on chunks (chunk_id);

drop table landed_chunks;
drop table words;
"""
# Only vectors of texts that a chunk has now are in an index: those of the past are scanned.
_VECTORS = f"""
create table current_vectors as
select text_id, landed_vectors.vector
from texts inner join landed_vectors using (chunk_hash)
where text_id in (select text_id from chunks where valid_to = {END_OF_TIME_SQL})
order by text_id;

create table past_vectors as
select text_id, landed_vectors.vector
from texts inner join landed_vectors using (chunk_hash)
where text_id not in (select text_id from current_vectors)
order by text_id;

create view vectors as from current_vectors union all from past_vectors;

drop table landed_vectors;
drop table texts;
"""


@dataclass(frozen=True)
class IndexCounts:
    """What an index holds.

    Attributes:
        chunks: that are valid now.
        states: of all chunks, past ones included.
        documents: that have a chunk now.
        without_vector: chunks that are valid now and are found by their words alone.
        model: of the vectors, as name@hash; None if there are none.
        dimension: how many numbers a vector has; 0 if there are none.
        way: how vectors are searched where a filter keeps many: `exact`, `hnsw` or `ivfpq`.
    """

    chunks: int
    states: int
    documents: int
    without_vector: int
    model: str | None
    dimension: int
    way: str


def write_index(gold: duckdb.DuckDBPyConnection | Path, target: Path) -> IndexCounts:
    """Write the index of what gold holds, in place of the last one; who reads that one is not disturbed.

    Args:
        gold: a connection to a database with `gold.doc_chunks` and `gold.doc_embeddings`, or its file.
        target: the file to write; as long as it is not whole, the old one stays.

    Raises:
        Fault: there are no chunks' tables, vectors are of several models, an extension is missing, or gold is
            encrypted with another key.
        OSError: the file cannot be written.
    """
    with _opened(gold) as source:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        try:
            with _created(new) as connection:
                counts = _fill(connection, source)
            sync(new)
            put_in_place(new, target)
            sync(target.parent)
        finally:
            for left in (new, new.with_name(f"{new.name}.wal")):
                left.unlink(missing_ok=True)
    return counts


@contextmanager
def _opened(gold: duckdb.DuckDBPyConnection | Path) -> Iterator[duckdb.DuckDBPyConnection]:
    if not isinstance(gold, Path):
        with gold.cursor() as cursor:
            yield cursor
        return
    with connect_published(gold) as connection:
        yield connection


@contextmanager
def _created(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        load_extension(connection, "fts", extra="search", by="Search")
        attach_file(connection, file, "new", read_only=False)
        connection.execute("use new")
        connection.execute("set preserve_insertion_order = true")
        yield connection
        connection.execute("checkpoint")


def _fill(connection: duckdb.DuckDBPyConnection, gold: duckdb.DuckDBPyConnection) -> IndexCounts:
    _copy_chunks(connection, gold)
    model, dimension = _copy_vectors(connection, gold)
    write_stop_words(connection)
    connection.execute(_TERMS)
    connection.execute("checkpoint")
    # To unpack vectors takes four times as long as to compare them.
    connection.execute("pragma force_compression = 'uncompressed'")
    connection.execute(_CHUNKS)
    connection.execute(_VECTORS)
    way = _index_vectors(connection, dimension)
    sql = f"""
        select count(*) filter (valid_to = {END_OF_TIME_SQL}), count(*),
            count(distinct document_id) filter (valid_to = {END_OF_TIME_SQL}),
            count(*) filter (
                valid_to = {END_OF_TIME_SQL} and text_id not in (select text_id from current_vectors)
            )
        from chunks
    """
    chunks, states, documents, without_vector = connection.execute(sql).fetchall()[0]
    connection.execute(
        "create table about as select $model as model, $dimension::integer as dimension, $way as way",
        {"model": model, "dimension": dimension, "way": way},
    )
    return IndexCounts(chunks, states, documents, without_vector, model, dimension, way)


def _copy_chunks(connection: duckdb.DuckDBPyConnection, gold: duckdb.DuckDBPyConnection) -> None:
    if not _has(gold, CHUNKS):
        raise Fault(
            f"There is no table gold.{CHUNKS} to search in: build a project that has documents.", MISUSED
        )
    rows = gold.execute(
        "select document_id, chunk_number, source, title, tags, coalesce(heading_path, '') as heading_path, "
        "start_at, end_at, text, chunk_hash, valid_from, valid_to, updated_at, confirmed_at "
        f"from gold.{CHUNKS}"
    ).to_arrow_reader(_BATCH)
    _copy(connection, "landed_chunks", rows)


def _copy_vectors(
    connection: duckdb.DuckDBPyConnection, gold: duckdb.DuckDBPyConnection
) -> tuple[str | None, int]:
    """Copy the vectors, and return their model and how many numbers each has."""
    kinds: list[Any] = []
    if _has(gold, EMBEDDINGS):
        kinds = gold.execute(
            f"select distinct model, len(vector) from gold.{EMBEDDINGS} where vector is not null order by all"
        ).fetchall()
    if not kinds:
        connection.execute("create table landed_vectors (chunk_hash varchar, vector float[1])")
        return None, 0
    if len(kinds) > 1:
        told = " and ".join(f"{model} ({dimension} numbers)" for model, dimension in kinds)
        raise Fault(
            f"gold.{EMBEDDINGS} holds vectors of several models, which cannot be compared: {told}. "
            "Rebuild it with one: assay build --full-refresh"
        )
    model, dimension = kinds[0]
    rows = gold.execute(
        f"select chunk_hash, vector::float[{dimension}] as vector from gold.{EMBEDDINGS} "
        "where vector is not null"
    ).to_arrow_reader(_BATCH)
    _copy(connection, "landed_vectors", rows)
    return str(model), int(dimension)


def _copy(connection: duckdb.DuckDBPyConnection, table: str, rows: Any) -> None:
    connection.register("arriving", rows)
    connection.execute(f"create table {table} as from arriving")
    connection.unregister("arriving")


def _has(gold: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(
        gold.execute(
            "select count(*) from information_schema.tables where table_schema = 'gold' and table_name = ? "
            "and table_catalog = current_database()",
            [table],
        ).fetchall()[0][0]
    )


def _index_vectors(connection: duckdb.DuckDBPyConnection, dimension: int) -> str:
    count = connection.execute("select count(*) from current_vectors").fetchall()[0][0]
    if count >= _ivfpq_from() and can_make(dimension, count):
        make_index(connection, dimension)
        return "ivfpq"
    # The extension's index needs the whole blocks of a file, of which encryption takes a part.
    if count >= _HNSW_FROM and find_encryption_key() is None:
        load_extension(connection, "vss", extra="search", by="Search")
        # The file is written once, as a whole: there is no log to recover an index from.
        connection.execute("set hnsw_enable_experimental_persistence = true")
        connection.execute(
            "create index near on current_vectors using hnsw (vector) "
            "with (metric = 'ip', ef_construction = 64)"
        )
        return "hnsw"
    return "exact"


def _ivfpq_from() -> int:
    said = os.environ.get(IVFPQ_VARIABLE) or str(_IVFPQ_FROM)
    if not said.isdecimal():
        raise Fault(f"{IVFPQ_VARIABLE}={said} is no number of texts.", MISUSED)
    return int(said)
