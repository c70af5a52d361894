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
_AGAIN = "gold read once more on the same connection"
_LIMITS = {"first build": 1.3, "build with nothing new": 1.5, "gold read whole": 1.2}


def run(settings: Settings) -> Report:
    folder = settings.scratch / "lake"
    landed = str(landing.whole_demo(settings.data))
    found: dict[str, dict[str, list[Cost]]] = {what: {} for what in _LIMITS}
    for target in (_FILE, _LAKE):
        warehouse = folder / target / f"assay.{'sqlite' if target == _LAKE else 'duckdb'}"
        environment = {
            "ASSAY_LANDING": landed,
            "ASSAY_WAREHOUSE": str(warehouse),
            "ASSAY_TARGET": "lake" if target == _LAKE else "duckdb",
            "DBT_TARGET_PATH": str(folder / target / "target"),
        }
        found["first build"][target] = [run_assay("build", environment=environment)]
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
    rows: list[Row] = []
    for what, limit in _LIMITS.items():
        of_file, of_lake = found[what][_FILE], found[what][_LAKE]
        ratio = middle([cost.cpu for cost in of_lake]) / middle([cost.cpu for cost in of_file])
        rows.append(row_of(f"{what}, file", of_file))
        rows.append(
            row_of(f"{what}, lake", of_lake, baseline="file", **within(ratio, limit, f"{limit:g} times"))
        )
    ratio, limit = again[_LAKE] / again[_FILE], _LIMITS["gold read whole"]
    rows.append(Row(f"{_AGAIN}, file", _RUNS, cpu=again[_FILE]))
    rows.append(
        Row(
            f"{_AGAIN}, lake",
            _RUNS,
            cpu=again[_LAKE],
            baseline="file",
            **within(ratio, limit, f"{limit:g} times"),
        )
    )
    return Report("lake", "the default demo in a lake, beside a warehouse in one file", rows)


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
