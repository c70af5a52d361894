"""Take texts apart into words, and into shingles, by which texts are compared."""

from __future__ import annotations

import re
import unicodedata

SHINGLE = 5

# Scripts that put no spaces between words: each character counts as one.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
# In code and sums, symbols tell texts apart; the marks of a sentence do not.
_MARKS = r".,;:!?'\"()\[\]\u00ab\u00bb\u2018-\u201e\u2026"
_WORD_OR_SYMBOL = re.compile(rf"{_WORD.pattern}|[^\w\s{_MARKS}]")


def folded_text(text: str) -> str:
    """Return a text without differences of case, of white space, and of forms of the same character."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words_of(folded: str) -> list[str]:
    """Return the words of a folded text, without punctuation."""
    return _WORD.findall(folded)


def phrases_of(words: list[str], length: int) -> list[str]:
    """Return each run of so many words, in order; none of a text with fewer."""
    return [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)]


def shingles_of(folded: str) -> set[str]:
    """Return the runs of five words or symbols of a folded text; a shorter text is one run."""
    words = _WORD_OR_SYMBOL.findall(folded)
    return set(phrases_of(words, SHINGLE)) or {" ".join(words)}


def similarity_of(one: set[str], other: set[str]) -> float:
    """Return the share of the shingles of two texts that both have (Jaccard's index)."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
