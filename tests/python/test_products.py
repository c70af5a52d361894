"""A product goes out whole or not at all, and with it what rests on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from assay.project.products import judge_products


def model(name: str, *reads: str, product: str | None = None, status: str = "success") -> Any:
    node = SimpleNamespace(
        unique_id=name,
        name=name,
        alias=name,
        schema="gold" if product != "silver" else "silver",
        resource_type="model",
        config=SimpleNamespace(
            group=product, meta={"assay": {"layer": "gold" if product != "silver" else "silver"}}
        ),
        depends_on=SimpleNamespace(nodes=list(reads)),
        columns={},
    )
    return SimpleNamespace(node=node, status=status)


def check(name: str, about: str, *, status: str) -> Any:
    node = SimpleNamespace(
        unique_id=name,
        name=name,
        resource_type="test",
        attached_node=about,
        column_name=None,
        depends_on=SimpleNamespace(nodes=[about]),
    )
    return SimpleNamespace(node=node, status=status)


def test_what_rests_on_a_sound_table_of_a_stopped_product_stops_too() -> None:
    products = judge_products(
        [
            model("orders", product="sales"),
            model("lines", product="sales"),
            model("features", "lines", product="features"),
            model("texts", product="features"),
            model("training", "texts", product="training"),
            model("customers", product="customers"),
            check("orders_add_up", "orders", status="fail"),
        ]
    )
    assert products.stopped == {
        "sales": "test orders_add_up of gold.orders failed",
        "features": "it rests on sales",
        "training": "it rests on features",
    }
    assert (products.broken, products.passed) == ({"sales"}, {"customers"})
    assert products.held_back == {"orders", "lines", "features", "texts", "training"}


def test_what_was_skipped_names_what_failed_above() -> None:
    products = judge_products(
        [
            model("checked", product="silver"),
            model("lines", "checked", product="sales", status="skipped"),
            model("days", "lines", product="days", status="skipped"),
            model("customers", product="customers"),
            check("rows_are_conserved", "checked", status="error"),
        ]
    )
    why = "test rows_are_conserved of silver.checked failed"
    assert products.stopped == {"sales": why, "days": why}
    assert (products.broken, products.passed) == (set(), {"customers"})


def test_a_failed_model_breaks_its_product_and_a_warning_breaks_none() -> None:
    products = judge_products(
        [
            model("lines", product="sales", status="error"),
            model("alone"),
            check("all_is_well", "alone", status="warn"),
        ]
    )
    assert products.stopped == {"sales": "gold.lines failed"}
    assert products.product_of == {"lines": "sales", "alone": "alone"}
    assert (products.broken, products.passed) == ({"sales"}, {"alone"})


def test_what_is_served_of_a_view_has_the_types_that_a_lake_does_not_keep() -> None:
    taste = model("ftr_customer__taste")
    taste.node.columns = {
        "customer_id": SimpleNamespace(data_type="varchar"),
        "taste": SimpleNamespace(data_type="float[3]"),
    }
    restored = judge_products([taste, model("srv_ftr_customer__taste", "ftr_customer__taste")]).restored
    assert restored == {
        "ftr_customer__taste": {"taste": "float[3]"},
        "srv_ftr_customer__taste": {"taste": "float[3]"},
    }
