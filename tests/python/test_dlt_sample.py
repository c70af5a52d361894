"""A source of dlt as a sample of `assay source add`, and what a build makes of its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from small_project import SmallProject, make_small_project

from assay.project.warehouse import connect

pytest.importorskip("dlt", reason="dlt is not installed: pip install -e '.[dlt]'")

_MODULE = """
import json
from pathlib import Path

import dlt

HERE = Path(__file__).parent


@dlt.resource(primary_key="id", write_disposition="merge")
def orders(changed_at=dlt.sources.incremental("changed_at", initial_value="2025-01-01")):
    yield json.loads((HERE / "orders.json").read_text())


@dlt.resource(primary_key="currency", write_disposition="replace")
def rates():
    yield [{"currency": name, "rate": 1.5} for name in ("CHF", "DKK", "EUR", "GBP")]


@dlt.resource(primary_key="id")
def visits():
    yield [{"id": number} for number in range(30)]


@dlt.source
def shop():
    return orders, rates, visits
"""


def order(number: int, day: int = 2, **more: object) -> dict[str, object]:
    lines = [{"sku": f"S{number}"}, {"sku": "S0"}]
    return {
        "id": number,
        "changed_at": f"2025-01-{day:02}T12:00:00Z",
        "total": number * 1.5,
        "lines": lines,
    } | more


@pytest.fixture(scope="module")
def project(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A project with a source of dlt that has 30 orders."""
    project = make_small_project(tmp_path_factory.mktemp("dlt") / "project")
    (project.root / "sampled_shop.py").write_text(_MODULE)
    _write(project, [order(number) for number in range(30)])
    return project


def _write(project: SmallProject, orders: list[dict[str, object]]) -> None:
    (project.root / "orders.json").write_text(json.dumps(orders))


@pytest.fixture
def add(project: SmallProject) -> Callable[..., str]:
    def run(*arguments: str, code: int = 0) -> str:
        result = project.assay("source", "add", *arguments, "--dlt", "sampled_shop:shop")
        assert result.exit_code == code, result.output
        return " ".join(result.output.split())

    return run


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("orders", "Key: id, changed_at (as the source says; a row that changes lands again;"),
        ("rates", "Key: currency, _dlt_load_id (as the source says; a row that changes lands again;"),
        ("visits", "Key: id (as the source says;"),
        ("orders__lines", "Key: _dlt_id (as the source says;"),
    ],
)
def test_the_key_is_what_the_source_says_with_what_tells_versions_apart(
    add: Callable[..., str], table: str, key: str
) -> None:
    assert key in add(f"shop.{table}", "--dry-run")


def test_a_sample_takes_nothing_away_from_what_lands(project: SmallProject, add: Callable[..., str]) -> None:
    told = add("shop.orders", "--dry-run")
    assert "Event time: changed_at" in told
    assert (
        "{server: dlt, type: custom, customProperties: [{property: dlt, value: sampled_shop:shop}]}" in told
    )
    assert not (project.landing / "_dlt").exists()


def test_what_the_source_does_not_yield_is_told(add: Callable[..., str]) -> None:
    told = add("shop.refunds", code=2)
    assert "sampled_shop:shop has yielded no rows of a table refunds: there are rows of orders, " in told


def test_files_and_a_source_of_dlt_are_not_taken_together(add: Callable[..., str]) -> None:
    assert "--dlt fetches its own sample" in add("shop.orders", "orders.json", code=2)


def test_rows_of_a_source_are_built_with_what_dlt_itself_wrote_beside_them(
    project: SmallProject, add: Callable[..., str], tmp_path: Path
) -> None:
    import dlt

    # dlt makes the folder of a dataset anew.
    settings = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    with mock.patch.dict(os.environ, settings):
        pipeline = dlt.pipeline(
            "plain",
            pipelines_dir=str(tmp_path),
            destination=dlt.destinations.filesystem(str(project.landing)),
            dataset_name="shop",
        )
        pipeline.run([order(40)], table_name="orders")
    for table in ("orders", "orders__lines"):
        assert f"Wrote models/bronze/brz_shop__{table}.sql" in add(f"shop.{table}", "--yes").replace(
            "own/", ""
        )
    landed = project.assay("land", "dlt")
    assert "To load them: assay build" in landed.output, landed.output
    _write(project, [order(3, day=9, coupon="SPRING")])
    assert project.assay("land", "dlt").exit_code == 0
    build = project.assay("build")
    assert build.exit_code == 0, build.output
    # Silver's views name the catalog.
    with connect(project.warehouse) as warehouse:

        def query(sql: str) -> list[tuple[object, ...]]:
            return warehouse.sql(sql).fetchall()

        orders = query("select order_id, total from silver.slv_orders where total in (4.5, 60) order by all")
        assert orders == [("3", 4.5), ("3", 4.5), ("40", 60.0)]
        assert query("select count(*) from silver.slv_orders__lines") == [(64,)]
        # Only what no contract is about is not loaded.
        files = (
            "select distinct table_name, status from bronze.brz_files where source_name <> 'erp' order by all"
        )
        assert query(files) == [
            ("orders", "loaded"),
            ("orders__lines", "loaded"),
            ("rates", "unknown_table"),
            ("visits", "unknown_table"),
        ]
        changes = "select column_name from bronze.brz_schema_changes where table_name = 'orders'"
        assert query(changes) == [("coupon",)]
