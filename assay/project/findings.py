"""Say what a failed test found: the figure and its limit, where dbt only says how many rows it got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.sql import folded, names_in
from assay.core.words import counted, duration

_TOLD = 3
_CLAIM = "expression"
# The column in which tests of uniqueness count how often a value occurs.
_TIMES = "n_records"
_ANY_ROW = "!= 0"
_MOST_COLUMNS = 6
_SECONDS = "_seconds"
# Arguments of tests whose values are columns' names, or expressions with columns.
_COLUMNS = ("column_name", "column_list", "entity_keys")
_EXPRESSIONS = ("expression", "column_A", "column_B")
Row = Mapping[str, Any]


def finding(test: Any, sample: Sequence[Row]) -> str:
    """Say what a data test found and what it allows; empty if the rows and arguments add nothing to its name.

    Args:
        test: as dbt knows it.
        sample: some of the failing rows, by column.
    """
    arguments = dict(test.test_metadata.kwargs) if getattr(test, "test_metadata", None) else {}
    said = [_told(row, arguments) for row in sample[:_TOLD]]
    figures = list(dict.fromkeys(filter(None, said)))
    limit = _limit(arguments)
    parts = ["; ".join(figures), f"allowed is {limit}" if limit else "", _threshold(test.config)]
    return "; ".join(filter(None, parts))


def _told(row: Row, arguments: Mapping[str, Any]) -> str:
    if "promised" in row and "observed" in row:
        return _promise(row)
    if "tolerated_share" in row:
        return (
            f"{row['absent_count']:,} of {counted(row['row_count'], 'value')} are absent "
            f"({_share(row['absent_share'], row['tolerated_share'])}), "
            f"tolerated are {_share(row['tolerated_share'], row['absent_share'])}"
        )
    of = "".join(f"{name} is {_value(row[column])}: " for column, name in _groups(row, arguments))
    if "compare_expression" in row:
        found, expected = (row[name] or 0 for name in (_CLAIM, "compare_expression"))
        return f"{of}{counted(found, 'row')}, where the other table asks for {_value(expected)}"
    return of + ", ".join(_said(name, row[name]) for name in _tested(row, arguments))


def _said(name: str, value: Any) -> str:
    """Say a value by the name of its column; a length of time as people do."""
    if name.endswith(_SECONDS) and isinstance(value, int | float):
        return f"{name.removesuffix(_SECONDS)} is {duration(value)}"
    return f"{name} is {_value(value)}"


def _groups(row: Row, arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the columns that identify the group of a row in a grouped test, each with its real name."""
    groups = arguments.get("group_by") or arguments.get("group_by_columns") or []
    return [(f"col_{n}", name) for n, name in enumerate(groups, start=1) if f"col_{n}" in row]


def _promise(row: Row) -> str:
    """Say which promise a row of the contract's test is about, what was observed and what was promised."""
    day = f" on {row['arrived_on']}" if row.get("arrived_on") else ""
    promised, observed = row["promised"], row["observed"]
    if row.get("promise") == "completeness" and isinstance(promised, float) and isinstance(observed, float):
        return f"completeness is {_share(observed, promised)}, promised is {_share(promised, observed)}"
    return f"{row.get('promise')}{day}: {observed:,.10g}, promised is {promised:,.10g}"


def _share(share: float, other: float) -> str:
    """Write a share as per cent with two decimals, or with as many as make it differ from another share."""
    decimals = next((n for n in range(2, 12) if f"{share:.{n}%}" != f"{other:.{n}%}"), 2)
    return f"{share:.{decimals}%}"


def _tested(row: Row, arguments: Mapping[str, Any]) -> list[str]:
    """Return the row's first column, which identifies the row, and the columns that the test checks."""
    about = {str(value) for key in _COLUMNS for value in _listed(arguments.get(key))}
    used = names_in(" ".join(str(arguments.get(key, "")) for key in _EXPRESSIONS))
    tested = [name for name in row if name in about or folded(name) in used or name == _TIMES or "(" in name]
    if not tested:
        return list(row)[:_MOST_COLUMNS]
    first = next(iter(row))
    return tested if first in tested or _groups(row, arguments) else [first, *tested]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _limit(arguments: Mapping[str, Any]) -> str:
    """Say what the arguments of a test allow."""
    strictly = arguments.get("strictly")
    least, most = arguments.get("min_value"), arguments.get("max_value")
    limits = []
    if least is not None:
        limits.append(f"{'more than' if strictly else 'at least'} {_value(least)}")
    if most is not None:
        limits.append(f"{'less than' if strictly else 'at most'} {_value(most)}")
    if "value" in arguments:
        limits.append(f"more than {_value(arguments['value'])}")
    if values := arguments.get("value_set") or arguments.get("values"):
        limits.append(f"one of {', '.join(str(value) for value in values)}")
    if "regex" in arguments:
        limits.append(f"what matches {arguments['regex']}")
    if "expression" in arguments:
        limits.append(f"{arguments['expression']} {arguments.get('test_condition', '')}".strip())
    if "column_A" in arguments:
        operator = ">=" if arguments.get("or_equal") else ">"
        limits.append(f"{arguments['column_A']} {operator} {arguments['column_B']}")
    return " and ".join(limits)


def _threshold(config: Any) -> str:
    """Say how many failing rows a test allows; empty if it allows none."""
    if config.warn_if == _ANY_ROW and config.error_if == _ANY_ROW:
        return ""
    fails = "" if str(config.severity).lower() == "warn" else f", it fails if they are {config.error_if}"
    return f"it warns if rows that fail are {config.warn_if}{fails}"


def _value(value: Any) -> str:
    return "NULL" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
