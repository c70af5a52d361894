"""Publishing gold of the default demo to the file that readers open."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from assay.build.publish import publish
from assay.project.products import Products
from benchmarks.demo import warehouse_of_demo
from benchmarks.measure import middle, own_cpu, run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of

_RUNS = 3
_UNCHANGED_SECONDS = 0.5


def run(settings: Settings) -> Report:
    warehouse = warehouse_of_demo(settings)
    warehouse.build("--exclude-resource-type", "test", "unit_test")
    published = warehouse.folder / "published" / "gold.duckdb"
    costs = [run_module("benchmarks.publish", str(warehouse.file), str(published)) for _ in range(_RUNS)]
    told = [cost.output.splitlines() for cost in costs]
    unchanged = middle([float(lines[1]) for lines in told])
    size = published.stat().st_size / (1 << 20)
    warehouse.remove()
    return Report(
        "publish",
        "gold of the default demo",
        [
            row_of("all tables, and again with none changed; with Python's start-up", costs),
            Row(
                "none changed",
                _RUNS,
                unchanged,
                limit=f"{_UNCHANGED_SECONDS:g} s of CPU",
                met=unchanged <= _UNCHANGED_SECONDS,
            ),
        ],
        [f"{told[0][0]}, {size:.1f} MiB"],
    )


def _main(warehouse: Path, published: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        found = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'gold'"
        ).fetchall()
    products = Products({name: name for (name,) in found})
    publication = publish(warehouse, published, products)
    if publication is None:
        sys.exit("gold holds nothing")
    print(f"{publication.tables} tables, {publication.rows:,} rows")
    before = own_cpu()
    publish(warehouse, published, products, changed=())
    print(own_cpu() - before)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
