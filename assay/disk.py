"""What the disk keeps when the machine stops."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_ONLY_THE_OWNER = 0o077


def keep_new_files_private() -> None:
    """Let the owner alone read and write the files that this process makes: they hold people's data."""
    os.umask(os.umask(_ONLY_THE_OWNER) | _ONLY_THE_OWNER)


def put_in_place(new: Path, target: Path) -> Path:
    """Move a file over another, who may read which stays as a person has set it.

    Raises:
        OSError: it cannot be moved.
    """
    if target.exists():
        new.chmod(stat.S_IMODE(target.stat().st_mode))
    return new.replace(target)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk.

    Raises:
        OSError: it cannot be opened or written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
