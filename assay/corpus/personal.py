"""Replace personal data in free text by tokens such as <EMAIL>, and count what was replaced."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from assay.corpus.nested import leaves_of

# Shorter values stand in too many words that are not about the person.
_SHORTEST_VALUE = 3

# A word ends at an underscore, as Markdown has it around words.
_NO_WORD_BEFORE, _NO_WORD_BEHIND = r"(?<![^\W_])", r"(?![^\W_])"
# Every pattern begins where a word begins and takes a limited number of characters, so that a long text
# without spaces is read once.
_EMAIL = re.compile(
    rf"(?<![\w.+-])[\w.+-]{{1,64}}@(?:[\w-]{{1,63}}\.){{1,8}}[^\W\d_]{{2,24}}{_NO_WORD_BEHIND}(?!-\w)"
)
# As in print, too: with spaces that break no line, and hyphens of other lengths.
_SPACE, _HYPHEN = r" \u00a0\u2007\u2009\u202f", r"\u2010-\u2013\-"
_GAP, _SIGN = rf"[{_SPACE}{_HYPHEN}]", rf"[{_SPACE}]?[/{_HYPHEN}][{_SPACE}]?"
# What stands in a sum, or is a part of a longer number, is a figure. Signs that begin a line of a list or a
# quotation, and those around a word, make no sum; neither do numbers that begin with a zero or a country.
_BEGINS = rf"{_NO_WORD_BEFORE}(?<![$+-])(?<!\d[.,])(?<!\d[{_SPACE}])"
_ENDS = rf"{_NO_WORD_BEHIND}(?!-\w|[.,]\d|[ \t]?=)"
_BEFORE = rf"{_BEGINS}(?<!= )(?<![\d)][*/<>+-] )(?<![\d)] [*/<>+-] )"
_AFTER = rf"{_ENDS}(?![ \t]?(?:[+*/]|[<>]=?)[ \t]?[1-9$])"
_NO_DATE = r"(?!\d\d([ /-])\d\d\1(?:19|20)\d\d(?!\d))"
# All digits together, or in the groups that cards show.
_CARD = re.compile(
    rf"{_BEFORE}(?:[3-6]\d{{12,18}}|[3-6]\d{{3}}(?P<gap>{_GAP})\d{{4}}(?P=gap)\d{{4}}(?P=gap)\d{{1,4}}"
    rf"|3\d{{3}}(?P<space>{_GAP})\d{{6}}(?P=space)\d{{5}}){_AFTER}"
)
# With a country's code, as in North America, with a leading zero and separators, or as in France with dots.
_PHONE = re.compile(
    rf"(?<![\w.,$+])(?:\+\d{{1,3}}|\(\+\d{{1,3}}\))(?:[./{_SPACE}{_HYPHEN}]?\(?\d{{1,5}}\)?){{2,6}}{_ENDS}"
    rf"|{_BEFORE}(?:1[.{_SPACE}{_HYPHEN}]?)?(?:\(\d{{3}}\)[{_SPACE}]?|\d{{3}}[.{_SPACE}{_HYPHEN}])"
    rf"\d{{3}}[.{_SPACE}{_HYPHEN}]\d{{4}}{_AFTER}"
    rf"|{_BEGINS}{_NO_DATE}\(?0\d{{1,4}}\)?(?:{_SIGN}|[{_SPACE}])\d{{2,8}}(?:{_GAP}\d{{2,8}}){{0,4}}{_ENDS}"
    rf"|{_BEGINS}0[1-9](?:\.\d\d){{4}}{_ENDS}"
)
_DIGITS_OF_PHONE = range(8, 16)


def _is_card(text: str) -> bool:
    """Tell whether the last digit checks the others, by Luhn's formula."""
    digits = [int(each) for each in reversed(re.sub(r"\D", "", text))]
    doubled = (digit * 2 for digit in digits[1::2])
    return (sum(digits[::2]) + sum(digit - 9 if digit > 9 else digit for digit in doubled)) % 10 == 0


def _is_phone(text: str) -> bool:
    return sum(each.isdigit() for each in text) in _DIGITS_OF_PHONE


_KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "email": (_EMAIL, lambda _: True),
    "card": (_CARD, _is_card),
    "phone": (_PHONE, _is_phone),
}


def mask(value: Any, known: Mapping[str, Any], counts: Counter[str]) -> Any:
    """Return a text, or the texts within lists and dicts, with personal data replaced.

    Args:
        value: the text.
        known: values of personal columns of the same row, by column; they are replaced where they stand.
        counts: is told of each replacement, by kind.
    """
    if isinstance(value, list):
        return [mask(each, known, counts) for each in value]
    if isinstance(value, dict):
        return {name: mask(each, known, counts) for name, each in value.items()}
    if not isinstance(value, str):
        return value
    for text, name in _texts_of(known):
        pattern = re.compile(f"{_NO_WORD_BEFORE}{re.escape(text)}{_NO_WORD_BEHIND}", re.IGNORECASE)
        value = _replaced(value, name, pattern, lambda _: True, counts)
    for name, (pattern, is_one) in _KINDS.items():
        value = _replaced(value, name, pattern, is_one, counts)
    return value


def _texts_of(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the texts that columns hold, the longest first, each with its column."""
    # A text of JSON stands in quotes.
    texts = [
        (str(each or "").strip(' "'), name) for name, value in known.items() for each in leaves_of(value)
    ]
    return sorted((pair for pair in texts if len(pair[0]) >= _SHORTEST_VALUE), key=lambda pair: -len(pair[0]))


def _replaced(
    text: str, name: str, pattern: re.Pattern[str], is_one: Callable[[str], bool], counts: Counter[str]
) -> str:
    def replacement(found: re.Match[str]) -> str:
        if not is_one(found[0]):
            return found[0]
        counts[name] += 1
        return f"<{name.upper()}>"

    return pattern.sub(replacement, text)
