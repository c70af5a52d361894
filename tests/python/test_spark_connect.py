"""A build hands nodes over to a server of Spark Connect, and has the rows that this machine computes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from small_project import SmallProject
from spark_cluster import started_connect_server
from training_project import succeed

pytest.importorskip("pyspark", reason="the extra spark is not installed")

TABLES = ("ftr_product__lines", "trn_lines")


def contents(warehouse: Path) -> list[Any]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return [
            connection.execute(
                f"select count(*), bit_xor(hash(t)), sum(hash(t)::hugeint) from gold.{table} as t"
            ).fetchone()
            for table in TABLES
        ]


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, and there is none")
def test_a_server_of_spark_connect_computes_histories_and_joins(
    training: SmallProject, tmp_path: Path
) -> None:
    view = training.root / "models" / "own" / "gold" / "ftr_product__lines.sql"
    view.write_text("{{ config(materialized='history') }}" + view.read_text())
    training.land(6, *(number % 9 + 1 for number in range(700)))
    succeed(training, "build", "--all")
    here = contents(training.warehouse)
    with started_connect_server(tmp_path / "connect") as url:
        training.settings.update({"ASSAY_ENGINE": f"spark:{url}", "ASSAY_SPARK_FROM": "0"})
        # A process has one kind of session, and tests of this one may have had the other.
        build = training.start("build", "--full-refresh")
        told, errors = build.communicate()
    assert build.returncode == 0, told + errors
    for table, (rows, *_) in zip(TABLES, here, strict=True):
        assert f"Spark computed {rows:,} rows for {table}" in told
    assert contents(training.warehouse) == here
