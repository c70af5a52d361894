"""Convert the rules of a contract to dbt tests, and dbt tests to rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from assay.contracts.contract import EACH, Column, Rule, Table, join_words, make_snake_case
from assay.contracts.options import list_value_rules, read_shortest, write_literal
from assay.contracts.rules import WARNINGS, Unenforceable, find_bounds, make_test_of_values
from assay.contracts.types import normalize

EXPECTATIONS = "dbt_expectations"
_IN_SET = f"{EXPECTATIONS}.expect_column_values_to_be_in_set"
_REGEX = f"{EXPECTATIONS}.expect_column_values_to_match_regex"
_NOT_NULL = f"{EXPECTATIONS}.expect_column_values_to_not_be_null"
_UNIQUE = f"{EXPECTATIONS}.expect_column_values_to_be_unique"
_BETWEEN = f"{EXPECTATIONS}.expect_column_values_to_be_between"
_LENGTHS = f"{EXPECTATIONS}.expect_column_value_lengths_to_be_between"
_ROW_COUNT = f"{EXPECTATIONS}.expect_table_row_count_to_be_between"
#: The package that holds Assay's tests: the project itself, or a package of other projects.
_PACKAGE = "assay"
_KEEPS = f"{_PACKAGE}.values_keep_to"
_COMPLETE = f"{_PACKAGE}.values_are_complete"
PROMISES = f"{_PACKAGE}.source_keeps_its_promises"
_DIGITS_OF_A_DOUBLE = 15


@dataclass(frozen=True)
class DbtTest:
    """A generic test in a model's YAML; `column` is None for a test of the table.

    `description` adds to the name, such as why the test only warns. `contract` names the source's contract
    whose promises are tested.
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


def list_tests(table: Table) -> list[DbtTest]:
    """Return the tests that a table of gold must pass.

    Raises:
        Unenforceable: dbt cannot test one of the rules.
    """
    tests = [make_test(table, column, rule) for column, rule in table.all_rules()]
    for column in table.columns:
        tests += _of_values(table, column)
    return tests


def make_test(table: Table, column: Column | None, rule: Rule) -> DbtTest:
    """Return the dbt test for a rule.

    Raises:
        Unenforceable: dbt cannot test the rule.
    """
    name = rule.name or _name(table, column, rule.raw.get("metric") or rule.kind)
    if column and (column.is_nested or (rule.raw.get("arguments") or {}).get("missingValues")):
        if rule.kind == "custom":
            raise Unenforceable(
                f"{column.label} is no column of its own: write a rule of type custom under {column.path[0]}."
            )
        own = _own(name, column, make_test_of_values(column, rule))
        macro, arguments = own.macro, own.arguments
    else:
        macro, arguments = _test(column, rule)
    return DbtTest(
        name,
        macro,
        arguments,
        column.path[0] if column else None,
        str(rule.raw.get("severity")).lower() in WARNINGS,
        description=join_words(rule.raw.get("description")) or None,
    )


def make_full_name(macro: str) -> str:
    """Add the package to a test's name that Assay's own YAML writes without it."""
    full = f"{_PACKAGE}.{macro}"
    return full if full in (_KEEPS, _COMPLETE, PROMISES) else macro


def make_rule(test: DbtTest) -> dict[str, Any]:
    """Convert a test to a rule of a contract."""
    rule: dict[str, Any] = {"name": test.name}
    if test.description:
        rule["description"] = test.description
    if test.macro == _IN_SET and set(test.arguments) == {"value_set"}:
        listed = test.arguments["value_set"]
        values = {"validValues": [_unescaped(each) if isinstance(each, str) else each for each in listed]}
        rule |= {"type": "library", "metric": "invalidValues", "arguments": values, "mustBe": 0}
    elif test.macro == _REGEX and set(test.arguments) == {"regex"}:
        pattern = {"pattern": _unescaped(test.arguments["regex"])}
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
            f"a rule of type {rule.kind!r} is not tested. "
            "Write it as type: library or as type: custom with engine: dbt."
        )
    return _LIBRARY[raw["metric"]](column, rule)


def _row_count(column: Column | None, rule: Rule) -> tuple[str, dict[str, Any]]:
    del column
    low, high = find_bounds(rule.raw)
    limits = {"min_value": low, "max_value": high}
    return _ROW_COUNT, {key: value for key, value in limits.items() if value is not None}


def _invalid_values(column: Column | None, rule: Rule) -> tuple[str, dict[str, Any]]:
    column = _must_be_none(column, rule)
    arguments = rule.raw.get("arguments") or {}
    if "validValues" in arguments and column.kind != "string":
        own = _own("", column, make_test_of_values(column, rule))
        return own.macro, own.arguments
    if "validValues" in arguments:
        return _IN_SET, {"value_set": _value_set(column, arguments["validValues"])}
    if "pattern" in arguments:
        return _REGEX, {"regex": _escaped(arguments["pattern"])}
    raise Unenforceable("invalidValues needs arguments: validValues or pattern.")


