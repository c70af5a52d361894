"""Find the files of a landing zone, read table and landing time from their paths, and open them."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from pathlib import Path

from assay.core.sealed_content import opened_content
from assay.core.words import escaped
from assay.landing.dlt_layout import NOT_COMPLETE, Datasets
from assay.landing.member import MERGED, Member

_LANDED_AT = "landed_at"
_LANDED_AT_FORMAT = "%Y-%m-%dT%H-%M-%S"
_BACKFILLED = "backfilled"
# The sender may write the folder's name in its own time zone, and clocks differ.
_AHEAD = timedelta(days=1)
#: How errors begin whose remedy may lie outside of the file, so that each build tries it again.
TRIED_AGAIN = ("Cannot be read (", "Cannot be loaded (")
#: The environment variable that says whether links that lead out of the landing zone are followed.
LINKS = "ASSAY_LANDING_LINKS"
FILE_CHANGED = "The file changed while it was being read: the next run loads it."
_LEADS_OUT = (
    "A link that leads out of the landing folder, which is not followed: put the file itself there, "
    f"or allow such links with {LINKS}=follow."
)


def landed_at_folder(landed_at: datetime) -> str:
    """Return the folder of files that land at a moment (UTC), within their table's."""
    return f"{_LANDED_AT}={landed_at.strftime(_LANDED_AT_FORMAT)}"


def backfill_folders(landed_at: datetime, lag: timedelta | None) -> str:
    """Return the folders of files that land late, within their table's.

    Args:
        landed_at: when they land (UTC).
        lag: how long after its event each row would have been available; None where it counts from landing.
    """
    counts_from = "landed" if lag is None else f"event+{lag // timedelta(seconds=1)}s"
    return f"{landed_at_folder(landed_at)}/{_BACKFILLED}={counts_from}"


def is_backfilled(name: str) -> bool:
    """Tell whether a file, by its name, landed by a backfill."""
    return f"/{_BACKFILLED}=" in name


def counts_as_in_time(name: str) -> bool:
    """Tell whether a file, by its name, holds rows that count as if they had landed in time."""
    return f"/{_BACKFILLED}=event+" in name


class LandingFolderMissing(Exception):
    """The landing zone's folder does not exist."""


class UnreadableFile(Exception):
    """A file cannot be read whole, so none of it is loaded; the message says what to do."""


@dataclass(frozen=True)
class LandingFile:
    """A file under `<source>/<table>/`, before it is opened.

    `name` is the path within the landing zone; `folders` the Hive-style `key=value` folders on the way.
    `modified` is in seconds since 1970. `signature` changes whenever the file is written or replaced; the
    same signature means the same content. `source` and `table` are empty for a file outside any table's
    folder. `fault` says why the file must not be opened. A file that was merged with others has its
    place in `merged` as `member`, and takes `share` bytes of it; nothing lies at its own path. `is_cold` says
    that it was moved out of the landing zone, under the name that it had there.
    """

    path: Path
    name: str
    source: str
    table: str
    folders: dict[str, str]
    size: int
    modified: float
    signature: str
    fault: str | None
    merged: Path | None = None
    member: Member | None = None
    share: int | None = None
    is_cold: bool = False

    @property
    def stored_size(self) -> int:
        """How many bytes it takes on the disk: of a merged file, its share."""
        return self.size if self.share is None else self.share

    @property
    def landed_at(self) -> datetime:
        """When the file landed (UTC, naive): its `landed_at=` folder, else its modification time.

        Raises:
            UnreadableFile: that time is invalid, or lies in the future; or the folder of a backfill is.
        """
        named = self.folders.get(_LANDED_AT)
        try:
            landed_at = self._said()
        except (ValueError, OverflowError, OSError) as error:
            if named is None:
                raise UnreadableFile(
                    "The time of its last change is not in the years 1 to 9999: touch the file."
                ) from error
            raise UnreadableFile(
                "The folder's landed_at is no time: name it landed_at=YYYY-MM-DDTHH-MM-SS."
            ) from error
        if not re.fullmatch(r"landed|event\+\d{1,9}s", self.folders.get(_BACKFILLED, "landed")):
            raise UnreadableFile(
                "The folder's backfilled says nothing: name it backfilled=event+3600s, or backfilled=landed."
            )
        if _is_ahead(landed_at):
            raise UnreadableFile(
                f"It says that it landed at {landed_at:%Y-%m-%d %H:%M:%S}, which is yet to come: "
                + ("touch the file." if named is None else "correct the name of its landed_at folder.")
            )
        return landed_at

    @property
    def is_ahead(self) -> bool:
        """Whether it says that it landed in the future: it can be loaded when that moment has come."""
        try:
            return _is_ahead(self._said())
        except (ValueError, OverflowError, OSError):
            return False

    def _said(self) -> datetime:
        """Return when the file says that it landed (UTC, naive)."""
        if (named := self.folders.get(_LANDED_AT)) is not None:
            return datetime.strptime(named, _LANDED_AT_FORMAT)
        return datetime.fromtimestamp(self.modified, UTC).replace(tzinfo=None)

    def open(self) -> BufferedReader:
        """Open the content of the file that was found; a file that has replaced it since is refused.

        Raises:
            UnreadableFile: the file has a fault, or has been written or replaced since it was found.
            Fault: the file is encrypted and there is no key, or another one.
            OSError: the file cannot be opened.
        """
        if self.fault:
            raise UnreadableFile(self.fault)
        if self.merged and self.member:
            # Most landing zones have no merged file, and reading Parquet takes long to import.
            from assay.landing.merged import open_member

            return open_member(self.merged, self.member)
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        descriptor = os.open(
            self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        )
        stream = os.fdopen(descriptor, "rb")
        if _signature(os.fstat(descriptor)) != self.signature:
            stream.close()
            raise UnreadableFile(FILE_CHANGED)
        return opened_content(stream, self.path)

    def has_changed(self) -> bool:
        """Tell whether the file was written, replaced or removed since it was found."""
        try:
            if self.merged and self.member:
                return _signature_of_member(self.merged, self.member) != self.signature
            return _signature(self.path.stat()) != self.signature
        except OSError:
            return True


