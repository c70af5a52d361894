"""Find the key of a person in texts that are no tables, such as logs, and take it out of them.

A key such as 17 stands in any log, as a number of rows or of seconds. So one that is short counts only behind
the name of its column or entity, as in `customer_id is 17` or `customer=17`. A longer one counts wherever it
stands as a word.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from urllib.parse import quote as quote_in_url
from urllib.parse import quote_plus

from assay.core.disk import make_private, put_in_place, sync
from assay.core.places import Places, find_target
from assay.erasure.person import Person

_FORGOTTEN = "(forgotten)"
# Below these lengths, a word may be anything, and digits may be a number of anything.
_LEAST_CHARACTERS, _LEAST_DIGITS = 6, 10
_TEXTS = {".html", ".json", ".jsonl", ".log", ".sql", ".txt", ".xml", ".yml"}
_JSON = {".json", ".jsonl"}


class Mentions:
    """Finds the key of a person in texts.

    Args:
        person: who is meant.
        is_named: whether the key counts behind the name of its column or entity alone. Without it, a word may
            be anything: `nobody` is a key, and a word of comments.

    Attributes:
        person: who is meant.
        spellings: the texts as which the key may stand in a text.
    """

    def __init__(self, person: Person, *, is_named: bool = False) -> None:
        self.person = person
        self.spellings = [each for value in person.values for each in _spellings(value)]
        named, *words = map(re.compile, _patterns_of(person))
        self._patterns = [named] if is_named else [named, *words]

    def count(self, text: str) -> int:
        """Return how often a text names the person."""
        return self.take_out(text)[1]

    def take_out(self, text: str, *, is_json: bool = False) -> tuple[str, int]:
        """Return a text without the person's key, and how often it was there.

        Args:
            text: which may name the person.
            is_json: whether it is JSON, which stays valid: a number becomes null.
        """
        found = 0

        def instead(match: re.Match[str]) -> str:
            nonlocal found
            found += 1
            is_number = is_json and match["key"].isdecimal() and text[match.start("key") - 1] != '"'
            return match[0][: match.start("key") - match.start()] + ("null" if is_number else _FORGOTTEN)

        for pattern in self._patterns:
            text = pattern.sub(instead, text)
        return text, found

    def count_in(self, file: Path) -> int:
        """Return how often a file names the person.

        Raises:
            OSError: it cannot be read.
        """
        return self.count(_read(file))

    def take_out_of(self, file: Path) -> int:
        """Take the person's key out of a file, and return how often it was there.

        Whoever appends to it under a lock, as servers do to their log, opens the new file for the next line.

        Raises:
            OSError: it cannot be read or written; it is as it was.
        """
        with file.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            text, found = self.take_out(_read(file), is_json=file.suffix.lower() in _JSON)
            if not found:
                return 0
            new = file.with_name(f".{file.name}.forgetting")
            new.unlink(missing_ok=True)
            make_private(new)
            new.write_bytes(text.encode("utf-8", "surrogateescape"))
            sync(new)
            put_in_place(new, file)
        sync(file.parent)
        return found


def find_texts(places: Places) -> Iterator[Path]:
    """Yield what commands and servers have written for people to read: logs, pages, compiled SQL."""
    folders = {find_target().absolute(), Path(os.environ.get("DBT_LOG_PATH") or "logs").absolute()}
    for folder in sorted(folders):
        for file in sorted(folder.rglob("*")):
            # A log that is full has a number behind its ending.
            if _TEXTS.intersection(each.lower() for each in file.suffixes[-2:]) and _is_file(file):
                yield file
    yield from (file for file in sorted(places.serving.glob("*.jsonl")) if _is_file(file))


@contextmanager
def hidden_arguments(person: Person) -> Iterator[None]:
    """Keep the key out of what dbt notes while the block runs: it writes down how its process was called."""
    before = sys.argv
    mentions = Mentions(person)
    sys.argv = [mentions.take_out(each)[0] for each in before]
    try:
        yield
    finally:
        sys.argv = before


def _is_file(file: Path) -> bool:
    return file.is_file() and not file.is_symlink()


def _read(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "surrogateescape")


def _spellings(value: str) -> list[str]:
    """Return a key as it stands in plain texts, JSON, HTML, SQL, CSV and URLs; most have one spelling."""
    return list(
        dict.fromkeys(
            [
                value,
                *(json.dumps(value, ensure_ascii=is_ascii)[1:-1] for is_ascii in (False, True)),
                *(escape(value).replace("&#x27;", quote) for quote in ("&#x27;", "&#39;", "'")),
                *(value.replace(quote, quote * 2) for quote in ("'", '"')),
                *(quoting(value) for quoting in (quote_in_url, quote_plus)),
            ]
        )
    )


def _patterns_of(person: Person) -> Iterator[str]:
    spelled = {spelling: value for value in person.values for spelling in _spellings(value)}
    keys = sorted(spelled, key=len, reverse=True)
    names = "|".join(re.escape(name).replace("_", "[_ ]?") for name in (*person.columns, person.entity))
    # Some zeros behind a point are what a sender makes of a whole number.
    ends = r"(?:\.0+)?(?![\w-])(?!\.?\d)"
    yield rf"(?i:\b(?:{names}))(?:\W{{1,6}}|\W+i[ns]\W+)(?P<key>{'|'.join(map(re.escape, keys))}){ends}"
    for key in keys:
        least = _LEAST_DIGITS if key.isdecimal() else _LEAST_CHARACTERS
        if len(spelled[key]) >= least:
            word = rf"(?P<key>{re.escape(key)})"
            yield rf"(?<![\w.-]){word}{ends}" if key.isdecimal() else rf"(?<!\w){word}(?!\w)(?:\.0+)?"
