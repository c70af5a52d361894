"""Where an exported table lies: in a folder, or below a prefix of a bucket."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import duckdb

from assay.bucket.access import find_access
from assay.bucket.bucket import Bucket, ObjectChanged
from assay.bucket.secret import open_bucket
from assay.core.disk import make_private_folder, put_in_place, sync
from assay.core.fault import LOCKED, MISUSED, Fault
from assay.core.lock import hold
from assay.core.places import BUCKETS

#: The catalog of a place's tables of Iceberg.
CATALOG = "catalog.sqlite"
# What is in a table's folder, by its format.
_INSIDE = {"delta": "_delta_log", "iceberg": "metadata"}
# The packages of both formats name files by URLs, and do not escape these.
_OF_URLS = "%?#\\"
# An export that still runs after this time is taken for one that was killed.
_LONGEST = timedelta(days=1)


class TablePlace(Protocol):
    """Where one table of an open format lies; the keys of its files are relative to it.

    Attributes:
        name: of the table.
        root: the folder or URL of the place, in which other tables may lie.
        url: that of the table, which readers open.
        work: a folder on this machine for what does not fit into memory.
    """

    name: str
    root: str
    url: str
    work: Path

    def lock(self) -> AbstractContextManager[object]:
        """Let no other export of the table run on this machine.

        Raises:
            Fault: one runs.
        """

    def let_read(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let DuckDB read the table's files.

        Raises:
            Fault: nobody may.
        """

    def find_formats(self) -> set[str]:
        """Return the formats of which there is a table, which is one at most unless others write here."""

    def is_empty(self) -> bool:
        """Tell whether nothing is here, or only what an export left that was killed."""

    def locate(self, key: str) -> str:
        """Return what readers open for a file of the table."""

    def note(self, export: str) -> None:
        """Note that an export begins, so that a later one removes its files if it is killed."""

    def stage(self, export: str) -> Path:
        """Return the folder on this machine in which an export writes its files."""

    def keep(self, export: str, file: Path) -> str:
        """Put a file that was written into its place; return its key."""

    def remove_leftovers(self, committed: str | None) -> None:
        """Remove files of exports that ended before they made their version.

        Args:
            committed: the export that made the newest version.
        """

    def end(self, export: str, committed: str | None) -> None:
        """Remove what an export noted, and its files unless it is the one that made the newest version."""

    def read(self, key: str) -> bytes | None:
        """Return the content of a small file of the table; None if there is none."""

    def write(self, key: str, content: bytes) -> None:
        """Write a small file of the table, whole or not at all."""

    def set_aside(self) -> None:
        """Take the table away from readers, with all of its versions, so that it can be written anew."""

    def is_set_aside(self) -> bool:
        """Tell whether the table was set aside, and not written anew since."""

    def remove_set_aside(self) -> None:
        """Remove what was set aside."""

    def storage_options(self) -> dict[str, str]:
        """Return by what the package deltalake reads and writes here."""

    def io_properties(self) -> dict[str, str]:
        """Return by what the package pyiceberg reads and writes here."""

    @property
    def catalog(self) -> Path:
        """The catalog of tables of Iceberg in the place, or a copy of it on this machine."""

    def fetch_catalog(self) -> str | None:
        """Bring the copy of the catalog up to date; return its ETag, or None if the place has none yet."""

    def send_catalog(self, etag: str | None) -> bool:
        """Put the copy of the catalog in place; tell whether nobody has written it since it was fetched."""

    def locate_for_iceberg(self, key: str | None = None) -> str:
        """Return how Iceberg's metadata names a file of the table, the table's folder (""), or the place."""