def _is_ahead(landed_at: datetime) -> bool:
    return landed_at > datetime.now(UTC).replace(tzinfo=None) + _AHEAD


def cannot_be_read(error: OSError) -> str:
    """Write a message that says why the system cannot read a file or folder."""
    return f"Cannot be read ({error.strerror or type(error).__name__}): check its permissions and the disk."


def discover(landing: Path) -> Iterator[LandingFile]:
    """Yield the files under `landing`; the files of a folder come before those of its subfolders.

    Names that start with a dot or an underscore belong to other tools and are skipped. Files that were merged
    are yielded as if they lay where they landed, before the others of their table. A link that leads out
    of the landing zone, unless `LINKS` allows it, and a folder that cannot be listed, are yielded like files,
    with their fault.

    Args:
        landing: the landing zone's folder.

    Raises:
        LandingFolderMissing: there is no such folder.
        OSError: the landing zone's own folder cannot be listed.
    """
    if not landing.is_dir():
        raise LandingFolderMissing(
            f"The landing folder {landing} does not exist. "
            "Set ASSAY_LANDING to the folder your sources write to, "
            f"or make demo data there: assay demo --out {landing}"
        )
    root, datasets = landing.resolve(), Datasets(landing)
    follow_links = os.environ.get(LINKS) == "follow"
    # Each folder with the targets of the links that were followed to reach it.
    pending: list[tuple[Path, tuple[Path, ...]]] = [(landing, ())]
    while pending:
        folder, links = pending.pop()
        subfolders = []
        try:
            names = sorted(entry.name for entry in os.scandir(folder))
        except OSError as error:
            if folder == landing:
                raise
            if not isinstance(error, FileNotFoundError):
                yield _describe(landing, folder, cannot_be_read(error))
            continue
        if MERGED in names and folder.parent.parent == landing:
            yield from _members(landing, folder)
        dataset = datasets.of(folder)
        for path in (folder / name for name in names if not name.startswith((".", "_"))):
            if dataset and dataset.is_mark(path):
                continue
            try:
                target = path.resolve() if path.is_symlink() else None
                if target and not follow_links and not target.is_relative_to(root):
                    yield _describe(landing, path, _LEADS_OUT)
                elif not stat.S_ISDIR(path.stat().st_mode):
                    yield _describe(landing, path, NOT_COMPLETE if dataset and dataset.lacks(path) else None)
                elif target is None:
                    subfolders.append((path, links))
                elif not _is_found_otherwise(target, folder, links, root):
                    subfolders.append((path, (*links, target)))
            except RuntimeError:
                # Python before 3.13 raises this for links in a circle.
                yield _describe(landing, path, cannot_be_read(OSError(errno.ELOOP, os.strerror(errno.ELOOP))))
            except OSError as error:
                # A file that has been removed meanwhile is skipped; a link without target is reported.
                if os.path.lexists(path) or not isinstance(error, FileNotFoundError):
                    yield _describe(landing, path, cannot_be_read(error))
        pending.extend(reversed(subfolders))


