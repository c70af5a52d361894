"""Publishing gold of the default demo to the file that readers open."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from assay.build.publish import publish
from assay.project.products import Products
from benchmarks.demo import warehouse_of_demo
from benchmarks.measure import run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, row_of

_RUNS = 3


def run(settings: Settings) -> Report:
    warehouse = warehouse_of_demo(settings)
    warehouse.build("--exclude-resource-type", "test", "unit_test")
    published = warehouse.folder / "published" / "gold.duckdb"
    costs = [run_module("benchmarks.publish", str(warehouse.file), str(published)) for _ in range(_RUNS)]
    size = published.stat().st_size / (1 << 20)
    warehouse.remove()
    return Report(
        "publish",
        "gold of the default demo",
        [row_of("publish", costs)],
        [f"{costs[0].output.strip()}, {size:.1f} MiB; Python's start-up is included."],
    )


def _main(warehouse: Path, published: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        found = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'gold'"
        ).fetchall()
    publication = publish(warehouse, published, Products({name: name for (name,) in found}))
    if publication is None:
        sys.exit("gold holds nothing")
    print(f"{publication.tables} tables, {publication.rows:,} rows")


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
