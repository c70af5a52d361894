"""Read queries, and which documents answer them, from files in the manner of BEIR."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from assay.core.fault import MISUSED, Fault
from assay.core.moment import instant
from assay.search.query import check_query

_IDS = ("_id", "query_id", "query-id", "id")
_QUERIES = ("query-id", "query_id")
_DOCUMENTS = ("corpus-id", "document_id", "doc_id")
_SCORES = ("score", "relevance")


@dataclass(frozen=True)
class Query:
    """A query of an evaluation; `asked_at` (UTC), if it is known, is as of when it is answered."""

    query_id: str
    text: str
    asked_at: datetime | None


def read_queries(file: Path) -> list[Query]:
    """Read queries: JSON lines with `_id` (or `query_id`), `text` and, if known, `asked_at`; gzip too.

    Raises:
        Fault: the file is missing, a line is no query or none that can be searched for, or an id stands
            twice.
    """
    found: dict[str, Query] = {}
    for place, row in _json_lines(file):
        query, text = str(_value(row, _IDS, place)), _value(row, ("text",), place)
        asked = row.get("asked_at")
        moment = None if asked is None else instant(str(asked))
        if asked is not None and moment is None:
            raise Fault(f"{place}: asked_at {asked!r} is no time: write it as 2025-06-30T12:00:00.", MISUSED)
        if query in found:
            raise Fault(f"{place}: the query {query!r} stands twice.", MISUSED)
        # What a search would refuse is told by its line, before any is asked.
        try:
            check_query(str(text))
        except Fault as fault:
            raise Fault(f"{place}: {fault}", MISUSED) from fault
        found[query] = Query(query, str(text).encode("utf-8", "replace").decode(), moment)
    if not found:
        raise Fault(f"{file} holds no query.", MISUSED)
    return list(found.values())


def read_judgements(file: Path) -> dict[str, dict[str, float]]:
    """Read how relevant documents are, by query: 0 and less is not at all.

    The file has tabs and a head (`query-id`, `corpus-id`, `score`), or JSON lines with these or `query_id`,
    `document_id` or `doc_id`, and `relevance`; gzip too.

    Raises:
        Fault: the file is missing, a line is no judgement, or two contradict each other.
    """
    is_tabbed = file.name.removesuffix(".gz").endswith((".tsv", ".txt"))
    found: dict[str, dict[str, float]] = {}
    for place, row in _tabbed_lines(file) if is_tabbed else _json_lines(file):
        query, document = (str(_value(row, names, place)) for names in (_QUERIES, _DOCUMENTS))
        score = _value(row, _SCORES, place)
        try:
            number = float(score)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise Fault(f"{place}: the score {score!r} is no number.", MISUSED)
        if found.setdefault(query, {}).setdefault(document, number) != number:
            raise Fault(
                f"{place}: of the query {query!r}, {document!r} has another score above: keep one of them.",
                MISUSED,
            )
    return found


def _value(row: dict[str, Any], names: tuple[str, ...], place: str) -> Any:
    for name in names:
        if row.get(name) not in (None, ""):
            return row[name]
    raise Fault(f"{place} has no {' or '.join(names)}.", MISUSED)


def _json_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with _opened(file) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise Fault(f"{file}:{number} is no JSON.", MISUSED) from error
            if not isinstance(row, dict):
                raise Fault(f"{file}:{number} is no JSON object.", MISUSED)
            yield f"{file}:{number}", row


def _tabbed_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with _opened(file) as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        try:
            for row in rows:
                yield f"{file}:{rows.line_num}", row
        except csv.Error as error:
            raise Fault(f"{file} cannot be read: {error}", MISUSED) from error


def _opened(file: Path) -> IO[str]:
    if not file.is_file():
        raise Fault(f"There is no file {file}.", MISUSED)
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        return io.StringIO(content.decode("utf-8-sig"))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise Fault(f"{file} cannot be read: {error}", MISUSED) from error
