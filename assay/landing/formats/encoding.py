"""Find the encoding of landed text, and decode text from the declared encoding."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import replace
from io import BufferedReader
from typing import TYPE_CHECKING, cast

from assay.landing.declared import LandingTable
from assay.landing.discover import UnreadableFile
from assay.landing.formats.columns import other_delimiter
from assay.landing.formats.rows import contract_line, skip_byte_order_mark

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FALLBACK = "windows-1252"
# Windows-1252 can decode these too, but no western language writes three such letters in a row, or a sign
# such as the pound's within a word.
_FOREIGN = re.compile(
    "[\u0080-\u024f]{3}"
    "|[^\\W\\d_][\u00a1-\u00a9\u00ac\u00ae-\u00b3\u00b6\u00b8\u00b9\u00bc-\u00bf][a-z\u00df-\u00ff]"
    "|[\u00a2-\u00a6\u00ac\u00af\u00b3\u00b9][a-z\u00df-\u00ff]"
)
# Bytes of signs such as the euro's; Latin-1 has only control characters there.
_SIGNS = re.compile(b"[\x80-\x9f]")
_CONTROL = re.compile("[\0-\b]")
# In UTF-16, nearly every line end has a NUL beside it; in a single line, half of the bytes are NUL.
_SHARE_OF_ENDS, _SHARE_OF_NULS = 0.8, 0.3
_BYTES_LOOKED_AT = 256 << 10
# With fewer broken lines, the lines are malformed, and the file's encoding is the declared one.
_FEWEST_LINES = 3
_SHARE_OF_LINES = 0.9


def find_encoding(raw: bytes, *, is_cut: bool = False) -> str | None:
    """Find the encoding of a text, by Python's name; None if it cannot be told.

    Args:
        raw: the first bytes of the text.
        is_cut: whether more bytes follow, so that the last character may be cut in two.
    """
    if marked := _marked(raw):
        return marked
    if encoding := _utf_16_without_mark(raw):
        text = decoded(raw, encoding, is_cut=is_cut)
        return encoding if text and not _CONTROL.search(text) else None
    text = decoded(raw, "utf-8", is_cut=is_cut)
    if text is not None:
        return None if "\0" in text else "utf-8"
    western = decoded(raw, _FALLBACK, is_cut=is_cut)
    return None if western is None or _FOREIGN.search(western) or "\0" in western else _FALLBACK


def decoded(raw: bytes, encoding: str, *, is_cut: bool) -> str | None:
    """Decode bytes to text; None if they are not valid in the encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(raw, final=not is_cut)
    except UnicodeDecodeError:
        return None


def splittable(stream: BufferedReader, table: LandingTable) -> BufferedReader:
    """Return a stream of text whose lines end in the byte LF, without a byte order mark.

    A stream in an encoding that writes LF as this byte stays as it is; others are converted to UTF-8.

    Raises:
        UnreadableFile: the text is evidently not in the declared encoding.
    """
    raw = stream.read(_BYTES_LOOKED_AT)
    stream.seek(0)
    declared = table.dialect.encoding
    if (found := _evidently(raw, declared, table.format)) is not None:
        raise _in_another(found, raw, table)
    if _is_splittable(declared):
        skip_byte_order_mark(stream)
        return stream
    return cast(BufferedReader, BufferedReader(_AsUtf8(stream, table)))


def line_encoding(table: LandingTable) -> str:
    """Return the encoding of the lines of a splittable stream."""
    return table.dialect.encoding if _is_splittable(table.dialect.encoding) else "utf-8"


class _AsUtf8(io.RawIOBase):
    """Converts a stream to UTF-8; a lone surrogate stays invalid, so that its line is found malformed."""

    def __init__(self, stream: BufferedReader, table: LandingTable) -> None:
        self._stream = stream
        self._table = table
        encoding = table.dialect.encoding
        self._errors = "surrogatepass" if _is_wide(encoding) else "strict"
        self._decoder = codecs.getincrementaldecoder(encoding)(self._errors)
        self._is_start = True
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer)
        while not self._left:
            raw = self._stream.read(len(into))
            try:
                text = self._decoder.decode(raw, final=not raw)
            except UnicodeError as error:
                raise UnreadableFile(
                    f"The file is not {self._table.dialect.encoding}, as is declared: send the file again, "
                    "whole, or declare its encoding: "
                    f"{contract_line(replace(self._table.dialect, encoding='...'))}."
                ) from error
            if self._is_start and text:
                text, self._is_start = text.removeprefix("\ufeff"), False
            self._left = text.encode("utf-8", "surrogatepass")
            if not raw:
                break
        taken, self._left = self._left[: len(into)], self._left[len(into) :]
        into[: len(taken)] = taken
        return len(taken)


