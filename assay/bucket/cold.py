"""Keep landed files that are too old in a bucket, and fetch those that are needed, for a while."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from assay.bucket.bucket import Bucket, Object, ObjectChanged
from assay.bucket.landing import fetch_object, place_objects
from assay.core.disk import make_private_folder
from assay.core.fault import Fault
from assay.core.words import counted

# What S3 takes in one request, and so whole or not at all.
_LARGEST = 5 << 30
_LONGEST_KEY = 1024
# Most of the time, a fetch waits for the network.
_THREADS = 16


@dataclass(frozen=True)
class FetchedObject:
    """An object, and the file with its content; `inode` is that of the file as it was fetched."""

    bucket: Bucket
    found: Object
    path: Path
    inode: int

    @property
    def url(self) -> str:
        """The URL of the object."""
        return f"{self.bucket.url}/{self.found.key}"

    def put_back(self) -> bool:
        """Write the object again if its file was replaced; it counts as landed when it did before.

        Returns:
            Whether it was written.

        Raises:
            ObjectChanged: somebody else has written it since it was fetched.
            Fault: it cannot be written.
            OSError: the file cannot be read.
        """
        if self.path.stat().st_ino == self.inode:
            return False
        _replace(self.bucket, self.found.key, self.path, self.found.etag)
        return True


def why_not_cold(bucket: Bucket, key: str, size: int) -> str | None:
    """Return why a file cannot be put into a bucket under a key; None if it can.

    Args:
        bucket: the place for files that are too old.
        key: of the object, within the place.
        size: of the file in bytes.
    """
    if size > _LARGEST:
        return "it is larger than 5 GB, which no object is that is written at once"
    try:
        # Where another version has the key, twelve digits and a dash come before the name.
        if len((bucket.prefix + key).encode()) + 13 > _LONGEST_KEY:
            return "its name is too long for an object"
    except UnicodeEncodeError:
        return "its name is no text, and an object cannot have it"
    return None


def put_cold(bucket: Bucket, key: str, file: Path, content_sha256: str) -> str:
    """Put a copy of a landed file into a bucket, and read it back to know that it is the same.

    Another version of the file may have the key already; then the copy's name begins with its hash.

    Args:
        bucket: the place for files that are too old.
        key: of the object, within the place.
        file: the landed file; the object says when it landed.
        content_sha256: that of the file.

    Returns:
        The key of the copy.

    Raises:
        Fault: the bucket cannot be read or written, or the copy is not the same.
        OSError: the file cannot be read.
    """
    folder, slash, name = key.rpartition("/")
    for wanted in (key, f"{folder}{slash}{content_sha256[:12]}-{name}"):
        found, etag = bucket.find(wanted), None
        if found is None:
            # Another process, or a request whose answer was lost, may have been first.
            with suppress(ObjectChanged):
                etag = _replace(bucket, wanted, file, None)
            found = bucket.find(wanted)
        if found and bucket.hash_of(found) == content_sha256:
            return wanted
        if found and found.etag == etag:
            bucket.delete(wanted)
            break
    raise Fault(
        f"The copy of {key} in {bucket.url} is not the same, so the file stays: it changed meanwhile, or the "
        "network is faulty. Try again: assay retain"
    )


def remove_fetched(root: Path) -> None:
    """Remove what a process that was killed has left of the objects that it had fetched.

    Raises:
        OSError: it cannot be removed.
    """
    with suppress(FileNotFoundError):
        shutil.rmtree(root)


@contextmanager
def fetched_objects(
    root: Path, wanted: Mapping[str, Collection[Object]], tell: Callable[[str], None]
) -> Iterator[list[FetchedObject]]:
    """Fetch objects for as long as the block runs; what is changed is to be put back within it.

    Args:
        root: the folder for them, which is made and removed. What a kill has left there goes first.
        wanted: the objects of each place, by its URL.
        tell: called with messages for people.

    Raises:
        Fault: a bucket cannot be read, or an object is gone.
        OSError: the folder cannot be written.
    """
    remove_fetched(root)
    done: list[FetchedObject] = []
    try:
        make_private_folder(root)
        for url, objects in wanted.items():
            if objects:
                size = sum(each.size for each in objects)
                tell(f"Fetching {counted(len(objects), 'file')}, {size / 1e6:,.1f} MB, of {url}")
            done += _fetch(Bucket(url), folder_of(root, url), {each.key: each for each in objects})
        yield done
    finally:
        remove_fetched(root)


def folder_of(root: Path, url: str) -> Path:
    """Return the folder for the objects of a place, in which they have the paths that their keys say."""
    return root / sha256(url.encode()).hexdigest()[:12]


def _fetch(bucket: Bucket, folder: Path, objects: Mapping[str, Object]) -> Iterator[FetchedObject]:
    folder.mkdir(exist_ok=True)
    faults: list[str] = []
    paths = place_objects(folder, objects, faults)
    with ThreadPoolExecutor(_THREADS) as threads:
        fetch = partial(_fetch_one, bucket, objects, paths)
        faults += filter(None, threads.map(fetch, paths))
    if faults:
        raise Fault(f"{bucket.url}: {counted(len(faults), 'object')} cannot be fetched: {faults[0]}.")
    for key, path in paths.items():
        yield FetchedObject(bucket, objects[key], path, path.stat().st_ino)


def _fetch_one(
    bucket: Bucket, objects: Mapping[str, Object], paths: Mapping[str, Path], key: str
) -> str | None:
    why = fetch_object(bucket, objects[key], paths[key])
    return f"{key}: {why}" if why else None


def _replace(bucket: Bucket, key: str, file: Path, etag: str | None) -> str:
    landed_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return bucket.replace(key, file, etag, landed_at=landed_at)
