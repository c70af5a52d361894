"""Compute a model of the workshop here or with Spark, in a process of its own.

`python -m benchmarks.spark_node FOLDER MODEL (here | MASTER)` prints CPU seconds of the whole process tree as
JSON, without what Spark takes to start, with the rows and their content.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb

from assay.spark.engine import compute, remove
from assay.spark.jobs import Job, ModelCode, decide
from assay.spark.plan import read_columns
from assay.spark.session import start
from benchmarks.build import MEMORY_LIMIT

_TICKS = 100
_RAW = "{{ assay.windowed_history(x, entity_keys=['card_id']) }}"


def tree_cpu() -> float:
    """CPU seconds of this process, of all that it has started, and of those that they have waited for."""
    processes = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        processes[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / _TICKS)
    own = {int(Path("/proc/self").resolve().name)}
    while more := {pid for pid, (parent, _) in processes.items() if parent in own} - own:
        own |= more
    return sum(processes[pid][1] for pid in own if pid in processes)


def main(folder: str, model: str, master: str) -> None:
    sql = (Path(folder) / "target" / "compiled" / "workshop" / "models" / f"{model}.sql").read_text()
    spark = None if master == "here" else start(master)
    with duckdb.connect(Path(folder) / "workshop.duckdb") as connection:
        connection.execute(f"set threads = 2; set memory_limit = '{MEMORY_LIMIT}'; set TimeZone = 'UTC'")
        connection.execute("set preserve_insertion_order = false")
        before, began = tree_cpu(), time.monotonic()
        if spark is not None:
            columns = read_columns(connection, "workshop")
            job = decide(_code(model, sql, columns), columns)
            assert isinstance(job, Job), job
            files = Path(folder) / "files"
            sql = compute(job, model, connection, columns, spark, files.absolute(), {}).sql
        connection.execute(f"create or replace table computed as {sql}")
        cpu, wall = tree_cpu() - before, time.monotonic() - began
        remove(Path(folder) / "files")
        row = connection.execute(
            "select count(*), bit_xor(hash(computed)), sum(hash(computed)::hugeint)::varchar from computed"
        ).fetchone()
    print(json.dumps({"cpu": cpu, "wall": wall, "content": row}))


def _code(model: str, sql: str, columns: dict[str, dict[str, str]]) -> ModelCode:
    is_history = model == "velocity"
    return ModelCode(
        model,
        sql,
        _RAW if is_history else "",
        "history" if is_history else "replaced",
        {} if is_history else {"joined_features": [{}]},
        {relation: relation for relation in columns},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
