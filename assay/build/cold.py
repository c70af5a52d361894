"""Fetch the landed files that moved to a bucket, and that a warehouse lacks, while it loads files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from assay.core.fault import Fault
from assay.core.places import COLD, cold_url, find_places, named_cold_folder
from assay.landing.member import MERGED
from assay.ledger.retentions import held_by_copies

if TYPE_CHECKING:
    from assay.bucket.bucket import Object
    from assay.bucket.cold import FetchedObject
    from assay.core.places import Places


@dataclass(frozen=True)
class ColdFiles:
    """The folder with landed files that moved; `are_lacking` says that the warehouse lacks each of them."""

    folder: Path | None
    are_lacking: bool = False


@contextmanager
def cold_files(connection: duckdb.DuckDBPyConnection, tell: Callable[[str], None]) -> Iterator[ColdFiles]:
    """Let the landed files be read, while the block runs, that moved out of the landing zone.

    Of a bucket, these are the files that the warehouse lacks.

    Args:
        connection: to the warehouse, which is the current database.
        tell: called with messages for people.

    Raises:
        Fault: the bucket cannot be read, and the warehouse lacks files, or is new.
        OSError: the files cannot be written.
    """
    url = cold_url()
    if url is None:
        yield ColdFiles(named_cold_folder())
        return
    # Boto3 takes long to import.
    from assay.bucket.bucket import Bucket
    from assay.bucket.cold import fetched_objects, folder_of, remove_fetched

    places, bucket = find_places(), Bucket(url)
    held = _Held(connection, bucket.url, places)
    try:
        lacking = [found for found in bucket.list() if not held.has(found)]
    except Fault as error:
        if held.is_new:
            raise Fault(
                f"{error} This new warehouse needs the files that were moved there; to build without them, "
                f"unset {COLD}."
            ) from error
        tell(f"Warning: {error} What the warehouse lacks of the files there is not loaded.")
        lacking = []
    if not lacking:
        # A process that needed some may have been killed.
        remove_fetched(places.fetched)
        yield ColdFiles(None)
        return
    with fetched_objects(places.fetched, {bucket.url: lacking}, tell) as fetched:
        yield ColdFiles(folder_of(places.fetched, bucket.url), are_lacking=True)
        held.remember(fetched)


class _Held:
    """Which landed files a warehouse holds.

    Only the content of a merged file says what it holds. The run ledger knows of those that were moved from
    here; of others, the warehouse remembers that it has them.

    Args:
        connection: to the warehouse.
        url: of the bucket.
        places: of the project.

    Raises:
        Fault: another program keeps the run ledger open.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, url: str, places: Places) -> None:
        self._connection = connection
        self._url = url
        self._by_copy = held_by_copies(places.ledger)
        self._sizes: set[tuple[str, int]] = set()
        self._hashes: dict[str, set[str]] = {}
        self._signatures: dict[str, str] = {}
        try:
            self._read()
        except duckdb.CatalogException:
            # Nothing was ever loaded.
            return

    def _read(self) -> None:
        for name, sha256, size in self._connection.execute(
            "select source_file, content_sha256, size_bytes from landing.files where status = 'loaded'"
        ).fetchall():
            self._hashes.setdefault(name, set()).add(sha256)
            self._sizes.add((name, size))
        self._signatures = dict(self._connection.execute("from landing.signatures").fetchall())

    @property
    def is_new(self) -> bool:
        """Whether the warehouse holds nothing that landed."""
        return not self._hashes

    def has(self, found: Object) -> bool:
        """Tell whether an object holds nothing that the warehouse lacks."""
        if found.key.endswith("/"):
            return True
        url = f"{self._url}/{found.key}"
        if url in self._by_copy:
            return self._has_all(self._by_copy[url])
        if _is_merged(found.key):
            return self._signatures.get(url) == found.etag
        # Before the name of a later version stands its hash.
        if later := re.fullmatch(r"(.*/)([0-9a-f]{12})-([^/]+)", found.key):
            hashes = self._hashes.get(later[1] + later[3], ())
            if any(sha256.startswith(later[2]) for sha256 in hashes):
                return True
        return (found.key, found.size) in self._sizes

    def _has_all(self, files: set[tuple[str, str]]) -> bool:
        return all(sha256 in self._hashes.get(name, ()) for name, sha256 in files)

    def remember(self, fetched: Sequence[FetchedObject]) -> None:
        """Note the merged files that the warehouse holds now, so that the next build fetches none of them."""
        # Most landing zones have no merged file, and reading Parquet takes long to import.
        from assay.landing.merged import read_merged

        self._read()
        done = [
            each
            for each in fetched
            if _is_merged(each.found.key) and self._has_all(read_merged(each.path).keys())
        ]
        if not done:
            return
        self._connection.begin()
        self._connection.execute(
            "delete from landing.signatures where list_contains(?::varchar[], source_file)",
            [[each.url for each in done]],
        )
        self._connection.executemany(
            "insert into landing.signatures values (?, ?)", [(each.url, each.found.etag) for each in done]
        )
        self._connection.commit()


def _is_merged(key: str) -> bool:
    return f"/{MERGED}/" in key
