"""Tell which files are encrypted, and take them to a new key while readers read."""

from __future__ import annotations

import asyncio
import glob
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from assay.bucket.bucket import Bucket, Object
from assay.bucket.cold import fetched_objects
from assay.build.inputs import identity
from assay.build.publish import remove_leftovers, temporary
from assay.build.state import read_state, write_state
from assay.console.progress import Display
from assay.core.disk import put_in_place, sync
from assay.core.encryption import (
    BEFORE,
    COMMAND,
    VARIABLE,
    DamagedDatabase,
    EncryptionKey,
    attach_file,
    find_encryption_key,
    find_key_before,
    is_encrypted,
)
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.lock import Holder
from assay.core.parquet import (
    START_BYTES,
    is_encrypted_parquet,
    key_in_start,
    opens_parquet,
    rewrite_parquet,
)
from assay.core.places import Places, cold_url, landing_url, named_cold_folder
from assay.core.sealed_content import find_content_key, rewrite_content
from assay.core.sealed_file import SealedFile
from assay.core.sql import quoted
from assay.core.words import counted, listed
from assay.embedding.cache import former_file, sealed_vectors
from assay.landing.member import MERGED
from assay.landing.merged import find_merged, reseal_merged
from assay.landing.segments import segment_of
from assay.online.ahead import sealed_ahead
from assay.online.stores.free_pages import write_without_free_pages
from assay.online.stores.open import open_store, store_file, store_url
from assay.online.stores.sealed import SealedStore
from assay.online.stores.store import StoreUnavailable
from assay.project.lake import is_lake
from assay.project.lease import hold_warehouse
from assay.training.store import DATA, DOCUMENTS, VersionStore

NOW, OLD, UNKNOWN = "now", "before", "another"
_ENTITIES_AT_A_TIME = 2_000
# The first version of DuckDB's format that can be encrypted.
_LEAST_FORMAT = "v1.4.0"


@dataclass(frozen=True)
class FileState:
    """A file or folder, or the URL of an online store elsewhere, and whether it is encrypted.

    `key` is `now` for the key that is set, `before` for the one in ASSAY_ENCRYPTION_KEY_BEFORE, and `another`
    for one that nobody here knows; None for a plain file. `can_be` says whether Assay can encrypt it. An
    online store is encrypted if all of its views are. `remedy` says what encrypts a file that stays plain
    whatever Assay rotates.
    """

    path: Path | str
    is_encrypted: bool
    key: str | None
    can_be: bool
    size: int
    remedy: str = "the disk's task"


@dataclass(frozen=True)
class EncryptionState:
    """The fingerprint of the key that is set, if one is, and the files.

    `unread` says of each file or store whose state is not known why that is so.
    """

    fingerprint: str | None
    files: list[FileState]
    unread: list[str]


@dataclass(frozen=True)
class Rotated:
    """The fingerprint of the new key, the files that were written with it, and those that had it already.

    An online store elsewhere stands among them by its URL.
    """

    fingerprint: str
    written: list[Path | str]
    as_they_were: list[Path | str]


