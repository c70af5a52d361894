"""Foreseeable faults: a message that says what went wrong, where, and what to do, and an exit code."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

FAILED = 1
MISUSED = 2
LOCKED = 3
INTERRUPTED = 130

_LOCKED = re.compile(
    r'Could not set lock on file "(?P<file>[^"]+)"(?:.*?held in (?P<program>.+?) \(PID (?P<pid>\d+)\))?'
)
_FILE = re.compile(r'file "([^"]+)"')
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_NO_ROOM_MESSAGES = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "Could not write all bytes",
)
_NO_SPILL_MESSAGES = ("max_temp_directory_size", "failed to offload data block")
# Up to this many names, a message lists all of them.
_FEW = 8
#: What the catalog of a lake says to a builder that it takes no longer.
LEASE_ENDED = "The lease of this build has ended"
# The second is of a file that was cut short, the third of one that is encrypted.
_DAMAGED = ("Corrupt database file", "Could not read enough bytes from file", "Computed AES tag differs")
_IS_A_FOLDER = "Is a directory"
_NOT_DUCKDB = "not a valid DuckDB database file"
_OTHER_VERSION = "but we can only read versions between"


class Fault(Exception):
    """Something went wrong that needs a person; `exit_code` is what the command ends with."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def extra_needed(extra: str, by: str) -> Iterator[None]:
    """Raise a fault that names the extra to install, if the block imports a package that is missing.

    Args:
        extra: name of the extra that brings the packages.
        by: what needs them, as the subject of the message.

    Raises:
        Fault: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise Fault(
            f"{by} needs {missing.name}, which is not installed: pip install 'assay[{extra}]'.", MISUSED
        ) from missing


@contextmanager
def known_errors_as_faults() -> Iterator[None]:
    """Turn known errors of DuckDB, dbt and the system into faults; other errors stay as they are.

    Raises:
        Fault: the block raised a fault or a known error.
    """
    try:
        yield
    except Fault:
        raise
    except OSError as error:
        # The reader of the output has closed it, as `head` does.
        if error.errno == errno.EPIPE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise known_fault(error) or Fault(f"{where}{error.strerror or error}.") from error
    except Exception as error:
        if fault := known_fault(error):
            raise fault from error
        raise


def known_fault(error: BaseException | str) -> Fault | None:
    """Translate an error of DuckDB, dbt or the system, or its text, to a fault; None if it is not known."""
    if isinstance(error, Fault):
        return error
    text = str(error)
    if found := _LOCKED.search(text):
        return _open_elsewhere(found)
    if LEASE_ENDED in text:
        return lease_ended()
    if any(message in text for message in _NO_SPILL_MESSAGES):
        return Fault(
            "DuckDB ran out of memory and of room for its temporary files: free space on the disk of the "
            "warehouse, or raise memory_limit or max_temp_directory_size under settings: in profiles.yml; "
            "then build again. The warehouse is usable, and what was published stays as it was."
        )
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return _no_room(str(error.filename) if error.filename else None)
    if any(message in text for message in _NO_ROOM_MESSAGES):
        named = _FILE.search(text)
        return _no_room(named.group(1) if named else None)
    if any(message in text for message in _DAMAGED):
        return Fault(
            "A file of DuckDB beside the warehouse, or the warehouse itself, is damaged: "
            f"{text.splitlines()[0]}\nMove it away; the next build writes a new one from what has landed."
        )
    if _IS_A_FOLDER in text and (named := _FILE.search(text)):
        return Fault(f"{named.group(1)} is a folder, not a file of DuckDB: move it away.")
    if _OTHER_VERSION in text:
        return Fault(
            "A file of DuckDB, such as the warehouse, the run ledger or what is published, was written by a "
            f"newer DuckDB than the {version('duckdb')} here. Extras that bring extensions of DuckDB, such "
            "as lake and query, install an older one. Install the newer one again, or move the warehouse, "
            "and ops.duckdb and published/ beside it, away: the next build writes new ones. Leave the "
            "landing folder: all is built from what lies there."
        )
    if _NOT_DUCKDB in text:
        named = _FILE.search(text)
        return Fault(
            f"{named.group(1) if named else 'The warehouse file'} is not a DuckDB file: "
            "move it away; if it is to be the warehouse, name another file in ASSAY_WAREHOUSE."
        )
    return None


def lease_ended() -> Fault:
    """Return the fault of a builder whose lease of a lake has ended."""
    return Fault(
        f"{LEASE_ENDED}: it could not prolong it in time, because this machine stood still or the catalog "
        "was away, so that another build may have begun. Nothing is written or published since. Build again.",
        LOCKED,
    )


def unknown(said: str, name: str, known: Iterable[str]) -> str:
    """Return a message that something is unknown: `said`, then the known names, or the nearest if many."""
    names = list(known)
    near = difflib.get_close_matches(name, names, 3)
    if near and len(names) > _FEW:
        return f"{said}: did you mean {', '.join(near)}?"
    return f"{said}: there are {', '.join(names) or 'none'}."


def _open_elsewhere(found: re.Match[str]) -> Fault:
    holder = f" ({found['program']}, PID {found['pid']})" if found["pid"] else ""
    return Fault(
        f"{found['file']} is open in another program{holder}. Close it there, or wait until it is done, "
        "and try again. To read while builds go on, open the published file instead.",
        LOCKED,
    )


def _no_room(file: str | None) -> Fault:
    where = f" to write {file}" if file else ""
    return Fault(
        f"The disk has no room{where}: free space there, or move the warehouse (ASSAY_WAREHOUSE) to a larger "
        "disk, and build again. The warehouse is usable, and what was published stays as it was."
    )
