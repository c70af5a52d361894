"""Bring the file that is searched to what is published, where a project has documents."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import duckdb

from assay.core.places import Places

if TYPE_CHECKING:
    from assay.search.index import IndexCounts

_CHUNKS, _EMBEDDINGS = "doc_chunks", "doc_embeddings"


def publish_search(places: Places, changed: Collection[str] | None = None) -> IndexCounts | None:
    """Write the index of the published documents anew, unless nothing of them has changed.

    Args:
        places: of the project.
        changed: the tables of gold that were published anew; None if it is not known.

    Returns:
        What the index holds; None where there are no documents, or the index is as it was.

    Raises:
        Fault: the extra `search` is not installed, or vectors are of several models.
        OSError: the file cannot be written.
    """
    is_unchanged = changed is not None and not {_CHUNKS, _EMBEDDINGS} & set(changed)
    if (is_unchanged and places.search.is_file()) or not _has_documents(places):
        return None
    from assay.search.index import write_index

    return write_index(places.published, places.search)


def _has_documents(places: Places) -> bool:
    with duckdb.connect(places.published, read_only=True) as connection:
        [(tables,)] = connection.execute(
            "select count(*) from duckdb_tables() where schema_name = 'gold' and table_name in ($1, $2)",
            [_CHUNKS, _EMBEDDINGS],
        ).fetchall()
    return bool(tables == 2)
