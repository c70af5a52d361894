"""MetricFlow answers questions by the example's metrics, and gives what SQL over gold gives."""

from __future__ import annotations

import csv
import subprocess
import sys

import duckdb
import pytest
from side_packages import environment_beside
from warehouse import PROJECT, Warehouse

PACKAGES = (
    "dbt-metricflow==0.15.0",
    "metricflow==0.213.0",
    # What those need that Assay and its tests do not.
    "rapidfuzz==3.14.6",
    "halo==0.0.31",
    "log-symbols==0.0.14",
    "spinners==0.0.24",
    "termcolor==3.3.0",
    "update-checker==0.18.0",
)
METRICS = ("orders", "buyers", "revenue", "order_value")


@pytest.fixture(scope="module")
def answers(built_demo: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What MetricFlow answers for each country, by the names of metrics."""
    project = tmp_path_factory.mktemp("metricflow") / "project"
    project.mkdir()
    # It reads what dbt has parsed in the project's folder alone.
    for name in ("dbt_project.yml", "profiles.yml"):
        (project / name).symlink_to(PROJECT / name)
    (project / "target").symlink_to(built_demo.folder / "target")
    answer = project / "answer.csv"
    query = ["query", "--metrics", ",".join(METRICS), "--group-by", "order__country", "--csv", str(answer)]
    run = subprocess.run(
        [sys.executable, "-c", "from dbt_metricflow.cli.main import cli; cli()", *query],
        cwd=project,
        env=environment_beside("metricflow", *PACKAGES) | built_demo.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    with answer.open() as file:
        return {
            row.pop("order__country"): {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        }


def test_metrics_are_answered_by_metricflow(
    built_demo: Warehouse, answers: dict[str, dict[str, float]]
) -> None:
    sql = """
        select
            country,
            count(*) filter (where order_type = 'sale') as orders,
            count(distinct customer_id) as buyers,
            sum(order_amount) filter (where order_type = 'sale')::double as revenue,
            revenue / orders as order_value
        from gold.fct_orders
        group by country
    """
    with duckdb.connect(str(built_demo.path), read_only=True) as connection:
        relation = connection.sql(sql)
        wanted = {
            row[0]: dict(zip(relation.columns[1:], row[1:], strict=True)) for row in relation.fetchall()
        }
    assert len(wanted) > 5
    assert set(answers) == set(wanted)
    for country, values in wanted.items():
        assert answers[country] == pytest.approx({k: v for k, v in values.items() if v is not None}), country
