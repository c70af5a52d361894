"""Compute the velocity history of the workshop by Spark's own SQL, in a process of its own.

`python -m benchmarks.spark_sql FOLDER (running_sums | range_join) MASTER` prints CPU seconds of the whole
process tree as JSON, without what Spark takes to start, with the rows and their content. The transactions lie
in Parquet before it begins, and rows stay in Parquet: neither is counted.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import duckdb

from assay.spark.session import start
from benchmarks.measure import tree_cpu

_WINDOWS = {"1h": "interval 1 hour", "24h": "interval 24 hours", "7d": "interval 7 days"}
#: The columns that both engines give.
COLUMNS = (
    *("card_id", *(f"transaction_count_{name}" for name in _WINDOWS)),
    *(f"amount_sum_{name}" for name in _WINDOWS),
    *("valid_from", "valid_to"),
)
_ENTER = """
select card_id, available_at as at, {deltas} from transactions"""
_LEAVE = """
select card_id, happened_at + {length} as at, {deltas} from transactions
where happened_at + {length} > available_at"""
_CHANGES = """
marked as (
    select *, lag(at) over w is null or {changes} as is_new
    from states window w as (partition by card_id order by at)
)
select
    card_id, {values}, at as valid_from,
    lead(at, 1, timestamp_ntz '9999-12-31') over (partition by card_id order by at) as valid_to
from marked where is_new"""


def _moves() -> str:
    """Each event enters at an instant, and leaves each window at another."""
    deltas = {
        name: f"int(happened_at + {length} > available_at) as c_{name}, "
        f"if(happened_at + {length} > available_at, amount, 0bd) as s_{name}"
        for name, length in _WINDOWS.items()
    }
    parts = [_ENTER.format(deltas=", ".join(deltas.values()))]
    for own, length in _WINDOWS.items():
        left = ", ".join(
            f"{-int(name == own)} as c_{name}, {'-amount' if name == own else '0bd'} as s_{name}"
            for name in _WINDOWS
        )
        parts.append(_LEAVE.format(length=length, deltas=left))
    return "\nunion all".join(parts)


def _states(values: str) -> str:
    names = [f"{kind}_{name}" for kind in "cs" for name in _WINDOWS]
    changes = " or ".join(f"{name} <> lag({name}) over w" for name in names)
    shown = ", ".join(
        [f"bigint(c_{name}) as transaction_count_{name}" for name in _WINDOWS]
        + [f"cast(s_{name} as decimal(18, 2)) as amount_sum_{name}" for name in _WINDOWS]
    )
    return f"with moves as ({_moves()}\n),\n{values},{_CHANGES.format(changes=changes, values=shown)}"


def _running_sums() -> str:
    """The best way in Spark's SQL: what enters and leaves at an instant, added up over time."""
    names = [f"{kind}_{name}" for kind in "cs" for name in _WINDOWS]
    moved = ", ".join(f"sum({name}) as {name}" for name in names)
    added = ", ".join(f"sum({name}) over w as {name}" for name in names)
    return _states(
        f"instants as (select card_id, at, {moved} from moves group by card_id, at), "
        f"states as (select card_id, at, {added} from instants "
        "window w as (partition by card_id order by at rows between unbounded preceding and current row))"
    )


def _range_join() -> str:
    """As Feast and Chronon do: each instant is joined with the events of its windows, and grouped."""
    values = ", ".join(
        f"count(case when happened_at > at - {length} then 1 end) as c_{name}, "
        f"coalesce(sum(case when happened_at > at - {length} then amount end), 0bd) as s_{name}"
        for name, length in _WINDOWS.items()
    )
    return _states(
        "instants as (select distinct card_id, at from moves), "
        f"states as (select instants.card_id, at, {values} from instants left join transactions "
        "on instants.card_id = transactions.card_id and available_at <= at "
        f"and happened_at > at - {_WINDOWS['7d']} group by instants.card_id, at)"
    )


_WAYS = {"running_sums": _running_sums, "range_join": _range_join}


def main(folder: str, way: str, master: str) -> None:
    files = Path(folder) / "plain"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir()
    with duckdb.connect(Path(folder) / "workshop.duckdb", read_only=True) as connection:
        connection.execute(
            f"copy transactions to '{files}/transactions' (format parquet, file_size_bytes 33554432)"
        )
    # Here rows do go through Java, which is to compile as well as it can.
    os.environ.setdefault("JDK_JAVA_OPTIONS", "")
    spark = start(master)
    spark.conf.set("spark.sql.shuffle.partitions", "16")
    before, began = tree_cpu(), time.monotonic()
    spark.read.parquet(str(files / "transactions")).createOrReplaceTempView("transactions")
    spark.sql(_WAYS[way]()).write.parquet(str(files / "result"))
    cpu, wall = tree_cpu() - before, time.monotonic() - began
    print(
        json.dumps(
            {"cpu": cpu, "wall": wall, "content": content(f"read_parquet('{files}/result/*.parquet')")}
        )
    )
    shutil.rmtree(files)


def content(relation: str, connection: duckdb.DuckDBPyConnection | None = None) -> tuple[object, ...]:
    """Return the number of rows of a relation, and hashes of the columns that both engines give."""
    columns = ", ".join(COLUMNS)
    hashes = "count(*), bit_xor(hash(t)), sum(hash(t)::hugeint)::varchar"
    sql = f"select {hashes} from (select {columns} from {relation}) as t"
    row = (connection or duckdb.connect()).execute(sql).fetchone()
    assert row
    return row


if __name__ == "__main__":
    main(*sys.argv[1:])
