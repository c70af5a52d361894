"""How texts become terms: words without case and accents, their stems, and none of the commonest words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import combining, normalize

import duckdb

from assay.core.sql import text

# Not those of DuckDB's own index, which drops digits and so all numbers of articles and errors.
_BETWEEN_WORDS = r"[^\pL\pN]+"
# The same words where they stand in a text; accents may be characters of their own.
_WORD = re.compile("(?:[^\\W_]|[\u0300-\u036f])+")
_PLAIN_WORD = re.compile(r"[^\W_]+")
_STEMS = "select word, stem(word, 'porter') from (select unnest($words) as word)"
_MOST_KEPT = 100_000


def words_of(body: str) -> str:
    """Return SQL for the words of a text, in their order, as a list.

    Args:
        body: an expression of SQL.
    """
    return f"regexp_split_to_array(lower(strip_accents({body})), '{_BETWEEN_WORDS}')"


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
        words = set(_PLAIN_WORD.findall(_plain(query))) - self._stop_words
        known = self._known
        if new := sorted(words - known.keys()):
            if len(known) > _MOST_KEPT:
                self._known = known = {}
            known |= _read_terms(connection, new)
        found = {known[word].term: known[word] for word in words}
        return [found[term] for term in sorted(found)]


def _read_terms(connection: duckdb.DuckDBPyConnection, words: list[str]) -> dict[str, Term]:
    stems = dict(connection.execute(_STEMS, {"words": words}).fetchall())
    # As constants they are looked up in the index of terms.
    among = ", ".join(text(stem) for stem in sorted(set(stems.values())))
    rows = connection.execute(f"select term, term_id, word from terms where term in ({among})").fetchall()
    there = {
        term: Term(term, number, frozenset(word for other, _, word in rows if other == term))
        for term, number, _ in rows
    }
    return {word: there.get(stem) or Term(stem, None, frozenset()) for word, stem in stems.items()}


def find_marks(body: str, terms: Sequence[Term]) -> list[tuple[int, int, str]]:
    """Return where words of terms stand in a text: begin, end and term of each, in their order."""
    term_of_word = {word: each.term for each in terms for word in each.words}
    found = ((match, term_of_word.get(_plain(match.group()))) for match in _WORD.finditer(body))
    return [(*match.span(), term) for match, term in found if term is not None]


def _plain(word: str) -> str:
    """Return a word or a text without case and accents, as the index has it."""
    if word.isascii():
        return word.lower()
    return "".join(each for each in normalize("NFKD", word) if not combining(each)).lower()
