"""Find texts of evaluation sets in a corpus: a model that was trained on them cannot be judged by them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import duckdb

from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.sql import text
from assay.core.words import counted
from assay.corpus.nested import leaves_of, read_json
from assay.corpus.personal import mask
from assay.corpus.words import folded_text, phrases_of, words_of

# Texts that share a run of so many words are taken to have one origin.
WORDS = 13

_READERS = {"parquet": "read_parquet", "csv": "read_csv", "json": "read_json_auto", "jsonl": "read_json_auto"}
_COMPRESSED = (".gz", ".zst")


class EvaluationTexts:
    """The phrases of evaluation sets.

    Args:
        connection: to the warehouse with the models.
        relations: the relation of each set in SQL, by the name that the user gave it.
        say: told how many texts are too short to be looked for, and of sets without any text.

    Raises:
        Fault: a set cannot be read.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        relations: dict[str, str],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._phrases: dict[str, str] = {}
        for name, relation in relations.items():
            try:
                texts, short = self._enter(name, _texts_of(connection, relation))
            except duckdb.Error as error:
                raise known_fault(error) or Fault(
                    f"Evaluation set {name} of config.meta.corpus cannot be read: {error}", MISUSED
                ) from error
            if not texts:
                say(f"{name}: it holds no text, so nothing of it is looked for")
            elif short:
                say(
                    f"{name}: {short:,} of {counted(texts, 'text')} have fewer than {WORDS} words, "
                    "and are not looked for"
                )

    def _enter(self, name: str, texts: Iterable[str]) -> tuple[int, int]:
        """Note the phrases of a set; return how many texts it has, and how many are too short for one."""
        count = short = 0
        for each in texts:
            # Texts of the corpus are masked, so that the same text of a set would be another.
            phrases = phrases_of(words_of(folded_text(mask(each, {}, Counter()))), WORDS)
            count, short = count + 1, short + (not phrases)
            for phrase in phrases:
                self._phrases.setdefault(phrase, name)
        return count, short

    def find(self, text: str) -> str | None:
        """Return the name of the set of which a text holds a phrase, the first in the text; None if none."""
        if not self._phrases:
            return None
        phrases = phrases_of(words_of(folded_text(text)), WORDS)
        return next((self._phrases[each] for each in phrases if each in self._phrases), None)


def relation_of_file(name: str) -> str:
    """Return how DuckDB reads a file of texts.

    Raises:
        Fault: there is no such file, or it is of another format.
    """
    path = Path(name)
    ending = path.with_suffix("").suffix if path.suffix in _COMPRESSED else path.suffix
    reader = _READERS.get(ending.removeprefix("."))
    if not path.is_file() or not reader:
        raise Fault(
            f"Evaluation set {name} of config.meta.corpus is neither a model nor a file in "
            f"{', '.join(_READERS)} (JSON and CSV also as .gz or .zst): name one, files as seen from the "
            "project's folder.",
            MISUSED,
        )
    return f"{reader}({text(name)})"


def hash_of_file(name: str) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with Path(name).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _texts_of(connection: duckdb.DuckDBPyConnection, relation: str) -> Iterator[str]:
    """Yield all texts of a relation, those within lists, structs and JSON too."""
    for batch in connection.sql(f"from {relation}").to_arrow_reader(2_000):
        for column in batch.columns:
            for value in column.to_pylist():
                # JSON may be a text as it is, such as code, or hold texts.
                whole = [value] if read_json(value) is not value else []
                yield from (each for each in (*whole, *leaves_of(value)) if isinstance(each, str))
