"""Measure texts, and tell which limits they break."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.corpus.words import SHINGLE, folded_text, phrases_of, words_of

_SYMBOLS = re.compile(r"[^\w\s]+")
_LETTER = re.compile(r"[^\W\d_]")
# Of a long text so much is enough to tell its language.
_CHARACTERS_OF_LANGUAGE = 5_000


@dataclass(frozen=True)
class Quality:
    """The limits of texts; None switches a limit off."""

    min_characters: int | None = 20
    max_characters: int | None = 1_000_000
    max_symbols: float | None = 0.4
    max_repeated_lines: float | None = 0.5
    max_repeated_phrases: float | None = 0.5
    languages: Sequence[str] | None = None
    min_language_probability: float = 0.5


@dataclass(frozen=True)
class Measures:
    """What was measured of a text; None is what was not.

    `symbols` is the share of characters that are neither letters, digits nor white space;
    `repeated_lines` the share of characters in lines that stand before in the text; `repeated_phrases` the
    share of runs of five words that do. `language` is its code in ISO 639-1.
    """

    characters: int
    symbols: float | None = None
    repeated_lines: float | None = None
    repeated_phrases: float | None = None
    language: str | None = None
    language_probability: float | None = None


def measure(text: str, limits: Quality) -> Measures:
    """Measure a text; one that is too long is not looked at further.

    Raises:
        Fault: languages are asked for, and the extra `corpus` is not installed.
    """
    characters = len(text.strip())
    if limits.max_characters is not None and characters > limits.max_characters:
        return Measures(characters)
    language, probability = _language_of(text) if limits.languages else (None, None)
    return Measures(
        characters,
        sum(map(len, _SYMBOLS.findall(text))) / len(text) if text else 0.0,
        _repeated_lines(text),
        _repeated_phrases(text),
        language,
        probability,
    )


def broken_limits(found: Measures, limits: Quality) -> Iterator[str]:
    """Yield the names of the rules that a text breaks."""
    if limits.min_characters is not None and found.characters < limits.min_characters:
        yield "too_short"
    if limits.max_characters is not None and found.characters > limits.max_characters:
        yield "too_long"
        return
    for rule in ("symbols", "repeated_lines", "repeated_phrases"):
        limit = getattr(limits, f"max_{rule}")
        if limit is not None and getattr(found, rule) > limit:
            yield rule
    if limits.languages and not (
        found.language in limits.languages
        and (found.language_probability or 0.0) >= limits.min_language_probability
    ):
        yield "language"


def check_languages(limits: Quality) -> None:
    """Check that the languages asked for can be told.

    Raises:
        Fault: one cannot, or the extra `corpus` is not installed.
    """
    for language in limits.languages or ():
        if language not in (known := _identifier().labels):
            raise Fault(
                f"Language {language} of config.meta.corpus.quality.languages is not known: "
                f"there are {', '.join(sorted(known))}.",
                MISUSED,
            )


def _repeated_lines(text: str) -> float:
    lines = [line for each in text.splitlines() if (line := each.strip())]
    total = sum(map(len, lines))
    return 1 - sum(map(len, dict.fromkeys(lines))) / total if total else 0.0


def _repeated_phrases(text: str) -> float:
    phrases = phrases_of(words_of(folded_text(text)), SHINGLE)
    return 1 - len(set(phrases)) / len(phrases) if phrases else 0.0


def _language_of(text: str) -> tuple[str | None, float | None]:
    begin = text[:_CHARACTERS_OF_LANGUAGE]
    if not _LETTER.search(begin):
        return None, None
    language, probability = _identifier().classify(begin)
    return str(language), float(probability)


@cache
def _identifier() -> Any:
    with extra_needed("corpus", by="To tell languages"):
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
