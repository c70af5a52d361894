"""Rules of a contract as dbt tests, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assay.contracts.contract import Column, Rule, Table, snake, words

EXPECTATIONS = "dbt_expectations"
_IN_SET = f"{EXPECTATIONS}.expect_column_values_to_be_in_set"
_REGEX = f"{EXPECTATIONS}.expect_column_values_to_match_regex"
_NOT_NULL = f"{EXPECTATIONS}.expect_column_values_to_not_be_null"
_UNIQUE = f"{EXPECTATIONS}.expect_column_values_to_be_unique"
_BETWEEN = f"{EXPECTATIONS}.expect_column_values_to_be_between"
_LENGTHS = f"{EXPECTATIONS}.expect_column_value_lengths_to_be_between"
_ROW_COUNT = f"{EXPECTATIONS}.expect_table_row_count_to_be_between"
_WARNINGS = ("warn", "warning", "info")


class Unenforceable(Exception):
    """A rule that no test can be made of; the text says why and what to do."""


@dataclass(frozen=True)
class DbtTest:
    """A generic test as a model's YAML has it; `column` is None where it is about the table.

    `description` says what its name does not, such as why it only warns; `contract` names the contract
    of a source whose promises it tests.
    """

    name: str
    macro: str
    arguments: dict[str, Any] = field(default_factory=dict)
    column: str | None = None
    warns: bool = False
    contract: str | None = None
    description: str | None = None

    @property
    def entry(self) -> dict[str, Any]:
        """The entry under `data_tests:`."""
        body: dict[str, Any] = {"name": self.name}
        if self.description:
            body["description"] = self.description
        if self.arguments:
            body["arguments"] = self.arguments
        config: dict[str, Any] = {"severity": "warn"} if self.warns else {}
        if self.contract:
            config["meta"] = {"contract": self.contract}
        if config:
            body["config"] = config
        return {self.macro: body}


def tests_of(table: Table) -> list[DbtTest]:
    """Return the tests that a table of gold must pass.

    Raises:
        Unenforceable: a rule is none that dbt could test.
    """
    tests = [test_of(table, column, rule) for column, rule in table.all_rules()]
    for column in table.columns:
        tests += _of_values(table, column)
    return tests


def test_of(table: Table, column: Column | None, rule: Rule) -> DbtTest:
    """Return the test that a rule asks for.

    Raises:
        Unenforceable: it asks for nothing that dbt could test.
    """
    name = rule.name or _name(table, column, rule.raw.get("metric") or rule.kind)
    macro, arguments = _test(column, rule)
    return DbtTest(
        name,
        macro,
        arguments,
        column.name if column else None,
        str(rule.raw.get("severity")).lower() in _WARNINGS,
        description=words(rule.raw.get("description")) or None,
    )


def rule_of(test: DbtTest) -> dict[str, Any]:
    """Return a test as a rule of a contract."""
    rule: dict[str, Any] = {"name": test.name}
    if test.description:
        rule["description"] = test.description
    if test.macro == _IN_SET and set(test.arguments) == {"value_set"}:
        values = {"validValues": test.arguments["value_set"]}
        rule |= {"type": "library", "metric": "invalidValues", "arguments": values, "mustBe": 0}
    elif test.macro == _REGEX and set(test.arguments) == {"regex"}:
        pattern = {"pattern": test.arguments["regex"]}
        rule |= {"type": "library", "metric": "invalidValues", "arguments": pattern, "mustBe": 0}
    else:
        implementation: dict[str, Any] = {"test": test.macro}
        if test.arguments:
            implementation["arguments"] = test.arguments
        rule |= {"type": "custom", "engine": "dbt", "implementation": implementation}
    if test.warns:
        rule["severity"] = "warning"
    return rule


def _test(column: Column | None, rule: Rule) -> tuple[str, dict[str, Any]]:
    raw = rule.raw
    if rule.kind == "custom":
        implementation = raw["implementation"]
        if raw["engine"] != "dbt" or not isinstance(implementation, dict) or not implementation.get("test"):
            raise Unenforceable(
                f"engine {raw['engine']!r} is not run here. "
                "Write engine: dbt with implementation: {test: <generic test>, arguments: {...}}."
            )
        return str(implementation["test"]), dict(implementation.get("arguments") or {})
    if rule.kind != "library":
        raise Unenforceable(
            f"a rule of type {rule.kind!r} is tested by nobody. "
            "Write it as type: library or as type: custom with engine: dbt."
        )
    return _LIBRARY[raw["metric"]](column, rule)


def _row_count(column: Column | None, rule: Rule) -> tuple[str, dict[str, Any]]:
    del column
    low, high = bounds(rule.raw)
    limits = {"min_value": low, "max_value": high}
    return _ROW_COUNT, {key: value for key, value in limits.items() if value is not None}


def _invalid_values(column: Column | None, rule: Rule) -> tuple[str, dict[str, Any]]:
    _must_be_none(column, rule)
    arguments = rule.raw.get("arguments") or {}
    if "validValues" in arguments:
        return _IN_SET, {"value_set": list(arguments["validValues"])}
    if "pattern" in arguments:
        return _REGEX, {"regex": arguments["pattern"]}
    raise Unenforceable("invalidValues needs arguments: validValues or pattern.")


def _null_values(column: Column | None, rule: Rule) -> tuple[str, dict[str, Any]]:
    share = _tolerated_share(rule)
    if share:
        return "values_are_complete", {"tolerated_share": share}
    _must_be_none(column, rule)
    return _NOT_NULL, {}


def _duplicate_values(column: Column | None, rule: Rule) -> tuple[str, dict[str, Any]]:
    _must_be_none(column, rule)
    return _UNIQUE, {}


_LIBRARY: dict[str, Callable[[Column | None, Rule], tuple[str, dict[str, Any]]]] = {
    "rowCount": _row_count,
    "invalidValues": _invalid_values,
    "nullValues": _null_values,
    "missingValues": _null_values,
    "duplicateValues": _duplicate_values,
}


def _must_be_none(column: Column | None, rule: Rule) -> None:
    if column is None:
        raise Unenforceable(f"{rule.raw['metric']} is about a column: write the rule under one.")
    if rule.raw.get("mustBe") != 0:
        raise Unenforceable(f"{rule.raw['metric']} can be held to mustBe: 0 only.")


def _tolerated_share(rule: Rule) -> float | None:
    if str(rule.raw.get("unit")).lower() not in ("percent", "%"):
        return None
    most = rule.raw.get("mustBeLessThan", rule.raw.get("mustBeLessOrEqualTo"))
    return None if most is None else round(float(most) / 100, 12)


def bounds(rule: dict[str, Any]) -> tuple[float | None, float | None]:
    """Return the least and the greatest whole number that a rule's operator lets pass.

    Raises:
        Unenforceable: the operator leaves no range.
    """
    if "mustBeBetween" in rule:
        low, high = rule["mustBeBetween"]
        return low, high
    if isinstance(rule.get("mustBe"), int):
        return rule["mustBe"], rule["mustBe"]
    if "mustBeGreaterThan" in rule:
        return rule["mustBeGreaterThan"] + 1, None
    if "mustBeGreaterOrEqualTo" in rule:
        return rule["mustBeGreaterOrEqualTo"], None
    if "mustBeLessThan" in rule:
        return None, rule["mustBeLessThan"] - 1
    if "mustBeLessOrEqualTo" in rule:
        return None, rule["mustBeLessOrEqualTo"]
    raise Unenforceable("its operator leaves no range: write mustBeBetween, or one bound.")


def _of_values(table: Table, column: Column) -> list[DbtTest]:
    """Return the tests of what a column says of its values beyond rules."""
    tests = []
    options = column.options
    low = options.get("minimum", options.get("exclusiveMinimum"))
    high = options.get("maximum", options.get("exclusiveMaximum"))
    if low is not None or high is not None:
        limits = {"min_value": low, "max_value": high}
        arguments = {key: value for key, value in limits.items() if value is not None}
        strict = {"exclusiveMinimum", "exclusiveMaximum"} & set(options)
        if strict and {"minimum", "maximum"} & set(options):
            raise Unenforceable("bounds of a column are all exclusive or none.")
        if strict:
            arguments["strictly"] = True
        tests.append(DbtTest(_name(table, column, "is_in_range"), _BETWEEN, arguments, column.name))
    lengths = {"minLength": "min_value", "maxLength": "max_value"}
    if arguments := {word: options[key] for key, word in lengths.items() if key in options}:
        tests.append(DbtTest(_name(table, column, "is_of_length"), _LENGTHS, arguments, column.name))
    if "pattern" in options:
        regex = {"regex": options["pattern"]}
        tests.append(DbtTest(_name(table, column, "fits_its_pattern"), _REGEX, regex, column.name))
    if column.valid_values:
        values = {"value_set": column.valid_values}
        tests.append(DbtTest(_name(table, column, "is_of_known_values"), _IN_SET, values, column.name))
    if column.raw.get("unique"):
        tests.append(DbtTest(_name(table, column, "is_unique"), _UNIQUE, {}, column.name))
    return tests


def _name(table: Table, column: Column | None, claim: str) -> str:
    return "_".join([table.name, *([snake(column.name)] if column else []), snake(claim)])
