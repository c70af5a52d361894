"""Find where a person is kept beside the warehouse: files for readers, online store, ledger, texts."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from assay.build.bucket import PUBLISH_TO
from assay.core.fault import Fault, known_fault
from assay.core.places import Places
from assay.erasure.elsewhere import count_in_ledger, count_in_store, count_of_streams
from assay.erasure.exports import find_exports
from assay.erasure.find import (
    count_in_file,
    count_rows,
    data_of_versions,
    files_as_of,
    files_of_search,
    published_files,
    tables_of_readers,
)
from assay.erasure.mentions import Mentions, find_texts
from assay.erasure.person import Person
from assay.online.stores.open import open_store, store_url
from assay.project.warehouse import connect_published


@dataclass(frozen=True)
class Trace:
    """How many rows of a person are in one place, and what becomes of them.

    Attributes:
        place: where they are.
        rows: how many.
        outcome: what becomes of them.
        is_word: whether the key stands there as a word alone, which may mean anything.
    """

    place: str
    rows: int
    outcome: str
    is_word: bool = False


def find_beside(places: Places, person: Person) -> Iterator[Trace]:
    """Yield what is kept of a person in all places but the landing zone and the warehouse.

    Raises:
        Fault: a file cannot be read.
    """
    try:
        yield from _find_for_readers(places, person)
        for version, file in data_of_versions(places):
            if rows := count_in_file(file, person):
                yield Trace(f"training set {version}, {file.name}", rows, "removed: no longer whole")
        if places.embeddings.exists():
            yield Trace(f"{places.embeddings}", 0, "keeps the vectors of texts that the build reads")
        yield from _find_online(places, person)
        mentions, named = Mentions(person), Mentions(person, is_named=True)
        if rows := count_in_ledger(places.ledger, mentions):
            is_word = not count_in_ledger(places.ledger, named)
            yield Trace(f"run ledger {places.ledger}", rows, "removed, or the key taken out", is_word)
        for text in find_texts(places):
            if found := mentions.count_in(text):
                yield Trace(f"{text}", found, "the key is taken out", not named.count_in(text))
    except (duckdb.Error, sqlite3.Error, OSError) as error:
        raise known_fault(error) or error from error


def _find_for_readers(places: Places, person: Person) -> Iterator[Trace]:
    for file in [*published_files(places), *files_of_search(places)]:
        with connect_published(file) as connection:
            rows = sum(count for _, _, count in count_rows(connection, person))
        if rows:
            yield Trace(f"published {file}", rows, "written anew without the person")
    for file in tables_of_readers(places):
        if rows := count_in_file(file, person):
            yield Trace(f"published {file}", rows, "written anew without the person")
    for kept in sorted((places.published.parent / "kept").glob("[!.]*")):
        yield Trace(f"publication {kept.name}", 0, "removed: a rollback would bring the person back")
    yield from find_made_anew(places)


def find_made_anew(places: Places) -> Iterator[Trace]:
    """Yield what any erasure removes whole or makes anew: warehouses of the past, and what is elsewhere."""
    for file in files_as_of(places):
        yield Trace(f"{file}", 0, "removed: build it again with --as-of")
    if url := os.environ.get(PUBLISH_TO):
        yield Trace(f"publications in {url}", 0, "all but the next are deleted")
    for place, _ in find_exports(places):
        yield Trace(f"export {place.url}", 0, "exported anew; its older versions go")


def _find_online(places: Places, person: Person) -> Iterator[Trace]:
    url = store_url(None, places)
    try:
        store = open_store(url)
        if entities := count_in_store(store, person):
            yield Trace(f"online store {store.url}", entities, "removed")
    except Fault as fault:
        yield Trace("online store", 0, f"removed once it can be read: {fault}")
    for file, rows in count_of_streams(places, person):
        yield Trace(f"{file}", rows, "removed")