class FolderPlace:
    """A table in a folder below `place`, which is absolute."""

    def __init__(self, place: Path, name: str) -> None:
        self.name = name
        self.root = str(place)
        self.place = place
        self.folder = place / name
        self.url = str(self.folder)
        self.work = place / f".{name}.tmp"

    @property
    def catalog(self) -> Path:
        """The catalog of the tables of Iceberg beside this one."""
        return self.place / CATALOG

    @property
    def _marker(self) -> Path:
        return self.place / f".{self.name}.exporting"

    def lock(self) -> AbstractContextManager[object]:
        """Let no other export of the table run on this machine."""
        return _lock(self.place / f".{self.name}.lock", self.name, str(self.place))

    def let_read(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Do nothing: DuckDB reads folders."""

    def find_formats(self) -> set[str]:
        """Return the formats of which there is a table, which is one at most unless others write here."""
        return {format for format, inside in _INSIDE.items() if (self.folder / inside).is_dir()}

    def is_empty(self) -> bool:
        """Tell whether nothing is here, or only what an export left that was killed."""
        return not self.folder.exists() or not any(self.folder.iterdir()) or self._marker.is_file()

    def locate(self, key: str) -> str:
        """Return what readers open for a file of the table."""
        return str(self.folder / key)

    def note(self, export: str) -> None:
        """Note that an export begins, so that a later one removes its files if it is killed."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        self._marker.write_text(export)

    def stage(self, export: str) -> Path:
        """Return the folder on this machine in which an export writes its files."""
        return self.folder / "data" / export

    def keep(self, export: str, file: Path) -> str:
        """Put a file that was written into its place; return its key."""
        sync(file)
        sync(file.parent)
        return file.relative_to(self.folder).as_posix()

    def remove_leftovers(self, committed: str | None) -> None:
        """Remove files of exports that ended before they made their version."""
        if self._marker.is_file():
            self.end(self._marker.read_text(), committed)

    def end(self, export: str, committed: str | None) -> None:
        """Remove what an export noted, and its files unless it is the one that made the newest version."""
        if export and committed != export:
            shutil.rmtree(self.stage(export), ignore_errors=True)
            # What is left of the first export is no table.
            for empty in (self.folder / "data", self.folder):
                with suppress(OSError):
                    empty.rmdir()
        self._marker.unlink()

    def read(self, key: str) -> bytes | None:
        """Return the content of a small file of the table; None if there is none."""
        try:
            return (self.folder / key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Write a small file of the table, whole or not at all."""
        file = self.folder / key
        new = file.with_name(f".{file.name}")
        new.write_bytes(content)
        put_in_place(new, file)

    def set_aside(self) -> None:
        """Take the table away from readers, with all of its versions, so that it can be written anew."""
        if self.is_set_aside():
            shutil.rmtree(self._aside)
        self.folder.rename(self._aside)

    def is_set_aside(self) -> bool:
        """Tell whether the table was set aside, and not written anew since."""
        return self._aside.is_dir()

    def remove_set_aside(self) -> None:
        """Remove what was set aside."""
        shutil.rmtree(self._aside)

    @property
    def _aside(self) -> Path:
        return self.place / f".{self.name}.forgetting"

    def storage_options(self) -> dict[str, str]:
        """Return by what the package deltalake reads and writes here."""
        return {}

    def io_properties(self) -> dict[str, str]:
        """Return by what the package pyiceberg reads and writes here."""
        return {}

    def fetch_catalog(self) -> str | None:
        """Bring the copy of the catalog up to date; return its ETag, or None if the place has none yet."""
        self.place.mkdir(parents=True, exist_ok=True)
        return None

    def send_catalog(self, etag: str | None) -> bool:
        """Put the copy of the catalog in place; tell whether nobody has written it since it was fetched."""
        # The lock keeps others from it.
        return True

    def locate_for_iceberg(self, key: str | None = None) -> str:
        """Return how Iceberg's metadata names a file of the table, the table's folder (""), or the place."""
        # Iceberg's packages take no percent signs for a space.
        return f"file://{self.place if key is None else self.folder / key}"


class BucketPlace:
    """A table below a prefix of a bucket.

    Args:
        url: of the place, `s3://bucket/prefix`.
        name: of the table.
        scratch: a folder on this machine in which files are made before they are sent.

    Raises:
        Fault: it is no such URL, or extra `s3` is not installed.
    """

    def __init__(self, url: str, name: str, scratch: Path) -> None:
        self.name = name
        self.bucket = Bucket(url)
        self.root = self.bucket.url
        self.url = f"{self.bucket.url}/{name}"
        make_private_folder(scratch)
        self._lock_file = scratch / f"{name}.lock"
        self.work = scratch / name

    @property
    def catalog(self) -> Path:
        """The copy of the place's catalog of tables of Iceberg."""
        return self.work / CATALOG

    @property
    def _markers(self) -> str:
        return f".{self.name}.exporting/"

    def lock(self) -> AbstractContextManager[object]:
        """Let no other export of the table run on this machine."""
        return _lock(self._lock_file, self.name, self.bucket.url)

    def let_read(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let DuckDB read the table's files."""
        open_bucket(connection, self.bucket.url, by=f"An export to {self.bucket.url}")

    def find_formats(self) -> set[str]:
        """Return the formats of which there is a table, which is one at most unless others write here."""
        return {
            format
            for format, inside in _INSIDE.items()
            if any(True for _ in self.bucket.list(f"{self.name}/{inside}/"))
        }

    def is_empty(self) -> bool:
        """Tell whether nothing is here, or only what an export left that was killed."""
        ours = tuple(f"{self.name}/data/{export}/" for export in self._noted())
        return all(found.key.startswith(ours) for found in self.bucket.list(f"{self.name}/"))

    def locate(self, key: str) -> str:
        """Return what readers open for a file of the table."""
        return f"{self.url}/{key}"

    def note(self, export: str) -> None:
        """Note that an export begins, so that a later one removes its files if it is killed."""
        self.bucket.put(f"{self._markers}{export}", b"")

    def stage(self, export: str) -> Path:
        """Return the folder on this machine in which an export writes its files."""
        return self.work / export

    def keep(self, export: str, file: Path) -> str:
        """Put a file that was written into its place; return its key."""
        key = f"data/{export}/{file.name}"
        self.bucket.put(f"{self.name}/{key}", file)
        file.unlink()
        return key

    def remove_leftovers(self, committed: str | None) -> None:
        """Remove files of exports that ended before they made their version."""
        oldest = datetime.now(UTC) - _LONGEST
        for export, written_at in self._noted().items():
            # Another machine may be exporting.
            if export == committed or written_at < oldest:
                self.end(export, committed)

    def end(self, export: str, committed: str | None) -> None:
        """Remove what an export noted, and its files unless it is the one that made the newest version."""
        if export != committed:
            for found in list(self.bucket.list(f"{self.name}/data/{export}/")):
                self.bucket.delete(found.key)
        self.bucket.delete(f"{self._markers}{export}")

    def read(self, key: str) -> bytes | None:
        """Return the content of a small file of the table; None if there is none."""
        return self.bucket.read(f"{self.name}/{key}")

    def write(self, key: str, content: bytes) -> None:
        """Write a small file of the table, whole or not at all."""
        self.bucket.put(f"{self.name}/{key}", content)

    def set_aside(self) -> None:
        """Take the table away from readers, with all of its versions, so that it can be written anew."""
        self.bucket.put(self._aside, b"")
        self.bucket.remove_versions(f"{self.name}/")

    def is_set_aside(self) -> bool:
        """Tell whether the table was set aside, and not written anew since."""
        return self.bucket.read(self._aside) is not None

    def remove_set_aside(self) -> None:
        """Remove what was set aside."""
        self.bucket.delete(self._aside)

    @property
    def _aside(self) -> str:
        return f".{self.name}.forgetting"

    def storage_options(self) -> dict[str, str]:
        """Return by what the package deltalake reads and writes here."""
        access = find_access(self.bucket)
        options = {
            "aws_access_key_id": access.key_id,
            "aws_secret_access_key": access.secret,
            "aws_session_token": access.token,
            "aws_region": access.region,
            "aws_endpoint_url": access.endpoint,
            "aws_allow_http": "true" if (access.endpoint or "").startswith("http://") else None,
        }
        return {name: value for name, value in options.items() if value}

    def io_properties(self) -> dict[str, str]:
        """Return by what the package pyiceberg reads and writes here."""
        access = find_access(self.bucket)
        properties = {
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            "s3.access-key-id": access.key_id,
            "s3.secret-access-key": access.secret,
            "s3.session-token": access.token,
            "s3.region": access.region,
            "s3.endpoint": access.endpoint,
        }
        return {name: value for name, value in properties.items() if value}

    def locate_for_iceberg(self, key: str | None = None) -> str:
        """Return how Iceberg's metadata names a file of the table, the table's folder (""), or the place."""
        return self.bucket.url if key is None else self.locate(key).rstrip("/")

    def fetch_catalog(self) -> str | None:
        """Bring the copy of the catalog up to date; return its ETag, or None if the place has none yet."""
        make_private_folder(self.work)
        self.catalog.unlink(missing_ok=True)
        for found in self.bucket.list(CATALOG):
            if found.key == CATALOG:
                self.bucket.fetch(found, self.catalog)
                return found.etag
        return None

    def send_catalog(self, etag: str | None) -> bool:
        """Put the copy of the catalog in place; tell whether nobody has written it since it was fetched."""
        try:
            self.bucket.replace(CATALOG, self.catalog.read_bytes(), etag)
        except ObjectChanged:
            return False
        return True

    def _noted(self) -> dict[str, datetime]:
        """Return when each export that has not ended began."""
        return {
            found.key.removeprefix(self._markers): found.written_at
            for found in self.bucket.list(self._markers)
        }


def open_place(place: str | Path, name: str, scratch: Path) -> FolderPlace | BucketPlace:
    """Return where a table lies in a place, which need not be there yet.

    Args:
        place: a folder, or `s3://bucket/prefix`.
        name: of the table.
        scratch: a folder on this machine in which files are made before they are sent to a bucket.

    Raises:
        Fault: the place is neither, no reader can name it, or extra `s3` is not installed.
    """
    folder = Path(place)
    in_bucket = str(place).startswith(BUCKETS)
    if not in_bucket and (":/" in str(place) or folder.is_file()):
        raise Fault(f"{place} is no folder, and no place in a bucket, as s3://bucket/prefix.", MISUSED)
    whole = f"{place if in_bucket else folder.absolute()}/{name}"
    if found := [each for each in _OF_URLS if each in whole]:
        raise Fault(
            f"{whole} has {found[0]} in its name, which readers of open formats take for a part of a URL: "
            "name another place.",
            MISUSED,
        )
    return BucketPlace(str(place), name, scratch) if in_bucket else FolderPlace(folder.absolute(), name)


def _lock(file: Path, name: str, place: str) -> AbstractContextManager[object]:
    return hold(
        file,
        command=f"assay lake export --table {name}",
        refuse=lambda holder: Fault(
            f"Another process exports {name} to {place}: {holder}. Try again when it is done.", LOCKED
        ),
    )
