"""Read CSV files so that a broken line does not affect other lines."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from io import BufferedReader

import pyarrow as pa

from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile, UnreadableFile
from assay.landing.formats.columns import ROWS_A_BATCH, batch_builder, check_delimiter, check_header
from assay.landing.formats.encoding import line_encoding
from assay.landing.formats.rows import Tally, csv_reader, decode, line_limit, names_delimiter, too_long

_CHARACTERS_A_BATCH = 16 << 20
_CHARACTERS_IN_QUOTES = 1 << 20
# A file may open a quote in each line. The limit keeps the rereading in proportion to the file's size.
_CHARACTERS_AGAIN = 256 << 20
_TIMES_AGAIN = 4


class _Lines:
    """Lines for csv.reader; keeps the lines of the current record, and can give them back to be reread."""

    def __init__(self, stream: BufferedReader, encoding: str) -> None:
        #: Characters read from the file so far.
        self.characters = 0
        self._swallowed = 0
        self._stream = stream
        self._encoding = encoding
        self._limit = line_limit()
        self._read = 0
        self._given_back = 0
        self._pending: deque[tuple[str, str | None]] = deque()
        self.taken: list[tuple[str, str | None]] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if not self.taken:
            self._swallowed = 0
        else:
            # Without this limit, each stray quote would make the reader read the rest of the file again.
            self._swallowed += len(self.taken[-1][0])
            if self._swallowed > _CHARACTERS_IN_QUOTES:
                raise csv.Error("a quote is not closed")
        if self._pending:
            line = self._pending.popleft()
        else:
            raw = self._stream.readline(self._limit + 2)
            if not raw:
                raise StopIteration
            self._read += 1
            if len(raw) - raw.endswith(b"\n") > self._limit:
                raise too_long(self._read)
            line = decode(raw, self._encoding)
            self.characters += len(line[0])
        self.taken.append(line)
        return line[0]

    def give_back_all_but_first(self) -> None:
        self._given_back += sum(len(line) for line, _ in self.taken[1:])
        if self._given_back > _CHARACTERS_AGAIN + _TIMES_AGAIN * self.characters:
            raise UnreadableFile("Too many lines have a quote that is not closed: send the file again.")
        self._pending.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def read_csv(
    stream: BufferedReader, file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a CSV file; a malformed line is kept whole, with the reason.

    Raises:
        UnreadableFile: the header does not fit the table, or a line is too long.
    """
    lines = _Lines(stream, line_encoding(table))
    dialect = (table.dialect.delimiter, table.dialect.quote)
    header = _read_header(lines, table, tally)
    if not header:
        return
    header = check_header(header, lines.taken[0][0], file, table, tally)
    build = batch_builder(header, file, table, file_id, tally)

    reader = csv_reader(lines, *dialect)
    numbers: list[int] = []
    records: list[list[str]] = []
    malformed: list[tuple[int, str, str]] = []
    batch_ends = _CHARACTERS_A_BATCH
    while True:
        lines.taken.clear()
        reason = None
        try:
            record = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            reason, record = f"not CSV ({error})", []
            reader = csv_reader(lines, *dialect)
        reason = reason or next((why for _, why in lines.taken if why), None)
        start = tally.lines + 1
        if not reason and not record:
            tally.blank_lines += 1
        elif reason or len(record) != len(header):
            # A stray quote swallows the lines after it. The first line is malformed; the others are reread.
            lines.give_back_all_but_first()
            reason = reason or f"{len(record)} fields where the header has {len(header)}"
            malformed.append((start, lines.taken[0][0].removesuffix("\n").removesuffix("\r"), reason))
        else:
            numbers.append(start)
            records.append(record)
            tally.row_lines += len(lines.taken)
        tally.lines += len(lines.taken)
        if len(records) + len(malformed) >= ROWS_A_BATCH or lines.characters >= batch_ends:
            yield build(numbers, records, malformed)
            batch_ends = lines.characters + _CHARACTERS_A_BATCH
            numbers, records, malformed = [], [], []
    if records or malformed:
        yield build(numbers, records, malformed)


def _read_header(lines: _Lines, table: LandingTable, tally: Tally) -> list[str]:
    """Return the names in the first line that is not blank; empty if all lines are blank."""
    try:
        for header in csv_reader(lines, table.dialect.delimiter, table.dialect.quote):
            tally.lines += len(lines.taken)
            if header and not names_delimiter(lines.taken[0][0]):
                tally.header_lines = len(lines.taken)
                break
            tally.blank_lines += len(lines.taken)
            lines.taken.clear()
        else:
            return []
    except csv.Error as error:
        _check_encoding(lines)
        first = lines.taken[0][0]
        if "\r" in first.removesuffix("\n").removesuffix("\r"):
            raise UnreadableFile(
                "The header is not CSV (it has a carriage return in it): "
                "send the file again with lines that end in LF or CRLF."
            ) from error
        check_delimiter([], first, table)
        raise UnreadableFile(f"The header is not CSV ({error}): send the file again.") from error
    _check_encoding(lines)
    return [name.strip() for name in header]


def _check_encoding(lines: _Lines) -> None:
    if undecodable := next((reason for _, reason in lines.taken if reason), None):
        raise UnreadableFile(f"The header is {undecodable}.")
