"""Write the messages of a partition as segments; their folder says how far the partition has landed."""

from __future__ import annotations

import re
import time
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from assay.core.disk import make_private_folder, replace_private, sync
from assay.core.encryption import EncryptionKey, find_encryption_key
from assay.core.fault import LOCKED, Fault
from assay.core.lock import hold
from assay.core.places import landing_url
from assay.core.sealed_content import (
    DamagedContent,
    create_content,
    find_content_key,
    has_end,
    open_content,
)
from assay.landing.segments import Range, Segment, holes_between, merge_ranges, partition_folder, segment_of

# The longest file name's part before the offsets are known.
_PART = ".{first}.part"
_UNFINISHED = ".unfinished"
_BEGUN = ".begun"
_DAMAGED = "_damaged-"
#: A line's offset, and when the message landed.
LANDED_AT = re.compile(rb'^\{"_offset":(\d+),"_timestamp":(?:-?\d+|null),"_landed_at":(\d+),', re.MULTILINE)
_LEVEL = 3
_GZIP = 31
_BYTES_A_READ = 1 << 16
# First and last offset of messages that landed at the same time, and that time.
_Batch = tuple[int, int, int]


def _packer() -> zlib._Compress:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)


#: An empty part of a gzip file. Each segment ends with it, so that one which was cut off is recognised.
END = _packer().flush()


