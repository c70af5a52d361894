"""Find what is wrong within contracts, beyond what the standard's JSON schema can check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from assay.contracts.availability import BY, EVERY, promises_of
from assay.contracts.contract import DIALECT, EACH, SHIELDS, Column, Contract, Table, find_custom
from assay.contracts.dbt_tests import list_tests
from assay.contracts.document import Finding
from assay.contracts.landing_rules import CHECKED_BY, list_landing_rules
from assay.contracts.options import find_text_problem, list_refused, write_literal
from assay.contracts.retention import RETENTION, retentions_of
from assay.contracts.roles import find_role_mistakes, find_row_mistakes
from assay.contracts.rules import Unenforceable, find_bounds, list_refused_of
from assay.contracts.source_side import (
    ALIASES,
    IDLE_AFTER,
    LATENESS,
    OPTIONAL,
    SCHEMA_MODE,
    find_warn_after,
    make_promise_test,
)
from assay.contracts.types import contradict
from assay.core.sql import folded
from assay.landing.declared import DIFFERENCES, MODES
from assay.landing.names import wrong_names
from assay.project.personal import PII

_OURS = (
    *(DIALECT, "format", "remedy", "consumers", CHECKED_BY, OPTIONAL, ALIASES, SCHEMA_MODE, PII),
    *(LATENESS, IDLE_AFTER),
)
_SERVICE_LEVELS = ("completeness", "latency", BY, EVERY, RETENTION, "endOfSupport", "endOfLife")


def find_inconsistencies(contracts: Iterable[Contract]) -> Iterator[Finding]:
    """Yield contradictions within a contract or between contracts, and what cannot be checked on data."""
    contracts = list(contracts)
    claimed: dict[str, Contract] = {}
    ids: dict[str, Contract] = {}
    for contract in contracts:
        other = ids.setdefault(folded(contract.id), contract)
        if other is not contract:
            yield Finding(
                contract.where(("id",)), f"the id {contract.id} is that of {other.document.name}, too."
            )
        yield from _owner(contract)
        yield from _sides(contract)
        yield from _promises(contract)
        yield from _descriptions(contract)
        for table in contract.tables:
            where = contract.where(table.place)
            relation = folded(table.relation)
            if relation in claimed:
                owner = claimed[relation].document.name
                yield Finding(
                    where,
                    f"{table.relation} has two owners: it is in {owner}, too.",
                    "Leave it in one of the two.",
                )
            claimed[relation] = contract
            yield from _table(contract, table)
    mistakes = list(find_role_mistakes(contracts))
    # Conditions of roles that are wrong by themselves belong to no table.
    yield from mistakes or find_row_mistakes(contracts)


def _owner(contract: Contract) -> Iterator[Finding]:
    if len(contract.owners) > 1:
        yield Finding(
            contract.where(("team",)),
            f"{contract.id} has {len(contract.owners)} owners: {', '.join(contract.owners)}.",
            "A contract has one owner: name the team, or give one member the role owner.",
        )
    if not contract.owners:
        yield Finding(contract.where(), f"{contract.id} has no owner.", "Write team: {name: ...}.")


def _sides(contract: Contract) -> Iterator[Finding]:
    sides = {table.relation.partition(".")[0] for table in contract.tables}
    if "landing" in sides and len(sides) > 1:
        yield Finding(
            contract.where(("schema",)),
            "a contract is for a source (landing.*) or for a product (gold.*), and this one is for both.",
            "Make it two.",
        )


def _table(contract: Contract, table: Table) -> Iterator[Finding]:
    yield from _service_levels(contract, table)
    yield from _custom_properties(contract, table)
    said = [
        *_dialect(contract, table),
        *_names(contract, table),
        *_columns(contract, table),
        *_rules(contract, table),
    ]
    yield from said
    # Rules cannot be made from a table that is wrong by itself.
    yield from _enforced(contract, table) if not said else ()


def _descriptions(contract: Contract) -> Iterator[Finding]:
    purpose = (contract.raw.get("description") or {}).get("purpose")
    described: list[tuple[str, dict[str, Any], tuple[str | int, ...]]] = (
        [(contract.id, {"description": purpose}, ("description",))] if contract.is_of_source else []
    )
    described += [(table.relation, table.raw, table.place) for table in contract.tables]
    described += [
        (f"{table.relation}.{column.label}", column.raw, column.place)
        for table in contract.tables
        for top in table.columns
        for column in top.walk()
    ]
    for name, raw, place in described:
        if problem := find_text_problem(raw.get("description")):
            yield Finding(
                contract.where(place), f"{name}: a description is written into dbt's YAML, and {problem}"
            )


def _columns(contract: Contract, table: Table) -> Iterator[Finding]:
    for column in table.columns:
        if column.raw.get("primaryKey") and not column.is_required:
            yield Finding(
                contract.where(column.place),
                f"{table.relation}.{column.name} is part of the primary key, and may be NULL.",
                "Write required: true.",
            )
        for each in column.walk():
            yield from _column(contract, table, each)


def _rules(contract: Contract, table: Table) -> Iterator[Finding]:
    if table.raw.get("relationships"):
        yield Finding(
            contract.where(table.place),
            f"{table.relation}: relationships are not checked here.",
            "Write a rule of type: custom with engine: dbt and the test relationships.",
        )
    for under, rule in table.all_rules():
        for refused in list_refused_of(under, rule):
            yield Finding(contract.where(rule.place), f"{table.relation}: {rule.name or 'a rule'}: {refused}")


def _enforced(contract: Contract, table: Table) -> Iterator[Finding]:
    try:
        if contract.is_of_source:
            list(list_landing_rules(table))
            make_promise_test(contract, table)
            find_warn_after(contract, table)
        else:
            tests = list_tests(table)
            for test in tests:
                if test.warns and not test.description:
                    yield Finding(
                        contract.where(table.place),
                        f"{table.relation}: {test.name} only warns.",
                        "Say in its description why its failure stops nothing.",
                    )
            for name in sorted(
                {test.name for test in tests if [each.name for each in tests].count(test.name) > 1}
            ):
                yield Finding(contract.where(table.place), f"{table.relation} has two rules named {name}.")
    except Unenforceable as error:
        yield Finding(contract.where(table.place), f"{table.relation}: {error}")


def _names(contract: Contract, table: Table) -> Iterator[Finding]:
    is_landed_csv = contract.is_of_source and table.custom("format") != "jsonl"
    fields = [each for top in table.columns for each in top.walk()]
    for columns in [table.columns, *(each.columns for each in fields)]:
        problems = wrong_names(
            [each.name for each in columns], is_column=is_landed_csv and columns is table.columns
        )
        for problem in problems:
            yield Finding(
                contract.where(columns[0].place),
                f"{table.relation}: {problem}.",
                f"Give the column another name, and the file's as one of its {ALIASES}." * is_landed_csv,
            )
    known = {column.name: column for column in table.columns}
    for column in table.columns:
        for alias in find_custom(column.raw, ALIASES) or []:
            if known.setdefault(alias, column) is not column:
                yield Finding(
                    contract.where(column.place),
                    f"{table.relation}: {alias!r}, an alias of {column.name}, means {known[alias].name}.",
                    "Leave it in one place.",
                )


def _column(contract: Contract, table: Table, column: Column) -> Iterator[Finding]:
    where, raw = contract.where(column.place), column.raw
    named = f"{table.relation}.{column.label}"
    kind, physical = column.kind, raw.get("physicalType")
    if raw.get("logicalType") and physical and contradict(kind, physical):
        yield Finding(
            where, f"{named} is {kind} by logicalType, and {physical} by physicalType.", "Correct one."
        )
    if PII in {each["property"] for each in raw.get("customProperties") or []}:
        yield from _pii(named, where, column)
    for refused in list_refused(column, is_landed=contract.is_of_source):
        yield Finding(where, f"{named}: {refused}")
    for value in column.valid_values:
        if not _fits(kind, value):
            yield Finding(where, f"{named} is {kind}, and {value!r} is none.", "Correct enum or logicalType.")
    for rule in column.rules:
        values = (rule.raw.get("arguments") or {}).get("validValues")
        for value in values if isinstance(values, list) else []:
            if not _fits(kind, value):
                yield Finding(
                    contract.where(rule.place),
                    f"{named} is {kind}, and {value!r}, which {rule.name or 'a rule'} lists, is none.",
                    "Correct validValues or logicalType.",
                )


def _pii(named: str, where: str, column: Column) -> Iterator[Finding]:
    if column.pii not in SHIELDS:
        yield Finding(where, f"{named}: {PII} is {column.pii!r}.", f"Write {' or '.join(SHIELDS)}.")
    if EACH in column.path:
        yield Finding(where, f"{named} lies within an array, where {PII} is not followed.", "Take it out.")
    if column.columns or (column.raw.get("logicalType") or "string") != "string":
        yield Finding(
            where,
            f"{named} is declared {PII}, and is no text: a hash or a mask is one.",
            "Declare logicalType: string, or the fields within it; or leave it out of silver.",
        )


def _custom_properties(contract: Contract, table: Table) -> Iterator[Finding]:
    """Yield misspelt custom properties: names nearly like Assay's; other names belong to other tools."""
    holders = [(table.raw, table.place)]
    holders += [(column.raw, column.place) for top in table.columns for column in top.walk()]
    holders += [(rule.raw, rule.place) for _, rule in table.all_rules()]
    for raw, place in holders:
        for each in raw.get("customProperties") or []:
            name = str(each["property"])
            if name not in _OURS and (near := get_close_matches(name, _OURS, n=1, cutoff=0.8)):
                yield Finding(
                    contract.where(place), f"{table.relation}: {name} is no property.", f"Write {near[0]}."
                )
    mode = table.custom(SCHEMA_MODE)
    modes = mode if isinstance(mode, dict) else {"new": mode} if mode is not None else {}
    for difference, value in modes.items():
        if difference not in DIFFERENCES or value not in MODES:
            yield Finding(
                contract.where(table.place),
                f"{table.relation}: {SCHEMA_MODE} is {mode!r}.",
                f"Write one of {', '.join(MODES)}, or one for each of {', '.join(DIFFERENCES)}.",
            )


