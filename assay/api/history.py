"""The history of one entity, from published gold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from assay.api.charts import Plot, plot_history
from assay.api.frame import Frame
from assay.api.join import find_stored_keys
from assay.core.fault import MISUSED, Fault
from assay.core.sql import quoted
from assay.project.warehouse import attach, relation_named

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.project.views import FeatureView

_PUBLISHED = "published"


class History(Frame):
    """What was known of an entity over time: a row for each state, from `valid_from` to `valid_to` (UTC).

    Args:
        title: what it is the history of.
        rows: in the order of `valid_from`.
        features: the columns that are features.
    """

    def __init__(self, title: str, rows: pa.Table, features: list[str]) -> None:
        super().__init__(lambda: rows)
        self._title_said = title
        self._features = features

    def plot(self, *features: str) -> Plot:
        """Draw features as steps over time, with a point at each change.

        Args:
            features: to draw; without any, all that are numbers or booleans.

        Raises:
            Fault: a feature cannot be drawn, or extra `report` is not installed.
        """
        times = ["valid_from", *self._features]
        return plot_history(self._title_said, self.to_arrow().select(times), features)

    def _title(self) -> str:
        return f"{self._title_said}: {super()._title()}"


def read_history(view: FeatureView, key: Any, published: Path) -> History:
    """Read the history of one entity.

    Args:
        view: the feature view.
        key: the entity's key; of a view with several a dict by name, or their values in the view's order.
        published: the file a build published.

    Raises:
        Fault: the key is incomplete, or the view is not published.
    """
    values = _values(view, key)
    if not published.is_file():
        raise Fault(f"Nothing is published yet in {published.parent}. To build: assay build")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, published, _PUBLISHED)
        relation = relation_named(connection, view.name, _PUBLISHED)
        if relation is None:
            raise Fault(f"{view.name} is not published yet. To build and publish all: assay build")
        stored = [
            find_stored_keys(connection, _PUBLISHED, view.name, name, [value]).get(value, value)
            if name in view.personal
            else value
            for name, value in zip(view.keys, values, strict=True)
        ]
        condition = " and ".join(f"{quoted(name)}::varchar = ?" for name in view.keys)
        # Published relations are tables, which DuckDB 1.5.5 streams as they are.
        rows = connection.execute(
            f"from {relation} where {condition} order by valid_from", [str(each) for each in stored]
        ).to_arrow_table()
    return History(f"{view.name} of {_told(view, values)}", rows, view.features)


def _values(view: FeatureView, key: Any) -> list[Any]:
    if isinstance(key, Mapping):
        values = [key.get(name) for name in view.keys]
        strange = sorted(set(key) - set(view.keys))
    else:
        values = list(key) if isinstance(key, list | tuple) else [key]
        strange = []
    if len(values) != len(view.keys) or strange or any(value is None for value in values):
        raise Fault(
            f"{view.name} has the keys {', '.join(view.keys)}: give a value for each, "
            f"as {{{', '.join(f'{name!r}: ...' for name in view.keys)}}}.",
            MISUSED,
        )
    return values


def _told(view: FeatureView, values: list[Any]) -> str:
    from assay.project.personal import masked

    return ", ".join(
        str(masked(value)) if name in view.personal else str(value)
        for name, value in zip(view.keys, values, strict=True)
    )
