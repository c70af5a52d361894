"""Make rules for landed rows from a source's contract; rows that break one go to quarantine under its id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from assay.contracts.contract import EACH, Column, Rule, Table, find_custom, make_snake_case
from assay.contracts.options import TIMES_OF_FORMATS, find_text_problem, list_value_rules
from assay.contracts.rules import WARNINGS, Unenforceable, make_test_of_values
from assay.landing.schema.logical_types import landed_as
from assay.landing.time_format import duckdb_format

CHECKED_BY = "checkedBy"
# The property of a rule or column that says who checks it: silver's own SQL, or the comparison of files.
SILVER, LANDING = "silver", "landing"
# The property of a table with a word for the ids of its columns' implied rules, for tables whose ids would
# otherwise have another meaning in another contract.
RULE_SCOPE = "ruleScope"
_TYPES = ("integer", "number", "boolean", "date", "timestamp", "time", "object", "array")


@dataclass(frozen=True)
class LandingRule:
    """A rule for landed rows.

    The macro `contract_rules` makes SQL from `test`, which is empty if silver's own SQL checks the rule.
    """

    rule_id: str
    reason: str
    remedy: str
    dimension: str
    test: dict[str, Any] = field(default_factory=dict)


def list_landing_rules(table: Table) -> Iterator[LandingRule]:
    """Yield the rules of a landing table: the written ones, and those that its columns imply.

    A column that silver's own SQL or the loader checks implies no rules about types and required values.

    Raises:
        Unenforceable: rows cannot be checked against one of the rules.
    """
    has_no_copies = any(rule.raw.get("dimension") == "uniqueness" for _, rule in table.all_rules())
    for column, rule in table.all_rules():
        if column or rule.raw.get("metric") != "rowCount":
            yield _written(column, rule, table)
    for top in table.columns:
        for key in ("unique", "primaryKey"):
            if top.raw.get(key) and not has_no_copies:
                raise Unenforceable(
                    f"{key} of {top.name} is not checked: rows are judged one by one. Find copies in silver, "
                    f"by a rule with dimension: uniqueness and customProperties {CHECKED_BY}: {SILVER}."
                )
        for column in top.walk():
            yield from _implied(column, table, table.custom(RULE_SCOPE))


def find_landed_type(column: Column) -> str:
    """Return the type in which a column's values land: in change events, times may land as numbers."""
    return landed_as(column.raw.get("physicalType") or "") or column.kind


def find_time_format(column: Column) -> str | None:
    """Return the format of a column's landed times for strptime; None for ISO 8601."""
    if find_landed_type(column) in TIMES_OF_FORMATS and "format" in column.options:
        return duckdb_format(column.options["format"], column.kind)
    return None


def _written(column: Column | None, rule: Rule, table: Table) -> LandingRule:
    named = rule.name
    if not named:
        raise Unenforceable("a rule of a source needs a name: rows go to quarantine under it.")
    of = f" of {column.name}" if column else ""
    reason = str(rule.raw.get("description") or f"The rule {named}{of} in the source's contract is broken")
    remedy = str(rule.custom("remedy") or f"correct {column.name if column else 'the row'} in the source")
    if problem := find_text_problem(reason) or find_text_problem(remedy):
        raise Unenforceable(f"{named}: description and remedy are written into dbt's YAML, and {problem}")
    common = (named, " ".join(reason.split()), remedy, str(rule.raw.get("dimension") or ""))
    if str(rule.raw.get("severity")).lower() in WARNINGS:
        raise Unenforceable(f"{named} cannot just warn: a row that breaks a rule goes to quarantine.")
    if rule.custom(CHECKED_BY) == SILVER:
        return LandingRule(*common)
    if rule.kind != "library" or column is None:
        raise Unenforceable(
            "landed rows can be held to rules of type library under a column. "
            f"For others write the rule into silver's SQL, and here customProperties {CHECKED_BY}: {SILVER}."
        )
    test = _as_landed(make_test_of_values(column, rule), column, table)
    return LandingRule(*common, {"rule_id": named, **_place(column, _is_csv(table)), **test})


def _implied(column: Column, table: Table, scope: str | None) -> Iterator[LandingRule]:
    """Yield the rules for a column's type, options and `required`, unless silver checks the column itself."""
    name, place = column.name, _place(column, _is_csv(table))
    metrics = {rule.raw.get("metric") for rule in column.rules}
    by_others = find_custom(column.raw, CHECKED_BY) in (LANDING, SILVER) or any(
        rule.custom(CHECKED_BY) == SILVER for rule in column.rules
    )
    kind = find_landed_type(column)

    def id_of(prefix: str, about: str) -> str:
        return "_".join(filter(None, (prefix, scope, make_snake_case(about))))

    def rule(prefix: str, reason: str, remedy: str, dimension: str, test: dict[str, Any]) -> LandingRule:
        rule_id = id_of(prefix, name)
        return LandingRule(
            rule_id,
            reason,
            remedy,
            dimension,
            {"rule_id": rule_id, **place, **_as_landed(test, column, table)},
        )

    if column.is_required and not by_others and not metrics & {"nullValues", "missingValues"}:
        yield rule("missing", f"{name} is absent", f"send {name}", "completeness", {"kind": "required"})
    if kind in _TYPES and not by_others:
        reason = f"{name} is no {kind}"
        how = f", written {column.options['format']}" if find_time_format(column) else ""
        remedy = f"send {name} as {kind}{how}"
        yield rule("mistyped", reason, remedy, "conformity", {"kind": "type", "type": kind})
    for each in list_value_rules(column):
        remedy = each.remedy or f"correct {name} in the source"
        yield rule(each.word, f"{name} {each.reason}", remedy, "conformity", each.test)
    required = {each.name for each in column.columns if each.is_required}
    for key in [str(each) for each in column.options.get("required") or [] if each not in required]:
        within = _place(Column({}, (), (*column.path, key)), _is_csv(table))
        rule_id = id_of("missing", key)
        test = {"rule_id": rule_id, **within, "kind": "required"}
        yield LandingRule(rule_id, f"{key} is absent", f"send {key}", "completeness", test)


def _as_landed(test: dict[str, Any], column: Column, table: Table) -> dict[str, Any]:
    """Add to a test how landed values are written: numbers of CSV files, and times of all files."""
    written = find_time_format(column)
    if test.get("type") in TIMES_OF_FORMATS and written:
        return test | {"format": written}
    signs = {name: value for name, value in asdict(table.dialect).items() if name in ("decimal", "thousands")}
    is_number = test.get("type") in ("integer", "number") or test["kind"] == "multiple"
    is_text = _is_csv(table) and "path" not in _place(column, is_csv=True)
    if is_number and is_text and signs.items() & table.dialect.declared.items():
        return test | signs
    return test


def _place(column: Column, is_csv: bool) -> dict[str, Any]:
    """Return the place of a value: the column of a CSV file, or a path into a JSON document.

    A column of a CSV file may hold JSON; `path` then says where in it the value is.
    """
    steps = [[] if step == EACH else step for step in column.path]
    if not is_csv:
        return {"field": steps}
    is_json = column.is_nested or column.kind in ("object", "array")
    return {"field": column.path[0]} | ({"path": steps[1:]} if is_json else {})


def _is_csv(table: Table) -> bool:
    return bool(table.custom("format") != "jsonl")
