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

_HEADING = re.compile(r"\s*#{1,6}[ \t]+(.+?)[ \t#]*(?:\n|$)")
# What browsers do not show, and what stands around the text of each page.
_NO_TEXT = ("script", "style", "noscript", "template", "head", "nav", "svg")


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
        return _READERS[path.suffix.lower()](content)
    except Fault:
        raise
    except Exception as error:  # whatever a broken file makes its reader raise
        return Extracted(problem=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _read_text(content: bytes) -> Extracted:
    encoding = find_encoding(content)
    if encoding is None:
        return Extracted(problem="it is no text in an encoding that can be told")
    body = content.decode(encoding, errors="replace").removeprefix("\ufeff")
    heading = _HEADING.match(body)
    return Extracted(heading[1] if heading else "", body)


def _read_html(content: bytes) -> Extracted:
    with extra_needed("documents", "To read HTML"):
        from bs4 import BeautifulSoup
        from markdownify import MarkdownConverter
    page = BeautifulSoup(content, "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    for element in page(_NO_TEXT):
        element.decompose()
    body = MarkdownConverter(heading_style="ATX", bullets="-").convert_soup(page).strip()
    return Extracted(title, re.sub(r"\n{3,}", "\n\n", body))


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
