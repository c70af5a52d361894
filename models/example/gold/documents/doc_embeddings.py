"""Embed each text of a chunk that has no embedding of the configured model yet."""

from assay.documents.embeddings import embed_chunks


def model(dbt, session):
    """Return a row for each new text of a chunk, with its embedding."""
    dbt.config(materialized="incremental", on_schema_change="fail")
    return embed_chunks(
        session,
        dbt.ref("doc_chunks"),
        done=str(dbt.this) if dbt.is_incremental else None,
    )
