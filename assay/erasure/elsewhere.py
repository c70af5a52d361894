"""Find and remove a person in what lies beside the warehouse: run ledger, online store, files of streams."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

import duckdb

from assay.core.places import Places
from assay.core.sql import quoted, text
from assay.core.structure import bring_up_to_date
from assay.erasure.find import count_rows
from assay.erasure.mentions import Mentions
from assay.erasure.person import Person
from assay.erasure.warehouse import replaced_database
from assay.ledger.file import opened
from assay.ledger.nodes import NODES
from assay.online.ahead import Ahead
from assay.online.stores.free_pages import write_without_free_pages
from assay.online.stores.open import store_file, store_url
from assay.online.stores.store import Store
from assay.online.stretch import key_values
from assay.project.warehouse import connect_published
from assay.stream.hot.base import base_file


def count_in_ledger(ledger: Path, mentions: Mentions) -> int:
    """Return how many values of the run ledger name a person.

    Raises:
        Fault: another program keeps the ledger open.
    """
    if not ledger.is_file():
        return 0
    with opened(ledger, read_only=True) as connection:
        return sum(1 for _ in _find_in_ledger(connection, mentions))


def forget_in_ledger(ledger: Path, person: Person) -> int:
    """Remove the rows of failed tests that have a person's key, and take it out of all texts.

    The ledger's file is written anew, since DuckDB keeps what was changed in free pages.

    Returns:
        How many values named the person.

    Raises:
        Fault: another program keeps the ledger open.
        duckdb.Error: it cannot be written.
        OSError: it cannot be put in place.
    """
    with opened(ledger, read_only=False) as connection:
        found = list(_find_in_ledger(connection, Mentions(person)))
        for table, column, row, value in found:
            connection.execute(
                f"update {quoted(table)} set {quoted(column)} = $1 where rowid = $2", [value, row]
            )
        connection.execute("checkpoint")
    _write_anew(ledger)
    return len(found)


def count_samples(ledger: Path, unique_ids: Collection[str]) -> int:
    """Return how many rows that failed tests have shown are in the run ledger.

    Raises:
        Fault: another program keeps the ledger open.
    """
    [(rows,)] = NODES.read(
        ledger,
        "select coalesce(sum(json_array_length(sample)), 0)::bigint from nodes "
        "where list_contains($1::varchar[], unique_id)",
        [list(unique_ids)],
    ) or [(0,)]
    return int(rows)


def remove_samples(ledger: Path, unique_ids: Collection[str], *, but_of: str) -> None:
    """Remove the rows that failed tests have shown, of all runs but one.

    Args:
        ledger: the run ledger, whose file is written anew.
        unique_ids: of the tests.
        but_of: the run whose rows stay.

    Raises:
        Fault: another program keeps the ledger open.
        duckdb.Error: it cannot be written.
        OSError: it cannot be put in place.
    """
    with opened(ledger, read_only=False) as connection:
        bring_up_to_date(connection, NODES.script)
        connection.execute(
            "update nodes set sample = '[]' "
            "where sample <> '[]' and run_id <> $1 and list_contains($2, unique_id)",
            [but_of, list(unique_ids)],
        )
        connection.execute("checkpoint")
    _write_anew(ledger)


def count_in_store(store: Store, person: Person) -> int:
    """Return how many entities of an online store have a person's key.

    Raises:
        StoreUnavailable: it cannot be read now.
    """
    return sum(
        1
        for view in store.catalog().values()
        if (places := [place for place, key in enumerate(view.keys) if key.name in person.columns])
        for key, _ in store.versions(view.name)
        if any(key_values(key, view.keys)[place] in person.values for place in places)
    )


def clean_store(places: Places) -> None:
    """Write the file of an online store in SQLite without free pages, which keep what was removed.

    Raises:
        Fault: another program reads it all the time.
        sqlite3.Error: another program keeps it open.
    """
    if file := store_file(store_url(None, places)):
        write_without_free_pages(file)


def count_of_streams(places: Places, person: Person) -> Iterator[tuple[Path, int]]:
    """Yield the files that streams keep beside the warehouse with how many rows of a person they have."""
    if rows := len(Ahead(places.ahead).find_keys(person.is_in_key)):
        yield places.ahead, rows
    if (copy := base_file(places)).is_file():
        with connect_published(copy) as connection:
            rows = sum(count for _, _, count in count_rows(connection, person))
        if rows:
            yield copy, rows


def forget_of_streams(places: Places, person: Person) -> None:
    """Remove a person from what streams keep beside the warehouse; they make their copy of silver anew.

    Raises:
        Fault: another program reads it all the time.
        OSError: a file cannot be removed.
        sqlite3.Error: another program keeps it open.
    """
    base_file(places).unlink(missing_ok=True)
    Ahead(places.ahead).forget(person.is_in_key)
    write_without_free_pages(places.ahead)


def _write_anew(ledger: Path) -> None:
    """Write the file of the ledger without free pages, in which DuckDB keeps what was changed."""
    with replaced_database(ledger) as connection:
        connection.execute("copy from database old to new")


def _find_in_ledger(
    connection: duckdb.DuckDBPyConnection, mentions: Mentions
) -> Iterator[tuple[str, str, int, str]]:
    """Yield table, column and row of each value that names a person, and what it is without."""
    for table, column, data_type in connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        "where database_name = current_database() and not internal and data_type in ('JSON', 'VARCHAR') "
        "and table_name in (select table_name from duckdb_tables()) order by all"
    ).fetchall():
        value = f"{quoted(column)}::varchar"
        has_key = " or ".join(f"contains({value}, {text(key)})" for key in mentions.spellings)
        for row, found in connection.execute(
            f"select rowid, {value} from {quoted(table)} where {has_key}"
        ).fetchall():
            left = _without(found, mentions.person) if data_type == "JSON" else found
            left, _ = mentions.take_out(left, is_json=data_type == "JSON")
            if left != found:
                yield table, column, row, left


def _without(found: str, person: Person) -> str:
    """Return a JSON list of rows without those of a person; any other text as it is."""
    rows = json.loads(found)
    if not isinstance(rows, list):
        return found
    kept = [
        row
        for row in rows
        if not (isinstance(row, dict) and any(str(row.get(each)) in person.values for each in person.columns))
    ]
    return found if kept == rows else json.dumps(kept)
