"""Metrics and semantic models, as dbt has parsed them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def enum(value: str) -> SimpleNamespace:
    """A value as dbt's enumerations have it."""
    return SimpleNamespace(value=value)


def filter_of(*templates: str) -> SimpleNamespace:
    """A filter, as dbt has parsed it."""
    return SimpleNamespace(where_filters=[SimpleNamespace(where_sql_template=each) for each in templates])


def simple_metric(name: str, measure: str, **changed: Any) -> SimpleNamespace:
    """A metric of one measure."""
    asked = SimpleNamespace(name=measure, filter=changed.pop("measure_filter", None))
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
        primary_entity=None,
        entities=[
            SimpleNamespace(name="order", type=enum("primary"), expr="order_id"),
            SimpleNamespace(name="customer", type=enum("foreign"), expr="customer_id"),
        ],
        dimensions=[
            SimpleNamespace(name="ordered_at", expr=None),
            SimpleNamespace(name="is_large", expr="amount > 10"),
        ],
        defaults=SimpleNamespace(agg_time_dimension="ordered_at"),
        measures=[
            measure("amount", "sum"),
            measure("mean_amount", "average", "amount"),
            measure("buyers", "count_distinct", "customer_id"),
            measure("middle", "median", "amount"),
        ],
        depends_on=SimpleNamespace(nodes=[unique_id]),
    )
