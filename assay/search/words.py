"""How texts become terms: words without case and accents, their stems, and none of the commonest words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import category, normalize

import duckdb

from assay.core.sql import text

# Not those of DuckDB's own index, which drops digits and so all numbers of articles and errors.
_BETWEEN_WORDS = r"[^\pL\pN]+"
# Hiragana and Chinese characters, between which no spaces stand: each is a word.
_ALONE = "\u3041-\u3096\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# The same words in Python.
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_STEMS = "select word, stem(word, 'porter') from (select unnest($words) as word)"
# So many words of queries are kept, and none that is longer than words of a language are.
_MOST_KEPT, _LONGEST_KEPT = 100_000, 100


def words_of(body: str) -> str:
    """Return SQL for the words of a text, in their order, as a list.

    Args:
        body: an expression of SQL.
    """
    apart = f"regexp_replace(lower(strip_accents({body})), '([{_ALONE}])', ' \\1 ', 'g')"
    return f"regexp_split_to_array({apart}, '{_BETWEEN_WORDS}')"


def term_of(word: str) -> str:
    """Return SQL for the term of a word.

    Args:
        word: an expression of SQL.
    """
    return f"stem({word}, 'porter')"


def write_stop_words(connection: duckdb.DuckDBPyConnection) -> None:
    """Make a table `stop_words` of English words that are searched for by nobody: those of DuckDB's fts."""
    connection.execute("create schema scratch")
    connection.execute("create table scratch.texts (id integer, body varchar)")
    connection.execute("pragma create_fts_index('scratch.texts', 'id', 'body')")
    connection.execute("create table stop_words as select sw as word from fts_scratch_texts.stopwords")
    connection.execute("pragma drop_fts_index('scratch.texts')")
    connection.execute("drop schema scratch cascade")


@dataclass(frozen=True)
class Term:
    """A term of a query.

    Attributes:
        term: the stem.
        term_id: its number in the index; None if no text has it.
        words: those of the index that have the stem.
    """

    term: str
    term_id: int | None
    words: frozenset[str]


class Vocabulary:
    """The terms of an index, which are kept once they have been asked for.

    Args:
        connection: to the index.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._stop_words = {word for (word,) in connection.execute("from stop_words").fetchall()}
        self._known: dict[str, Term] = {}

    def find(self, connection: duckdb.DuckDBPyConnection, query: str) -> list[Term]:
        """Return the terms of a query, each once, in the order of the alphabet; without stop words."""
        words = set(_WORD.findall(_plain(query))) - self._stop_words
        known = self._known
        found = {word: known[word] for word in words if word in known}
        if new := sorted(words - found.keys()):
            read = _read_terms(connection, new)
            found |= read
            if len(known) > _MOST_KEPT:
                self._known = known = {}
            known |= {word: term for word, term in read.items() if len(word) <= _LONGEST_KEPT}
        terms = {each.term: each for each in found.values()}
        return [terms[term] for term in sorted(terms)]


def _read_terms(connection: duckdb.DuckDBPyConnection, words: list[str]) -> dict[str, Term]:
    stems = dict(connection.execute(_STEMS, {"words": words}).fetchall())
    # As constants they are looked up in the index of terms.
    among = ", ".join(text(stem) for stem in sorted(set(stems.values())))
    numbers: dict[str, int] = {}
    among_texts: defaultdict[str, list[str]] = defaultdict(list)
    for term, number, word in connection.execute(
        f"select term, term_id, word from terms where term in ({among})"
    ).fetchall():
        numbers[term] = number
        among_texts[term].append(word)
    return {word: Term(stem, numbers.get(stem), frozenset(among_texts[stem])) for word, stem in stems.items()}


def find_marks(body: str, terms: Sequence[Term]) -> list[tuple[int, int, str]]:
    """Return where words of terms stand in a text: begin, end and term of each, in their order."""
    term_of_word = {word: each.term for each in terms for word in each.words}
    if body.isascii():
        # As long as it was, and at once what `_plain` makes of each word.
        found = ((*match.span(), term_of_word.get(match.group())) for match in _WORD.finditer(body.lower()))
    else:
        spans = (match.span() for match in _WORD.finditer(_joined(body)))
        found = ((begin, end, term_of_word.get(_plain(body[begin:end]))) for begin, end in spans)
    return [(begin, end, term) for begin, end, term in found if term is not None]


def count_words(body: str) -> int:
    """Return how many words a text has."""
    return len(_WORD.findall(_joined(body)))


def _plain(word: str) -> str:
    """Return a word or a text without case and accents, in all scripts just as `words_of` does it."""
    if word.isascii():
        return word.lower()
    bare = "".join(each for each in normalize("NFD", word) if not _is_mark(each))
    # One by one: Python writes a sigma at the end of a word in another way.
    return "".join(each.lower() for each in normalize("NFC", bare))


def _joined(body: str) -> str:
    """Return a text of the same length in which marks, such as accents and vowels of Hindi, part no word."""
    return body if body.isascii() else "".join("x" if _is_mark(each) else each for each in body)


def _is_mark(character: str) -> bool:
    return category(character).startswith("M")