def _null_values(column: Column | None, rule: Rule) -> tuple[str, dict[str, Any]]:
    share = _tolerated_share(rule)
    if share:
        return _COMPLETE, {"tolerated_share": share}
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


def _must_be_none(column: Column | None, rule: Rule) -> Column:
    if column is None:
        raise Unenforceable(f"{rule.raw['metric']} is about a column: write the rule under one.")
    must_be = rule.raw.get("mustBe")
    if must_be != 0 or isinstance(must_be, bool):
        raise Unenforceable(f"{rule.raw['metric']} can be held to mustBe: 0 only.")
    return column


def _tolerated_share(rule: Rule) -> float | None:
    if str(rule.raw.get("unit")).lower() not in ("percent", "%"):
        return None
    most = rule.raw.get("mustBeLessThan", rule.raw.get("mustBeLessOrEqualTo"))
    return None if most is None else round(float(most) / 100, 12)


def _of_values(table: Table, column: Column) -> Iterator[DbtTest]:
    """Yield the tests for a column's options and `enum`, which apply beside its rules."""
    for part in column.walk():
        for rule in list_value_rules(part):
            name = _name(table, part, rule.claim)
            found = [] if part.is_nested else list(_expectations(part, rule.test))
            for macro, arguments in found:
                is_second = bool(arguments.get("strictly")) and len(found) > 1
                yield DbtTest(name + "_strictly" * is_second, macro, arguments, part.name)
            if not found:
                yield _own(name, part, rule.test)
        needed = [part] if part.is_nested and part.is_required else []
        required = {each.name for each in part.columns if each.is_required}
        for key in part.options.get("required") or []:
            needed += [Column({}, (), (*part.path, str(key)))] if key not in required else []
        for each in needed:
            yield _own(_name(table, each, "is_there"), each, {"kind": "required"})
    if column.raw.get("unique"):
        yield DbtTest(_name(table, column, "is_unique"), _UNIQUE, {}, column.name)


def _expectations(column: Column, test: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield equivalent tests of dbt-expectations, if there are any."""
    match test["kind"]:
        case "bounds" if all(_is_exact_in(column, test[each]) for each in test if each.endswith("imum")):
            for low, high in (("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum")):
                limits = {"min_value": test.get(low), "max_value": test.get(high)}
                arguments = {key: _constant(column, text) for key, text in limits.items() if text is not None}
                if arguments:
                    yield _BETWEEN, arguments | ({"strictly": True} if low.startswith("exclusive") else {})
        case "length":
            limits = {"min_value": test.get("least"), "max_value": test.get("most")}
            yield _LENGTHS, {key: value for key, value in limits.items() if value is not None}
        case "pattern":
            yield _REGEX, {"regex": _escaped(test["pattern"])}
        # Its test compares texts.
        case "values" if column.kind == "string":
            yield _IN_SET, {"value_set": _value_set(column, column.valid_values)}


def _value_set(column: Column, values: list[Any]) -> list[Any]:
    return [
        each if isinstance(each, bool | int) else _escaped(write_literal(column.kind, each))
        for each in values
    ]


def _constant(column: Column, text: str) -> Any:
    """Write a bound for YAML and SQL."""
    if column.kind in ("integer", "number"):
        number = Decimal(text)
        as_float = int(number) if number == number.to_integral_value() else float(number)
        return as_float if Decimal(str(as_float)) == number else text
    is_zoned = normalize(str(column.raw.get("physicalType") or "")) == "timestamp with time zone"
    return f"timestamptz '{text}+00'" if is_zoned else f"{column.kind} '{text}'"


def _is_exact_in(column: Column, text: str) -> bool:
    """Tell whether SQL compares a column with a bound exactly: it casts both to a common type.

    The common type of a wide decimal and another is DOUBLE, or there is none and the comparison fails.
    """
    if column.kind not in ("integer", "number"):
        return True
    number = read_shortest(text)
    decimals, whole_digits = max(0, -int(number.as_tuple().exponent)), number.adjusted() + 1
    physical = normalize(str(column.raw.get("physicalType") or "")).replace("hugeint", "decimal(38,0)")
    if found := re.fullmatch(r"decimal\((\d+),(\d+)\)", physical):
        width, scale = int(found[1]), int(found[2])
        return decimals <= scale and whole_digits <= width - scale
    return decimals <= _DIGITS_OF_A_DOUBLE and whole_digits + decimals <= (
        _DIGITS_OF_A_DOUBLE if decimals else 18
    )


def _escaped(text: str) -> str:
    # dbt-expectations puts texts into SQL as they are.
    return text.replace("'", "''")


def _unescaped(text: str) -> str:
    return text.replace("''", "'")


def _own(name: str, column: Column, test: dict[str, Any]) -> DbtTest:
    path = [[] if step == EACH else step for step in column.path[1:]]
    rule = test | ({"path": path} if path else {})
    return DbtTest(name, _KEEPS, {"rule": rule}, column.path[0])


def _name(table: Table, column: Column | None, claim: str) -> str:
    return "_".join(
        [table.name, *([make_snake_case(column.label)] if column else []), make_snake_case(claim)]
    )
