"""The five features published for each customer are what plain Python makes of silver, in every build."""

from __future__ import annotations

import csv
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from warehouse import Warehouse

from assay.build.publish import publish
from assay.project.products import Products

FEATURES = [
    "customer_id",
    "as_of",
    "total_purchases",
    "average_order_value",
    "days_since_last_purchase",
    "purchase_frequency",
    "most_common_category",
]
DAY = timedelta(days=1)


def published(warehouse: Warehouse, folder: Path) -> Path:
    tables = warehouse.query("select table_name from duckdb_tables() where schema_name = 'gold'")
    products = Products(
        {name: name for (name,) in tables}, csv_files={"srv_customer_features": "customer_features"}
    )
    publish(warehouse.path, folder / "gold.duckdb", products)
    return folder / "customer_features.csv"


def expected(warehouse: Warehouse) -> Iterator[dict[str, Any]]:
    """What silver tells of each customer, by one pass over the order lines."""
    catalogue: dict[str, list[tuple[datetime, str | None]]] = defaultdict(list)
    for product, known_at, category in warehouse.query(
        "select product_id, available_at, case when not is_deleted then category end "
        "from silver.slv_products__changes where not is_superseded order by available_at"
    ):
        catalogue[product].append((known_at, category))
    lines = warehouse.query(
        "select customer_id, order_id, product_id, quantity, line_amount, event_at, available_at "
        "from silver.slv_order_lines"
    )
    as_of = max(known_at for *_, known_at in lines)
    bought: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for customer, order, product, quantity, *rest in lines:
        if customer is not None and order[0] not in "CA" and quantity >= 0:
            bought[customer].append((order, product, *rest))
    for customer, sales in sorted(bought.items()):
        orders = {order for order, *_ in sales}
        times = [event_at for *_, event_at, _ in sales]
        categories = Counter(
            category
            for _, product, _, _, known_at in sales
            for category in [([None] + [each for at, each in catalogue[product] if at <= known_at])[-1]]
            if category is not None
        )
        yield {
            "customer_id": customer,
            "as_of": as_of,
            "total_purchases": len(orders),
            "average_order_value": float(sum(amount for _, _, amount, *_ in sales)) / len(orders),
            "days_since_last_purchase": (as_of - max(times)) / DAY,
            "purchase_frequency": len(orders) / max((as_of - min(times)) / DAY / 30, 1),
            "most_common_category": min(categories, key=lambda each: (-categories[each], each), default=""),
        }


def test_published_features_are_those_of_silver(built_demo: Warehouse, tmp_path: Path) -> None:
    with published(built_demo, tmp_path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == FEATURES
    for row, customer in zip(rows, expected(built_demo), strict=True):
        for name in ("average_order_value", "days_since_last_purchase", "purchase_frequency"):
            assert float(row[name]) == pytest.approx(customer.pop(name), rel=1e-12), (row, name)
        assert datetime.fromisoformat(row["as_of"]) == customer.pop("as_of")
        assert {name: row[name] for name in customer} == {name: str(told) for name, told in customer.items()}
    assert len({row["most_common_category"] for row in rows} - {""}) > 1
    assert len({row["total_purchases"] for row in rows}) > 3


def test_the_file_is_the_same_in_every_build(built_demo: Warehouse, tmp_path: Path) -> None:
    first = published(built_demo, tmp_path / "first").read_bytes()
    again = Warehouse(tmp_path / "again", built_demo.landing)
    again.folder.mkdir()
    shutil.copy(built_demo.path, again.path)
    again.build("--full-refresh", "--select", "fct_purchases+1", "srv_customer_features")
    assert published(again, tmp_path / "second").read_bytes() == first


def test_it_is_put_in_place_beside_gold_in_one_step(built_demo: Warehouse, tmp_path: Path) -> None:
    for leftover in (".customer_features.csv.4711", ".gold.duckdb.4711"):
        (tmp_path / leftover).write_text("half")
    old = published(built_demo, tmp_path)
    with old.open(encoding="utf-8") as reader:
        reader.readline()
        inode = old.stat().st_ino
        assert published(built_demo, tmp_path).stat().st_ino != inode
        assert old.read_text(encoding="utf-8").endswith(reader.read())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["customer_features.csv", "gold.duckdb"]


def test_of_a_past_moment_it_has_the_moment_in_its_name(built_demo: Warehouse, tmp_path: Path) -> None:
    target = tmp_path / "gold@2025-01-20T00-00-00.duckdb"
    table = "srv_customer_features"
    publish(built_demo.path, target, Products({table: table}, csv_files={table: "customer_features"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "customer_features@2025-01-20T00-00-00.csv",
        target.name,
    ]
