"""Rules of a source's contract: under which id a landed row that breaks one goes to quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from assay.contracts.contract import Column, Rule, Table, custom, snake
from assay.contracts.dbt_tests import Unenforceable

CHECKED_BY = "checkedBy"
# Of a rule or a column: silver's own SQL judges rows by it; or files are compared with it, and no row is.
SILVER, LANDING = "silver", "landing"
_TYPES = ("integer", "number", "boolean", "date", "timestamp")
_BOUNDS = {"minimum": "least", "maximum": "most", "exclusiveMinimum": "least", "exclusiveMaximum": "most"}


@dataclass(frozen=True)
class LandingRule:
    """A rule that landed rows are held to.

    `test` is what the macro `contract_rules` makes SQL of; it is empty where silver's own SQL names the rule.
    """

    rule_id: str
    reason: str
    remedy: str
    dimension: str
    test: dict[str, Any] = field(default_factory=dict)


def landing_rules(table: Table) -> Iterator[LandingRule]:
    """Yield the rules of a landing table: those written down, and those that its columns imply.

    Silver's own rules on a column stand for what the column says of types and values it must have.

    Raises:
        Unenforceable: a rule is none that rows could be held to.
    """
    for column, rule in table.all_rules():
        if rule.raw.get("metric") != "rowCount":
            yield _written(column, rule, _is_csv(table))
    for top in table.columns:
        for column in top.walk():
            if not column.columns:
                yield from _implied(column, _is_csv(table))


def _written(column: Column | None, rule: Rule, is_csv: bool) -> LandingRule:
    named = rule.name
    if not named:
        raise Unenforceable("a rule of a source needs a name: rows go to quarantine under it.")
    of = f" of {column.name}" if column else ""
    reason = str(rule.raw.get("description") or f"The rule {named}{of} in the source's contract is broken")
    remedy = str(rule.custom("remedy") or f"correct {column.name if column else 'the row'} in the source")
    common = (named, " ".join(reason.split()), remedy, str(rule.raw.get("dimension") or ""))
    if rule.custom(CHECKED_BY) == SILVER:
        return LandingRule(*common)
    if rule.kind != "library" or column is None:
        raise Unenforceable(
            "landed rows can be held to rules of type library under a column. "
            f"For others write the rule into silver's SQL, and here customProperties {CHECKED_BY}: {SILVER}."
        )
    return LandingRule(*common, {"rule_id": named, "field": _field(column, is_csv), **_test(rule)})


def _test(rule: Rule) -> dict[str, Any]:
    if rule.raw.get("mustBe") != 0:
        raise Unenforceable("each landed row is checked by itself: mustBe: 0 is all it can be held to.")
    arguments = rule.raw.get("arguments") or {}
    match rule.raw["metric"]:
        case "nullValues" | "missingValues":
            return {"kind": "required"}
        case "invalidValues" if "validValues" in arguments:
            return {"kind": "values", "values": list(arguments["validValues"])}
        case "invalidValues" if "pattern" in arguments:
            return {"kind": "pattern", "pattern": arguments["pattern"]}
    raise Unenforceable(f"landed rows cannot be held to the metric {rule.raw['metric']} as it is written.")


def _implied(column: Column, is_csv: bool) -> Iterator[LandingRule]:
    """Yield what type, options and `required` of a column ask for, unless silver checks the column itself."""
    name, where = column.name, _field(column, is_csv)
    metrics = {rule.raw.get("metric") for rule in column.rules}
    by_others = custom(column.raw, CHECKED_BY) == LANDING or any(
        rule.custom(CHECKED_BY) == SILVER for rule in column.rules
    )
    kind = column.raw.get("logicalType")

    def rule(prefix: str, reason: str, remedy: str, dimension: str, **test: Any) -> LandingRule:
        rule_id = f"{prefix}_{snake(name)}"
        return LandingRule(rule_id, reason, remedy, dimension, {"rule_id": rule_id, "field": where, **test})

    if column.is_required and not by_others and not metrics & {"nullValues", "missingValues"}:
        yield rule("missing", f"{name} is absent", f"send {name}", "completeness", kind="required")
    if kind in _TYPES and not by_others:
        reason = f"{name} is no {kind}"
        yield rule("mistyped", reason, f"send {name} as {kind}", "conformity", kind="type", type=kind)
    options = column.options
    if bounds := {word: options[key] for key, word in _BOUNDS.items() if key in options}:
        strictly = bool({"exclusiveMinimum", "exclusiveMaximum"} & set(options))
        reason, remedy = f"{name} lies outside its range", f"correct {name} in the source"
        yield rule("out_of_range", reason, remedy, "conformity", kind="range", strictly=strictly, **bounds)
    if lengths := {
        word: options[key]
        for key, word in {"minLength": "least", "maxLength": "most"}.items()
        if key in options
    }:
        reason, remedy = f"{name} is too short or too long", f"correct {name} in the source"
        yield rule("mis_sized", reason, remedy, "conformity", kind="length", **lengths)
    if "pattern" in options:
        reason, remedy = f"{name} does not fit its pattern", f"correct {name} in the source"
        yield rule("misshapen", reason, remedy, "conformity", kind="pattern", pattern=options["pattern"])
    if column.valid_values:
        reason, remedy = f"{name} is none of the values agreed on", f"agree on the value or correct {name}"
        yield rule("unknown", reason, remedy, "conformity", kind="values", values=column.valid_values)


def _field(column: Column, is_csv: bool) -> str | list[str]:
    return column.name if is_csv else list(column.path)


def _is_csv(table: Table) -> bool:
    return bool(table.custom("format") != "jsonl")
