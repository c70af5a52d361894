"""Read the text of a document's file: Markdown, plain text, HTML or PDF."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.core.fault import Fault, extra_needed
from assay.landing.formats.encoding import find_encoding

_HEADING = re.compile(r"\s*#{1,6}[ \t]+([^\r\n]+)")
# Soft hyphens and ligatures are how a text is set, and would make its words others than those searched for.
_AS_WRITTEN = {0xAD: None} | {
    0xFB00 + place: letters for place, letters in enumerate(("ff", "fi", "fl", "ffi", "ffl", "st", "st"))
}


@dataclass(frozen=True)
class Extracted:
    """The text of a file. `title` is empty where it has none; `problem` says why there is no text."""

    title: str = ""
    body: str | None = None
    problem: str = ""


def is_document(path: Path) -> bool:
    """Tell whether files of that name are read."""
    return path.suffix.lower() in _READERS


def kinds_of_documents() -> list[str]:
    """Return the endings of the names of files that are read."""
    return sorted(_READERS)


def extract_text(path: Path, content: bytes) -> Extracted:
    """Return the text of a file; one that cannot be read says why, and raises nothing.

    Args:
        path: of the file, whose ending says how it is read.
        content: what it holds.

    Raises:
        Fault: the extra `documents` is not installed.
    """
    try:
        found = _READERS[path.suffix.lower()](content)
        body = None if found.body is None else _as_written(found.body)
        title = found.title or _heading_of(body or "")
        return Extracted(" ".join(_as_written(title).split()), body, found.problem)
    except Fault:
        raise
    except Exception as error:  # whatever a broken file makes its reader raise
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Extracted(problem=_as_written(said))


def _as_written(text: str) -> str:
    # A PDF can hold halves of characters, which no file can: two of them are one, and one is none.
    whole = text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.translate(_AS_WRITTEN)


def _heading_of(body: str) -> str:
    """Return the heading that Markdown begins with; empty where it begins otherwise."""
    found = _HEADING.match(body)
    line = found[1].strip(" \t") if found else ""
    text = line.rstrip("#")
    # Signs that close a heading stand behind a space; others are of its text, as in C#.
    return line if text[-1:] not in ("", " ", "\t") else text.strip(" \t")


def _read_text(content: bytes) -> Extracted:
    encoding = find_encoding(content)
    if encoding is None:
        return Extracted(problem="it is no text in an encoding that can be told")
    try:
        return Extracted(body=content.decode(encoding).removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        return Extracted(problem=f"it begins as text in {encoding.upper()}, and is none: {error.reason}")


def _read_html(content: bytes) -> Extracted:
    with extra_needed("documents", "To read HTML"):
        from assay.documents.page import read_page
    return Extracted(*read_page(content))


def _read_pdf(content: bytes) -> Extracted:
    with extra_needed("documents", "To read PDF"):
        from pypdf import PdfReader
    # It warns of each small fault of a file that it can read all the same.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        return Extracted(problem="it is encrypted")
    body = "\n\n".join(text for page in reader.pages if (text := page.extract_text().strip()))
    if not body:
        return Extracted(problem="its pages hold pictures and no text")
    title = (reader.metadata.title or "") if reader.metadata else ""
    return Extracted(str(title).strip(), body)


_READERS: dict[str, Callable[[bytes], Extracted]] = {
    ".htm": _read_html,
    ".html": _read_html,
    ".markdown": _read_text,
    ".md": _read_text,
    ".pdf": _read_pdf,
    ".txt": _read_text,
}
