"""Convert the rules that a contract writes; what cannot be checked is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor
from typing import Any

from assay.contracts.contract import Column, Rule
from assay.contracts.options import find_pattern_problem, find_text_problem, make_values_test, write_literal

WARNINGS = ("warn", "warning", "info")
_ARGUMENTS = {
    "invalidValues": {"validValues", "pattern"},
    "missingValues": {"missingValues"},
}


class Unenforceable(Exception):
    """A rule cannot be checked; the message says why and what to do."""


def list_refused_of(column: Column | None, rule: Rule) -> Iterator[str]:
    """Yield the parts of a rule that would have no effect.

    Args:
        column: the column of the rule; None for a rule of the table.
        rule: the rule.
    """
    raw, metric = rule.raw, str(rule.raw.get("metric"))
    for key in ("schedule", "scheduler"):
        if raw.get(key):
            yield f"{key} is not followed: rules are checked at every build. Take it out."
    if metric == "None":
        return
    if metric == "rowCount" and column:
        yield "rowCount is about a table: write the rule under it."
    arguments = raw.get("arguments") or {}
    if strange := sorted(set(arguments) - _ARGUMENTS.get(metric, set())):
        known = sorted(_ARGUMENTS.get(metric, set()))
        yield f"{metric} takes no argument {', '.join(strange)}" + f": write {' or '.join(known)}." * bool(
            known
        )
    if {"validValues", "pattern"} <= set(arguments):
        yield "invalidValues takes validValues or pattern, not both: make it two rules."
    if "pattern" in arguments and (problem := find_pattern_problem(arguments["pattern"])):
        yield f"pattern is {arguments['pattern']!r}: {problem}"
    for name in ("validValues", "missingValues"):
        values = arguments.get(name, [])
        if not isinstance(values, list) or any(isinstance(each, list | dict) for each in values):
            yield f"{name} is a list of values."
        elif problem := next((each for value in values if (each := find_text_problem(value))), None):
            yield f"{name}: {problem}"


def make_test_of_values(column: Column, rule: Rule) -> dict[str, Any]:
    """Return the test of a rule on each value of a column, in the form that the macro `breaks_rule` takes.

    Raises:
        Unenforceable: the rule is not about each value by itself.
    """
    must_be = rule.raw.get("mustBe")
    if must_be != 0 or isinstance(must_be, bool):
        raise Unenforceable("each value is checked by itself, so only mustBe: 0 is possible.")
    arguments = rule.raw.get("arguments") or {}
    match rule.raw["metric"]:
        case "nullValues" | "missingValues":
            texts = [
                write_literal(column.kind, each) for each in arguments.get("missingValues") or [] if each
            ]
            return {"kind": "required"} | ({"besides": texts} if texts else {})
        case "invalidValues" if "validValues" in arguments:
            return make_values_test(column.kind, list(arguments["validValues"]))
        case "invalidValues" if "pattern" in arguments:
            return {"kind": "pattern", "pattern": arguments["pattern"]}
    raise Unenforceable(f"values cannot be checked against the metric {rule.raw['metric']} as it is written.")


def find_bounds(rule: dict[str, Any]) -> tuple[float | None, float | None]:
    """Return the least and the greatest whole number that a rule's operator lets pass.

    Raises:
        Unenforceable: the operator leaves no range.
    """
    if "mustBeBetween" in rule:
        low, high = rule["mustBeBetween"]
        return ceil(low), floor(high)
    if isinstance(rule.get("mustBe"), int) and not isinstance(rule["mustBe"], bool):
        return rule["mustBe"], rule["mustBe"]
    if "mustBeGreaterThan" in rule:
        return floor(rule["mustBeGreaterThan"]) + 1, None
    if "mustBeGreaterOrEqualTo" in rule:
        return ceil(rule["mustBeGreaterOrEqualTo"]), None
    if "mustBeLessThan" in rule:
        return None, ceil(rule["mustBeLessThan"]) - 1
    if "mustBeLessOrEqualTo" in rule:
        return None, floor(rule["mustBeLessOrEqualTo"])
    raise Unenforceable("its operator leaves no range: write mustBeBetween, or one bound.")
