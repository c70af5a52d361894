"""The baseline of `latest`: `python -m benchmarks.polars_join FOLDER` prints the rows that Polars joins."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl


def main(folder: str) -> None:
    # Both files lie in the order of time, which is all the join asks for.
    questions = pl.scan_parquet(Path(folder) / "questions.parquet").set_sorted("asked_at")
    values = pl.scan_parquet(Path(folder) / "values.parquet").set_sorted("valid_from")
    joined = questions.join_asof(
        values,
        left_on="asked_at",
        right_on="valid_from",
        by="card_id",
        strategy="backward",
        check_sortedness=False,
    ).collect()
    print(joined.height)


if __name__ == "__main__":
    main(sys.argv[1])
