"""Record in the run ledger what erasures have removed, from which files, and why; never whom."""

from __future__ import annotations

from assay.ledger.file import LedgerTable

ERASURES = LedgerTable(
    "erasures",
    """
    erasure_id varchar primary key,
    warehouse varchar not null,
    entity varchar not null,
    who varchar not null,
    reason varchar not null,
    started_at timestamp not null,
    ended_at timestamp,
    run_id varchar,
    row_count bigint not null,
    file_count bigint not null
""",
)
ERASED_FILES = LedgerTable(
    "erased_files",
    """
    erasure_id varchar not null,
    source_file varchar not null,
    sha256_before varchar not null,
    sha256_after varchar,
    row_count bigint not null,
    erased_at timestamp not null,
    primary key (erasure_id, source_file, sha256_before)
""",
)