def discover_cold(cold: Path) -> list[LandingFile]:
    """Return the files that were moved out of the landing zone, in the order of their versions.

    Args:
        cold: the folder that they were moved to.

    Raises:
        LandingFolderMissing: there is no such folder.
        OSError: it cannot be read.
    """
    found = [replace(_with_own_name(file), is_cold=True) for file in discover(cold)]
    return sorted(found, key=lambda file: (file.name, file.modified))


def _with_own_name(file: LandingFile) -> LandingFile:
    """Return a file under the name that it had before a hash was put before it, as a later version."""
    named = re.fullmatch(r"([0-9a-f]{12})-(.+)", file.path.name)
    if file.member or file.fault or not named:
        return file
    with file.open() as stream:
        if not hashlib.file_digest(stream, "sha256").hexdigest().startswith(named[1]):
            return file
    return replace(file, name=f"{file.name.rpartition('/')[0]}/{named[2]}")


def members_of(landing: Path, merged: Path) -> Iterator[LandingFile]:
    """Yield the landed files that a merged file holds.

    Raises:
        OSError: it cannot be read.
    """
    from assay.landing.merged import read_merged

    found = read_merged(merged)
    for member, share in zip(found.members, found.shares(), strict=True):
        source, table, *rest = member.name.split("/")
        yield LandingFile(
            landing / member.name,
            member.name,
            source,
            table,
            _folders(rest),
            member.size,
            member.modified,
            _signature_of_member(merged, member),
            None,
            merged,
            member,
            share,
        )


def _members(landing: Path, table: Path) -> Iterator[LandingFile]:
    from assay.landing.merged import DamagedFile, find_merged

    for merged in find_merged(table):
        try:
            yield from members_of(landing, merged)
        except DamagedFile:
            yield _describe(landing, merged, "Cannot be read (damaged): put it back from a backup.")
        except OSError as error:
            yield _describe(landing, merged, cannot_be_read(error))


def file_at(path: Path) -> LandingFile:
    """Describe a file at any path, without reading anything from its folders.

    Raises:
        OSError: the file does not exist.
    """
    return _describe(path.parent, path)


def _is_found_otherwise(target: Path, folder: Path, links: tuple[Path, ...], root: Path) -> bool:
    """Tell whether to skip a link to a folder: it leads in a circle, or to a folder that is found anyway."""
    leads_back = target in links or folder.resolve().is_relative_to(target)
    return leads_back or (bool(links) and target.is_relative_to(root))


def _describe(landing: Path, path: Path, fault: str | None = None) -> LandingFile:
    """Describe the file at `path`; with a fault, the file is not opened."""
    try:
        status = path.lstat() if fault else path.stat()
    except OSError:
        if fault is None:
            raise
        status = os.stat_result([0] * 10)
    if not fault and not stat.S_ISREG(status.st_mode):
        fault = cannot_be_read(OSError(errno.EINVAL, "not a regular file"))
    # A file's name may not be UTF-8; texts in the warehouse must be.
    name = escaped(path.relative_to(landing).as_posix())
    parts = name.split("/")
    source, table = (parts[0], parts[1]) if len(parts) > 2 else ("", "")
    return LandingFile(
        path,
        name,
        source,
        table,
        _folders(parts[2:]),
        status.st_size,
        status.st_mtime,
        _signature(status),
        fault,
    )


def _folders(parts: list[str]) -> dict[str, str]:
    return dict(part.split("=", 1) for part in parts[:-1] if "=" in part)


def _signature_of_member(merged: Path, member: Member) -> str:
    return f"{_signature(merged.stat())}:{member.first_row}"


def _signature(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_dev}:{status.st_ino}"
