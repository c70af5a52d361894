"""Decide which products of gold may be published after a run: those without a failure in or upstream."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from assay.project.conventions import CSV_FILE, SERVING, is_published, tables_of
from assay.project.failures import FAILED, TESTS, guarded, guarded_ids, relation
from assay.project.graph import ancestor_ids

# What stands in double quotes is a name. macros/schema/_lake.sql says as what a lake keeps them.
_NO_NAME = r'(?=(?:[^"]*"[^"]*")*[^"]*$)'
_VECTOR = re.compile(r"\[\s*\d+\s*\]" + _NO_NAME)
_HUGE = re.compile(r"\b(hugeint|int128)\b" + _NO_NAME, re.IGNORECASE)


@dataclass(frozen=True)
class Products:
    """Tables that may be published, and products that are stopped.

    `product_of` gives the product of each table, `schemas` the schemas of the tables, `csv_files` the name of
    the CSV file for tables that are also published as CSV, and `stopped` the reason for each product that is
    not published. `broken` names the stopped products that failed themselves; the others read a stopped one.
    `restored` gives for each table the declared types of columns that a lake keeps as another type: vectors
    of one length as lists, and HUGEINT as a decimal.
    """

    product_of: dict[str, str] = field(default_factory=dict)
    schemas: frozenset[str] = frozenset({"gold"})
    csv_files: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    restored: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def passed(self) -> set[str]:
        """Names of the tables that may be published."""
        return {table for table, product in self.product_of.items() if product not in self.stopped}

    @property
    def held_back(self) -> set[str]:
        """Names of the tables whose product is stopped."""
        return self.product_of.keys() - self.passed


def judge_products(results: Iterable[Any]) -> Products:
    """Decide which products of gold may be published after a whole run of dbt.

    A product is a group of dbt; a model without a group is a product of its own. A product is stopped if one
    of its models or tests failed, or if it reads a table of a stopped product: its rows would come from
    another build than the rows they refer to.

    Args:
        results: the results of all nodes of the project.
    """
    status = {result.node.unique_id: str(result.status) for result in results}
    nodes = {result.node.unique_id: result.node for result in results}
    product_of = {
        unique_id: str(node.config.group or node.alias)
        for unique_id, node in nodes.items()
        if is_published(node)
    }
    above = {unique_id: ancestor_ids(unique_id, nodes) for unique_id in product_of}
    stopped: dict[str, str] = {}
    broken_products: set[str] = set()
    for failed in (unique_id for unique_id in nodes if status[unique_id] in FAILED):
        is_test = nodes[failed].resource_type in TESTS
        broken = guarded_ids(nodes[failed]) if is_test else {failed}
        why = (
            f"test {nodes[failed].name} of {guarded(nodes[failed], nodes)}"
            if is_test
            else relation(failed, nodes)
        )
        for unique_id, product in product_of.items():
            # A skipped table downstream of a broken model was not rebuilt, or not built at all.
            if broken & {unique_id, *(above[unique_id] if status[unique_id] == "skipped" else ())}:
                stopped.setdefault(product, f"{why} failed")
            if unique_id in broken:
                broken_products.add(product)
    while True:
        resting = {
            product: f"it rests on {product_of[source]}"
            for unique_id, product in product_of.items()
            for source in sorted(above[unique_id] & product_of.keys())
            if product not in stopped and product_of[source] in stopped
        }
        if not resting:
            break
        stopped |= resting
    published = [nodes[unique_id] for unique_id in product_of]
    restored = {str(node.alias): types for node in published if (types := find_restored(node))}
    return Products(
        {
            table: product
            for unique_id, product in product_of.items()
            for table in tables_of(nodes[unique_id])
        },
        frozenset(str(node.schema) for node in published),
        {str(node.alias): name for node in published if (name := node.config.meta.get(CSV_FILE))},
        stopped,
        frozenset(broken_products),
        # What is served of a feature view has its columns, and declares none.
        {SERVING + name: types for name, types in restored.items()} | restored,
    )


def find_restored(node: Any) -> dict[str, str]:
    """Return the declared types of a node's columns that a lake keeps as another type, by column."""
    return {
        name: column.data_type
        for name, column in node.columns.items()
        if column.data_type and (_VECTOR.search(column.data_type) or _HUGE.search(column.data_type))
    }


def kept_in_lake(data_type: str) -> str:
    """Return the type in which a lake keeps values of another, both as DuckDB writes them."""
    return _HUGE.sub("DECIMAL(38,0)", _VECTOR.sub("[]", data_type))
