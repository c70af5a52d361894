"""Record in the run ledger which landed files were merged into which file, when, and by whom."""

from __future__ import annotations

from assay.ledger.file import LedgerTable

#: Written before a merged file is put in place. Name and hash are those that a file had when it was merged.
MERGED_FILES = LedgerTable(
    "merged_files",
    """
    merged_file varchar not null,
    source_file varchar not null,
    content_sha256 varchar not null,
    size_bytes bigint not null,
    who varchar not null,
    merged_at timestamp not null,
    primary key (merged_file, source_file, content_sha256)
""",
)
