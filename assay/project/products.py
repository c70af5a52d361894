"""What of gold may be published after a run: products of which nothing failed, and nothing they rest on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from assay.project.conventions import CSV_FILE, is_published, tables_of
from assay.project.failures import FAILED, TESTS, guarded, guarded_ids, relation
from assay.project.graph import ancestor_ids


@dataclass(frozen=True)
class Products:
    """Tables that may be published, and products that are stopped.

    `product_of` gives the product of each table, `schemas` where they lie, `csv_files` the names of the CSV
    files that some are published as besides, `stopped` why a product is not published, by product, and
    `broken` those of them that failed themselves: the others rest on what failed.
    """

    product_of: dict[str, str] = field(default_factory=dict)
    schemas: frozenset[str] = frozenset({"gold"})
    csv_files: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()

    @property
    def passed(self) -> set[str]:
        """Names of the tables that may be published."""
        return {table for table, product in self.product_of.items() if product not in self.stopped}

    @property
    def held_back(self) -> set[str]:
        """Names of the tables whose product is stopped."""
        return self.product_of.keys() - self.passed


def judge_products(results: Iterable[Any]) -> Products:
    """Tell which products of gold came through a whole run of dbt.

    A product is a group of dbt; a model without a group is one by itself. One of which a model or a test
    failed is stopped, and so is each that reads a table of a stopped one: its rows would be of another build
    than those they belong with.

    Args:
        results: of all nodes of the project.
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
            # What rests on a broken model was not built anew, or not built at all.
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
    )
