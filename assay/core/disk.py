"""What the disk keeps: whole lines and whole files, for their owner alone, when the machine stops too."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from uuid import uuid4

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TAIL_BYTES = 1 << 16

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


def link_in_place(link: Path, target: Path) -> None:
    """Let a name in the same folder lead to a file, in place of whatever had that name.

    Raises:
        OSError: the link cannot be made.
    """
    if not link.is_symlink() or link.readlink() != Path(target.name):
        new = link.with_name(f".{link.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        new.symlink_to(target.name)
        new.replace(link)


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


def has_no_room(error: OSError) -> bool:
    """Tell whether a disk, or what one may use of it, is full."""
    return error.errno in _NO_ROOM


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may look into; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path, flags: int) -> int:
    """Open a file, which is made for its owner alone where it is missing; return its descriptor.

    Args:
        path: of the file.
        flags: of `os.open`, such as `os.O_WRONLY | os.O_APPEND`.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags | os.O_CREAT, 0o600)


def replace_private(path: Path, content: bytes) -> None:
    """Write a file for its owner alone: readers, and a machine that stops, see the old or the new one, whole.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with open(open_private(temporary, os.O_WRONLY | os.O_EXCL), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def append_whole(file: int, line: bytes) -> None:
    """Append all of a line to a file, or nothing of it.

    Args:
        file: its descriptor; nobody else may append meanwhile.
        line: with its end.

    Raises:
        OSError: it cannot be written; the file ends where it did.
    """
    end = os.fstat(file).st_size
    written = 0
    try:
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError:
        os.ftruncate(file, end)
        raise


def cut_torn_line(file: int) -> None:
    """Cut off the beginning of a line at a file's end, whose writer died before it was whole.

    Args:
        file: its descriptor, open for reading and writing; nobody else may append meanwhile.

    Raises:
        OSError: it cannot be read or cut.
    """
    end = os.fstat(file).st_size
    start = end
    while start > 0:
        begin = max(start - _TAIL_BYTES, 0)
        found = os.pread(file, start - begin, begin).rfind(b"\n")
        if found >= 0:
            start = begin + found + 1
            break
        start = begin
    if start < end:
        os.ftruncate(file, start)