def _dialect(contract: Contract, table: Table) -> Iterator[Finding]:
    if table.custom(DIALECT) is None:
        return
    where = contract.where(table.place)
    if not contract.is_of_source or table.custom("format") == "jsonl":
        yield Finding(where, f"{table.relation}: {DIALECT} is only for landed CSV.", "Take it out.")
    try:
        _ = table.dialect
    except ValueError as error:
        yield Finding(where, f"{table.relation}: of {DIALECT}, {error}")


def _promises(contract: Contract) -> Iterator[Finding]:
    """Yield service levels that nothing would check."""
    names = {table.name for table in contract.tables}
    for place, found in (*promises_of(contract), *retentions_of(contract)):
        if isinstance(found, str):
            yield Finding(contract.where(place), found)
    for place, name, element in contract.levels_of_no_table():
        yield Finding(
            contract.where(place),
            f"{name} is promised of {element}, which is no table here.",
            f"There is {', '.join(sorted(names))}.",
        )
    for number, level in enumerate(contract.raw.get("slaProperties") or []):
        where, name = contract.where(("slaProperties", number)), str(level["property"])
        if name not in _SERVICE_LEVELS and (
            near := get_close_matches(name, _SERVICE_LEVELS, n=1, cutoff=0.8)
        ):
            yield Finding(where, f"{name} is no service level.", f"Write {near[0]}.")
        if name == "completeness" and not _is_percentage(level):
            yield Finding(
                where,
                f"completeness is {level['value']} {level.get('unit', '')}.",
                "Write 0 to 100, percent.",
            )


def _is_percentage(level: dict[str, Any]) -> bool:
    value = level["value"]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= 100 and str(level.get("unit", "percent")).lower() in ("percent", "%")


def _service_levels(contract: Contract, table: Table) -> Iterator[Finding]:
    for rule in table.rules:
        if rule.raw.get("metric") == "rowCount":
            try:
                low, high = find_bounds(rule.raw)
            except Unenforceable as error:
                yield Finding(contract.where(rule.place), f"{table.relation}: {error}")
                continue
            if low is not None and high is not None and low > high:
                yield Finding(
                    contract.where(rule.place), f"{table.relation}: no number is between {low} and {high}."
                )


def _fits(kind: str, value: Any) -> bool:
    """Tell whether a listed value is of the type, and dbt's YAML can hold it."""
    match kind:
        case "string":
            return isinstance(value, str) and not find_text_problem(value)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "date" | "timestamp" | "time":
            try:
                write_literal(kind, value)
            except ValueError:
                return False
    return True
