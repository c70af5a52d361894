"""Write lines and files whole or not at all, readable by their owner only, even if the machine stops."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TAIL_BYTES = 1 << 16

_ONLY_THE_OWNER = 0o077


def keep_new_files_private() -> None:
    """Let only their owner read and write the files that this process makes: they hold people's data."""
    os.umask(os.umask(_ONLY_THE_OWNER) | _ONLY_THE_OWNER)


def put_in_place(new: Path, target: Path) -> Path:
    """Move a file over another, and keep the permissions that the other file had.

    Raises:
        OSError: it cannot be moved.
    """
    if target.exists():
        new.chmod(stat.S_IMODE(target.stat().st_mode))
    return new.replace(target)


def link_in_place(link: Path, target: Path) -> None:
    """Make a link to a file in the same folder; the link replaces whatever had its name.

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
    """Tell whether an error says that the disk or the quota is full."""
    return error.errno in _NO_ROOM


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may read; an existing folder stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path, flags: int) -> int:
    """Open a file and return its descriptor; a missing file is made, readable by its owner only.

    Args:
        path: of the file.
        flags: of `os.open`, such as `os.O_WRONLY | os.O_APPEND`.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags | os.O_CREAT, 0o600)


def make_private(path: Path) -> None:
    """Make a file, readable by its owner only, if there is none.

    A file that is there is not opened. For SQLite that matters: who closes a descriptor of a file gives up
    all locks that the process has on it, also those of SQLite's connections.

    Raises:
        OSError: it cannot be made.
    """
    with suppress(FileExistsError):
        os.close(open_private(path, os.O_WRONLY | os.O_EXCL))


def replace_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner may read.

    At each moment, also if the machine stops, the path holds the whole old file or the whole new one.

    Raises:
        OSError: the file cannot be written; the old one is unchanged.
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


def append_whole(file: int, line: bytes) -> int:
    """Append a line to a file, all of it or nothing, and return the file's size.

    Args:
        file: its descriptor; nobody else may append meanwhile.
        line: the line with its line end.

    Raises:
        OSError: the line cannot be written; the file is unchanged.
    """
    end = os.fstat(file).st_size
    written = 0
    try:
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError:
        os.ftruncate(file, end)
        raise
    return end + written


def cut_torn_line(file: int) -> None:
    """Remove an unfinished last line from a file, which a writer left that died while it wrote.

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
