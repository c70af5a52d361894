"""What is put online in the benchmarks, and plain ways of writing it: `python -m benchmarks.online_data WAY`.

A published file with one feature view of ten features; and rows of it written by `assay`'s sync, by SQLite's
`executemany` and by redis-py's pipelines, each in a process of its own that reads the rows from DuckDB.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

VIEW = "ftr_bench__features"
AT = "2025-06-01"
_COUNTS = [f"count_{number}" for number in range(5)]
_SUMS = [f"sum_{number}" for number in range(5)]
FEATURES = [*_COUNTS, *_SUMS]
DERIVED = "sum_of_input"
_ROWS_AT_A_TIME = 1000


def make_published(file: Path, entities: int) -> None:
    """Make a published file with one row for each entity."""
    columns = [{"name": name, "type": "bigint", "default": "0"} for name in _COUNTS]
    columns += [{"name": name, "type": "decimal(18, 2)", "default": "0"} for name in _SUMS]
    definition = {
        "name": VIEW,
        "description": "",
        "entity": "thing",
        "owner": None,
        "max_age": None,
        "unique_id": "",
        "keys": [{"name": "thing_id", "type": "varchar"}],
        "columns": columns,
        "derived": [
            {"name": DERIVED, "type": "double", "expression": "(sum_0 + amount)::double / nullif(count_0, 0)"}
        ],
        "inputs": [{"name": "amount", "type": "decimal(18, 2)"}],
    }
    counts = ", ".join(f"(hash(n, {number}) % 1000)::bigint as {name}" for number, name in enumerate(_COUNTS))
    sums = ", ".join(
        f"((hash(n, {number}) % 100000) / 100)::decimal(18, 2) as {name}"
        for number, name in enumerate(_SUMS, 5)
    )
    with duckdb.connect() as connection:
        connection.execute(f"attach '{file}' as published; use published; create schema gold")
        connection.execute(
            f"create table gold.srv_{VIEW} as select 't' || n as thing_id, {counts}, {sums}, "
            "timestamp '2025-01-01' as valid_from, timestamp '9999-12-31' as valid_to, "
            "timestamp '2025-01-01' as updated_at, (hash(n) >> 1)::bigint as version "
            f"from range({entities}) as numbers (n)"
        )
        connection.execute(
            "create table gold.srv_catalog as select $view as feature_view, $definition as definition, "
            "timestamp '2025-01-01' as known_until, 'bench' as run_id",
            {"view": VIEW, "definition": json.dumps(definition)},
        )


def _rows(file: Path) -> Iterator[list[tuple[Any, ...]]]:
    with duckdb.connect() as connection:
        connection.execute(f"attach '{file}' as published (read_only); use published")
        found = connection.execute(f"select thing_id, {', '.join(FEATURES)} from gold.srv_{VIEW}")
        while rows := found.fetchmany(_ROWS_AT_A_TIME):
            yield rows


def _by_sync(file: Path, url: str) -> None:
    from assay.online.stores.open import open_store
    from assay.online.sync import sync

    sync(file, open_store(url))


def _start() -> None:
    from assay.online.stores import redis, sqlite  # noqa: F401
    from assay.online.sync import sync  # noqa: F401


def _by_executemany(file: Path, path: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"create table things (thing_id primary key, {', '.join(FEATURES)}) without rowid")
        places = ", ".join("?" * (1 + len(FEATURES)))
        for rows in _rows(file):
            texts = [(*row[:6], *map(str, row[6:])) for row in rows]
            connection.executemany(f"insert into things values ({places})", texts)


def _by_pipeline(file: Path, url: str) -> None:
    import redis

    server = redis.Redis.from_url(url)
    for rows in _rows(file):
        with server.pipeline(transaction=False) as pipeline:
            for key, *values in rows:
                pipeline.hset(f"bench:{key}", mapping=dict(zip(FEATURES, map(str, values), strict=True)))
            pipeline.execute()


def _read_pipelines(url: str, batches: str, size: str) -> None:
    import redis

    server = redis.Redis.from_url(url)
    for batch in range(int(batches)):
        with server.pipeline(transaction=False) as pipeline:
            for number in range(int(size)):
                pipeline.hmget(f"bench:t{(batch * int(size) + number) % 100_000}", FEATURES)
            pipeline.execute()


def _first_answer(url: str) -> None:
    import asyncio
    from datetime import datetime

    from assay.online.answer import Answerer
    from assay.online.request import view_request
    from assay.online.stores.open import open_store
    from assay.server import app  # noqa: F401 -- what a worker imports

    def plan(catalog: Any) -> Any:
        return [view_request(catalog, VIEW, FEATURES, {"thing_id": ["t1"]}, datetime.fromisoformat(AT))]

    asyncio.run(Answerer(open_store(url)).answer(plan))


if __name__ == "__main__":
    way, *arguments = sys.argv[1:]
    match way:
        case "start":
            _start()
        case "sync":
            _by_sync(Path(arguments[0]), arguments[1])
        case "executemany":
            _by_executemany(Path(arguments[0]), arguments[1])
        case "pipeline":
            _by_pipeline(Path(arguments[0]), arguments[1])
        case "read":
            _read_pipelines(*arguments)
        case "first":
            _first_answer(arguments[0])
