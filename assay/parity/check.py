"""Ask the online store and the offline join the same questions, and compare the answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import Fault
from assay.core.sql import quoted
from assay.online.answer import Answerer
from assay.online.definition import OnlineColumn, OnlineView
from assay.online.published import open_published
from assay.online.request import view_named, view_request
from assay.online.stores.store import Catalog, Store, empty
from assay.online.types import time_in
from assay.parity.compare import FeatureParity, compare
from assay.parity.sample import ASKED_AT, NUMBER, SPINE, draw_spine
from assay.project.personal import masked
from assay.project.project import Project
from assay.project.warehouse import attach, relation_named

SAMPLES = 200
# A time type within a nested type; a field's name does not match, because its type follows it.
_TIME = re.compile(r"\b(?:TIMESTAMP(?:_\w+)?(?: WITH TIME ZONE)?|DATE)(?=[,)\[]|$)")


def check_parity(
    store: Store,
    project: Project,
    published: Path,
    *,
    view: str | None = None,
    samples: int = SAMPLES,
    at: datetime | None = None,
    seed: int = 1,
    tell: Callable[[str], None] = lambda _: None,
) -> list[FeatureParity]:
    """Compare a store's answers with `point_in_time_join` on the published file, value by value.

    Args:
        store: the online store, which must hold the published build.
        project: compiles the join.
        published: the file a build published.
        view: the only view to check; None for all.
        samples: the number of questions for each view.
        at: the instant of all questions (UTC, without zone), not before the view's last arrival; None for
            many instants.
        seed: the same seed asks the same questions.
        tell: called with the name of each view before it is checked.

    Raises:
        Fault: the store holds another build, or none; there is no such view; or `at` lies before it.
    """
    catalog = store.catalog()
    if not catalog:
        raise empty(store.url)
    views = [view_named(catalog, view)] if view else list(catalog.values())
    with open_published(published) as source:
        wanted = source.views()
    found = []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, published, project.warehouse.stem)
        for each in views:
            tell(each.name)
            if each.name not in wanted or each.build.run_id != wanted[each.name].build.run_id:
                raise Fault(
                    f"{store.url} holds {each.name} of another build than {published}: run assay online sync."
                )
            history = str(relation_named(connection, each.name, project.warehouse.stem))
            rows = draw_spine(connection, each, history, samples=samples, at=at, seed=seed)
            offline = joined_rows(connection, joined_sql(project, each))
            online = asyncio.run(_answers(store, each, rows))
            found += _compared(each, rows, online, offline)
    return found


def joined_sql(project: Project, view: OnlineView) -> str:
    """Return the SQL by which a training set would join a view."""
    request = {"view": view.name, "columns": list(view.columns), "derived": list(view.derived)}
    call = f"point_in_time_join('{SPINE}', '{ASKED_AT}', {json.dumps([request])})"
    sql = project.compiled_inline(f"{{{{ assay.{call} }}}}")
    return f"select * from ({sql}) order by {NUMBER}"


def joined_rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query; times that Python cannot hold, such as infinity, are texts as in SQL."""
    relation = connection.sql(sql)
    try:
        return list(relation.to_arrow_table().to_pylist())
    except (OverflowError, ValueError):
        times = {
            name: _TIME.sub("VARCHAR", str(kind))
            for name, kind in zip(relation.columns, relation.types, strict=True)
            if _TIME.search(str(kind))
        }
        texts = ", ".join(f"{quoted(name)}::{kind} as {quoted(name)}" for name, kind in times.items())
        rows = connection.sql(f"select * replace ({texts}) from ({sql})").to_arrow_table().to_pylist()
        return [
            {
                name: time_in(each) if name in times and isinstance(each, str) else each
                for name, each in row.items()
            }
            for row in rows
        ]


async def _answers(store: Store, view: OnlineView, rows: Sequence[dict[str, Any]]) -> list[list[Any]]:
    answerer = Answerer(store)
    words = [*(key.name for key in view.keys), *view.inputs]

    async def ask(row: dict[str, Any]) -> list[Any]:
        entity = {word: [_as_given(row[word])] for word in words}

        def plan(catalog: Catalog) -> list[Any]:
            features = list(view.features)
            return [view_request(catalog, view.name, features, entity, row[ASKED_AT], are_stored=True)]

        _, [answer] = await answerer.answer(plan)
        return [feature.values[0] for feature in answer.features]

    try:
        return [await ask(row) for row in rows]
    finally:
        await store.close()


def _as_given(value: Any) -> Any:
    """Convert an input to the form in which a client would send it."""
    if isinstance(value, tuple):
        # DuckDB's client gives arrays so.
        return [*value]
    return value if isinstance(value, bool | int | float | str | list) or value is None else str(value)


def _key_told(key: OnlineColumn, row: dict[str, Any]) -> str:
    return str(masked(row[key.name]) if key.pii else row[key.name])


def _compared(
    view: OnlineView, rows: Sequence[dict[str, Any]], online: list[list[Any]], offline: list[dict[str, Any]]
) -> list[FeatureParity]:
    questions = [
        f"{', '.join(_key_told(key, row) for key in view.keys)} at {row[ASKED_AT].isoformat()}Z"
        for row in rows
    ]
    return [
        compare(
            view.name,
            feature,
            questions,
            [values[position] for values in online],
            [row[feature] for row in offline],
        )
        for position, feature in enumerate(view.features)
    ]