def find_states(places: Places) -> EncryptionState:
    """Tell of each file beside the warehouse whether it is encrypted, and with which key.

    Raises:
        Fault: a key is too short, or its command fails.
    """
    key, before = find_encryption_key(), find_key_before()
    found: list[FileState] = []
    unread = []
    for file in [*_files(places), *_index(places)]:
        try:
            found.append(_state_of(file, is_encrypted(file), _opens, key, before))
        except DamagedDatabase as damage:
            unread.append(str(damage))
        except duckdb.Error as error:
            unread.append(f"{file} cannot be read ({str(error).splitlines()[0]}).")
    for file in [*_version_files(places), *_merged_files(places)]:
        found.append(_state_of(file, is_encrypted_parquet(file), opens_parquet, key, before))
    try:
        found += _state_of_store(places, key, before)
    except StoreUnavailable as error:
        unread.append(str(error))
    for sealed in _sealed_files(places):
        try:
            tag = sealed.find_fingerprint()
        except sqlite3.Error as error:
            unread.append(f"{sealed.file} cannot be read ({error}).")
            continue
        name = _names(key, before).get(tag, UNKNOWN) if tag else None
        size = sealed.file.stat().st_size
        found.append(FileState(sealed.file, tag is not None, name, can_be=True, size=size))
    found += _states_of_segments(places, key, before)
    found += _state_of_plain_landed(places, has_key=key is not None)
    try:
        found += _states_of_objects(key, before)
    except Fault as fault:
        unread.append(str(fault))
    for path in _others(places):
        if path.exists():
            found.append(FileState(path, is_encrypted=False, key=None, can_be=False, size=_size(path)))
    return EncryptionState(key.fingerprint if key else None, found, unread)


def _states_of_objects(key: EncryptionKey | None, before: EncryptionKey | None) -> list[FileState]:
    """Return the states of merged files in the bucket of old landed files, and of all else there as one.

    Raises:
        Fault: the bucket cannot be read.
    """
    found, plain = [], 0
    for each in _find_cold_objects():
        if each.is_merged:
            name = _names(key, before).get(each.key_tag or "", UNKNOWN) if each.is_encrypted else None
            found.append(FileState(each.url, each.is_encrypted, name, can_be=True, size=each.found.size))
        else:
            plain += each.found.size
    if plain:
        url = str(cold_url())
        remedy = "the bucket's task"
        found.append(FileState(url, is_encrypted=False, key=None, can_be=False, size=plain, remedy=remedy))
    return found


def _states_of_segments(
    places: Places, key: EncryptionKey | None, before: EncryptionKey | None
) -> list[FileState]:
    """Return the states of the segments of streams, those of a landing table with the same key as one."""
    sizes: defaultdict[tuple[Path, str | None], list[int]] = defaultdict(list)
    for segment in _segments(places):
        # One that is gone is merged with others by now.
        with suppress(FileNotFoundError):
            tag = find_content_key(segment)
            name = _names(key, before).get(tag, UNKNOWN) if tag else None
            sizes[segment.parents[2], name].append(segment.stat().st_size)
    return [
        FileState(
            f"{table} ({counted(len(each), 'segment')})", name is not None, name, can_be=True, size=sum(each)
        )
        for (table, name), each in sizes.items()
    ]


def _state_of_plain_landed(places: Places, *, has_key: bool) -> list[FileState]:
    """Return the state of landed files that are neither merged nor segments; none where there are none."""
    merged = {each.resolve() for each in [*_merged_files(places), *_segments(places)]}
    sizes = [
        file.stat().st_size
        for folder in _landing_folders(places)
        for file in folder.rglob("*")
        if file.is_file() and file.resolve() not in merged and not _is_unfinished_segment(file)
    ]
    if not sizes:
        return []
    state = FileState(places.landing, is_encrypted=False, key=None, can_be=False, size=sum(sizes))
    if has_key and not landing_url():
        # Objects of a bucket are not merged.
        state = replace(state, remedy="assay land compact, or the disk's task")
    return [state]


def _state_of(
    file: Path,
    is_encrypted: bool,
    opens: Callable[[Path, EncryptionKey | None], bool],
    key: EncryptionKey | None,
    before: EncryptionKey | None,
) -> FileState:
    name = None
    if is_encrypted:
        name = NOW if opens(file, key) else OLD if opens(file, before) else UNKNOWN
    return FileState(file, is_encrypted, name, can_be=True, size=file.stat().st_size)


