"""Metrics and semantic models, as dbt has parsed them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def enum(value: str) -> SimpleNamespace:
    """A value as dbt's enumerations have it."""
    return SimpleNamespace(value=value)


def simple_metric(name: str, measure: str, **changed: Any) -> SimpleNamespace:
    """A metric of one measure."""
    asked = SimpleNamespace(name=measure, filter=None)
    return SimpleNamespace(
        **{
            "name": name,
            "type": enum("simple"),
            "filter": None,
            "type_params": SimpleNamespace(measure=asked),
        }
        | changed
    )


def semantic_model(unique_id: str) -> SimpleNamespace:
    """A semantic model of orders, over a model of dbt."""

    def measure(name: str, agg: str, expr: str | None = None) -> SimpleNamespace:
        return SimpleNamespace(name=name, agg=enum(agg), expr=expr, agg_time_dimension=None)

    return SimpleNamespace(
        name="orders",
        entities=[SimpleNamespace(name="customer", expr="customer_id")],
        dimensions=[SimpleNamespace(name="ordered_at", expr=None)],
        defaults=SimpleNamespace(agg_time_dimension="ordered_at"),
        measures=[
            measure("amount", "sum"),
            measure("mean_amount", "average", "amount"),
            measure("buyers", "count_distinct", "customer_id"),
            measure("middle", "median", "amount"),
        ],
        depends_on=SimpleNamespace(nodes=[unique_id]),
    )
