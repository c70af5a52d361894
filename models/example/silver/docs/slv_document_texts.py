"""Cut each text of a document that has not been cut yet into chunks."""

from assay.documents.texts import cut_texts


def model(dbt, session):
    """Return a row for each new text, with its chunks."""
    dbt.config(materialized="incremental", on_schema_change="fail")
    return cut_texts(
        session,
        dbt.ref("slv_documents__changes"),
        limit=dbt.config.get("chunk_tokens"),
        overlap=dbt.config.get("chunk_overlap"),
        done=str(dbt.this) if dbt.is_incremental else None,
    )