def _state_of_store(
    places: Places, key: EncryptionKey | None, before: EncryptionKey | None
) -> list[FileState]:
    """Return the state of the online store; of one without views there is nothing to say."""
    url = store_url(None, places)
    file = store_file(url)
    if file and not file.is_file():
        return []
    store = open_store(url)
    tags = set(store.tags().values())
    if not tags:
        return []
    found = {tag and _names(key, before).get(tag, UNKNOWN) for tag in tags}
    # Of views in several states, the one that there is most to do about.
    name = next(each for each in (None, UNKNOWN, OLD, NOW) if each in found)
    size = file.stat().st_size if file else 0
    return [FileState(file or store.url, name is not None, name, can_be=True, size=size)]


def _names(key: EncryptionKey | None, before: EncryptionKey | None) -> dict[str, str]:
    """Return which key a fingerprint is of, of those that are known here."""
    return {each.fingerprint: name for each, name in ((before, OLD), (key, NOW)) if each}


def rotate(places: Places, *, wait: float, display: Display) -> Rotated:
    """Write all files anew with the key that is set: plain ones, and those of the key before.

    Each file is replaced in one step, and whoever has the old one open reads on. If this is killed, the same
    call goes on where it stopped.

    Args:
        places: of the project.
        wait: how long to wait for a build to end, in seconds.
        display: shows what is written.

    Raises:
        Fault: no key is set, a file is of a key that nobody knows, a build is under way, or the disk is full.
            Files that are not written yet are as they were.
    """
    # The extra of search may not be installed.
    from assay.search.index import write_index

    key, before = find_encryption_key(), find_key_before()
    if key is None:
        raise Fault(f"No key is set: set {VARIABLE} or {COMMAND} to the new one.", MISUSED)

    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting up to {wait:.0f} s for a build: {holder or 'it has just begun'}")

    with hold_warehouse(places.warehouse, command="assay encrypt rotate", wait=wait, on_wait=waiting):
        files = _files(places)
        remove_leftovers(files)
        done, strange = _look_at(files, key, before)
        todo = [file for file in files if file not in done]
        with suppress(duckdb.Error, DamagedDatabase):
            # An index that cannot be read is made anew.
            done += [file for file in _index(places) if is_encrypted(file) and _opens(file, key)]
        strange += [
            str(file)
            for file in [*_version_files(places), *_merged_files(places)]
            if is_encrypted_parquet(file) and not (opens_parquet(file, key) or opens_parquet(file, before))
        ]
        store = _store(places)
        strange += [f"{view} in {store.url}" for view in store.unknown()] if store else []
        sealed = _sealed_files(places)
        for each in sealed:
            with _damage_told(each.file):
                tag = each.find_fingerprint()
            strange += [str(each.file)] if tag and tag not in _names(key, before) else []
        segments = _segments(places)
        strange += [
            str(file)
            for file in segments
            if (tag := find_content_key(file)) and tag not in _names(key, before)
        ]
        cold = [each for each in _find_cold_objects() if each.is_merged]
        strange += [
            each.url
            for each in cold
            if each.is_encrypted and each.key_tag and each.key_tag not in _names(key, before)
        ]
        if strange:
            raise Fault(
                f"{listed(strange)} cannot be read with the key that is set, nor with that in {BEFORE}: set "
                f"{BEFORE} to the key of these files. If a rotation to another key was killed, end that one "
                "first, with its two keys. No file is changed.",
                MISUSED,
            )
        state = read_state(places.warehouse)
        was = [identity(file) for file in (places.warehouse, places.published)]
        links: dict[tuple[int, int], Path] = {}
        for number, file in enumerate(todo, 1):
            display.say(f"{number} of {len(todo)}: {file}")
            status = file.stat()
            # A publication and what is kept of it are one file under two names, and stay so.
            same = links.setdefault((status.st_dev, status.st_ino), file)
            try:
                if same == file:
                    _write_anew(file, before if is_encrypted(file) else None, key)
                else:
                    _link_to(file, same)
            except (duckdb.Error, OSError) as error:
                raise known_fault(error) or Fault(f"{file} cannot be written anew: {error}") from error
        was_searched = identity(places.search)
        for file in [file for file in _index(places) if file not in done]:
            display.say(f"The index of documents: {file}")
            # It is made of what is published, whose new key it gets.
            write_index(places.published, file)
            todo.append(file)
        if state and [state.warehouse, state.published] == was:
            # The files hold what they held, so there is nothing to build because of this.
            after = replace(
                state,
                warehouse=identity(places.warehouse) or "",
                published=identity(places.published),
                search=identity(places.search) if state.search == was_searched else state.search,
            )
            write_state(places.warehouse, after)
        rotated = Rotated(key.fingerprint, [*todo], [*done])
        if store:
            _rotate_store(places, store, display, rotated)
        for each in sealed:
            display.say(f"{each.file}")
            with _damage_told(each.file):
                (rotated.written if each.reseal(key) else rotated.as_they_were).append(each.file)
                # Also where this was killed before.
                write_without_free_pages(each.file)
        for merged in _merged_files(places):
            _rotate_parquet(merged, "Landed files", reseal_merged, key, display, rotated)
        _rotate_segments(segments, key, display, rotated)
        _rotate_objects(places, cold, key, display, rotated)
    _rotate_versions(places, before, key, display, rotated)
    return rotated


