"""Record in the run ledger which landed files were moved or removed because they were too old."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay.core.places import BUCKETS
from assay.ledger.file import LedgerTable, opened

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


@dataclass(frozen=True)
class ColdCopy:
    """Where a landed file was moved: a path, or the URL of an object; and the folder or bucket named then."""

    where: str
    place: str

    @property
    def is_object(self) -> bool:
        """Whether it lies in a bucket."""
        return self.place.startswith(BUCKETS)

    @property
    def key(self) -> str:
        """The key of the object within the place."""
        return self.where.removeprefix(f"{self.place}/")


def cold_copies(ledger: Path) -> dict[str, list[ColdCopy]]:
    """Return where landed files were moved, by the file's name.

    Raises:
        Fault: another program keeps the ledger open.
    """
    found: dict[str, list[ColdCopy]] = {}
    for name, where, place in RETAINED_FILES.read(
        ledger,
        "select distinct source_file, moved_to, cold from retained_files "
        "inner join retentions using (retention_id) where moved_to is not null order by all",
    ):
        found.setdefault(name, []).append(ColdCopy(where, place))
    return found


def held_by_copies(ledger: Path) -> dict[str, set[tuple[str, str]]]:
    """Return the landed files that each copy holds, as name and SHA-256, by the copy's path or URL.

    Raises:
        Fault: another program keeps the ledger open.
    """
    found: dict[str, set[tuple[str, str]]] = {}
    for where, name, sha256 in RETAINED_FILES.read(
        ledger,
        "select distinct moved_to, source_file, content_sha256 from retained_files "
        "where moved_to is not null",
    ):
        found.setdefault(where, set()).add((name, sha256))
    return found


def note_rewritten(ledger: Path, source_file: str, before: str, after: str) -> None:
    """Note that the copy of a landed file is about to have other content.

    Args:
        ledger: the run ledger.
        source_file: the name of the landed file.
        before: the SHA-256 that it has.
        after: the one that it is about to have.

    Raises:
        Fault: another program keeps the ledger open.
        duckdb.Error: it cannot be written.
    """
    if RETAINED_FILES.read(
        ledger, "from retained_files where source_file = $1 and content_sha256 = $2", [source_file, before]
    ):
        with opened(ledger, read_only=False) as connection:
            connection.execute(
                "update retained_files set content_sha256 = $3 "
                "where source_file = $1 and content_sha256 = $2",
                [source_file, before, after],
            )
