"""What the columns of a history are: types from the warehouse, descriptions from their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import duckdb

from assay.features.views import VALIDITY
from assay.features.warehouse import opened
from assay.runs.fault import Fault, known_fault

_WINDOWED = re.compile(
    r"(?P<input>\w+?)_(?P<aggregate>distinct_count|count|sum|avg|min|max|stddev|mode|last|first)"
    r"_(?P<window>all|[1-9]\d*[smhd])"
)
_WORDS = {
    "count": "Number of {inputs}",
    "sum": "Sum of {input}",
    "avg": "Mean of {input}",
    "min": "Least {input}",
    "max": "Greatest {input}",
    "stddev": "Standard deviation (sample) of {input}",
    "distinct_count": "Number of different {inputs}",
    "mode": "Most frequent {input}",
    "last": "Latest {input}",
    "first": "First {input}",
}
_HAPPENED = {"last": "When it last happened", "first": "When it first happened"}
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
# Of nothing they are 0; all other aggregates are NULL.
_NEVER_NULL = ("count", "distinct_count", "sum")


@dataclass(frozen=True)
class Column:
    """A column of a history; `is_total`: it is 0, never NULL, where nothing happened."""

    name: str
    data_type: str
    is_total: bool


def columns_of(sql: str, warehouse: Path, model: str) -> list[Column]:
    """Return the columns of a query, in their order.

    Raises:
        Fault: the query cannot be understood, since what it reads is not built, or is no history.
    """
    with opened(warehouse) as connection:
        try:
            described = connection.execute(f"describe {sql}").fetchall()
        except duckdb.Error as error:
            raise known_fault(error) or Fault(
                f"The columns of {model} cannot be told: {error}\n"
                f"Build what it reads first: assay build --select +{model} --exclude {model} (or dbt build)."
            ) from error
    columns = [Column(name, _plain(kind), is_total(name)) for name, kind, *_ in described]
    missing = {"valid_from", "valid_to", "updated_at"} - {column.name for column in columns}
    if missing:
        raise Fault(
            f"{model} is no history: it has no column {', '.join(sorted(missing))}. Feature views are "
            "made by windowed_history, change_history or snapshot_history."
        )
    return columns


def _plain(data_type: str) -> str:
    """Return a type as DuckDB names it in the style of the YAML."""
    return re.sub(r", *", ", ", data_type.lower())


def is_total(name: str) -> bool:
    """Tell whether a column counts or sums up."""
    found = _WINDOWED.fullmatch(name)
    return found is not None and found["aggregate"] in _NEVER_NULL


def likely_keys(names: Sequence[str]) -> list[str]:
    """Return the keys of a history by its columns: they stand first, before what is aggregated."""
    features = [name for name in names if _WINDOWED.fullmatch(name)]
    if features:
        return list(takewhile(lambda name: name not in (*features, *VALIDITY), names))
    return list(takewhile(lambda name: name.endswith("_id"), names))


def description_of(name: str) -> str:
    """Describe a column by its name: `<input>_<aggregate>_<window>`, or any words."""
    found = _WINDOWED.fullmatch(name)
    if not found:
        return f"{name.replace('_', ' ').capitalize()}."
    aggregate, window = found["aggregate"], found["window"]
    if found["input"].endswith("_at") and aggregate in _HAPPENED:
        words = _HAPPENED[aggregate]
    else:
        thing = found["input"].replace("_", " ")
        words = _WORDS[aggregate].format(input=thing, inputs=_plural(thing))
    return f"{words} {_span(window)}."


def _span(window: str) -> str:
    if window == "all":
        return "ever"
    number, unit = int(window[:-1]), _UNITS[window[-1]]
    return f"in the last {unit}" if number == 1 else f"in the last {number} {unit}s"


def _plural(thing: str) -> str:
    if re.search(r"[^aeiou]y$", thing):
        return f"{thing[:-1]}ies"
    return f"{thing}es" if re.search(r"(s|x|ch|sh)$", thing) else f"{thing}s"
