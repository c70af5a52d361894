"""The baseline of `latest`: `python -m benchmarks.polars_join FOLDER NAME ...` prints the rows that it joins.

Each name is of a Parquet file of values; its amount becomes a column of that name.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl


def main(folder: str, *names: str) -> None:
    # All files lie in the order of time, which is all the join asks for.
    joined = pl.scan_parquet(Path(folder) / "questions.parquet").set_sorted("asked_at")
    for name in names:
        values = pl.scan_parquet(Path(folder) / f"{name}.parquet").set_sorted("valid_from")
        joined = joined.join_asof(
            values.select("card_id", "valid_from", pl.col("amount").alias(name)),
            left_on="asked_at",
            right_on="valid_from",
            by="card_id",
            strategy="backward",
            check_sortedness=False,
        ).drop("valid_from")
    print(joined.collect().height)


if __name__ == "__main__":
    main(*sys.argv[1:])
