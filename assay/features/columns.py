"""What the columns of a history are: types from the warehouse, descriptions from their names."""

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
#: What `windowed_history` makes of an input.
AGGREGATES = tuple(_WORDS)
_HAPPENED = {"last": "When it last happened", "first": "When it first happened"}
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
# Of nothing they are 0; all other aggregates are NULL.
_NEVER_NULL = ("count", "distinct_count", "sum")


@dataclass(frozen=True)
class ModelColumn:
    """A column of a history; `is_total`: it is 0, never NULL, where nothing happened."""

    name: str
    data_type: str
    is_total: bool


def columns_of(project: Project, model: str) -> list[ModelColumn]:
    """Return the columns of a model, in their order.

    Types are those of what it reads: as it is built or, where a part of it is not, as it is without a row.

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
    """Give a function that returns the columns of SQL, with its Jinja, that is no model yet.

    Types are those of the models that it reads: as they are built or, where one is not, or lacks a column
    that is declared, as they are without a row.

    Args:
        project: of the current folder.
        what: the SQL is to make, as messages call it.
        reads: the models that the SQL may read.
    """
    with ExitStack() as stack:
        warehouse = project.warehouse
        if not all(_is_current(node, warehouse) for node in reads):
            folder = Path(stack.enter_context(TemporaryDirectory()))
            warehouse = project.build_empty(what, folder, *(f"+{node.name}" for node in reads))
        yield lambda sql: _told(_described(project.compiled_inline(sql), warehouse), what)


def _is_current(node: Any, warehouse: Path) -> bool:
    """Tell whether a model is built with all columns that are declared of it."""
    described = _described(f"from {node.relation_name}", warehouse)
    return not isinstance(described, Exception) and node.columns.keys() <= {name for name, *_ in described}


def _described(sql: str, warehouse: Path) -> list[tuple[str, ...]] | Fault | duckdb.Error:
    """Return the columns of a query and their types, or why they cannot be told."""
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
    """Tell whether a model is a history, as feature views are."""
    return set(VALIDITY[:3]) <= {column.name for column in columns}


def _plain(data_type: str) -> str:
    """Return a type as DuckDB names it in the style of the YAML."""
    return re.sub(r", *", ", ", data_type.lower())


def window_of(name: str) -> str | None:
    """Return the window that a column is named for, in words; None where it is named for none."""
    found = _WINDOWED.fullmatch(name)
    return _span(found["window"]).removeprefix("in ") if found else None


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
