"""Find and empty the lines that name a person in landed files that could not be loaded."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay.core.disk import make_private
from assay.core.encryption import find_encryption_key
from assay.core.places import Places
from assay.core.sealed_content import DamagedContent, create_content, find_content_key, open_content
from assay.erasure.lines import put_with_its_time
from assay.erasure.mentions import Mentions

_GZIP = b"\x1f\x8b"
_BYTES_A_PIECE = 1 << 16
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f]")


@dataclass(frozen=True)
class UnloadedFile:
    """A landed file that could not be loaded and names a person, or may: in what is no text, nobody can look.

    `name` is that within the landing zone, `content_sha256` that of the file as it lies there. `lines` are
    the numbers of the lines that have the key, from 1 on. `is_text` says whether lines can be emptied.
    """

    name: str
    path: Path
    content_sha256: str
    lines: list[int]
    is_text: bool


def find_unloaded(
    places: Places, connection: duckdb.DuckDBPyConnection, mentions: Mentions
) -> Iterator[UnloadedFile]:
    """Yield the landed files that are not loaded and name a person, or are no texts.

    Args:
        places: of the project.
        connection: to the warehouse, which is the current database.
        mentions: finds the person's key.

    Raises:
        OSError: a file cannot be read.
    """
    for name, is_loaded in connection.execute(
        "select source_file, arg_max(status, file_version) in ('loaded', 'withdrawn') from landing.files "
        "group by source_file order by source_file"
    ).fetchall():
        path = places.landing / name
        if is_loaded or not path.is_file():
            continue
        content = _read(path)
        plain, is_whole = _unpacked(content)
        lines = [
            number
            for number, line in enumerate(plain.split(b"\n"), 1)
            if mentions.count(line.decode("utf-8", "surrogateescape"))
        ]
        is_text = is_whole and not _is_packed(plain)
        if lines or not is_text:
            yield UnloadedFile(name, path, hashlib.sha256(content).hexdigest(), lines, is_text)


def empty_unloaded(file: UnloadedFile, announce: Callable[[str], None]) -> None:
    """Empty the lines that name a person; all others stay, and keep their numbers.

    Args:
        file: a text.
        announce: called with the SHA-256 of the new file before that takes the place of the old one.

    Raises:
        OSError: it cannot be read or written; it is as it was.
    """
    target = file.path.resolve()
    content = _read(target)
    lines = _unpacked(content)[0].split(b"\n")
    for number in file.lines:
        lines[number - 1] = b"\r" if lines[number - 1].endswith(b"\r") else b""
    left = b"\n".join(lines)
    written = gzip.compress(left, mtime=0) if content.startswith(_GZIP) else left
    announce(hashlib.sha256(written).hexdigest())
    new = target.with_name(f".{target.name}")
    try:
        new.unlink(missing_ok=True)
        make_private(new)
        with create_content(new, find_encryption_key() if find_content_key(target) else None) as stream:
            stream.write(written)
        put_with_its_time(new, target)
    finally:
        new.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    """Return the content of a file; of an encrypted one that is damaged, what can be read."""
    pieces = []
    with open_content(path) as stream, suppress(DamagedContent):
        while piece := stream.read1(_BYTES_A_PIECE):
            pieces.append(piece)
    return b"".join(pieces)


def _is_packed(content: bytes) -> bool:
    """Tell whether a key may stand in a content otherwise than as its bytes: packed, or in wide letters."""
    if b"\0" in content:
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        # Texts in other encodings have no control characters but white space.
        return bool(_CONTROL.search(content))
    return False


def _unpacked(content: bytes) -> tuple[bytes, bool]:
    """Return a file's content without gzip, as much as can be read, and whether that is all."""
    if not content.startswith(_GZIP):
        return content, True
    pieces = []
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
        try:
            while piece := packed.read1(_BYTES_A_PIECE):
                pieces.append(piece)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return b"".join(pieces), False
    return b"".join(pieces), True
