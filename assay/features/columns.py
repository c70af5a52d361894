"""Find the columns of a history: types from the warehouse, descriptions from the columns' names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from assay.core.fault import Fault, known_fault
from assay.project.project import Project
from assay.project.views import VALIDITY
from assay.project.warehouse import opened

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
#: The aggregates that `windowed_history` makes from an input.
AGGREGATES = tuple(_WORDS)
_HAPPENED = {"last": "When it last happened", "first": "When it first happened"}
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
# An empty group counts 0; all other aggregates of an empty group are NULL.
_NEVER_NULL = ("count", "distinct_count", "sum")


@dataclass(frozen=True)
class ModelColumn:
    """A column of a history; with `is_total`, an empty window gives 0 and not NULL."""

    name: str
    data_type: str
    is_total: bool


def columns_of(project: Project, model: str) -> list[ModelColumn]:
    """Return the columns of a model, in their order.

    The types come from the built tables that the model reads; if one of them is not built, from tables that
    are built without rows.

    Raises:
        Fault: the model cannot be compiled, or DuckDB does not understand it.
    """
    sql = project.compiled(model)
    described = _described(sql, project.warehouse)
    if isinstance(described, Exception):
        with TemporaryDirectory() as folder:
            empty = project.build_empty(model, Path(folder), f"+{model}", exclude=model)
            described = _described(sql, empty)
    return _told(described, model)


@contextmanager
def columns_of_queries(
    project: Project, what: str, reads: Sequence[Any]
) -> Iterator[Callable[[str], list[ModelColumn]]]:
    """Provide a function that returns the columns of SQL with Jinja that is not a model yet.

    The types come from the built models that the SQL reads; if one of them is not built, or lacks a declared
    column, from models that are built without rows.

    Args:
        project: the project in the current folder.
        what: the name of the SQL's result for messages.
        reads: the models that the SQL may read.
    """
    with ExitStack() as stack:
        warehouse = project.warehouse
        if not all(_is_current(node, warehouse) for node in reads):
            folder = Path(stack.enter_context(TemporaryDirectory()))
            warehouse = project.build_empty(what, folder, *(f"+{node.name}" for node in reads))
        yield lambda sql: _told(_described(project.compiled_inline(sql), warehouse), what)


def _is_current(node: Any, warehouse: Path) -> bool:
    """Tell whether a model is built with all of its declared columns."""
    described = _described(f"from {node.relation_name}", warehouse)
    return not isinstance(described, Exception) and node.columns.keys() <= {name for name, *_ in described}


def _described(sql: str, warehouse: Path) -> list[tuple[str, ...]] | Fault | duckdb.Error:
    """Return the columns of a query and their types, or the error that prevents that."""
    try:
        with opened(warehouse) as connection:
            return connection.execute(f"describe {sql}").fetchall()
    except (Fault, duckdb.Error) as error:
        return error


def _told(described: list[tuple[str, ...]] | Fault | duckdb.Error, what: str) -> list[ModelColumn]:
    if isinstance(described, Exception):
        raise known_fault(described) or Fault(
            f"The columns of {what} cannot be told: {described}"
        ) from described
    return [ModelColumn(name, _plain(kind), is_total(name)) for name, kind, *_ in described]


def is_history(columns: Sequence[ModelColumn]) -> bool:
    """Tell whether columns are those of a history, as feature views have them."""
    return set(VALIDITY[:3]) <= {column.name for column in columns}


def _plain(data_type: str) -> str:
    """Convert a type's name in DuckDB to the style of the YAML."""
    return re.sub(r", *", ", ", data_type.lower())


def window_of(name: str) -> str | None:
    """Return the window that a column is named for, in words; None where it is named for none."""
    found = _WINDOWED.fullmatch(name)
    return _span(found["window"]).removeprefix("in ") if found else None


def is_total(name: str) -> bool:
    """Tell whether a column is a count or a sum, by its name."""
    found = _WINDOWED.fullmatch(name)
    return found is not None and found["aggregate"] in _NEVER_NULL


def likely_keys(names: Sequence[str]) -> list[str]:
    """Return the keys of a history: the columns before the first aggregate."""
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
