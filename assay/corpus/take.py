"""Take a version of a corpus from a warehouse: the texts that are kept, and a table of all that were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from assay.core.fault import MISUSED, Fault
from assay.core.parquet import write_parquet
from assay.core.sql import folded, quoted, text
from assay.core.words import counted
from assay.corpus.copies import Copies
from assay.corpus.declared import DeclaredCorpus, find_corpus
from assay.corpus.evaluation import EvaluationTexts
from assay.corpus.judge import KEPT, Judge, Judged
from assay.corpus.quality import check_languages
from assay.corpus.shapes import Shape, shape_of
from assay.corpus.tokens import find_tokenizer
from assay.training.content import read_content
from assay.training.source import Source
from assay.training.store import DATA, DOCUMENTS, Corpus, Version
from assay.training.take import describe, opened

AVAILABLE_AT = "available_at"
# So many rows are judged at once; of long texts, fewer.
_ROWS, _BYTES = 2_000, 1 << 24
_MEMORY = "1GB"
_ROWS_A_NOTE = 200_000
# What is found of each row, beside its key and its text.
_FOUND = {
    "outcome": pa.string(),
    "broken_rules": pa.list_(pa.string()),
    "copy_of": pa.string(),
    "similarity": pa.float64(),
    "evaluation_set": pa.string(),
    "characters": pa.int64(),
    "symbols": pa.float64(),
    "repeated_lines": pa.float64(),
    "repeated_phrases": pa.float64(),
    "language": pa.string(),
    "language_probability": pa.float64(),
    "masked": pa.int64(),
    "tokens": pa.int64(),
    "split": pa.string(),
    "left_out": pa.string(),
}


@dataclass(frozen=True)
class Made:
    """What is asked of a corpus when it is made: the shape of its rows, and whether it has splits."""

    format: str
    is_split: bool


def take_corpus(
    name: str,
    source: Source,
    folder: Path,
    made: Made,
    say: Callable[[str], None] = lambda _: None,
    also_personal: Collection[str] = (),
) -> Version:
    """Write the texts that are kept, the table of all rows, and the manifest to `folder`.

    Rows are judged in the order in which they became available, so that what comes later changes nothing of
    what was kept before. The same rows give the same hashes.

    Args:
        name: of the corpus.
        source: the warehouse with its model.
        folder: of the version, empty.
        made: what is asked of the corpus.
        say: told what goes on.
        also_personal: columns, folded, that are personal beside those that the source declares.

    Raises:
        Fault: the corpus is not built, lacks a column, keeps no row, or its settings name what is not there.
    """
    declared = find_corpus(source, name)
    declared = replace(declared, personal=sorted({*declared.personal, *also_personal}))
    check_languages(declared.settings.quality)
    tokenizer = find_tokenizer(declared.settings.tokenizer)
    # What is no part of the version lies beside it.
    beside = folder.parent
    spool = beside / "judged.parquet"
    with opened(source) as connection, Copies(declared.settings.near_duplicates, beside) as copies:
        connection.execute(f"set memory_limit = '{_MEMORY}'; set temp_directory = {text(beside / 'duckdb')}")
        columns = _columns_of(connection, declared)
        shape = shape_of(made.format, list(columns), name)
        personal = [each for each in columns if folded(each) in declared.personal]
        evaluation = EvaluationTexts(connection, declared.find_evaluation(), say)
        judge = Judge(declared.settings, shape, personal, evaluation, copies, tokenizer.count, made.is_split)
        keys = list(dict.fromkeys([*declared.primary_key, declared.settings.document]))
        _refuse_personal(declared, [*keys, *shape.read])
        _refuse_taken(name, [each for each in keys if each in shape.written or each in _FOUND])
        wanted = list(dict.fromkeys([*keys, AVAILABLE_AT, *shape.read, *personal]))
        rows = connection.sql(
            f"select {', '.join(_as_read(name, shape, columns) for name in wanted)} from {declared.relation} "
            f"order by {quoted(AVAILABLE_AT)} nulls last, {quoted(*declared.primary_key)}"
        ).to_arrow_reader(_ROWS)
        ledger = _Ledger(keys, rows.schema, shape.written)
        with pq.ParquetWriter(spool, ledger.schema, compression="zstd") as writer:
            for batch in (piece for whole in rows for piece in _pieces(whole)):
                first = ledger.read
                judged = list(judge.judge(first, batch.to_pylist()))
                writer.write_table(ledger.enter(batch, judged))
                if ledger.read // _ROWS_A_NOTE > first // _ROWS_A_NOTE:
                    say(f"{ledger.read:,} rows judged, {ledger.outcomes[KEPT]:,} of them kept")
        if not ledger.outcomes[KEPT]:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(ledger.outcomes.items()))
            raise Fault(f"{name} keeps none of {counted(ledger.read, 'row')}: {reasons or 'it is empty'}.")
        ordered = f"order by {quoted(*declared.primary_key)}"
        kept = [*keys, *shape.written, "tokens", *(["split"] if made.is_split else [])]
        write_parquet(
            connection,
            f"select {quoted(*kept)} from read_parquet({text(spool)}) where outcome = '{KEPT}' {ordered}",
            folder / DATA,
        )
        write_parquet(
            connection,
            f"select * exclude ({quoted(*shape.written)}) from read_parquet({text(spool)}) {ordered}",
            folder / DOCUMENTS,
        )
        corpus = Corpus(
            format=made.format,
            shape=list(shape.written),
            settings=declared.settings.as_json(),
            read=ledger.read,
            outcomes=dict(sorted(ledger.outcomes.items())),
            masked=dict(sorted(ledger.masked.items())),
            tokens=ledger.tokens,
            tokenizer=tokenizer.name,
            documents_hash=read_content(folder / DOCUMENTS).hash,
        )
        code = {**declared.code, **declared.hash_choice()}
        return describe(replace(declared, code=code), source, connection, folder, corpus)


def _columns_of(connection: duckdb.DuckDBPyConnection, declared: DeclaredCorpus) -> dict[str, str]:
    """Return the type of each column of the model."""
    try:
        found = connection.sql(f"from {declared.relation} limit 0")
    except duckdb.CatalogException as error:
        raise Fault(f"{declared.name} is not built yet. To build it: assay build") from error
    columns = dict(zip(found.columns, map(str, found.types), strict=True))
    for column in (declared.settings.document, AVAILABLE_AT):
        if column not in columns:
            raise Fault(
                f"{declared.name} has no column {column}: a corpus has the id of the document that a row is "
                f"of (config.meta.corpus.document names another column), and {AVAILABLE_AT}.",
                MISUSED,
            )
    return columns


def _refuse_personal(declared: DeclaredCorpus, columns: Sequence[str]) -> None:
    """Refuse a key or a text that as a whole is declared personal: nothing of it could be kept."""
    if found := [each for each in columns if folded(each) in declared.personal]:
        raise Fault(
            f"{declared.name}: column {', '.join(found)} is declared personal (pii), so nobody may train on "
            "it. Hash a key in silver (`pii_hash`). Take the mark away from a text in which personal data "
            "only stands here and there, where it is masked.",
            MISUSED,
        )


def _refuse_taken(name: str, taken: Sequence[str]) -> None:
    """Refuse keys that have the name of a text, or of what is found of a row."""
    if taken:
        raise Fault(
            f"{name}: {', '.join(taken)} is a column that each corpus has of its own, so that no column of "
            "the primary key can have its name: give it another.",
            MISUSED,
        )


def _as_read(name: str, shape: Shape, columns: Mapping[str, str]) -> str:
    """Return a column in SQL: all but lists of messages are read as text, JSON too."""
    is_text = name in shape.read and not columns[name].startswith("STRUCT")
    return f"{quoted(name)}::varchar as {quoted(name)}" if is_text else quoted(name)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch of long texts into smaller ones."""
    rows = max(min(_ROWS, batch.num_rows * _BYTES // max(batch.nbytes, 1)), 1)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


class _Ledger:
    """Counts what becomes of rows, and makes the rows of the table that says so."""

    def __init__(self, keys: Sequence[str], read: pa.Schema, written: Mapping[str, pa.DataType]) -> None:
        self.outcomes: Counter[str] = Counter()
        self.masked: Counter[str] = Counter()
        self.read = self.tokens = 0
        self._keys, self._written = keys, written
        # The key of each row, to tell what another is a copy of.
        self._names: list[str] = []
        self.schema = pa.schema([*(read.field(name) for name in keys), *written.items(), *_FOUND.items()])

    def enter(self, batch: pa.RecordBatch, judged: Sequence[Judged]) -> pa.Table:
        """Count rows, and return them with what was found."""
        keys = [batch.column(name).to_pylist() for name in self._keys]
        self._names += [", ".join(map(str, key)) for key in zip(*keys, strict=True)]
        self.read += len(judged)
        for each in judged:
            self.outcomes[each.outcome] += 1
            self.masked += each.masked
            self.tokens += each.tokens or 0
        values = dict(zip(self._keys, keys, strict=True)) | {
            name: list(column) for name, column in self._found(judged)
        }
        return pa.table(values, schema=self.schema)

    def _found(self, judged: Sequence[Judged]) -> Iterator[tuple[str, Iterator[Any]]]:
        for name in self._written:
            yield name, (None if each.broken else each.content[name] for each in judged)
        yield "outcome", (each.outcome for each in judged)
        yield "broken_rules", (each.broken for each in judged)
        yield "copy_of", (self._names[each.copy.of] if each.copy else None for each in judged)
        yield "similarity", (each.copy.similarity if each.copy else None for each in judged)
        yield "evaluation_set", (each.evaluation for each in judged)
        for name in (
            "characters",
            "symbols",
            "repeated_lines",
            "repeated_phrases",
            "language",
            "language_probability",
        ):
            yield name, (getattr(each.measures, name) for each in judged)
        yield "masked", (each.masked.total() for each in judged)
        yield "tokens", (each.tokens for each in judged)
        yield "split", (each.split for each in judged)
        yield "left_out", (each.content_as_json() for each in judged)
