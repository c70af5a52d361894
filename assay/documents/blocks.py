"""Find the blocks of a document's Markdown: headings, paragraphs, lists, tables, code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

from assay.core.fault import extra_needed

# As the parser counts lines.
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n|\Z)")
_WHOLE = {"fence", "code_block", "table_open"}


@dataclass(frozen=True)
class Block:
    """A block of a document.

    Attributes:
        start: where it begins, in characters from the document's begin.
        end: where the next one begins.
        level: of a heading, from 1; else 0.
        heading: a heading's text.
        is_whole: whether it is code or a table, which make little sense in pieces.
    """

    start: int
    end: int
    level: int = 0
    heading: str = ""
    is_whole: bool = False


def find_blocks(body: str) -> list[Block]:
    """Return the blocks of a text, which together hold all of it from the first that is not empty on.

    Text without any Markdown is paragraphs.

    Raises:
        Fault: the extra `search` is not installed.
    """
    starts = [0, *accumulate(len(line) for line in _LINE.findall(body))]
    found = [
        (starts[token.map[0]], token, following)
        for token, following in _outermost(_parser().parse(body))
        if token.map and token.map[0] < len(starts)
    ]
    ends = [*(start for start, _, _ in found), len(body)][1:]
    return [
        Block(start, end, int(token.tag[1]), following.content, False)
        if token.type == "heading_open"
        else Block(start, end, is_whole=token.type in _WHOLE)
        for (start, token, following), end in zip(found, ends, strict=True)
    ]


def _outermost(tokens: list[Any]) -> Iterator[tuple[Any, Any]]:
    for number, token in enumerate(tokens, start=1):
        if token.level == 0 and token.nesting >= 0:
            yield token, tokens[number] if number < len(tokens) else None


@cache
def _parser() -> Any:
    with extra_needed("search", "To cut documents into chunks"):
        from markdown_it import MarkdownIt
    # What stands within lines does not matter, and takes nine tenths of the time; targets of links are text.
    return MarkdownIt("commonmark").enable("table").disable(["inline", "text_join", "reference"])
