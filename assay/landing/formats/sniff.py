"""Find in a sample how a CSV is written; if several answers fit the sample, all of them are returned."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import cast

import duckdb

from assay.core.words import counted
from assay.landing.dialect import THOUSANDS, Dialect, number_pattern
from assay.landing.discover import UnreadableFile
from assay.landing.formats.encoding import decoded, find_encoding
from assay.landing.formats.rows import csv_reader, names_delimiter
from assay.landing.formats.signatures import refuse_other_kinds
from assay.landing.time_format import EPOCHS, duckdb_format, time_by_format

BYTES_LOOKED_AT = 1 << 20
_DELIMITERS = (",", ";", "\t", "|")
_QUOTES = ('"', "'", "")
# The most usual first. Without other evidence, a comma before three digits is a thousands separator.
_NUMBER_SIGNS = (
    (".", ""),
    (".", ","),
    (",", ""),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
)
_DAYS = (
    *(
        f"{first}{sign}{second}{sign}{year}"
        for first, second in (("dd", "MM"), ("MM", "dd"))
        for sign in ("/", "-", ".")
        for year in ("yyyy", "yy")
    ),
    "yyyy/MM/dd",
    "yyyy.MM.dd",
    "yyyyMMdd",
    "dd MMM yyyy",
    "dd-MMM-yyyy",
    "dd-MMM-yy",
    "MMM dd, yyyy",
    "MMM dd yyyy",
    "dd MMMM yyyy",
    "MMMM dd, yyyy",
)
_CLOCKS = tuple(
    f"{between}{clock}"
    for between in (" ", "'T'", ", ")
    for clock in ("HH:mm", "HH:mm:ss", "HH:mm:ss.SSS", "hh:mm a", "hh:mm:ss a")
)
# A whole number counts as a time since 1970 only if that time is between 2000 and 2100.
_EPOCHS_LOOKED_FOR = (946_684_800, 4_102_444_800)
_TIMES_LOOKED_FOR = "timestamp '1900-01-01' and timestamp '2100-01-01'"
_SHARE_OF_A_SHAPE = 0.9
_LINES_ABOVE_HEADER = 20
_SHARE_OF_NUMBERS = 0.95


@dataclass(frozen=True)
class TimeFormat:
    """How a column's times are written.

    `logical_type` is `date` or `timestamp`; `format` is written as in a contract, None for ISO 8601.
    """

    logical_type: str
    format: str | None

    @property
    def shape(self) -> str:
        """The format with its letters replaced: shows where its times have digits, and where letters."""
        return re.sub("[a-zB-Z]+", "9", re.sub("'T'|MMM+|a", "A", self.format or ""))

    @property
    def condition(self) -> str:
        """The SQL condition that the text `value` is a time in this format."""
        if self.format is None:
            day = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
            pattern = day if self.logical_type == "date" else f"{day}[T ][0-9]{{2}}:.*"
            return f"regexp_full_match(value, '{pattern}') and try_cast(value as timestamptz) is not null"
        if self.format in EPOCHS:
            low, high = (each * (1 if self.format == EPOCHS[0] else 1000) for each in _EPOCHS_LOOKED_FOR)
            return (
                f"regexp_full_match(value, '[0-9]+') and try_cast(value as bigint) between {low} and {high}"
            )
        instant = time_by_format("value", duckdb_format(self.format, self.logical_type))
        return f"{instant} between {_TIMES_LOOKED_FOR}"


_TIME_FORMATS = [
    *(TimeFormat("date", day) for day in _DAYS),
    *(TimeFormat("timestamp", f"{day}{clock}") for day in _DAYS for clock in _CLOCKS),
]


def find_dialect(sample: Path | bytes, encoding: str | None = None) -> Dialect:
    """Find the dialect of a CSV file from its first megabyte.

    If several dialects fit the sample, as with one column of `1.234`, the most usual one is returned;
    `find_number_signs` returns all.

    Args:
        sample: a file's path or its bytes; either may be compressed with gzip.
        encoding: the file's encoding, if it is known.

    Raises:
        UnreadableFile: the sample is empty, no text, or in an unknown encoding.
    """
    text, encoding = _read_text(sample, encoding)
    delimiter, quote = _find_shape(text) or _shape_of_one_column(text)
    _, *rows = _records(text, delimiter, quote)
    decimal, thousands = find_number_signs(zip_longest(*rows, fillvalue=""))[0]
    return Dialect(delimiter, quote, encoding, decimal, thousands)


def find_differences(sample: Path | bytes, declared: Dialect) -> dict[str, tuple[str, str]]:
    """Return in what a CSV file is written otherwise than declared, numbers aside, which columns tell.

    Args:
        sample: a file, or its content.
        declared: what the table's contract says.

    Returns:
        By field of the dialect, what is declared and what is found.

    Raises:
        UnreadableFile: the file is empty, is not text, or has an encoding that cannot be told.
    """
    try:
        text, _ = _read_text(sample, declared.encoding)
    except UnreadableFile:
        text = ""
    found = find_dialect(sample, None)
    # Any bytes are Windows-1252, so that tells nothing against another encoding of single bytes.
    is_certain = found.encoding != "windows-1252" or not text
    plain = _read_text(sample, found.encoding)[0] if is_certain else text
    differing = ["encoding"] if plain != text else []
    records = _records(plain, declared.delimiter, declared.quote)
    fits = sum(len(record) == len(records[0]) for record in records) >= _SHARE_OF_A_SHAPE * len(records)
    is_split = len(records[0]) > 1 or found.delimiter == declared.delimiter
    if not (fits and is_split):
        differing += ["delimiter"] if found.delimiter != declared.delimiter else ["quote"]
    return {
        name: (getattr(declared, name), getattr(found, name))
        for name in differing
        if getattr(declared, name) != getattr(found, name)
    }


def read_sample(sample: Path | bytes, dialect: Dialect) -> tuple[list[str], list[list[str]]]:
    """Read the header of a CSV file and its first rows with as many values as the header, as texts.

    Raises:
        UnreadableFile: the sample is empty, or not in the dialect's encoding.
    """
    text, _ = _read_text(sample, dialect.encoding)
    header, *rows = _records(text, dialect.delimiter, dialect.quote)
    return [name.strip() for name in header], [row for row in rows if len(row) == len(header)]


def looks_like_data(header: Sequence[str]) -> bool:
    """Tell whether the first line is a row and no header: it has empty values, numbers or times."""
    numeric = re.compile(r"\s*|[+-]?[\d.,' \u00a0\u202f:/TZ+-]*\d[\d.,' \u00a0\u202f:/TZ+-]*")
    return any(numeric.fullmatch(name) for name in header)


def find_number_signs(columns: Iterable[Sequence[str]]) -> list[tuple[str, str]]:
    """Return the decimal and the thousands sign with which most columns read as numbers.

    Args:
        columns: the values of each column.

    Returns:
        The most usual pair first; further pairs only if they read the same values as other numbers.
    """
    filled = [[value.strip() for value in column if value.strip()] for column in columns]
    read = {signs: _numbers(filled, *signs) for signs in _NUMBER_SIGNS}
    most = max(len(found) for found in read.values())
    best: dict[str, tuple[str, str]] = {}
    for signs, found in read.items():
        if len(found) == most:
            best.setdefault(repr(found), signs)
    return list(best.values())


def find_time_formats(values: Iterable[str], *, mistakes: float = 0) -> list[TimeFormat]:
    """Return all formats in which the values of a column are times: none, one, or several.

    Several mean that the sample is ambiguous: 01/02/2025 does not show whether the day comes first.

    Args:
        values: texts, each as often as it comes; empty ones are ignored.
        mistakes: the share of values that may be none, such as 31.02.2025.
    """
    counts = Counter(value.strip() for value in values if value.strip())
    if not counts:
        return []
    shape = re.sub("[A-Za-z]+", "A", re.sub("[0-9]+", "9", next(iter(counts))))
    candidates = [TimeFormat("date", None), TimeFormat("timestamp", None)]
    candidates += [each for each in _TIME_FORMATS if each.shape == shape]
    candidates += [TimeFormat("timestamp", each) for each in EPOCHS]
    fitting = ", ".join(f"coalesce(sum(n) filter (where {each.condition}), 0)" for each in candidates)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        [row] = connection.execute(
            f"select {fitting} from (select unnest($1::varchar[]) as value, unnest($2::bigint[]) as n)",
            [list(counts), list(counts.values())],
        ).fetchall()
    most = max(row)
    if most < (1 - mistakes) * counts.total():
        return []
    return [each for each, count in zip(candidates, row, strict=True) if count == most]


def _numbers(columns: Sequence[Sequence[str]], decimal: str, thousands: str) -> dict[int, list[str]]:
    """Return the columns of which nearly all values are numbers; the numbers are in Python's notation."""
    pattern = re.compile(number_pattern(decimal, thousands))
    parts = THOUSANDS.get(thousands, "")
    found = {}
    for index, values in enumerate(columns):
        numbers = [value for value in values if pattern.fullmatch(value)]
        if not numbers or len(numbers) < _SHARE_OF_NUMBERS * len(values):
            continue
        is_parted = any(part in value for value in numbers for part in parts)
        # Codes such as 560 001 all have six digits; amounts differ in length.
        if is_parted and thousands == " " and len(set(map(len, numbers))) == 1:
            continue
        found[index] = [
            re.sub(f"[{parts}]", "", value).replace(decimal, ".") if parts else value.replace(decimal, ".")
            for value in numbers
        ]
    return found


