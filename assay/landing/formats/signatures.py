"""Recognise files that are not text, despite their name's ending, by their first bytes."""

from __future__ import annotations

from io import BufferedReader

from assay.landing.discover import UnreadableFile

_AGAIN = "unpack it, or pack it with gzip and send it as .gz"
_BEGINNINGS: dict[bytes, tuple[str, str]] = {
    b"PK\x03\x04": ("an Excel workbook or another ZIP archive", "export each table as text"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an old Excel workbook", "export each table as text"),
    b"\x1f\x8b": ("packed with gzip", "end its name in .gz"),
    b"%PDF-": ("a PDF document", "export the table as text"),
    b"<!doctype html": ("an HTML page", "send the data that it shows, or was to lead to"),
    b"<html": ("an HTML page", "send the data that it shows, or was to lead to"),
    b"PAR1\x15": ("Parquet", "end its name in .parquet"),
    b"\x28\xb5\x2f\xfd": ("packed with Zstandard", _AGAIN),
    b"\xfd7zXZ\x00": ("packed with xz", _AGAIN),
    b"BZh91AY&SY": ("packed with bzip2", _AGAIN),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _AGAIN),
    b"Obj\x01": ("Avro", "export it as text or Parquet"),
    b"SQLite format 3\x00": ("an SQLite database", "export each table as text"),
}
_BYTES_LOOKED_AT = 64


def refuse_other_kinds(stream: BufferedReader) -> None:
    """Refuse a stream whose first bytes show that it is not text; the stream stays at its start.

    Raises:
        UnreadableFile: the file is of a known kind that is not text.
    """
    start = stream.peek(_BYTES_LOOKED_AT)[:_BYTES_LOOKED_AT]
    written = start.lstrip().lower()
    for beginning, (what, remedy) in _BEGINNINGS.items():
        if (written if beginning.startswith(b"<") else start).startswith(beginning):
            raise UnreadableFile(f"The file is {what}, whatever its name ends in: {remedy}.")
