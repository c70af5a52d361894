"""What a lake costs beside a warehouse in one file: builds of the default demo, and reads of its gold."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from assay.core.sql import quoted
from assay.project.warehouse import connect
from benchmarks import landing
from benchmarks.measure import Cost, middle, own_cpu, run_assay, run_module
from benchmarks.settings import Settings
from benchmarks.table import Report, Row, row_of, within

_RUNS = 3
_FILE, _LAKE = "file", "lake"
_ENDINGS = {_FILE: "duckdb", _LAKE: "sqlite"}
_AGAIN = "gold read once more on the same connection"
_ALL_AGAIN = "all models built again"
_LIMITS = {"first build": 1.3, _ALL_AGAIN: 1.3, "build with nothing new": 1.5, "gold read whole": 1.2}
_ROWS = 3_000_000
_LARGE = f"{_ROWS // 1_000_000}M rows read whole"
_LARGE_LIMIT = 1.2
# Numbers, instants, decimals, few and many texts: what transactions are made of.
_TRANSACTIONS = """
select
    number // 7 as transaction_id,
    hash(number) % 1000000 as card_id,
    timestamp '2025-01-01' + to_microseconds(number * 9_000_000) as event_at,
    (hash(number * 3) % 100000 / 100)::decimal(18, 2) as amount,
    'category ' || hash(number * 5) % 14 as category,
    md5(number::varchar) as reference
from range(?) as numbers (number)
"""


def run(settings: Settings) -> Report:
    folder = settings.scratch / "lake"
    landed = str(landing.whole_demo(settings.data))
    found: dict[str, dict[str, list[Cost]]] = {what: {} for what in _LIMITS}
    for target in (_FILE, _LAKE):
        warehouse = folder / target / f"assay.{_ENDINGS[target]}"
        environment = {
            "ASSAY_LANDING": landed,
            "ASSAY_WAREHOUSE": str(warehouse),
            "ASSAY_TARGET": "lake" if target == _LAKE else "duckdb",
            "DBT_TARGET_PATH": str(folder / target / "target"),
        }
        found["first build"][target] = [run_assay("build", environment=environment)]
        found[_ALL_AGAIN][target] = [run_assay("build", "--all", environment=environment)]
        found["build with nothing new"][target] = [
            run_assay("build", environment=environment) for _ in range(_RUNS)
        ]
        found["gold read whole"][target] = [
            run_module("benchmarks.lake", str(warehouse)) for _ in range(_RUNS)
        ]
    again = {
        target: middle([json.loads(cost.output) for cost in costs])
        for target, costs in found["gold read whole"].items()
    }
    large = {target: _read_large(folder / f"large.{ending}") for target, ending in _ENDINGS.items()}
    rows: list[Row] = []
    for what, limit in _LIMITS.items():
        of_file, of_lake = found[what][_FILE], found[what][_LAKE]
        ratio = middle([cost.cpu for cost in of_lake]) / middle([cost.cpu for cost in of_file])
        rows.append(row_of(f"{what}, file", of_file))
        rows.append(
            row_of(f"{what}, lake", of_lake, baseline="file", **within(ratio, limit, f"{limit:g} times"))
        )
    rows += _beside(_AGAIN, again, _LIMITS["gold read whole"])
    rows += _beside(_LARGE, large, _LARGE_LIMIT)
    return Report("lake", "the default demo in a lake, beside a warehouse in one file", rows)


def _beside(what: str, cpu: dict[str, float], limit: float) -> list[Row]:
    ratio = cpu[_LAKE] / cpu[_FILE]
    return [
        Row(f"{what}, file", _RUNS, cpu=cpu[_FILE]),
        Row(
            f"{what}, lake",
            _RUNS,
            cpu=cpu[_LAKE],
            baseline="file",
            **within(ratio, limit, f"{limit:g} times"),
        ),
    ]


def _read_large(warehouse: Path) -> float:
    """Write a large table, and return the CPU seconds of reading it, all columns of all rows."""
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with connect(warehouse, read_only=False) as connection:
        connection.execute(f"create table transactions as {_TRANSACTIONS}", [_ROWS])
    spent = []
    with connect(warehouse) as connection:
        for _ in range(_RUNS):
            before = own_cpu()
            connection.execute("select bit_xor(hash(each)) from transactions as each").fetchall()
            spent.append(own_cpu() - before)
    return middle(spent)


def _main(warehouse: Path) -> None:
    """Read each column of each table of gold twice, and print the CPU seconds of the second time."""
    with connect(warehouse) as connection:
        tables = connection.execute(
            "select distinct table_name from duckdb_columns() "
            "where database_name = current_database() and schema_name = 'gold' and table_name not in "
            "(select view_name from duckdb_views() where schema_name = 'gold') order by all"
        ).fetchall()
        spent = 0.0
        for _ in range(2):
            before = own_cpu()
            for (table,) in tables:
                connection.execute(f"select bit_xor(hash(each)) from gold.{quoted(table)} as each").fetchall()
            spent = own_cpu() - before
    print(json.dumps(spent))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
