"""Compare features that were served and logged with predictions with what training sets join now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import Fault
from assay.online.definition import OnlineView
from assay.online.published import open_published
from assay.online.types import in_seconds, shown
from assay.parity.cause import likely_cause
from assay.parity.check import joined_rows, joined_sql
from assay.parity.compare import FeatureParity, compare, same
from assay.parity.sample import make_spine
from assay.project.project import Project
from assay.project.warehouse import attach, relation_named

_SERVED = "mon_served_features"

Logged = dict[str, Any]
# The number of a question, what was logged, and what the join gives.
Pair = tuple[int, Logged, dict[str, Any]]


def check_logged(
    project: Project, published: Path, *, view: str | None = None, samples: int | None = None
) -> list[FeatureParity]:
    """Compare each logged value with `point_in_time_join` at the value's instant.

    A row that had arrived by then but was not online yet shows as a difference: that is skew too. Examples
    say their likely cause.

    Args:
        project: compiles the join.
        published: the file a build published, with `mon_served_features`.
        view: the only view to check; None for all.
        samples: how many of the latest values of each view are compared; None for all.

    Raises:
        Fault: nothing is published, or no served features were logged.
    """
    found = []
    with open_published(published) as source:
        views = source.views()
        logged = {
            name: list(_logged(source.connection, name, samples)) for name in views if view in (None, name)
        }
    if not any(logged.values()):
        raise Fault(
            "No served features are in the warehouse: send them as served with POST /predictions; within a "
            "minute they land, and the next build loads them."
        )
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, published, project.warehouse.stem)
        for name, rows in logged.items():
            if rows:
                found += _compared(connection, project, views[name], rows)
    return found


def _logged(connection: duckdb.DuckDBPyConnection, view: str, samples: int | None) -> Iterator[Logged]:
    served = relation_named(connection, _SERVED)
    rows = connection.execute(
        f"select prediction_id, entity_keys, as_of, inputs, features from {served} "
        "where feature_view = ? and as_of is not null order by available_at desc, prediction_id limit ?",
        [view, samples or (1 << 62)],
    ).fetchall()
    for prediction_id, keys, as_of, inputs, features in rows:
        yield {
            "prediction_id": prediction_id,
            "entity": json.loads(keys) | json.loads(inputs or "{}"),
            "as_of": as_of,
            "features": json.loads(features),
        }


def _compared(
    connection: duckdb.DuckDBPyConnection, project: Project, view: OnlineView, rows: list[Logged]
) -> list[FeatureParity]:
    words = [*(key.name for key in view.keys), *view.inputs]
    make_spine(
        connection,
        view,
        [
            [number, *(row["entity"].get(word) for word in words[: len(view.keys)]), row["as_of"]]
            + [row["entity"].get(word) for word in view.inputs]
            for number, row in enumerate(rows)
        ],
    )
    joined = joined_rows(connection, joined_sql(project, view))
    history = str(relation_named(connection, view.name, project.warehouse.stem))
    compared = []
    for feature in view.features:
        pairs = [
            (number, row, offline)
            for number, (row, offline) in enumerate(zip(rows, joined, strict=True))
            if feature in row["features"]
        ]

        def cause(place: int, feature: str = feature, pairs: list[Pair] = pairs) -> str:
            number, row, _ = pairs[place]
            served = row["features"][feature]

            def is_served(value: Any) -> bool:
                return same(served, _as_served(value, served))

            return likely_cause(connection, view, history, feature, (number, row["as_of"]), is_served)

        if pairs:
            compared.append(
                compare(
                    view.name,
                    feature,
                    [
                        f"prediction {row['prediction_id']} at {row['as_of'].isoformat()}Z"
                        for _, row, _ in pairs
                    ],
                    [row["features"][feature] for _, row, _ in pairs],
                    [_as_served(offline[feature], row["features"][feature]) for _, row, offline in pairs],
                    cause,
                )
            )
    return compared


def _as_served(value: Any, served: Any) -> Any:
    """Convert a value as a client would that reads JSON's numbers as floating-point.

    In Feast's format, times are in seconds.
    """
    if isinstance(value, date) and isinstance(served, int):
        return in_seconds(value)
    if isinstance(value, list) and isinstance(served, list):
        return [_as_served(*pair) for pair in zip_longest(value, served)]
    value = shown(value)
    return (
        value if value is None or isinstance(value, bool | int | float | str | list | dict) else float(value)
    )
