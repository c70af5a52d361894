"""Read and write merged files: Parquet that holds landed files byte for byte, line by line.

A merged file lies in the folder `_merged` of its landing table. Its footer lists the landed files that it
holds. They are found as if they still lay in the landing zone, and read by the same readers: rows, rejects
and counts stay as they were. A merged file is encrypted where a key is set when it is written.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from assay.core.disk import put_in_place, sync
from assay.core.encryption import (
    EncryptionKey,
    find_encryption_key,
    find_key_before,
    key_missing,
    key_of_another,
)
from assay.core.forward_reader import ForwardReader
from assay.core.parquet import (
    arrow_decryption,
    arrow_encryption,
    find_noted_key,
    is_encrypted_parquet,
    note_key,
)
from assay.core.sealed_content import open_content
from assay.landing.member import MERGED, Member

_NEW = ".new.parquet"
_MEMBERS = b"assay.members"
_OTHER_KEY = "Failed decryption"
_BYTES_A_BATCH, _BYTES_A_GROUP, _BYTES_A_PIECE = 8 << 20, 32 << 20, 1 << 20
#: Of Zstandard.
COMPRESSION_LEVEL = 3
_SCHEMA = pa.schema(
    [pa.field("source_file", pa.string()), pa.field("line", pa.int64()), pa.field("content", pa.binary())]
)


class DamagedFile(OSError):
    """A merged file does not hold what it says."""


@dataclass(frozen=True)
class MergedFile:
    """A merged file, with its size in bytes, and the landed files that it holds, as they landed."""

    path: Path
    size: int
    members: list[Member]

    def shares(self) -> list[int]:
        """Return the bytes of the file that each member takes, by the sizes that they had."""
        total = max(sum(each.size for each in self.members), 1)
        ends = [
            self.size * end // total for end in accumulate((each.size for each in self.members), initial=0)
        ]
        return [after - before for before, after in pairwise(ends)]

    def keys(self) -> set[tuple[str, str]]:
        """Return name and hash of each member."""
        return {(each.name, each.content_sha256) for each in self.members}


def read_merged(path: Path) -> MergedFile:
    """Read what a merged file holds.

    Raises:
        DamagedFile: it is no such file.
        Fault: it is encrypted and there is no key, or another one.
        OSError: it cannot be read.
    """
    return MergedFile(path, path.stat().st_size, _opened(path).members)


def find_merged(table: Path) -> list[Path]:
    """Return the merged files of a landing table, by its folder."""
    return sorted((table / MERGED).glob("[!.]*.parquet"))


def _signature_of(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"


def open_member(path: Path, member: Member) -> io.BufferedReader:
    """Open a landed file within a merged one; what was packed with gzip is plain.

    Raises:
        OSError: the merged file cannot be read.
    """
    return io.BufferedReader(_Content(path, member))


def rewrite_merged(path: Path, new: Path, changes: Sequence[Callable[[], Path] | None]) -> None:
    """Write a merged file anew, with other content of some of the landed files that it holds.

    Args:
        path: the merged file.
        new: the file to write, in the same folder.
        changes: for each landed file, in their order, what writes its new content, and returns where; None
            where it stays. One that changes is from then on known by the hash of that content.

    Raises:
        OSError: it cannot be read or written.
    """
    writer = MergedWriter(path.parent.parent, new.name)
    try:
        for member, change in zip(read_merged(path).members, changes, strict=True):
            if change is None:
                with open_member(path, member) as content:
                    writer.add(member, content)
                continue
            with open_content(change()) as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
                size = content.tell()
                content.seek(0)
                writer.add(replace(member, content_sha256=sha256, plain_sha256="", size=size), content)
        writer.close(lambda written: new.name)
    except BaseException:
        writer.give_up()
        raise


def reseal_merged(path: Path) -> None:
    """Write a merged file anew with the key of now, in place of the old one.

    Raises:
        Fault: no key is set, or the file is of a key that is not known here.
        OSError: it cannot be read or written; the old one is unchanged.
    """
    new = path.with_name(f".{path.name}")
    try:
        rewrite_merged(path, new, [None] * len(read_merged(path).members))
        put_in_place(new, path)
        sync(path.parent)
    finally:
        new.unlink(missing_ok=True)


class MergedWriter:
    """Writes a merged file, which is there when it is closed, and not before.

    Args:
        table: the folder of the landing table.
        new: the name of the file while it is written.

    Raises:
        Fault: there is a key, and it is too short, its command fails, or Arrow is too old to encrypt.
        OSError: the file cannot be made.
    """

    def __init__(self, table: Path, new: str = _NEW) -> None:
        key = find_encryption_key()
        properties = arrow_encryption(key)
        self._folder = table / MERGED
        self._folder.mkdir(parents=True, exist_ok=True)
        self._new = self._folder / new
        self._sink = pa.OSFile(str(self._new), "wb")
        self._writer = pq.ParquetWriter(
            self._sink,
            _SCHEMA,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=["source_file"],
            write_statistics=["source_file", "line"],
            encryption_properties=properties,
        )
        if key:
            note_key(self._sink, key)
        self._members: list[Member] = []
        self._rows = 0
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0

    @property
    def size(self) -> int:
        """How many bytes are written."""
        return int(self._sink.tell())

    def add(self, described: Member, content: IO[bytes]) -> None:
        """Add a landed file.

        Args:
            described: the file, whose text is kept line by line, and anything else in pieces. Its rows are
                filled in, and the hash of its content where it is empty.
            content: its content, without gzip.

        Raises:
            DamagedFile: it was merged before, and is no longer what it was then.
            OSError: it cannot be read, or the disk is full.
        """
        digest, first_row, line, has_lines = hashlib.sha256(), self._rows, 1, described.has_lines
        while pieces := content.readlines(_BYTES_A_BATCH) if has_lines else _read_pieces(content):
            for piece in pieces:
                digest.update(piece)
            numbers = (
                pa.array(range(line, line + len(pieces))) if has_lines else pa.nulls(len(pieces), pa.int64())
            )
            line += len(pieces)
            self._take(described.name, numbers, pieces)
        if described.plain_sha256 not in ("", digest.hexdigest()):
            raise DamagedFile(f"{described.name} is not what was merged.")
        member = replace(
            described, plain_sha256=digest.hexdigest(), first_row=first_row, row_count=self._rows - first_row
        )
        self._members.append(member)

    def close(self, name: Callable[[MergedFile], str]) -> MergedFile:
        """End the file, see that it holds what was added, and put it in place.

        Args:
            name: returns the name of the file, by what it holds.

        Raises:
            DamagedFile: it reads differently; there is no such file then.
            OSError: the disk is full.
        """
        self._write_group()
        self._writer.add_key_value_metadata({_MEMBERS: json.dumps([asdict(each) for each in self._members])})
        self._writer.close()
        self._sink.close()
        sync(self._new)
        written = read_merged(self._new)
        for member in written.members:
            with open_member(self._new, member) as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != member.plain_sha256:
                    raise DamagedFile(f"{self._new}: {member.name} reads differently than it was written.")
        target = self._folder / name(written)
        self._new.replace(target)
        sync(self._folder)
        return read_merged(target)

    def give_up(self) -> None:
        """Remove what is written; what is in place stays."""
        self._writer.close()
        self._sink.close()
        self._new.unlink(missing_ok=True)

    def _take(self, name: str, numbers: pa.Array, pieces: Sequence[bytes]) -> None:
        rows = pa.table(
            [pa.repeat(name, len(pieces)), numbers, pa.array(pieces, pa.binary())], schema=_SCHEMA
        )
        self._waiting.append(rows)
        self._waiting_bytes += sum(map(len, pieces))
        self._rows += len(pieces)
        if self._waiting_bytes >= _BYTES_A_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        if self._waiting:
            rows = pa.concat_tables(self._waiting)
            self._writer.write_table(rows, row_group_size=rows.num_rows)
            self._waiting, self._waiting_bytes = [], 0


@dataclass
class _Reader:
    """An opened merged file, which keeps the last group of rows: neighbours often lie in the same one."""

    parquet: pq.ParquetFile
    members: list[Member]
    ends: list[int]
    last: tuple[int, pa.ChunkedArray] = field(default_factory=lambda: (-1, pa.chunked_array([], pa.binary())))

    def group(self, index: int) -> pa.ChunkedArray:
        if self.last[0] != index:
            self.last = index, self.parquet.read_row_group(index, columns=["content"]).column(0)
        return self.last[1]

    def pieces(self, member: Member) -> Iterator[bytes]:
        """Yield the content of a member."""
        begin, end = member.first_row, member.first_row + member.row_count
        for index, (first, behind) in enumerate(pairwise([0, *self.ends])):
            if first < end and begin < behind:
                rows = self.group(index).slice(max(begin - first, 0), min(end, behind) - max(begin, first))
                for chunk in rows.chunks:
                    yield b"".join(chunk.to_pylist())


def _opened(path: Path) -> _Reader:
    keys: list[EncryptionKey] = []
    if is_encrypted_parquet(path):
        key = find_encryption_key()
        if key is None:
            # Not the key before alone: what is written anew would be plain.
            raise key_missing(path)
        keys = [each for each in (key, find_key_before()) if each]
    return _reader(path, _signature_of(path), tuple(keys))


@lru_cache(maxsize=1)
def _reader(path: Path, signature: str, keys: tuple[EncryptionKey, ...]) -> _Reader:
    """Open a merged file, which is of one of the keys, or plain where there is none.

    `signature` makes that another one is opened when it was replaced.
    """
    del signature
    try:
        parquet = _open_parquet(path, keys) if keys else pq.ParquetFile(path)
        listed = json.loads((parquet.metadata.metadata or {})[_MEMBERS])
        members = [Member(**each) for each in listed]
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path} is no merged file that can be read ({type(error).__name__}).") from error
    counts = (parquet.metadata.row_group(index).num_rows for index in range(parquet.metadata.num_row_groups))
    return _Reader(parquet, members, list(accumulate(counts)))


def _open_parquet(path: Path, keys: Sequence[EncryptionKey]) -> pq.ParquetFile:
    for key in keys:
        try:
            return pq.ParquetFile(path, decryption_properties=arrow_decryption(key))
        except OSError as error:
            if _OTHER_KEY not in str(error):
                raise
    if find_noted_key(path) in {key.fingerprint for key in keys}:
        raise DamagedFile(f"{path} is damaged: put it back from a backup.")
    raise key_of_another(path)


class _Content(ForwardReader):
    """The content of a member."""

    def __init__(self, path: Path, member: Member) -> None:
        self._reader, self._member = _opened(path), member
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._pieces = self._reader.pieces(self._member)

    def _fill(self) -> bool:
        try:
            while not self._left:
                self._left = memoryview(next(self._pieces))
        except StopIteration:
            return False
        except (pa.ArrowException, OSError) as error:
            raise DamagedFile(f"{self._member.name} cannot be read in its merged file.") from error
        return True


def unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    """Return the content of a landed file, without the gzip that its name tells."""
    return gzip.GzipFile(fileobj=stream) if name.lower().endswith(".gz") else stream  # type: ignore[return-value]


def _read_pieces(content: IO[bytes]) -> list[bytes]:
    piece = content.read(_BYTES_A_PIECE)
    return [piece] if piece else []
