"""Cut documents into chunks: by headings, paragraphs and sentences, within a number of tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from assay.documents.blocks import Block, find_blocks
from assay.embedding.tokens import count_tokens

# Sentences of Latin and of East Asian scripts; a line of a list, of code or of a table.
_SENTENCE = re.compile(r"(?:(?<=[.!?…])[\"')\]]*\s+|(?<=[\u3002\uff01\uff1f])|\n)")
_LINE = re.compile(r"\n")
# What is longer has too many tokens, as a rule; to count them is slow where words have no end.
_CHARACTERS_A_TOKEN = 8
_HEADINGS = " > "
# Each chunk repeats those above it, and a line of megabytes may begin as a heading does.
_LONGEST_HEADING = 200


@dataclass(frozen=True)
class Chunk:
    """A piece of a document.

    Attributes:
        chunk_number: from 1, in the order of the document.
        heading_path: the headings above its begin, joined by ` > `; empty where there is none.
        start_at: where it begins in the document's body, in characters.
        end_at: where it ends, exclusive.
        text: what stands there.
        tokens: how many tokens that is.
    """

    chunk_number: int
    heading_path: str
    start_at: int
    end_at: int
    text: str
    tokens: int


@dataclass(frozen=True)
class _Unit:
    """What is not cut any more: a sentence, a line, a piece of a longer one."""

    start: int
    end: int
    tokens: int
    begins_block: bool
    is_whole: bool


@dataclass(frozen=True)
class _Section:
    """A heading and what stands below it, up to the next heading."""

    level: int
    path: str
    blocks: list[Block]


def split_document(body: str, *, limit: int, overlap: int) -> list[Chunk]:
    """Cut a document into chunks.

    A chunk ends where a section ends, else where a paragraph, a table or code does, else where a sentence or
    a line does, and within a sentence only where it alone has too many tokens. Sections below a heading stand
    in one chunk with it where they fit. Tables and code are cut only where they alone are too long, between
    lines.

    Args:
        body: the document's text, plain or Markdown.
        limit: how many tokens a chunk has at most.
        overlap: how many tokens of a chunk's end the next one repeats at most, in whole sentences and never
            across headings.

    Raises:
        ValueError: the limit is less than 8, or the overlap is not less than half of it.
        Fault: the extra `search` is not installed.
    """
    if limit < 8 or not 0 <= overlap < limit / 2:
        raise ValueError(
            f"chunks of {limit} tokens cannot overlap by {overlap}: less than half, and 8 tokens at least"
        )
    sections = list(_sections(find_blocks(body)))
    found = [
        (path, start, end, tokens)
        for path, units in _merged(body, sections, limit)
        for start, end, tokens in _fitted(body, units, limit, overlap)
    ]
    return [
        Chunk(number, path, start, end, body[start:end], tokens)
        for number, (path, start, end, tokens) in enumerate(found, start=1)
    ]


def embedding_text(title: str | None, heading_path: str, text: str) -> str:
    """Return what is embedded of a chunk, and searched for words: its title and headings before its text."""
    return "\n".join(part for part in (title, heading_path, text) if part)


def _sections(blocks: Sequence[Block]) -> Iterator[_Section]:
    above: list[tuple[int, str]] = []
    level, gathered = 0, list[Block]()
    for block in blocks:
        if block.level:
            if gathered:
                yield _Section(level, _HEADINGS.join(text for _, text in above if text), gathered)
            above = [
                *((each, text) for each, text in above if each < block.level),
                (block.level, _shortened(block.heading)),
            ]
            level, gathered = block.level, []
        gathered.append(block)
    if gathered:
        yield _Section(level, _HEADINGS.join(text for _, text in above if text), gathered)


def _shortened(heading: str) -> str:
    is_long = len(heading) > _LONGEST_HEADING
    return f"{heading[: _LONGEST_HEADING - 1]}\N{HORIZONTAL ELLIPSIS}" if is_long else heading


def _merged(body: str, sections: Sequence[_Section], limit: int) -> Iterator[tuple[str, list[_Unit]]]:
    """Yield the units of each section, of those below it too where all of that fits into one chunk."""
    path, level, gathered = "", 0, list[_Unit]()
    for section in sections:
        units = _units(body, section.blocks, limit)
        if 0 < level < section.level and _tokens(gathered) + _tokens(units) <= limit:
            gathered += units
            continue
        if gathered:
            yield path, gathered
        path, level, gathered = section.path, section.level, units
    if gathered:
        yield path, gathered


def _tokens(units: Sequence[_Unit]) -> int:
    return sum(unit.tokens for unit in units)


def _units(body: str, blocks: Sequence[Block], limit: int) -> list[_Unit]:
    """Return the sentences or lines of blocks; each reaches to the begin of the next."""
    pieces = [
        (start, end, start == block.start, block.is_whole)
        for block in blocks
        for start, end in _cut(body, block)
    ]
    counts = count_tokens([body[start:end] for start, end, _, _ in pieces])
    units: list[_Unit] = []
    for (start, end, begins, is_whole), tokens in zip(pieces, counts, strict=True):
        if tokens <= limit:
            units.append(_Unit(start, end, tokens, begins, is_whole))
        else:
            units += _halved(body, start, end, begins, limit)
    return units


def _cut(body: str, block: Block) -> Iterator[tuple[int, int]]:
    at = block.start
    for match in (_LINE if block.is_whole else _SENTENCE).finditer(body, block.start, block.end):
        if body[at : match.end()].strip():
            yield at, match.end()
            at = match.end()
    if at < block.end:
        yield at, block.end


def _halved(body: str, start: int, end: int, begins: bool, limit: int) -> Iterator[_Unit]:
    """Yield the pieces of what has too many tokens for one chunk, cut between words where it has any."""
    waiting = [(start, end)]
    while waiting:
        start, end = waiting.pop()
        is_short = end - start <= limit * _CHARACTERS_A_TOKEN
        tokens = count_tokens([body[start:end]])[0] if is_short else None
        if tokens is not None and (tokens <= limit or end - start == 1):
            yield _Unit(start, end, tokens, begins, False)
            begins = False
            continue
        middle = (start + end) // 2
        space = body.rfind(" ", start + 1, middle)
        middle = space + 1 if space > start + (end - start) // 4 else middle
        waiting += [(middle, end), (start, middle)]


def _fitted(body: str, units: Sequence[_Unit], limit: int, overlap: int) -> list[tuple[int, int, int]]:
    """Return the chunks of units, each with its tokens: a text can have a few more than its parts have."""
    room = limit
    while True:
        pieces = list(_told_anew(_trimmed(body, start, end) for start, end in _packed(units, room, overlap)))
        counts = count_tokens([body[start:end] for start, end in pieces])
        most = max(counts, default=0)
        if most <= limit or room == 1:
            return [(start, end, tokens) for (start, end), tokens in zip(pieces, counts, strict=True)]
        room = max(1, min(room - 1, room * limit // most))


def _trimmed(body: str, start: int, end: int) -> tuple[int, int]:
    text = body[start:end].rstrip()
    return start + len(text) - len(text.lstrip("\r\n")), start + len(text)


def _told_anew(pieces: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the pieces that hold more than those before them did."""
    told = -1
    for start, end in pieces:
        if start < end and end > told:
            yield start, end
            told = end


