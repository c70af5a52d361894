"""What `drift` is compared with: Evidently's preset, run by an interpreter that has it: `FILE COLUMNS`.

Evidently is no dependency of the project: this file runs by itself, in an environment of its own.
"""

from __future__ import annotations

import sys

import duckdb
from evidently import Report
from evidently.presets import DataDriftPreset


def main(file: str, columns: str) -> None:
    names = ", ".join(f"x{number}" for number in range(int(columns)))
    with duckdb.connect(file, read_only=True) as connection:
        reference, current = (
            connection.execute(f"select {names} from {table}").df() for table in ("reference", "current")
        )
    found = Report([DataDriftPreset()]).run(current, reference).dict()
    print(len(found["metrics"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
