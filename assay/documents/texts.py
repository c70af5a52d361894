"""Cut the texts of documents into chunks, each text once, for a Python model of dbt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from assay.documents.chunk import split_document

# What of the cutting changes its result; texts that another version cut are cut again.
_VERSION = 2
# A batch of texts of 50 MB is to have less than the 2 GB that Arrow's texts can have.
_TEXTS_AT_A_TIME = 16
_CHUNK = pa.struct(
    [
        ("heading_path", pa.string()),
        ("start_at", pa.int32()),
        ("end_at", pa.int32()),
        ("text", pa.string()),
        ("tokens", pa.int32()),
    ]
)
_SCHEMA = pa.schema([("body_hash", pa.string()), ("cut_by", pa.string()), ("chunks", pa.list_(_CHUNK))])


def cut_texts(session: Any, changes: Any, *, limit: int, overlap: int, done: str | None) -> Any:
    """Return the chunks of each text that is not cut yet.

    Rows of texts that no document has any more, or that were cut in another way, are deleted.

    Args:
        session: dbt's connection.
        changes: the relation of the documents' changes, with `body` and `body_hash`.
        limit: how many tokens a chunk has at most.
        overlap: how many tokens of a chunk's end the next one repeats at most.
        done: the table of what is cut already, as SQL; None where all is to be cut.

    Returns:
        A reader of rows of `body_hash`, `cut_by` and `chunks`, in the order of the hashes.

    Raises:
        Fault: the extra `search` is not installed.
    """
    cut_by = f"{limit} tokens, {overlap} repeated, {_VERSION}"
    texts = f"({changes.sql_query()}) where body_hash is not null"
    if done:
        session.execute(
            f"delete from {done} where cut_by <> $1 or body_hash not in (select body_hash from {texts})",
            [cut_by],
        )
        texts += f" and body_hash not in (select body_hash from {done})"
    new = session.sql(f"select body_hash, any_value(body) as body from {texts} group by all order by all")
    return pa.RecordBatchReader.from_batches(_SCHEMA, _batches(new, cut_by, limit, overlap))


def _batches(texts: Any, cut_by: str, limit: int, overlap: int) -> Iterator[pa.RecordBatch]:
    for batch in texts.to_arrow_reader(_TEXTS_AT_A_TIME):
        rows = [
            {
                "body_hash": row["body_hash"],
                "cut_by": cut_by,
                "chunks": [
                    asdict(chunk) for chunk in split_document(row["body"], limit=limit, overlap=overlap)
                ],
            }
            for row in batch.to_pylist()
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)
