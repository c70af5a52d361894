"""Keep a copy of a landing zone that lies in a bucket, so that its files are loaded as those of a folder."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from assay.bucket.bucket import Bucket, Object, ObjectChanged
from assay.core.disk import replace_private
from assay.core.places import landing_folder, landing_url
from assay.core.words import counted

#: The file in the copy that says which objects it has; landing passes over names that begin with a dot.
INDEX = ".objects.json"
_NEW = ".new"
# So many are fetched before that is noted and told.
_AT_ONCE = 500
_TAKEN = "a file and a folder cannot have the same name: rename one of them"
# Most of the time, a fetch waits for the network.
_THREADS = 16


@dataclass
class Brought:
    """What has been done to make a copy and a bucket equal.

    Attributes:
        fetched: how many objects were written to the copy.
        sent: how many files that were made in the copy were written to the bucket.
        removed: how many files were removed, because the bucket has them no longer.
        faults: what could not be fetched or sent, each with why.
    """

    fetched: int = 0
    sent: int = 0
    removed: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [
            f"{counted(count, 'file')} {done}"
            for count, done in ((self.fetched, "fetched"), (self.sent, "sent"), (self.removed, "removed"))
            if count
        ]
        return ", ".join(parts) or "nothing new"


def fetch_landing(tell: Callable[[str], None]) -> Brought | None:
    """Bring the project's landing zone up to date, if it lies in a bucket; None if it is a folder.

    Raises:
        Fault: the bucket cannot be listed or read.
        OSError: the copy cannot be written.
    """
    url = landing_url()
    return bring_landing(Bucket(url), landing_folder(), tell) if url else None


def bring_landing(bucket: Bucket, folder: Path, tell: Callable[[str], None]) -> Brought:
    """Bring the copy of a landing zone to what the bucket has, and what was made in the copy to the bucket.

    An object counts as landed when it was written. Whoever is killed leaves whole files; the next call goes
    on.

    Args:
        bucket: the landing zone.
        folder: the copy, which is made if there is none.
        tell: called with messages for people while that takes long.

    Raises:
        Fault: the bucket cannot be listed or read.
        OSError: the copy cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX
    held: dict[str, str] = json.loads(index.read_text()) if index.exists() else {}
    done = Brought()
    objects = {found.key: found for found in bucket.list() if not found.key.endswith("/")}
    places = place_objects(folder, objects, done.faults)
    gone = held.keys() - objects.keys()
    _remove(folder, held, _in_the_way(gone, places), done)
    wanted = [key for key, path in places.items() if held.get(key) != objects[key].etag or not path.exists()]
    with ThreadPoolExecutor(_THREADS) as threads:
        for start in range(0, len(wanted), _AT_ONCE):
            several = wanted[start : start + _AT_ONCE]
            fetched = threads.map(lambda key: fetch_object(bucket, objects[key], places[key]), several)
            for key, why in zip(several, fetched, strict=True):
                if why is None:
                    held[key] = objects[key].etag
                    done.fetched += 1
                else:
                    done.faults.append(f"{key}: {why}")
            _write(index, held)
            if len(wanted) > _AT_ONCE:
                tell(f"{start + len(several):,} of {len(wanted):,} new files of {bucket.url} are fetched")
    # After what is new: small segments of a stream go when the one that they were merged into is there.
    _remove(folder, held, gone & held.keys(), done)
    for path in _made_here(folder, held.keys() | objects.keys()):
        key = path.relative_to(folder).as_posix()
        held[key] = bucket.put(key, path)
        done.sent += 1
    _write(index, held)
    return done


def note_objects(folder: Path, etags: Mapping[str, str | None]) -> None:
    """Note what else has been done to the bucket of a copy, so that it is not fetched again.

    Args:
        folder: the copy.
        etags: of objects that were written, by their keys; None for those that were deleted.

    Raises:
        OSError: the copy cannot be written.
    """
    index = folder / INDEX
    held = json.loads(index.read_text()) | etags
    _write(index, {key: etag for key, etag in held.items() if etag is not None})


def replace_object(bucket: Bucket, folder: Path, key: str) -> bool:
    """Write an object again whose file in the copy was rewritten; it counts as landed when it did before.

    Args:
        bucket: the landing zone.
        folder: the copy.
        key: of the object.

    Returns:
        Whether it was written; somebody else may have written it since it was fetched.

    Raises:
        Fault: the bucket cannot be read or written.
        OSError: the copy cannot be read or written.
    """
    path = folder / key
    landed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    etag = json.loads((folder / INDEX).read_text()).get(key)
    try:
        note_objects(folder, {key: bucket.replace(key, path, etag, landed_at=landed_at)})
    except ObjectChanged:
        return False
    return True


def _remove(folder: Path, held: dict[str, str], keys: Iterable[str], done: Brought) -> None:
    for key in keys:
        with suppress(FileNotFoundError):
            (folder / key).unlink()
            done.removed += 1
        del held[key]


def _in_the_way(gone: Collection[str], wanted: Collection[str]) -> list[str]:
    """Return the files that are gone and have the name of a folder that is wanted, or the other way."""
    folders = {parent for key in wanted for parent in _parents(key)}
    return [key for key in gone if key in folders or any(parent in wanted for parent in _parents(key))]


def _parents(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def place_objects(folder: Path, keys: Collection[str], faults: list[str]) -> dict[str, Path]:
    """Return where each object lies in the copy; of those that can be no file there, say why."""
    found: dict[str, Path] = {}
    for key in keys:
        parts = key.split("/")
        if any(part in ("", ".", "..") or part.startswith(".") or "\0" in part for part in parts):
            # A hidden file is nobody's data, in a folder as well.
            if not any(part.startswith(".") and part.strip(".") for part in parts):
                faults.append(f"{key}: no file can have this name")
        elif any(len(part.encode()) > 255 for part in parts):
            faults.append(f"{key}: its name is too long for a file")
        elif any(parent in keys for parent in _parents(key)):
            faults.append(f"{key}: {_TAKEN}")
        else:
            found[key] = folder.joinpath(*parts)
    return found


def fetch_object(bucket: Bucket, found: Object, path: Path) -> str | None:
    """Write an object to the copy; return why that cannot be, or None."""
    new = path.with_name(f"{_NEW}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            landed_at = bucket.fetch(found, new).timestamp()
            os.utime(new, (landed_at, landed_at))
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except ObjectChanged:
        return "it changed meanwhile: the next build fetches it"
    except (IsADirectoryError, NotADirectoryError, FileExistsError):
        return _TAKEN
    return None


def _made_here(folder: Path, known: Iterable[str]) -> list[Path]:
    """Return the files of the copy that did not come from the bucket."""
    known = set(known)
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.relative_to(folder).as_posix() not in known
    ]


def _write(index: Path, held: dict[str, str]) -> None:
    replace_private(index, json.dumps(held, indent=0, sort_keys=True).encode())