def _read_text(sample: Path | bytes, encoding: str | None) -> tuple[str, str]:
    """Read the first whole lines of a sample, and find its encoding."""
    stream = io.BytesIO(sample) if isinstance(sample, bytes) else sample.open("rb")
    with stream:
        start = stream.read(2)
        stream.seek(0)
        try:
            if start == b"\x1f\x8b":
                with gzip.open(stream) as unpacked:
                    raw = unpacked.read(BYTES_LOOKED_AT + 1)
            else:
                raw = stream.read(BYTES_LOOKED_AT + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableFile("The .gz is damaged: send the file again, whole.") from error
    raw, is_cut = raw[:BYTES_LOOKED_AT], len(raw) > BYTES_LOOKED_AT
    known = encoding or find_encoding(raw, is_cut=is_cut)
    refuse_other_kinds(cast(io.BufferedReader, io.BufferedReader(io.BytesIO(raw))))
    if not known and b"\0" in raw and find_encoding(raw.replace(b"\0", b""), is_cut=is_cut) == "utf-8":
        raise UnreadableFile("The file has NUL bytes between its letters: send it again without them.")
    if not known:
        raise UnreadableFile(
            "The encoding cannot be told: the file is neither UTF-8 nor UTF-16, and read as Windows-1252 "
            "it has no words. Name the encoding, such as windows-1250 or shift_jis."
        )
    text = decoded(raw, known, is_cut=is_cut)
    if text is None:
        raise UnreadableFile(f"The file is not {known}: name its encoding, or send it in UTF-8.")
    text = text.removeprefix("\ufeff")
    if is_cut:
        text = text[: text.rfind("\n") + 1] or text
    first, end, rest = text.partition("\n")
    text = rest if names_delimiter(first) and end else text
    if not text.strip():
        raise UnreadableFile("The file is empty: send one with a header and some rows.")
    return text, known


def _find_shape(text: str) -> tuple[str, str] | None:
    """Return the delimiter and quote that give the most records with as many values as the header.

    None if the header has one value by any of them.
    """
    best, most = None, (0.0, 0)
    for quote in _QUOTES:
        for delimiter in _DELIMITERS:
            records = _records(text, delimiter, quote)
            fields = len(records[0]) if records else 0
            share = sum(len(record) == fields for record in records) / max(len(records), 1)
            is_quoted = quote != "'" or _is_quoted(text, delimiter)
            if fields > 1 and share >= _SHARE_OF_A_SHAPE and is_quoted and (round(share, 2), fields) > most:
                best, most = (delimiter, quote), (round(share, 2), fields)
    return best


def _shape_of_one_column(text: str) -> tuple[str, str]:
    """Return a delimiter that does not split the values of one column, as a comma splits 1,5.

    Raises:
        UnreadableFile: the file has several columns, whose header is below other lines.
    """
    lines = text.splitlines(keepends=True)
    for number in range(1, min(_LINES_ABOVE_HEADER, len(lines) - 2) + 1):
        rest = "".join(lines[number:])
        shape = _find_shape(rest) if lines[number].strip() else None
        records = _records(rest, *shape) if shape else []
        if len(records) > 2 and not looks_like_data([name.strip() for name in records[0]]):
            raise UnreadableFile(
                f"The header is in line {number + 1}: take out the {counted(number, 'line')} above it."
            )
    for delimiter in _DELIMITERS:
        records = _records(text, delimiter, _QUOTES[0])
        if sum(len(record) == 1 for record in records) > len(records) / 2:
            return delimiter, _QUOTES[0]
    return _DELIMITERS[0], _QUOTES[0]


def _is_quoted(text: str, delimiter: str) -> bool:
    """Tell whether apostrophes are around values and not within them."""
    around = re.findall(rf"(?:^|{re.escape(delimiter)})'[^'\n]*'(?={re.escape(delimiter)}|\r?$)", text, re.M)
    return len(around) >= 2 and '"' not in text


def _records(text: str, delimiter: str, quote: str) -> list[list[str]]:
    """Return the records of a text without blank ones; at text that is not CSV it stops."""
    records: list[list[str]] = []
    reader = csv_reader(io.StringIO(text, newline=""), delimiter, quote)
    try:
        records += [record for record in reader if record]
    except csv.Error:
        # Broken text counts as one more record, which fits no header.
        records.append([])
    return records
