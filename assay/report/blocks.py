"""What a page is made of: sections of blocks, which know nothing of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

# How something is: shown by a colour and always by a word as well.
Tone = Literal["good", "watch", "bad", "none"]


@dataclass(frozen=True)
class Text:
    """What a cell says; `note` goes below in small letters, `href` leads on."""

    text: str
    tone: Tone = "none"
    note: str = ""
    href: str = ""


@dataclass(frozen=True)
class Head:
    """The head of a column; numbers stand right."""

    name: str
    is_number: bool = False


@dataclass(frozen=True)
class Paragraph:
    """A sentence or two; `is_code` keeps lines and letters as they are."""

    kind: ClassVar[str] = "paragraph"
    text: str
    is_code: bool = False


@dataclass(frozen=True)
class Facts:
    """Terms and what is said of them."""

    kind: ClassVar[str] = "facts"
    facts: Sequence[tuple[str, Text]]


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Head]
    rows: Sequence[Sequence[Text]]


@dataclass(frozen=True)
class Chart:
    """A picture as SVG, with a title and the same in words for who cannot see it."""

    title: str
    words: str
    svg: str


@dataclass(frozen=True)
class Charts:
    """Charts side by side, or below each other where there is little room; `in_pairs` two belong together."""

    kind: ClassVar[str] = "charts"
    charts: Sequence[Chart]
    in_pairs: bool = False


@dataclass(frozen=True)
class Details:
    """What is shown on demand."""

    kind: ClassVar[str] = "details"
    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Group:
    """What belongs together, such as what is wrong with a table, below a heading of its own."""

    kind: ClassVar[str] = "group"
    heading: str
    blocks: Sequence[Block]
    tone: Tone = "none"


@dataclass(frozen=True)
class Strip:
    """What became of something time after time: a mark with its words each, and the same as a sentence."""

    name: Text
    words: str
    marks: Sequence[tuple[Tone, str]]


@dataclass(frozen=True)
class Strips:
    """Strips below each other, of the same times."""

    kind: ClassVar[str] = "strips"
    caption: str
    strips: Sequence[Strip]


Block = Paragraph | Facts | Table | Charts | Details | Group | Strips


@dataclass(frozen=True)
class Need:
    """Something that needs a person, in a line; `owner` is whose it is."""

    tone: Literal["bad", "watch"]
    text: str
    owner: str | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page: its conclusion in a sentence, what that rests on, and what needs a person."""

    lead: str
    blocks: Sequence[Block] = ()
    needs: Sequence[Need] = ()
