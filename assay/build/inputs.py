"""Read what a build depends on: settings, code, landed files; without dbt, and without the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core.places import Places
from assay.landing.discover import LandingFolderMissing, discover
from assay.project.code_files import Code, read_code


@dataclass(frozen=True)
class Inputs:
    """What a build depends on, as hashes.

    `settings` and `code` are of the project's files, see `Code`. `landed` has a hash of the files of each
    landing table, by `<source>.<table>`; files outside the folder of any table count under the empty name.
    """

    settings: str
    code: str
    landed: dict[str, str]

    @property
    def of_code(self) -> Code:
        """What of it is the project's, not the landing zone's."""
        return Code(self.settings, self.code)


def read_inputs(places: Places) -> Inputs:
    """Read what a build of the project in the current folder would depend on now.

    Raises:
        OSError: the landing folder or a file of the project cannot be read.
    """
    code = read_code()
    return Inputs(code.settings, code.nodes, read_landed(places.landing))


def identity(file: Path) -> str | None:
    """Return a text that changes whenever a file is written or replaced; None if it does not exist."""
    if not file.exists() or file.with_name(f"{file.name}.wal").exists():
        return None
    status = file.stat()
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"


def read_landed(landing: Path) -> dict[str, str]:
    """Return a hash of the files of each landing table, by `<source>.<table>`; none without the folder.

    Raises:
        OSError: the landing folder cannot be read.
    """
    digests: dict[str, Any] = {}
    try:
        for file in discover(landing):
            table = f"{file.source}.{file.table}" if file.table else ""
            line = f"{file.name} {file.signature} {file.fault} {file.is_ahead}\n"
            digests.setdefault(table, sha256()).update(line.encode())
    except LandingFolderMissing:
        return {}
    return {table: digest.hexdigest() for table, digest in digests.items()}