@dataclass(frozen=True)
class LandedPartition:
    """The folder with the segments of a topic's partition.

    Args:
        table: the folder of the landing table.
        topic: the topic's name.
        partition: the partition's number.
    """

    table: Path
    topic: str
    partition: int

    @property
    def folder(self) -> Path:
        """The folder of the segments."""
        return self.table / partition_folder(self.topic, self.partition)

    def segments(self) -> list[Segment]:
        """Return the segments in the order of their offsets."""
        return sorted(self._named(""), key=lambda each: (each.first, -each.last))

    def ranges(self) -> list[Range]:
        """Return which offsets have landed."""
        return merge_ranges((each.first, each.last) for each in self.segments())

    def holes(self) -> list[Range]:
        """Return the offsets that lack between those which have landed, and those of damaged segments."""
        known = self._known()
        if not known:
            return []
        before, after = known[0][0] - 1, known[-1][1] + 1
        return holes_between([(before, before), *self.ranges(), (after, after)])

    def next_offset(self) -> int | None:
        """Return the offset after the last that has landed, also if it is damaged now; None if none has."""
        known = self._known()
        return known[-1][1] + 1 if known else None

    def _known(self) -> list[Range]:
        named = [*self._named(""), *self._named(_DAMAGED)]
        return merge_ranges((each.first, each.last) for each in named)

    def _named(self, prefix: str) -> list[Segment]:
        """Return the segments whose files have a prefix before their name."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        within = partition_folder(self.topic, self.partition)
        found = [
            segment_of((within / name.removeprefix(prefix)).as_posix())
            for name in names
            if name.startswith(prefix)
        ]
        return [each for each in found if each]

    def begin_at(self, end: int) -> int:
        """Return where to begin at the latest message: at the broker's end, as it was the first time.

        What comes while no process runs must land as well, also before anything has landed.

        Raises:
            OSError: the place cannot be kept.
        """
        kept = self.folder / _BEGUN
        if kept.exists() and (begun := int(kept.read_text())) <= end:
            return begun
        make_private_folder(self.folder)
        replace_private(kept, str(end).encode())
        return end

    @contextmanager
    def leased(self, command: str) -> Iterator[None]:
        """Be the one process that lands this partition, while the block runs.

        Raises:
            Fault: another process lands it.
        """
        with hold(
            self.folder / ".lease",
            command=command,
            refuse=lambda holder: Fault(
                f"{self.topic}/{self.partition} is landed by another process: {holder or 'unknown'}. "
                "Stop that one, or share the partitions among processes with --partitions.",
                LOCKED,
            ),
        ):
            yield

    def name_finished(self, first: int, last: int) -> None:
        """Give a finished segment its name, if a killed process did not come to that."""
        part = self.folder / _PART.format(first=first)
        if part.exists():
            part.rename(self.table / Segment(self.topic, self.partition, first, last).path)
            sync(self.folder)

    def put_in_order(self) -> list[Path]:
        """Set aside what a killed process left unfinished, and damaged segments.

        The messages of both are fetched again.

        Returns:
            The damaged segments, under the names that landing passes over.
        """
        for part in self.folder.glob(_PART.format(first="[0-9]*")):
            part.rename(part.with_name(f"{part.stem}.{time.time_ns()}{_UNFINISHED}"))
        damaged = []
        for segment in self.segments():
            path = self.table / segment.path
            # One that is gone was merged with others meanwhile.
            with suppress(FileNotFoundError):
                if not is_whole(path):
                    damaged.append(path.rename(path.with_name(f"{_DAMAGED}{path.name}")))
        return damaged

    def landing_times(self) -> Callable[[int], int | None]:
        """Return what tells when messages landed that killed processes have left in no segment.

        They may be online already, and must not count from another time when they are fetched again.

        Returns:
            A function of an offset: milliseconds since 1970, None for a message that nobody has read.
        """
        following = self.next_offset() or 0
        several: list[list[_Batch]] = []
        for unfinished in self._unfinished():
            batches = _read_batches(unfinished)
            if not batches or batches[-1][1] < following:
                unfinished.unlink()
            several.append(batches)

        def find(offset: int) -> int | None:
            for batches in several:
                index = bisect_right(batches, offset, key=lambda batch: batch[0]) - 1
                if index >= 0 and offset <= batches[index][1]:
                    return batches[index][2]
            return None

        return find

    def forget_unfinished(self) -> None:
        """Remove what killed processes have left in no segment, where other messages come instead."""
        for unfinished in self._unfinished():
            unfinished.unlink()

    def _unfinished(self) -> list[Path]:
        return sorted(self.folder.glob(f".*{_UNFINISHED}"))


def _read_batches(unfinished: Path) -> list[_Batch]:
    """Read when messages landed: those that were read together have the same time."""
    batches: list[_Batch] = []
    for offset, landed_at in _read_landing_times(unfinished):
        if batches and batches[-1][2] == landed_at:
            batches[-1] = (batches[-1][0], offset, landed_at)
        else:
            batches.append((offset, offset, landed_at))
    return batches


def _read_landing_times(unfinished: Path) -> Iterator[tuple[int, int]]:
    unpacker, rest = zlib.decompressobj(_GZIP), b""
    # A machine that stopped may have left anything behind what was on the disk.
    with suppress(zlib.error, DamagedContent), open_content(unfinished) as file:
        while raw := file.read1(_BYTES_A_READ):
            lines, _, rest = (rest + unpacker.decompress(raw)).rpartition(b"\n")
            for found in LANDED_AT.finditer(lines):
                yield int(found[1]), int(found[2])
    if last := LANDED_AT.match(rest):
        yield int(last[1]), int(last[2])


def find_segment_key() -> EncryptionKey | None:
    """Return the key that segments are written with; None where they are plain.

    Those that go into a bucket are: a rotation does not reach them, and the bucket encrypts what lies in it.

    Raises:
        Fault: a key is too short, or its command fails.
    """
    return None if landing_url() else find_encryption_key()


class SegmentWriter:
    """Writes a segment under a name that landing passes over, and gives it its own when it is closed.

    It is encrypted where there is a key.

    Args:
        partition: the folder it belongs to.
        first: the offset from which on the segment has all messages.

    Raises:
        Fault: a key is too short, its command fails, or the extra that encrypts is not installed.
        OSError: the segment cannot be made.
    """

    def __init__(self, partition: LandedPartition, first: int) -> None:
        self.first = first
        self.messages = 0
        self.opened = time.monotonic()
        self._partition = partition
        make_private_folder(partition.folder)
        self._path = partition.folder / _PART.format(first=first)
        self._file = create_content(self._path, find_segment_key())
        self._packer = _packer()

    @property
    def size(self) -> int:
        """The bytes written so far."""
        return self._file.tell()

    def add(self, lines: Iterable[bytes]) -> None:
        """Write messages, each as its line; should this process be killed, they can be read afterwards.

        Raises:
            OSError: the disk is full, or the like.
        """
        for line in lines:
            self._file.write(self._packer.compress(line))
            self.messages += 1
        self._file.write(self._packer.flush(zlib.Z_SYNC_FLUSH))
        self._file.flush()

    def finish(self) -> None:
        """Write the segment's end, and wait until all is on the disk; it has no name of its own yet.

        Raises:
            OSError: the disk is full, or the like.
        """
        if not self._file.closed:
            self._file.write(self._packer.flush() + END)
            self._file.close()
            sync(self._path)

    def close(self, last: int) -> Segment:
        """Finish the segment, which has all messages up to the offset `last`, and give it its name.

        Raises:
            OSError: the disk is full, or the like.
        """
        self.finish()
        segment = Segment(self._partition.topic, self._partition.partition, self.first, last)
        self._path.rename(self._partition.table / segment.path)
        sync(self._partition.folder)
        return segment

    def discard(self) -> None:
        """Remove what was written."""
        # On a full disk, what is not written yet stays so.
        with suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Tell whether a segment can be read to its end.

    One that ends as Assay's segments do is taken for whole; of others all is read.

    Raises:
        OSError: it cannot be read.
    """
    if find_content_key(path):
        return has_end(path)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(END)))
        if file.read() == END and size > len(END):
            return True
        file.seek(0)
        unpacker = zlib.decompressobj(_GZIP)
        try:
            while raw := file.read(_BYTES_A_READ):
                while raw:
                    unpacker.decompress(raw)
                    raw = unpacker.unused_data
                    if unpacker.eof and raw:
                        unpacker = zlib.decompressobj(_GZIP)
        except zlib.error:
            return False
        return unpacker.eof