def _marked(raw: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if raw.startswith(mark)), None)


def _utf_16_without_mark(raw: bytes) -> str | None:
    """Return the encoding of UTF-16 text, by the NULs beside its line ends; None for other text."""
    ends, nuls = raw.count(b"\n"), raw.count(0)
    if nuls < (_SHARE_OF_ENDS * ends if ends else _SHARE_OF_NULS * len(raw)):
        return None
    lower_first = raw[1::2].count(0) > raw[::2].count(0)
    if not ends:
        return ("utf-16-le" if lower_first else "utf-16-be") if nuls else None
    beside = raw.count(b"\n\0") if lower_first else raw.count(b"\0\n")
    return ("utf-16-le" if lower_first else "utf-16-be") if beside >= _SHARE_OF_ENDS * ends else None


def _is_wide(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def _is_splittable(encoding: str) -> bool:
    return "\n".encode(encoding) == b"\n"


def _evidently(raw: bytes, declared: str, file_format: str) -> str | None:
    """Return the text's encoding if it surely is not the declared one ('' if unknown), otherwise None."""
    name = codecs.lookup(declared).name
    if marked := _marked(raw):
        return None if name.startswith(marked) else marked
    if file_format != "csv" or not raw:
        return None
    is_cut = len(raw) == _BYTES_LOOKED_AT
    found = find_encoding(raw, is_cut=is_cut)
    if _is_wide(name):
        # Without a byte order mark, UTF-16 is read with the lower byte first.
        is_other = found is not None and found != name and (found, name) != ("utf-16-le", "utf-16")
        return found if is_other else None
    if (found or "").startswith("utf-16"):
        return found
    if name == "utf-8":
        return (found or "") if found != "utf-8" and _is_not_utf8(raw, is_cut=is_cut) else None
    if name == "iso8859-1" and found == _FALLBACK and _SIGNS.search(raw):
        return found
    return found if found == "utf-8" and not raw.isascii() and _has_single_bytes(name) else None


def _has_single_bytes(name: str) -> bool:
    """Tell whether an encoding decodes every byte as a character, and so would decode UTF-8 text too."""
    return len(bytes(range(128, 256)).decode(name, "replace")) == 128


def _is_not_utf8(raw: bytes, *, is_cut: bool) -> bool:
    """Tell whether the header is invalid UTF-8, or nearly all lines with characters beyond ASCII are."""
    lines = [line for line in raw.split(b"\n") if line.strip()]
    telling = [line for line in (lines[:-1] if is_cut and len(lines) > 1 else lines) if not line.isascii()]
    broken = [line for line in telling if decoded(line, "utf-8", is_cut=False) is None]
    is_in_header = bool(broken) and broken[0] == lines[0]
    return is_in_header or (len(broken) >= _FEWEST_LINES and len(broken) >= _SHARE_OF_LINES * len(telling))


def _in_another(found: str, raw: bytes, table: LandingTable) -> UnreadableFile:
    """Return the error for a file in another encoding, with the declaration that would read it.

    Args:
        found: its encoding; empty where that cannot be told.
        raw: its first bytes.
        table: the declared table.
    """
    if table.format != "csv":
        return UnreadableFile(
            f"The file is text in {found.upper()}, whatever its name ends in: save it in UTF-8."
        )
    declared = table.dialect.encoding
    if not found:
        return UnreadableFile(
            f"The file is not {declared.upper()}, and its encoding cannot be told: "
            "send the file again in UTF-8, or declare its encoding: "
            f"{contract_line(replace(table.dialect, encoding='...'))}."
        )
    # Whoever writes another encoding may write another delimiter as well.
    line = raw.decode(found, "ignore").removeprefix("\ufeff").partition("\n")[0].strip("\r")
    delimiter = other_delimiter(line.split(table.dialect.delimiter), line, table) or table.dialect.delimiter
    return UnreadableFile(
        f"The file is text in {found.upper()}, where {declared.upper()} is declared: "
        f"declare it: {contract_line(replace(table.dialect, encoding=found, delimiter=delimiter))}; "
        f"or send the file again in {declared.upper()}."
    )
