"""Compute a model of the workshop here or with Spark, in a process of its own.

`python -m benchmarks.spark_node FOLDER MODEL (here | MASTER)` prints CPU seconds of the whole process tree as
JSON, without what Spark takes to start, with the rows and their content; of Spark also what its tasks took.
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
from benchmarks.measure import peak_of_tree, tree_cpu
from benchmarks.spark_sql import content

_RAW = "{{ assay.windowed_history(x, entity_keys=['card_id']) }}"


def main(folder: str, model: str, master: str) -> None:
    sql = (Path(folder) / "target" / "compiled" / "workshop" / "models" / f"{model}.sql").read_text()
    spark = None if master == "here" else start(master)
    tasks = None
    with duckdb.connect(Path(folder) / "workshop.duckdb") as connection:
        connection.execute(f"set threads = 2; set memory_limit = '{MEMORY_LIMIT}'; set TimeZone = 'UTC'")
        connection.execute("set preserve_insertion_order = false")
        before, began = tree_cpu(), time.monotonic()
        if spark is not None:
            columns = read_columns(connection, "workshop")
            job = decide(_code(model, sql, columns), columns)
            assert isinstance(job, Job), job
            files = Path(folder) / "files"
            computed = compute(job, model, connection, columns, spark, files.absolute(), {})
            sql = computed.sql
            tasks = {
                "cpu": computed.task_cpu,
                "peak": peak_of_tree("pyspark.daemon"),
            }
        connection.execute(f"create or replace table computed as {sql}")
        cpu, wall = tree_cpu() - before, time.monotonic() - began
        remove(Path(folder) / "files")
        row = connection.execute(
            "select count(*), bit_xor(hash(computed)), sum(hash(computed)::hugeint)::varchar from computed"
        ).fetchone()
        common = content("computed", connection) if model == "velocity" else None
    print(json.dumps({"cpu": cpu, "wall": wall, "content": row, "common": common, "tasks": tasks}))


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
