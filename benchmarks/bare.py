"""The baseline of `events`: bare DuckDB, `python -m benchmarks.bare LANDING FILE MEMORY_LIMIT`.

One `create table as select` over `read_json` with the columns and types of `slv_web_events` declared, from
the same files into a new DuckDB file, with the project's settings. It does less than bronze and silver do: it
keeps no line and no file, tests nothing, and with `ignore_errors` drops a line that is not JSON without a
word, and turns a value of the wrong type into NULL.
"""

from __future__ import annotations

import sys

import duckdb

from benchmarks.landing import WEB_EVENTS

_TABLE = f"""
create table web_events as
select
    "messageId" as message_id,
    "userId" as customer_id,
    "anonymousId" as anonymous_id,
    "event" as event_name,
    properties.product_id,
    properties.category,
    properties.price,
    properties.quantity,
    properties.order_id,
    properties.total as order_amount,
    properties.query as search_query,
    "timestamp" as claimed_at,
    "receivedAt" as available_at
from read_json(
    $landing || '/{WEB_EVENTS}/**/*.jsonl*',
    format = 'newline_delimited',
    ignore_errors = true,
    columns = {{
        "messageId": 'varchar',
        "userId": 'varchar',
        "anonymousId": 'varchar',
        "event": 'varchar',
        "properties": 'struct(
            product_id varchar, category varchar, price decimal(18, 2), quantity integer,
            order_id varchar, total decimal(18, 2), query varchar
        )',
        "timestamp": 'timestamp',
        "receivedAt": 'timestamp'
    }}
)
"""


def main(landing: str, file: str, memory_limit: str) -> None:
    with duckdb.connect(file) as connection:
        connection.execute("set threads = 2; set preserve_insertion_order = false; set TimeZone = 'UTC'")
        connection.execute(f"set memory_limit = '{memory_limit}'")
        connection.execute(_TABLE, {"landing": landing})


if __name__ == "__main__":
    main(*sys.argv[1:])