@contextmanager
def _damage_told(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise Fault(
            f"{file} cannot be read or written ({error}). If it is damaged, move it away: builds and streams "
            "make it anew. Then rotate again."
        ) from error


def _store(places: Places) -> SealedStore | None:
    """Return the online store, unless it is a file that is not there."""
    url = store_url(None, places)
    file = store_file(url)
    return None if file and not file.is_file() else open_store(url)


def _rotate_store(
    places: Places,
    store: SealedStore,
    display: Display,
    rotated: Rotated,
) -> None:
    """Write the views of the online store with the key, each in one step, and note it among what is done."""

    async def reseal() -> bool:
        try:
            found = [await store.reseal(view, _ENTITIES_AT_A_TIME) for view in store.tags()]
        finally:
            await store.close()
        return any(found)

    display.say(f"The online store: {store.url}")
    file = store_file(store_url(None, places))
    (rotated.written if asyncio.run(reseal()) else rotated.as_they_were).append(file or store.url)
    if file:
        # Also where this was killed before.
        write_without_free_pages(file)


def _rotate_versions(
    places: Places,
    before: EncryptionKey | None,
    key: EncryptionKey,
    display: Display,
    rotated: Rotated,
) -> None:
    """Write the rows of versions with the key, and note the files among those done."""
    if not _version_files(places):
        return

    def rewrite(file: Path) -> None:
        rewrite_parquet(file, before if is_encrypted_parquet(file) else None, key)

    with VersionStore(places).workshop("assay encrypt rotate", display):
        for file in _version_files(places):
            _rotate_parquet(file, "A version of a training set", rewrite, key, display, rotated)


def _rotate_segments(segments: list[Path], key: EncryptionKey, display: Display, rotated: Rotated) -> None:
    """Write the segments of streams with the key, and note them among those done."""
    for folder in {file.parent for file in segments}:
        for unfinished in folder.glob(".[0-9]*-[0-9]*.jsonl.gz"):
            # A rotation that was killed has left it.
            unfinished.unlink()
    for number, file in enumerate(segments, 1):
        if find_content_key(file) == key.fingerprint:
            rotated.as_they_were.append(file)
            continue
        display.say(f"{number} of {counted(len(segments), 'segment')}: {file}")
        try:
            rewrite_content(file, key)
        except FileNotFoundError:
            # It was merged with others meanwhile, with the key.
            continue
        except OSError as error:
            raise known_fault(error) or Fault(f"{file} cannot be written anew: {error}") from error
        rotated.written.append(file)


def _rotate_objects(
    places: Places, cold: list[_ColdObject], key: EncryptionKey, display: Display, rotated: Rotated
) -> None:
    """Write merged files in the bucket of old landed files with the key, and note them among those done."""
    for each in cold:
        if each.is_encrypted and each.key_tag == key.fingerprint:
            rotated.as_they_were.append(each.url)
            continue
        display.say(f"Landed files: {each.url}")
        try:
            with fetched_objects(places.fetched, {each.bucket.url: [each.found]}, display.say) as [fetched]:
                reseal_merged(fetched.path)
                fetched.put_back()
        except OSError as error:
            raise known_fault(error) or Fault(f"{each.url} cannot be written anew: {error}") from error
        rotated.written.append(each.url)


def _rotate_parquet(
    file: Path,
    kind: str,
    rewrite: Callable[[Path], None],
    key: EncryptionKey,
    display: Display,
    rotated: Rotated,
) -> None:
    """Write a Parquet file with the key, and note it among those done."""
    if is_encrypted_parquet(file) and opens_parquet(file, key):
        rotated.as_they_were.append(file)
        return
    display.say(f"{kind}: {file}")
    try:
        rewrite(file)
    except (duckdb.Error, OSError) as error:
        raise known_fault(error) or Fault(f"{file} cannot be written anew: {error}") from error
    rotated.written.append(file)


def _write_anew(file: Path, old: EncryptionKey | None, key: EncryptionKey) -> None:
    new = temporary(file)
    try:
        with duckdb.connect(config={"temp_directory": f"{new}.tmp"}) as connection:
            # Under its own name, which the views in it say. While it is open, nobody can write it.
            attach_file(connection, file, file.stem, key=old)
            [(version,)] = connection.execute(
                "select tags['storage_version'] from duckdb_databases() where database_name = $1", [file.stem]
            ).fetchall()
            version = str(version or "").partition("+")[0]
            options = f"storage_version '{version}'" if version > _LEAST_FORMAT else ""
            attach_file(connection, new, "assay_new", read_only=False, options=options, key=key)
            connection.execute(f"copy from database {quoted(file.stem)} to assay_new")
            connection.execute("checkpoint assay_new")
            connection.execute("detach assay_new")
            sync(new)
            put_in_place(new, file)
            sync(file.parent)
    finally:
        remove_leftovers([file])


def _link_to(file: Path, written: Path) -> None:
    new = temporary(file)
    try:
        os.link(written, new)
        new.replace(file)
        sync(file.parent)
    finally:
        remove_leftovers([file])


def _opens(file: Path, key: EncryptionKey | None) -> bool:
    if key is None:
        return False
    try:
        with duckdb.connect() as connection:
            attach_file(connection, file, "found", key=key)
    except DamagedDatabase:
        raise
    except Fault:
        return False
    return True


def _look_at(
    files: Sequence[Path], key: EncryptionKey, before: EncryptionKey | None
) -> tuple[list[Path], list[str]]:
    """Return the files that have the key, and those of a key that nobody knows; all others can be read.

    Raises:
        Fault: a file cannot be read whatever its key is.
    """
    done, strange = [], []
    for file in files:
        try:
            if not is_encrypted(file):
                with duckdb.connect() as connection:
                    attach_file(connection, file, "found")
            elif _opens(file, key):
                done.append(file)
            elif not _opens(file, before):
                strange.append(str(file))
        except (duckdb.Error, DamagedDatabase) as error:
            why = known_fault(error) or Fault(f"{file} cannot be read: {str(error).splitlines()[0]}")
            raise Fault(f"{why}\nThen rotate again. No file is changed.", why.exit_code) from error
    return done, strange


def _files(places: Places) -> list[Path]:
    """Return the files that are encrypted where a key is set, each under all of its names."""
    main, published = places.main_warehouse, places.published
    name = glob.escape(published.name)
    patterns = [
        *((main.parent, pattern) for pattern in _of_moments(main)),
        *((main.parent, file) for file in (places.ledger.name, "stream.duckdb")),
        *((published.parent, pattern) for pattern in _of_moments(published)),
        *((published.parent, pattern) for pattern in (f"kept/*/{name}", f"roles/*/{name}")),
    ]
    found = [file for folder, pattern in patterns for file in sorted(folder.glob(pattern))]
    files = (file for file in dict.fromkeys(found) if file.is_file() and not file.is_symlink())
    return [file for file in files if not is_lake(file)]


def _sealed_files(places: Places) -> list[SealedFile]:
    """Return the files of SQLite beside the warehouse of which names and values are encrypted."""
    found = [
        *(sealed_vectors(file) for file in (places.embeddings, former_file(places.embeddings))),
        sealed_ahead(places.ahead),
    ]
    return [each for each in found if each.file.is_file()]


def _index(places: Places) -> list[Path]:
    """Return the index of documents, if there is one."""
    return [places.search] if places.search.is_file() else []


def _version_files(places: Places) -> list[Path]:
    """Return the rows of all versions of training sets, and what corpora were chosen from."""
    folder = VersionStore(places).folder
    found = (sorted(folder.glob(f"[!.]*@*/{name}")) for name in (DATA, DOCUMENTS))
    return [file for files in found for file in files]


def _merged_files(places: Places) -> list[Path]:
    """Return the files that hold merged landed files, of the landing zone and of the folder of cold ones."""
    found = (
        file
        for folder in _landing_folders(places)
        for table in sorted(folder.glob("*/*/"))
        for file in find_merged(table)
    )
    return [*dict.fromkeys(file.resolve() if file.is_symlink() else file for file in found)]


@dataclass(frozen=True)
class _ColdObject:
    """An object in the bucket of old landed files; of a merged file, whether it is encrypted, and the key."""

    bucket: Bucket
    found: Object
    is_merged: bool
    is_encrypted: bool = False
    key_tag: str | None = None

    @property
    def url(self) -> str:
        return f"{self.bucket.url}/{self.found.key}"


def _find_cold_objects() -> list[_ColdObject]:
    """Return the objects in the bucket to which old landed files move; none without one.

    Raises:
        Fault: it cannot be read.
    """
    url = cold_url()
    if url is None:
        return []
    bucket = Bucket(url)
    done = []
    for found in bucket.list():
        if f"/{MERGED}/" in found.key:
            done.append(
                _ColdObject(bucket, found, True, *key_in_start(bucket.read_start(found, START_BYTES)))
            )
        else:
            done.append(_ColdObject(bucket, found, False))
    return done


def _is_unfinished_segment(file: Path) -> bool:
    """Tell whether a file is an encrypted segment that is being written, or that a killed stream has left."""
    return file.name.startswith(".") and find_content_key(file) is not None


def _segments(places: Places) -> list[Path]:
    """Return the segments of streams; none of a landing zone in a bucket, where they are plain."""
    if landing_url():
        return []
    return [
        file
        for file in sorted(places.landing.glob("*/*/topic=*/partition=*/*-*.jsonl.gz"))
        if segment_of(file.relative_to(places.landing).as_posix()) and file.is_file()
    ]


def _landing_folders(places: Places) -> list[Path]:
    """Return the folders with landed files: the landing zone, and the one to which old files move."""
    return [each for each in (places.landing, named_cold_folder()) if each]


def _of_moments(file: Path) -> tuple[str, str]:
    """Return the patterns of a file and of those that hold what was known at earlier moments."""
    return glob.escape(file.name), f"{glob.escape(file.stem)}@*{file.suffix}"


def _others(places: Places) -> list[Path]:
    """Return what holds data, and is plain whatever key is set."""
    main = places.main_warehouse
    return [
        *([main] if is_lake(main) else []),
        places.serving,
        *sorted(places.published.parent.glob("[!.]*.csv")),
    ]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
