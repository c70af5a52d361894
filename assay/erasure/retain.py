"""Move landed files that are older than their contract keeps them to a cold folder or bucket, or remove them.

Only files whose rows are in the warehouse go. The rows stay there: tables are rebuilt from them. Where a
contract limits the rows themselves, those that are too old are removed first.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import duckdb

from assay.bucket.bucket import Bucket
from assay.bucket.cold import put_cold, why_not_cold
from assay.console.progress import Display
from assay.contracts.contract import FOLDER, read_contracts
from assay.contracts.retention import Retention, RowRetention, read_retentions, read_row_retentions
from assay.core.disk import sync
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.moment import now
from assay.core.places import COLD, Places, cold_url, landing_url, named_cold_folder
from assay.core.sql import folded
from assay.core.words import counted
from assay.erasure.journal import journal_file
from assay.erasure.locked import lock_for_erasure
from assay.landing.declared import declared_tables
from assay.landing.discover import LandingFile, UnreadableFile, discover
from assay.landing.merged import read_merged
from assay.landing.segments import segment_of
from assay.ledger.retentions import RETAINED_FILES, RETENTIONS
from assay.ledger.rollbacks import whoever_asks
from assay.project.paths import all_model_paths, contract_folders
from assay.project.warehouse import connect

if TYPE_CHECKING:
    from assay.erasure.retain_rows import FoundRows

# Two records are written for each batch, and each opens the ledger.
_FILES_A_BATCH = 100


@dataclass(frozen=True)
class OldFile:
    """A landed file that is older than its contract keeps it.

    `content_sha256` is that of the file and of its rows in the warehouse. `size` is in bytes. `landed_at` is
    UTC, naive. `target` is where it moves to: a path, or the URL of an object; None where it is removed. A
    file that was merged goes with all that the merged file holds.
    """

    file: LandingFile
    content_sha256: str
    size: int
    landed_at: datetime
    retention: Retention
    target: Path | str | None

    @property
    def path(self) -> Path:
        """What goes: the file, or the merged file that holds it."""
        return self.file.merged or self.file.path


@dataclass(frozen=True)
class Settings:
    """How long landed files and rows are kept, by relation in lower case, and where files move to.

    `cold` is a folder or a place in a bucket, None where files are removed.
    """

    of_files: dict[str, Retention]
    of_rows: dict[str, RowRetention]
    cold: Path | Bucket | None


@dataclass(frozen=True)
class Retained:
    """Which landed files are too old, and what has become of them.

    Attributes:
        retentions: how long tables are kept, and their rows.
        rows: the landed rows that go, or have gone; None where no contract limits rows.
        files: those that go, or have gone.
        kept: names of files that are too old and stay, with the reason.
        streamed: landing tables with a retention of which no file goes, because streams fill them.
        cold: the folder to which files move, or the URL of a bucket; None where they are removed.
        retention_id: of the record in the run ledger; None in a dry run, and where nothing was to do.
    """

    retentions: list[Retention]
    files: list[OldFile] = field(default_factory=list)
    rows: FoundRows | None = None
    kept: list[tuple[str, str]] = field(default_factory=list)
    streamed: list[str] = field(default_factory=list)
    cold: Path | str | None = None
    retention_id: str | None = None

    @property
    def size(self) -> int:
        """How many bytes the files have together."""
        return sum(each.size for each in self.files)


def find_old(places: Places, at: datetime) -> Retained:
    """Find the landed files and rows that are older than their contracts keep them, and change nothing.

    Args:
        places: of the project.
        at: the moment at which they are judged (UTC, naive).

    Raises:
        Fault: files would go from a landing zone in a bucket, a contract or the cold folder is wrong, nothing
            is built, or nobody can tell which rows go.
    """
    settings = _read_settings(places)
    found = find_old_files(places, settings, at)
    if not settings.of_rows:
        return found
    # Imports dbt, which takes longer than to look at files.
    from assay.erasure.retain_rows import find_old_rows

    return replace(found, rows=find_old_rows(places, settings.of_rows, at))


def find_old_files(places: Places, settings: Settings, at: datetime) -> Retained:
    """Find the landed files that are older than their contracts keep them, and change nothing.

    Args:
        places: of the project.
        settings: of the retention.
        at: the moment at which files are judged (UTC, naive).

    Raises:
        Fault: nothing is built.
    """
    cold, retentions = settings.cold, settings.of_files
    found = Retained([*retentions.values(), *settings.of_rows.values()], cold=_named(cold))
    if not retentions or not places.landing.is_dir():
        return found
    by_folder = {}
    merged: dict[Path, list[OldFile]] = {}
    for (source, name), table in declared_tables(*all_model_paths()).items():
        if retention := retentions.get(folded(f"landing.{table.relation}")):
            if table.is_streamed:
                found.streamed.append(f"{source}/{name}")
            else:
                by_folder[source, name] = retention
    loaded = _loaded_versions(places)
    for file in discover(places.landing):
        limit = by_folder.get((file.source, file.table))
        if limit is None or file.fault:
            continue
        judged = _judge(file, limit.cutoff(at), loaded.get(file.name, {}), places.landing)
        if isinstance(judged, str):
            found.kept.append((file.name, judged))
        elif judged:
            sha256, landed_at = judged
            path = file.merged or file.path
            key = path.relative_to(places.landing).as_posix()
            if isinstance(cold, Bucket) and (why := why_not_cold(cold, key, path.stat().st_size)):
                found.kept.append((file.name, why))
                continue
            target = f"{cold.url}/{key}" if isinstance(cold, Bucket) else cold / key if cold else None
            old = OldFile(file, sha256, file.size, landed_at, limit, target)
            if file.merged:
                merged.setdefault(file.merged, []).append(old)
            else:
                found.files.append(old)
    for path, members in merged.items():
        held = len(read_merged(path).members)
        if len(members) == held:
            found.files.extend(members)
        else:
            why = f"{len(members):,} of the {held:,} landed files in it are old enough: it goes when all are"
            found.kept.append((path.relative_to(places.landing).as_posix(), why))
    return found


def retain(places: Places, *, wait: float, display: Display) -> Retained:
    """Remove landed rows that are older than their contracts keep them, and move or remove such files.

    Args:
        places: of the project.
        wait: how long to wait for a build to end, in seconds.
        display: shows the progress.

    Raises:
        Fault: a build is under way, something cannot be removed or moved, or nobody can tell what goes. What
            has begun is ended by the next call.
    """
    with lock_for_erasure(places, wait, display, command="assay retain"):
        started_at = now()
        settings = _read_settings(places)
        rows = _remove_rows(places, settings, started_at, display)
        found = replace(find_old_files(places, settings, started_at), rows=rows)
        if not found.files:
            return found
        recorded = replace(found, retention_id=str(uuid4()))
        return _carry_out(places, settings, recorded, started_at, display)


def _remove_rows(places: Places, settings: Settings, at: datetime, display: Display) -> FoundRows | None:
    """End what was begun, and remove the rows that are too old; None where no contract limits rows."""
    if journal_file(places.warehouse).exists():
        # Imports dbt, which takes longer than to look at files.
        from assay.erasure.carry_out import end_other

        end_other(places, display)
    if not settings.of_rows:
        return None
    from assay.erasure.retain_rows import remove_old_rows

    return remove_old_rows(places, settings.of_rows, at, display)


def _carry_out(
    places: Places, settings: Settings, found: Retained, started_at: datetime, display: Display
) -> Retained:
    gone: list[OldFile] = []
    kept = list(found.kept)
    _record(places, found, started_at, gone, has_ended=False)
    try:
        by_path: dict[Path, list[OldFile]] = {}
        for each in found.files:
            by_path.setdefault(each.path, []).append(each)
        paths = list(by_path)
        for first in range(0, len(paths), _FILES_A_BATCH):
            ready = []
            for path in paths[first : first + _FILES_A_BATCH]:
                is_same = not by_path[path][0].file.has_changed()
                target = _copy(by_path[path][0], settings.cold) if is_same else None
                # Whoever has written to it meanwhile has landed rows that no build has read.
                if by_path[path][0].file.has_changed():
                    kept += [(each.file.name, "it has changed meanwhile") for each in by_path[path]]
                else:
                    ready += [replace(each, target=target) for each in by_path[path]]
            _record_files(places, found, ready, None)
            for path in {each.path for each in ready}:
                path.unlink()
            for folder in {each.path.parent for each in ready}:
                sync(folder)
            _record_files(places, found, ready, now())
            gone += ready
            verb = "Moved" if found.cold else "Removed"
            display.say(f"{verb} {len(gone):,} of {counted(len(found.files), 'landed file')}")
    except (duckdb.Error, OSError) as error:
        raise known_fault(error) or error from error
    done = replace(found, files=gone, kept=kept)
    _record(places, done, started_at, gone, has_ended=True)
    return done


def _copy(old: OldFile, cold: Path | Bucket | None) -> Path | str | None:
    """Copy a file to the cold folder or bucket; return where the copy is, which is known to be the same.

    Where there is neither, there is no copy.

    Another version of the file may have moved there already; then the copy's name begins with its hash.

    Raises:
        Fault: the copy is not the same.
        OSError: it cannot be written.
    """
    target = old.target
    if target is None:
        return None
    sha256 = _sha256(old.path) if old.file.merged else old.content_sha256
    if isinstance(cold, Bucket):
        key = put_cold(cold, str(target).removeprefix(f"{cold.url}/"), old.path, sha256)
        return f"{cold.url}/{key}"
    target = Path(target)
    if target.exists() and _sha256(target) != sha256:
        target = target.with_name(f"{sha256[:12]}-{target.name}")
    if target.exists() and _sha256(target) == sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # Of one name, so that what a kill leaves is written over.
    new = target.with_name(f".{target.name}.copied")
    shutil.copy2(old.path, new)
    sync(new)
    if _sha256(new) != sha256:
        new.unlink()
        raise Fault(
            f"The copy of {old.file.name} in {target.parent} is not the same, so the file stays: it changed "
            "meanwhile, or the disk is faulty. Try again: assay retain"
        )
    new.replace(target)
    folder = target.parent
    for _ in old.file.name.split("/"):
        sync(folder)
        folder = folder.parent
    return target


def _judge(
    file: LandingFile, cutoff: datetime, versions: dict[str, datetime], landing: Path
) -> tuple[str, datetime] | str | None:
    """Return hash and landing time of a file that is too old, or why it stays; None if it is not too old.

    Args:
        file: of the landing zone.
        cutoff: what landed before it is too old.
        versions: the landing time of each version that is loaded, by its hash.
        landing: the landing zone's folder.
    """
    if versions and min(versions.values()) >= cutoff:
        return None
    try:
        if not versions:
            return None if file.landed_at >= cutoff else "no build has loaded it"
        if file.member:
            sha256 = file.member.content_sha256
        else:
            with file.open() as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 not in versions:
            return None if file.landed_at >= cutoff else "no build has loaded this version of it"
    except (UnreadableFile, OSError) as error:
        return f"it cannot be read: {error}"
    if versions[sha256] >= cutoff:
        return None
    if not file.member and file.path.resolve() != landing.resolve() / file.path.relative_to(landing):
        return "a link leads to it"
    if segment_of(file.name):
        return "it is a segment of a stream"
    return sha256, versions[sha256]


def _loaded_versions(places: Places) -> dict[str, dict[str, datetime]]:
    """Return the landing time of each loaded version of a landed file, by name and hash.

    Raises:
        Fault: nothing is built, or another program has the warehouse open.
    """
    if not places.warehouse.is_file():
        raise Fault(
            f"Nothing is built yet in {places.warehouse.parent}, and only files that are loaded go. "
            "To build: assay build"
        )
    found: dict[str, dict[str, datetime]] = {}
    try:
        with connect(places.warehouse) as connection:
            for name, sha256, landed_at in connection.execute(
                "select source_file, content_sha256, landed_at from landing.files "
                "where status = 'loaded' and content_sha256 is not null"
            ).fetchall():
                found.setdefault(name, {})[sha256] = landed_at
    except duckdb.CatalogException:
        return {}
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    return found


def _read_settings(places: Places) -> Settings:
    """Return how long tables are kept, and where files move to.

    Raises:
        Fault: a contract cannot be read, the cold folder or bucket is wrong, or files would go from a
            bucket's copy.
    """
    cold = _find_cold(places.landing)
    contracts, findings = read_contracts(*contract_folders(FOLDER))
    of_files, problems = read_retentions(contracts)
    if wrong := [*map(str, findings), *problems]:
        raise Fault("\n".join(["Nothing is moved or removed, because contracts cannot be read:", *wrong]))
    if of_files and (url := landing_url()):
        raise Fault(
            f"The landing zone lies in {url}, and a file that went from its copy would come again: give "
            "the bucket a rule that expires objects."
        )
    return Settings(of_files, read_row_retentions(contracts), cold)


def _find_cold(landing: Path) -> Path | Bucket | None:
    """Return the folder, or the place in a bucket, to which files move; None where none is named.

    Raises:
        Fault: it cannot be used.
    """
    if url := cold_url():
        bucket = Bucket(url)
        # Before anything is done: it must be there, and let itself be listed.
        next(bucket.list(), None)
        return bucket
    named = named_cold_folder()
    if named is None:
        return None
    folder = named.absolute()
    if not folder.is_dir():
        # It is not made: a disk that is not mounted would look the same.
        raise Fault(f"{COLD} is {named}, which is no folder: make it, or mount its disk.", MISUSED)
    if folder.resolve().is_relative_to(landing.resolve()):
        raise Fault(
            f"{COLD} is {named}, within the landing zone, where files are loaded: name one outside.", MISUSED
        )
    if landing.resolve().is_relative_to(folder.resolve()):
        raise Fault(f"{COLD} is {named}, which holds the landing zone: name one beside it.", MISUSED)
    return folder


def _named(cold: Path | Bucket | None) -> Path | str | None:
    return cold.url if isinstance(cold, Bucket) else cold


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _record(
    places: Places, found: Retained, started_at: datetime, gone: Sequence[OldFile], *, has_ended: bool
) -> None:
    RETENTIONS.write(
        places.ledger,
        [
            {
                "retention_id": found.retention_id,
                "warehouse": str(places.warehouse),
                "who": whoever_asks(),
                "cold": str(found.cold) if found.cold else None,
                "started_at": started_at,
                "ended_at": now() if has_ended else None,
                "file_count": len(gone),
                "size_bytes": sum(each.size for each in gone),
            }
        ],
    )


def _record_files(
    places: Places, found: Retained, files: Sequence[OldFile], removed_at: datetime | None
) -> None:
    RETAINED_FILES.write(
        places.ledger,
        [
            {
                "retention_id": found.retention_id,
                "source_file": each.file.name,
                "content_sha256": each.content_sha256,
                "size_bytes": each.size,
                "landed_at": each.landed_at,
                "reason": f"{each.retention.said}, {each.retention.where}",
                "moved_to": str(each.target) if each.target else None,
                "removed_at": removed_at,
            }
            for each in files
        ],
    )
