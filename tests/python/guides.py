"""The README and the guides, as their tests read them: blocks of code, and code within sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted(PROJECT.glob("docs/**/*.md"))]
_NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
_EXIT_CODE = re.compile(r"<!-- exit code (\d+): \S.* -->")


@dataclass(frozen=True)
class Block:
    """A block of code in a page; `remark` is the HTML comment right before it."""

    page: str
    line: int
    language: str
    text: str
    remark: str

    @property
    def is_of_runbook(self) -> bool:
        """Whether a drill runs it, when there is an alert to see to."""
        return self.page.startswith("docs/runbooks/") and not self.page.endswith("index.md")

    @property
    def is_run(self) -> bool:
        return not _NOT_RUN.fullmatch(self.remark)

    @property
    def exit_code(self) -> int:
        """The code with which its last command ends."""
        found = _EXIT_CODE.fullmatch(self.remark)
        return int(found.group(1)) if found else 0

    @property
    def commands(self) -> list[list[str]]:
        """Its commands, in words as a shell parts them; one may be of several lines."""
        found, begun = [], ""
        for line in self.text.replace("\\\n", " ").splitlines():
            begun += f"{line}\n"
            try:
                words = shlex.split(begun, comments=True)
            except ValueError:  # A quotation goes on in the next line.
                continue
            found, begun = [*found, words], ""
        return [words for words in found if words]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Return the blocks in these languages, or all, in the order of pages and lines."""
    return [
        block for page in PAGES for block in blocks_of(page) if not languages or block.language in languages
    ]


def code_in_sentences() -> list[tuple[str, str]]:
    """Return what stands as code within sentences: the page, and the code."""
    return [
        (page.name, inner.content)
        for page in PAGES
        for token in MarkdownIt().enable("table").parse(page.read_text())
        for inner in token.children or ()
        if inner.type == "code_inline"
    ]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of one page."""
    remark = ""
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        if token.type == "fence":
            assert token.map
            name = page.relative_to(PROJECT).as_posix()
            yield Block(name, token.map[0] + 1, token.info, token.content, remark)
        remark = token.content.strip() if token.type == "html_block" else ""
