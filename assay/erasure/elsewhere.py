"""Remove a person from what lies beside the warehouse: the run ledger and the online store."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from assay.core.places import Places
from assay.core.sql import quoted
from assay.erasure.person import Person
from assay.erasure.warehouse import replaced_database
from assay.ledger.file import opened
from assay.online.stores.open import store_file, store_url


def forget_in_ledger(ledger: Path, person: Person) -> int:
    """Remove the rows of failed tests that have a person's key; return how many there were.

    The ledger's file is written anew only where there are any.

    Raises:
        Fault: another program keeps the ledger open.
        duckdb.Error: it cannot be written.
        OSError: it cannot be put in place.
    """
    removed = 0
    with opened(ledger, read_only=False) as connection:
        for table, column, data_type in connection.execute(
            "select table_name, column_name, data_type from duckdb_columns() "
            "where database_name = current_database() and not internal and data_type in ('JSON', 'VARCHAR') "
            "and table_name in (select table_name from duckdb_tables()) order by all"
        ).fetchall():
            forget = _forget_in_rows if data_type == "JSON" else _forget_in_texts
            removed += forget(connection, table, column, person)
    if removed:
        with replaced_database(ledger) as connection:
            connection.execute("copy from database old to new")
    return removed


def clean_store(places: Places) -> None:
    """Write the file of an online store in SQLite without free pages, which keep what was removed.

    Raises:
        sqlite3.Error: another program keeps it open.
    """
    file = store_file(store_url(None, places))
    if file is None or not file.is_file():
        return
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")


def _forget_in_texts(connection: duckdb.DuckDBPyConnection, table: str, column: str, person: Person) -> int:
    """Take a person's key out of what tests said of the first row that failed, as in `customer_id is 17`."""
    keys = "|".join(map(re.escape, person.values))
    pattern = rf"\b({re.escape(person.column)} is )({keys})(, |$)"
    name = quoted(column)
    [(changed,)] = connection.execute(
        f"update {quoted(table)} set {name} = regexp_replace({name}, $1, '\\1(forgotten)\\3', 'g') "
        f"where regexp_matches({name}, $1)",
        [pattern],
    ).fetchall()
    return int(changed)


def _forget_in_rows(connection: duckdb.DuckDBPyConnection, table: str, column: str, person: Person) -> int:
    removed = 0
    rows = connection.execute(
        f"select distinct {quoted(column)}::varchar from {quoted(table)} "
        f"where contains({quoted(column)}::varchar, $1)",
        [person.column],
    ).fetchall()
    for (found,) in rows:
        values = json.loads(found)
        kept = _without(values, person)
        if kept != values:
            removed += 1
            connection.execute(
                f"update {quoted(table)} set {quoted(column)} = $1 where {quoted(column)}::varchar = $2",
                [json.dumps(kept), found],
            )
    return removed


def _without(values: Any, person: Person) -> Any:
    """Return a list without the rows of a person; anything else as it is."""
    if not isinstance(values, list):
        return values
    return [
        row for row in values if not (isinstance(row, dict) and str(row.get(person.column)) in person.values)
    ]
