"""Find the files of a landing zone, and say for each what its place and name tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_LANDED_AT = "landed_at"
_LANDED_AT_FORMAT = "%Y-%m-%dT%H-%M-%S"


class LandingFolderMissing(Exception):
    """The landing zone is not there."""


@dataclass(frozen=True)
class LandingFile:
    """A file under `<source>/<table>/`, before it is opened.

    `name` is the path within the landing zone; `folders` the Hive-style `key=value` folders on the way.
    `signature` changes whenever the file is written or replaced; while it stays, so does the content.
    `source` and `table` are empty for a file that lies outside any table's folder.
    """

    path: Path
    name: str
    source: str
    table: str
    folders: dict[str, str]
    size: int
    modified_at: datetime
    signature: str

    @property
    def landed_at(self) -> datetime:
        """When the file landed (UTC, naive): its `landed_at=` folder, else its modification time.

        Raises:
            ValueError: the folder's value is not a time.
        """
        if _LANDED_AT in self.folders:
            return datetime.strptime(self.folders[_LANDED_AT], _LANDED_AT_FORMAT)
        return self.modified_at

    def has_changed(self) -> bool:
        """Whether the file was written, replaced or removed since it was found."""
        try:
            return _signature(self.path.stat()) != self.signature
        except OSError:
            return True


def discover(landing: Path) -> Iterator[LandingFile]:
    """Yield the files under `landing`, in the order of their paths.

    Names that start with a dot or an underscore are markers of other tools, and passed over. Links are
    followed, unless they lead back to a folder they lie in.

    Raises:
        LandingFolderMissing: there is no such folder.
        OSError: a folder cannot be listed.
    """
    if not landing.is_dir():
        raise LandingFolderMissing(
            f"The landing folder {landing} does not exist. "
            "Set ASSAY_LANDING to the folder your sources write to, "
            f"or make demo data there: assay demo --out {landing}"
        )
    for folder, subfolders, names in os.walk(landing, onerror=_raise, followlinks=True):
        subfolders[:] = sorted(
            name for name in subfolders if not _is_marker(name) and not _leads_back(Path(folder, name))
        )
        for name in sorted(names):
            if not _is_marker(name) and (file := _describe(landing, Path(folder, name))):
                yield file


def _raise(error: OSError) -> None:
    raise error


def _is_marker(name: str) -> bool:
    return name.startswith((".", "_"))


def _leads_back(folder: Path) -> bool:
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _describe(landing: Path, path: Path) -> LandingFile | None:
    """Return the file at `path`, or None where it has been removed meanwhile."""
    try:
        stat = path.stat() if path.exists() else path.lstat()
    except FileNotFoundError:
        return None
    # A name need not be UTF-8; what the warehouse keeps must be.
    name = os.fsencode(path.relative_to(landing).as_posix()).decode(errors="backslashreplace")
    parts = name.split("/")
    source, table = (parts[0], parts[1]) if len(parts) > 2 else ("", "")
    folders = dict(part.split("=", 1) for part in parts[2:-1] if "=" in part)
    modified_at = datetime.fromtimestamp(stat.st_mtime, UTC).replace(tzinfo=None)
    return LandingFile(path, name, source, table, folders, stat.st_size, modified_at, _signature(stat))


def _signature(stat: os.stat_result) -> str:
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_dev}:{stat.st_ino}"
