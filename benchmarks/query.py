"""Make a table in memory of the query in a file: `python -m benchmarks.query FILE` prints its rows."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb


def main(file: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        connection.execute(f"create table joined as {Path(file).read_text()}")
        print(connection.sql("select count(*) from joined").fetchall()[0][0])


if __name__ == "__main__":
    main(sys.argv[1])
