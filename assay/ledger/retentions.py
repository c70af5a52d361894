"""Record in the run ledger which landed files were moved or removed because they were too old."""

from __future__ import annotations

from pathlib import Path

from assay.ledger.file import LedgerTable

RETENTIONS = LedgerTable(
    "retentions",
    """
    retention_id varchar primary key,
    warehouse varchar not null,
    who varchar not null,
    cold varchar,
    started_at timestamp not null,
    ended_at timestamp,
    file_count bigint not null,
    size_bytes bigint not null
""",
)
#: A file without `removed_at` was about to be removed when the command was killed.
RETAINED_FILES = LedgerTable(
    "retained_files",
    """
    retention_id varchar not null,
    source_file varchar not null,
    content_sha256 varchar not null,
    size_bytes bigint not null,
    landed_at timestamp not null,
    reason varchar not null,
    moved_to varchar,
    removed_at timestamp,
    primary key (retention_id, source_file, content_sha256)
""",
)


def cold_folders(ledger: Path) -> list[str]:
    """Return the folders to which landed files were moved.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = RETENTIONS.read(ledger, "select distinct cold from retentions where cold is not null order by all")
    return [str(folder) for (folder,) in rows]