def _packed(units: Sequence[_Unit], limit: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield where chunks of units begin and end."""
    until = [0, *accumulate(unit.tokens for unit in units)]
    first = done = 0
    while done < len(units):
        end = done + 1
        while end < len(units) and until[end + 1] - until[first] <= limit:
            end += 1
        if end < len(units):
            end = _better_end(units, until, first, done, end, limit)
        yield units[first].start, units[end - 1].end
        done = first = end
        while (
            done < len(units)
            and first > 0
            and not units[first - 1].is_whole
            and until[done] - until[first - 1] <= overlap
            and until[_end_of_first(units, done)] - until[first - 1] <= limit
        ):
            first -= 1


def _better_end(
    units: Sequence[_Unit], until: Sequence[int], first: int, done: int, end: int, limit: int
) -> int:
    """Return where to end a chunk with room up to `end`: before a block, if that leaves it half full."""
    before = next((each for each in range(end, done, -1) if units[each].begins_block), 0)
    if not before:
        return end
    is_kept_whole = units[before].is_whole and until[_end_of_first(units, before)] - until[before] <= limit
    return before if is_kept_whole or until[before] - until[first] > limit / 2 else end


def _end_of_first(units: Sequence[_Unit], begin: int) -> int:
    """Return where what begins there ends: the whole block of code or of a table, else the sentence."""
    end = begin + 1
    while units[begin].is_whole and end < len(units) and not units[end].begins_block:
        end += 1
    return end
