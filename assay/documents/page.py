"""Read a page of HTML as Markdown."""

from __future__ import annotations

import re
from typing import Any

from bs4 import BeautifulSoup
from bs4.dammit import EncodingDetector
from markdownify import MarkdownConverter

from assay.landing.formats.encoding import find_encoding

# What browsers do not show, and what stands around the text of each page.
_NO_TEXT = ("script", "style", "noscript", "template", "title", "nav", "svg")
# Of elements whose end HTML lets authors leave out: what ends them where it begins within them.
_ENDED_BY = {
    name: frozenset(ends.split())
    for names, ends in {
        "li": "li",
        "dt dd": "dt dd",
        "td th": "td th tr thead tbody tfoot",
        "tr caption colgroup": "tr thead tbody tfoot",
        "thead tbody tfoot": "thead tbody tfoot",
        "option": "option optgroup hr",
        "optgroup": "optgroup hr",
        "rt rp": "rt rp",
        "p": "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption "
        "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr li main menu nav ol p pre search section "
        "table ul",
    }.items()
    for name in names.split()
}
# What stands in these ends nothing around them.
_APART = {
    *("ul", "ol", "menu", "dir", "dl", "table", "td", "th", "caption"),
    *("select", "ruby", "button", "object", "template"),
}


class _Page(BeautifulSoup):
    """A page as browsers read it: Python's parser puts what follows an element without end into it."""

    def handle_starttag(self, name: str, *others: Any, **more: Any) -> Any:
        """Begin an element, and end those before it that it ends."""
        for tag in reversed(self.tagStack):
            if name in _ENDED_BY.get(tag.name, ()):
                self.handle_endtag(tag.name)
            elif tag.name in _APART:
                break
        return super().handle_starttag(name, *others, **more)


def read_page(content: bytes) -> tuple[str, str]:
    """Return the title of a page, which may be empty, and its text as Markdown."""
    # Of a page that does not name its encoding, guesses at a few letters are of any language.
    is_named = EncodingDetector.find_declared_encoding(content, is_html=True) is not None
    page = _Page(content, "html.parser", from_encoding=None if is_named else find_encoding(content))
    # Pictures have titles, too.
    titles = [each.get_text(" ") for each in page("title") if not each.find_parent("svg")]
    for element in page(_NO_TEXT):
        element.decompose()
    body = MarkdownConverter(heading_style="ATX", bullets="-").convert_soup(page).strip()
    return (titles[0].strip() if titles else ""), re.sub(r"\n{3,}", "\n\n", body)
