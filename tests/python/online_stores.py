"""What was published of a warehouse, and the stores it goes to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
from warehouse import PROJECT, Warehouse

from assay.build.publish import publish
from assay.online.answer import Answerer, ViewAnswer
from assay.online.request import view_request
from assay.online.stores.store import Store
from assay.project.products import Products
from assay.project.project import Project


def publish_all(warehouse: Warehouse, target: Path) -> Path:
    """Publish all of gold, as a build does that has passed."""
    names = warehouse.query("select table_name from duckdb_tables() where schema_name = 'gold'")
    publish(
        warehouse.path, target, Products({name: name for (name,) in names if not name.endswith("__input")})
    )
    return target


@contextmanager
def parsed(warehouse: Warehouse) -> Iterator[Project]:
    """This project as dbt parses it for a warehouse, while the block runs."""
    with chdir(PROJECT), mock.patch.dict(os.environ, warehouse.environment):
        yield Project()


def query(file: Path, sql: str, parameters: Any = None) -> list[tuple]:  # type: ignore[type-arg]
    """Run SQL on a DuckDB file, which it may change."""
    with duckdb.connect() as connection:
        # Under another name than its schema.
        connection.execute(f"attach '{file}' as opened; use opened")
        return connection.execute(sql, parameters).fetchall()


@dataclass(frozen=True)
class Asked:
    """An answer, by entity: a list for each, of a value for each feature."""

    features: list[str]
    values: list[list[Any]]
    statuses: list[list[str]]
    is_default: list[list[bool]]
    updated_at: list[datetime | None]


def ask(store: Store, view: str, features: list[str] | None, at: datetime, **entities: list[Any]) -> Asked:
    """Ask a store as a server would."""

    async def answered() -> ViewAnswer:
        try:
            _, [answer] = await Answerer(store).answer(
                lambda catalog: [view_request(catalog, view, features, entities, at)]
            )
            return answer
        finally:
            await store.close()

    answer = asyncio.run(answered())

    def by_entity(part: str) -> list[list[Any]]:
        return [list(row) for row in zip(*(getattr(each, part) for each in answer.features), strict=True)]

    names = [each.name for each in answer.features]
    parts = (by_entity(part) for part in ("values", "statuses", "is_default"))
    return Asked(names, *parts, updated_at=answer.updated_at)


def contents(store: Store) -> Iterator[tuple[str, str, int]]:
    """Yield view, key and version of all that a store holds."""
    for view in store.catalog():
        for key, version in sorted(store.versions(view)):
            yield view, key, version
