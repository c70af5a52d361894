"""Spark reads what is exported to Iceberg and Delta: each version of it, by the table's folder alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from online_stores import query
from side_packages import own_environment
from test_lake_export import FORMATS, HISTORY, export, publish

pytestmark = pytest.mark.minutes
# Neither format has a reader for the Spark of the other tests yet.
SPARK = "pyspark>=4.1,<4.2"
READERS = (
    "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.11.0",
    "io.delta:delta-spark_4.1_2.13:4.1.0",
    # That of Delta needs these.
    "io.delta:delta-storage:4.1.0",
    "org.antlr:antlr4-runtime:4.13.1",
)
_SECONDS = 600
ROWS = "select store_id, valid_from, valid_to, total, mean from gold.things order by all"
READ = """
import json, sys
from pyspark.sql import SparkSession
jars, wanted = sys.argv[1], json.loads(sys.argv[2])
settings = {
    "spark.jars": jars, "spark.driver.memory": "1g", "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
builder = SparkSession.builder.master("local[1]")
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
found = []
for format, folder, version in wanted:
    reader = spark.read.format(format)
    if version:
        reader = reader.option("versionAsOf", version)
    rows = reader.load(folder).select("store_id", "valid_from", "valid_to", "total", "mean").collect()
    found.append(sorted([list(map(str, row)) for row in rows]))
newest = spark.read.format("delta").load(wanted[-1][1])
last = newest.where("valid_from >= timestamp_ntz'2025-03-25 00:00:00'")
print(json.dumps([*found, last.count()]))
"""


def fetch_readers() -> str:
    """Return the jars by which Spark reads the formats, separated by commas; Maven keeps them.

    Skips the test where Maven or Java is missing, or Maven Central cannot be reached.
    """
    if not (shutil.which("mvn") and shutil.which("java")):
        pytest.skip("Spark's readers of Iceberg and Delta come from Maven, and Maven or Java is not here")
    jars = []
    for artifact in READERS:
        group, name, version = artifact.split(":")
        folder = Path.home().joinpath(".m2", "repository", *group.split("."), name, version)
        if not (folder / f"{name}-{version}.jar").is_file():
            fetch = ("mvn", "-q", "-B", "dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false")
            run = subprocess.run(fetch, capture_output=True, text=True, check=False, timeout=_SECONDS)
            if run.returncode != 0:
                pytest.skip(f"Maven has no {artifact} here: {run.stdout.strip().splitlines()[-1:]}")
        jars.append(str(folder / f"{name}-{version}.jar"))
    return ",".join(jars)


def rows_of(published: Path) -> list[list[str]]:
    """Return what is published as Spark's client writes it."""

    def write(value: object) -> str:
        assert isinstance(value, str | datetime | Decimal | int)
        return str(value)

    return sorted([write(value) for value in row] for row in query(published, ROWS))


def test_spark_reads_each_version_of_an_export(builds: None, tmp_path: Path) -> None:
    jars = fetch_readers()
    python = own_environment("spark-4.1", SPARK) / "python"
    published = publish(tmp_path / "assay.duckdb", HISTORY)
    before = rows_of(published)
    first = {format: export(published, tmp_path / format, format).version for format in FORMATS}
    query(published, "delete from gold.things where total < 10")
    query(published, "update gold.things set valid_to = timestamp '2026-01-01' where total >= 1995")
    for format in FORMATS:
        export(published, tmp_path / format, format)
    wanted = [
        (format, str(tmp_path / format / "things"), version)
        for format in FORMATS
        for version in (None, first[format])
    ]
    run = subprocess.run(
        [str(python), "-c", READ, jars, json.dumps(wanted)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    now = rows_of(published)
    # Readers of Delta leave out files by their bounds.
    late = sum(row[1] >= "2025-03-25" for row in now)
    assert late
    assert now != before
    assert json.loads(run.stdout.splitlines()[-1]) == [*([now, before] * len(FORMATS)), late]
