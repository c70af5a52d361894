"""What is wrong with contracts by themselves, beyond what the standard's JSON schema can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from assay.contracts.contract import Column, Contract, Table
from assay.contracts.dbt_tests import Unenforceable, bounds, tests_of
from assay.contracts.document import Finding
from assay.contracts.landing_rules import landing_rules
from assay.contracts.source_side import fresh_for, promise_test
from assay.contracts.types import contradict

_PAIRS = (
    ("minimum", "maximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
    ("minLength", "maxLength"),
)


def inconsistencies(contracts: Iterable[Contract]) -> Iterator[Finding]:
    """Yield what contradicts itself or another contract, and what nobody could hold data to."""
    claimed: dict[str, Contract] = {}
    ids: dict[str, Contract] = {}
    for contract in contracts:
        if contract.id in ids:
            yield Finding(
                contract.where(("id",)),
                f"the id {contract.id} is that of {ids[contract.id].document.name}, too.",
            )
        ids[contract.id] = contract
        yield from _owner(contract)
        yield from _sides(contract)
        for table in contract.tables:
            where = contract.where(table.place)
            if table.relation in claimed:
                other = claimed[table.relation].document.name
                yield Finding(
                    where,
                    f"{table.relation} has two owners: it is in {other}, too.",
                    "Leave it in one of the two.",
                )
            claimed[table.relation] = contract
            yield from _table(contract, table)


def _owner(contract: Contract) -> Iterator[Finding]:
    if len(contract.owners) > 1:
        yield Finding(
            contract.where(("team",)),
            f"{contract.id} has {len(contract.owners)} owners: {', '.join(contract.owners)}.",
            "One answers for it: name the team, or give one member the role owner.",
        )
    if not contract.owners:
        yield Finding(contract.where(), f"{contract.id} has no owner.", "Write team: {name: ...}.")


def _sides(contract: Contract) -> Iterator[Finding]:
    sides = {table.relation.partition(".")[0] for table in contract.tables}
    if "landing" in sides and len(sides) > 1:
        yield Finding(
            contract.where(("schema",)),
            "a contract is of a source (landing.*) or of a product (gold.*), and this is of both.",
            "Make it two.",
        )


def _table(contract: Contract, table: Table) -> Iterator[Finding]:
    names: set[str] = set()
    for column in table.columns:
        if column.name in names:
            yield Finding(contract.where(column.place), f"{table.relation} has {column.name} twice.")
        names.add(column.name)
        if column.raw.get("primaryKey") and not column.is_required:
            yield Finding(
                contract.where(column.place),
                f"{table.relation}.{column.name} is part of the primary key, and may be NULL.",
                "Write required: true.",
            )
        for each in column.walk():
            yield from _column(contract, table, each)
    yield from _service_levels(contract, table)
    try:
        if contract.is_of_source:
            list(landing_rules(table))
            promise_test(contract, table)
            fresh_for(contract, table)
        else:
            tests = tests_of(table)
            for name in sorted(
                {test.name for test in tests if [each.name for each in tests].count(test.name) > 1}
            ):
                yield Finding(contract.where(table.place), f"{table.relation} has two rules named {name}.")
    except Unenforceable as error:
        yield Finding(contract.where(table.place), f"{table.relation}: {error}")


def _column(contract: Contract, table: Table, column: Column) -> Iterator[Finding]:
    where, raw = contract.where(column.place), column.raw
    named = f"{table.relation}.{'.'.join(column.path)}"
    kind, physical = raw.get("logicalType"), raw.get("physicalType")
    if kind and physical and contradict(kind, physical):
        yield Finding(
            where, f"{named} is {kind} by logicalType, and {physical} by physicalType.", "Correct one."
        )
    for low, high in _PAIRS:
        if low in column.options and high in column.options and column.options[low] > column.options[high]:
            yield Finding(where, f"{named}: no value is between {low} and {high}.", "Correct one.")
    for value in column.valid_values:
        if not _fits(kind, value):
            yield Finding(where, f"{named} is {kind}, and {value!r} is none.", "Correct enum or logicalType.")
    for rule in column.rules:
        for value in (rule.raw.get("arguments") or {}).get("validValues") or []:
            if not _fits(kind, value):
                yield Finding(
                    contract.where(rule.place),
                    f"{named} is {kind}, and {value!r}, which {rule.name or 'a rule'} lists, is none.",
                    "Correct validValues or logicalType.",
                )


def _service_levels(contract: Contract, table: Table) -> Iterator[Finding]:
    for rule in table.rules:
        if rule.raw.get("metric") == "rowCount":
            try:
                low, high = bounds(rule.raw)
            except Unenforceable as error:
                yield Finding(contract.where(rule.place), f"{table.relation}: {error}")
                continue
            if low is not None and high is not None and low > high:
                yield Finding(
                    contract.where(rule.place), f"{table.relation}: no number is between {low} and {high}."
                )


def _fits(kind: Any, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
    return True
