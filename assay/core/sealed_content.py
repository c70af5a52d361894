"""Files that Assay writes and reads itself, encrypted where a key is set, piece by piece as they are written.

A file begins with a mark, the fingerprint of its key, and a salt, of which its own key is derived. Pieces
follow: a length, and so much of AES-GCM, whose nonce is the number of the piece. The last piece is empty and
marked as such, so that a file which was cut off is known for one.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from assay.core.disk import make_private, put_in_place, sync
from assay.core.encryption import (
    EncryptionKey,
    find_encryption_key,
    find_key_before,
    key_missing,
    key_of_another,
)
from assay.core.fault import extra_needed
from assay.core.forward_reader import ForwardReader

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MARK = b"\x89ASEAL1\n"
_FINGERPRINT_BYTES, _SALT_BYTES, _TAG_BYTES = 8, 16, 16
_HEADER_BYTES = len(_MARK) + _FINGERPRINT_BYTES + _SALT_BYTES
_LENGTH = struct.Struct("<I")
_LAST = 1 << 31
_PIECE_BYTES = 1 << 16
_MOST_BYTES = 1 << 24
_PURPOSE = b"assay: content of files: "
_END = _LENGTH.pack(_LAST | _TAG_BYTES)


class DamagedContent(OSError):
    """An encrypted file is not what was written: it was cut off or changed."""


def create_content(path: Path, key: EncryptionKey | None) -> IO[bytes]:
    """Make a file, or empty the one that is there, and open it for writing; it ends when it is closed.

    Args:
        path: the file.
        key: of the file; None for a plain one.

    Raises:
        Fault: the extra that encrypts is not installed.
        OSError: it cannot be made.
    """
    stream = path.open("wb")
    if key is None:
        return stream
    try:
        return cast(IO[bytes], _Writer(stream, key))
    except BaseException:
        stream.close()
        raise


def open_content(path: Path) -> io.BufferedReader:
    """Open a file for reading, encrypted or not.

    Raises:
        Fault: it is encrypted and there is no key, or another one.
        OSError: it cannot be read.
    """
    return opened_content(path.open("rb"), path)


def opened_content(stream: io.BufferedReader, path: Path) -> io.BufferedReader:
    """Return the content of a file that was opened, encrypted or not; closing that closes the file.

    Args:
        stream: the file, at its start.
        path: the file.

    Raises:
        Fault: it is encrypted and there is no key, or another one.
        OSError: it cannot be read.
    """
    if not stream.peek(len(_MARK)).startswith(_MARK):
        return stream
    try:
        return io.BufferedReader(_Reader(stream, path), _PIECE_BYTES)
    except BaseException:
        stream.close()
        raise


def rewrite_content(path: Path, key: EncryptionKey) -> None:
    """Write a file anew with a key, in place of the old one; it keeps the time of its last change.

    Raises:
        Fault: it is encrypted with a key that is not known here.
        DamagedContent: it was cut off or changed; it is as it was.
        OSError: it cannot be read or written; it is as it was.
    """
    new = path.with_name(f".{path.name}")
    try:
        with open_content(path) as source:
            new.unlink(missing_ok=True)
            make_private(new)
            status = path.stat()
            with create_content(new, key) as target:
                shutil.copyfileobj(source, target)
        # Where no folder says when a file landed, its time does.
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
        sync(new)
        put_in_place(new, path)
        sync(path.parent)
    finally:
        new.unlink(missing_ok=True)


def find_content_key(path: Path) -> str | None:
    """Return the fingerprint of a file's key; None if it is plain.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        header = stream.read(_HEADER_BYTES)
    return _fingerprint_in(header) if header.startswith(_MARK) else None


def has_end(path: Path) -> bool:
    """Tell whether an encrypted file ends as it was written to end.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - len(_END) - _TAG_BYTES, 0))
        return size > _HEADER_BYTES and stream.read(len(_END)) == _END


class _Writer(io.RawIOBase):
    """Encrypts what is written; `flush` writes what there is, so that a killed process leaves it readable."""

    def __init__(self, stream: IO[bytes], key: EncryptionKey) -> None:
        salt = os.urandom(_SALT_BYTES)
        self._cipher = _cipher(key, salt)
        self._stream, self._waiting = stream, bytearray()
        self._number = self._at = 0
        stream.write(_MARK + bytes.fromhex(key.fingerprint) + salt)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, content: ReadableBuffer) -> int:
        # Not of the length of its items, which other buffers count.
        piece = memoryview(content).cast("B")
        self._waiting += piece
        self._at += len(piece)
        while len(self._waiting) >= _PIECE_BYTES:
            self._write_piece(bytes(self._waiting[:_PIECE_BYTES]))
            del self._waiting[:_PIECE_BYTES]
        return len(piece)

    def flush(self) -> None:
        # Closing calls it once more.
        if self._stream.closed:
            return
        if self._waiting:
            self._write_piece(bytes(self._waiting))
            self._waiting.clear()
        self._stream.flush()

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.flush()
            self._write_piece(b"", _LAST)
        finally:
            self._stream.close()
            self._waiting.clear()
            super().close()

    def _write_piece(self, piece: bytes, mark: int = 0) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number, mark), piece, None)
        self._number += 1
        self._stream.write(_LENGTH.pack(mark | len(sealed)) + sealed)


class _Reader(ForwardReader):
    """Decrypts a file."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        header = stream.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            raise self._damaged()
        self._cipher = _cipher(_key_of(path, _fingerprint_in(header)), header[-_SALT_BYTES:])
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._stream.seek(_HEADER_BYTES)
        self._number, self._is_last = 0, False

    def close(self) -> None:
        self._stream.close()
        super().close()

    def _fill(self) -> bool:
        with extra_needed("encryption", by="Encryption of files"):
            from cryptography.exceptions import InvalidTag
        while not self._left and not self._is_last:
            written = self._stream.read(_LENGTH.size)
            if len(written) < _LENGTH.size:
                raise self._damaged()
            [length] = _LENGTH.unpack(written)
            mark, length = length & _LAST, length & ~_LAST
            sealed = self._stream.read(length) if length <= _MOST_BYTES else b""
            try:
                self._left = memoryview(self._cipher.decrypt(_nonce(self._number, mark), sealed, None))
            except (InvalidTag, ValueError) as error:
                raise self._damaged() from error
            self._number += 1
            self._is_last = bool(mark)
        return bool(self._left)

    def _damaged(self) -> DamagedContent:
        return DamagedContent(f"{self._path} is damaged: put it back from a backup.")


def _fingerprint_in(header: bytes) -> str:
    return header[len(_MARK) : len(_MARK) + _FINGERPRINT_BYTES].hex()


def _nonce(number: int, mark: int) -> bytes:
    return struct.pack("<QI", number, mark)


def _key_of(path: Path, fingerprint: str) -> EncryptionKey:
    key = find_encryption_key()
    if key is None:
        # Not the key before alone: what is written anew would be plain.
        raise key_missing(path)
    for each in (key, find_key_before()):
        if each and each.fingerprint == fingerprint:
            return each
    raise key_of_another(path)


def _cipher(key: EncryptionKey, salt: bytes) -> AESGCM:
    with extra_needed("encryption", by="Encryption of files"):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    return AESGCM(key.derive(_PURPOSE + salt))
