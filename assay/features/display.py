"""Print feature views for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.sql import quoted
from assay.project.personal import masked
from assay.project.views import FeatureView
from assay.project.warehouse import opened

_SAMPLE_WIDTH = 26


def print_views(views: list[FeatureView], warehouse: Path, console: Console) -> None:
    """Print a table of feature views with their rows and last update in the warehouse."""
    if not views:
        line(console, "There is no feature view yet. To write one: assay view add NAME")
        return
    table = table_titled("Feature views")
    table.add_column("view", no_wrap=True)
    table.add_column("entity\nkeys")
    table.add_column("features\n+ derived", justify="right", no_wrap=True)
    for name in ("owner", "online", "max_age"):
        table.add_column(name, no_wrap=True)
    table.add_column("rows\nupdated_at", justify="right", no_wrap=True)
    built = _built(views, warehouse)
    for view in views:
        table.add_row(
            view.name,
            f"{view.told('entity')}\n{', '.join(view.keys)}",
            f"{len(view.features)} + {len(view.declared.get('derived') or [])}",
            view.told("owner"),
            view.told("online"),
            view.told("max_age"),
            "\n".join(built.get(view.name, ("not built",))),
        )
    console.print(table)


def print_view(view: FeatureView, warehouse: Path, console: Console) -> None:
    """Print the details of a feature view, with its newest row."""
    line(console, f"{view.name}: {view.description}")
    line(console, "")
    line(console, f"Entity    {view.told('entity')}, known by {', '.join(view.keys)}")
    line(console, f"Owner     {view.told('owner')}")
    line(console, f"Online    {view.told('online')}")
    line(console, f"max_age   {view.told('max_age')}")
    line(console, f"Used by   {', '.join(view.used_by) or '-'}")
    rows, updated_at = _built([view], warehouse).get(view.name, ("none", "not built"))
    line(console, f"Rows      {rows}; updated_at {updated_at}")
    _print_columns(view, _newest_row(view, warehouse), console)
    _print_derived(view, console)


def _print_columns(view: FeatureView, sample: dict[str, Any], console: Console) -> None:
    table = table_titled("Columns, with the newest row")
    for name in ("column", "type", "default", "newest row"):
        table.add_column(name, overflow="fold")
    table.add_column("description", ratio=1)
    defaults = view.declared.get("defaults") or {}
    for name, (data_type, description) in view.columns.items():
        newest = masked(sample.get(name)) if name in view.personal and sample else sample.get(name, "")
        value = "NULL" if newest is None else str(newest)
        table.add_row(
            name,
            data_type,
            str(defaults.get(name, "")),
            value if len(value) <= _SAMPLE_WIDTH else f"{value[: _SAMPLE_WIDTH - 3]}...",
            " ".join(description.split()),
        )
    console.print()
    console.print(table)


def _print_derived(view: FeatureView, console: Console) -> None:
    derived = view.declared.get("derived") or []
    if derived:
        console.print()
        line(console, "Derived features, computed when they are asked for, at as_of")
    for each in derived:
        line(console, f"  {each['name']} ({each['type']}): {each.get('description') or '-'}")
        line(console, f"    {' '.join(str(each['expression']).split())}")
    inputs = view.declared.get("inputs") or []
    if inputs:
        console.print()
        line(console, "Inputs that a request or the spine brings")
    for each in inputs:
        line(console, f"  {each['name']} ({each['type']}): {each.get('description') or '-'}")


def _built(views: list[FeatureView], warehouse: Path) -> dict[str, tuple[str, str]]:
    """Return rows and newest `updated_at` of the views that are built."""
    if not warehouse.is_file():
        return {}
    found = {}
    with opened(warehouse) as connection:
        for view in views:
            try:
                rows, updated_at = connection.execute(
                    f"select count(*), max(updated_at) from {view.relation}"
                ).fetchall()[0]
            except duckdb.CatalogException:
                continue
            found[view.name] = (f"{rows:,}", "-" if updated_at is None else f"{updated_at:%Y-%m-%d}")
    return found


def _newest_row(view: FeatureView, warehouse: Path) -> dict[str, Any]:
    """Return the row that was confirmed last, the first of several; empty if there are no rows."""
    if not warehouse.is_file():
        return {}
    order = ", ".join(["updated_at desc", "valid_from", *map(quoted, view.keys)])
    with opened(warehouse) as connection:
        try:
            relation = connection.sql(f"from {view.relation} order by {order} limit 1")
        except duckdb.CatalogException:
            return {}
        rows = relation.fetchall()
        return dict(zip(relation.columns, rows[0], strict=True)) if rows else {}
