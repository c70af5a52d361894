"""Reads histories in every way a client can: a script that `test_history_rows` runs with several DuckDBs.

Takes a file of JSON, {name: SQL}, on the tables `events` and `versions`, and the folder for warehouses.
Prints what differs from the rows of a table, a line for each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb

# DuckDB works on 2,048 rows at a time. An event makes four rows of three windows, so histories of these end a
# little behind a multiple of it.
SIZES = [(20481, 89), (26634, 20000), (6149, 7), (1, 1), (0, 1)]
LARGE = (130_000, 3000)
MEASURE = "count(*), coalesce(sum(hash(kept)::hugeint), 0), count(distinct (card_id, valid_from))"


def make_tables(connection: duckdb.DuckDBPyConnection, events: int, cards: int) -> None:
    connection.execute(
        f"""
        create table events as
        select
            (hash(i, 13) % {cards})::int as card_id,
            timestamp '2025-01-01' + to_microseconds((hash(i, 7, 13) % 1209600000000)::bigint) as event_at,
            event_at + interval 2 second as available_at,
            ((hash(i, 9) % 100000) / 100)::decimal(18, 2) as amount,
            amount < 30 as is_gone
        from range({events}) as numbers (i)
        """
    )
    connection.execute(
        """
        create table versions as
        select
            card_id,
            amount,
            available_at as dbt_valid_from,
            lead(available_at) over (partition by card_id order by available_at) as dbt_valid_to
        from events
        qualify hash(card_id, available_at) % 7 <> 0
        """
    )


def table_of(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    connection.execute(f"create or replace temp table kept as {sql}")
    found = connection.execute(f"select {MEASURE} from kept").fetchone()
    assert found is not None
    return found


def counts(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[tuple[str, int]]:
    """The number of rows that each way of streaming gives."""
    yield "arrow", sum(batch.num_rows for batch in connection.execute(sql).to_arrow_reader(2048))
    narrow = f"select card_id from ({sql}) as history where card_id >= 0"
    yield "filtered", sum(batch.num_rows for batch in connection.execute(narrow).to_arrow_reader(2048))
    cursor, found = connection.execute(sql), 0
    while rows := cursor.fetchmany(1000):
        found += len(rows)
    yield "fetchmany", found


def differences(path: Path, queries: dict[str, str], events: int, cards: int) -> Iterator[str]:
    with duckdb.connect(path) as connection:
        make_tables(connection, events, cards)
        connection.execute("set threads = 1")
        tables = {name: table_of(connection, sql) for name, sql in queries.items()}
        for name, sql in queries.items():
            connection.execute(f"create view {name} as {sql}")
            if tables[name][0] != tables[name][2]:
                yield f"{name} as a table has rows twice"
    # A view that was read back has another plan than one just made.
    with duckdb.connect(path) as connection:
        for threads, keeps_order in ((1, "true"), (2, "false")):
            connection.execute(f"set threads = {threads}")
            connection.execute(f"set preserve_insertion_order = {keeps_order}")
            for name, sql in queries.items():
                for what, query in (("SQL", sql), ("view", f"from {name}")):
                    told = f"{name} of {events} events, {what}, {threads} threads"
                    if threads == 2 and table_of(connection, query) != tables[name]:
                        yield f"{told}, as a table"
                    if events != LARGE[0] or threads == 1:
                        for how, count in counts(connection, query):
                            if count != tables[name][0]:
                                yield f"{told}, {how}: {count} rows, and {tables[name][0]} in a table"


def main() -> None:
    queries, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    print(f"DuckDB {duckdb.__version__}")
    for events, cards in SIZES:
        for difference in differences(folder / f"{events}.duckdb", queries, events, cards):
            print(difference)
    for difference in differences(folder / "large.duckdb", {"windows": queries["windows"]}, *LARGE):
        print(difference)


if __name__ == "__main__":
    main()
