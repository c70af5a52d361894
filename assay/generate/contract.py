"""The contract of a source: the table that a proposal makes in it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.contracts.adopt import API_VERSION
from assay.contracts.contract import DIALECT, Contract, make_snake_case
from assay.contracts.document import Document
from assay.contracts.landing_rules import CHECKED_BY, RULE_SCOPE, SILVER, list_landing_rules
from assay.contracts.source_side import ALIASES, OPTIONAL
from assay.generate.propose import Field, Path, Proposal, make_singular
from assay.project.personal import PII
from assay.project.yaml_file import one_line

#: A rule as contracts have it: its reason and its remedy.
Meaning = tuple[str, str]
_CHANGE_FIELDS: tuple[tuple[str, str, str, dict[str, Any], bool], ...] = (
    ("op", "string", "What happened.", {CHECKED_BY: SILVER}, True),
    ("ts_ms", "integer", "When the connector read the change.", {CHECKED_BY: SILVER}, True),
    ("source", "object", "Where the connector read the change.", {}, False),
    ("before", "object", "The row before the change.", {OPTIONAL: True}, False),
)
REPEATED_CHANGE = "repeated_change"


def begin_contract(source: str, owner: str) -> CommentedMap:
    """Return the contract of a source, without a table yet."""
    name = source.replace("_", " ").capitalize()
    return CommentedMap(
        {
            "apiVersion": API_VERSION,
            "kind": "DataContract",
            "id": source,
            "name": name,
            "version": "1.0.0",
            "status": "active",
            "team": CommentedMap({"name": owner}),
            "schema": CommentedSeq(),
        }
    )


def write_table_entry(proposal: Proposal) -> CommentedMap:
    """Return what a source's contract says of a table."""
    entry = CommentedMap(
        {
            "name": proposal.table,
            "physicalName": f"landing.{proposal.source}__{proposal.table}",
            "physicalType": "file",
            "description": f"One {_WHAT[proposal.is_change_log, proposal.format]} {_of(proposal)}.",
            "customProperties": CommentedSeq(
                one_line({"property": key, "value": value})
                for key, value in (
                    ("format", proposal.format),
                    (DIALECT, proposal.dialect.declared),
                    (RULE_SCOPE, proposal.rule_scope),
                )
                if value
            ),
        }
    )
    entry["properties"] = CommentedSeq(_properties(proposal))
    if proposal.key or proposal.is_change_log:
        rule = _rule(name_repeated_rule(proposal), *_repeated(proposal), "uniqueness")
        entry["quality"] = CommentedSeq([rule])
    return entry


def means_otherwise(entry: CommentedMap, known: Mapping[str, Meaning]) -> bool:
    """Tell whether a rule of a table means something else than the rule of its name elsewhere."""
    contract = Contract(Document("", CommentedMap({"id": "", "schema": [entry]})))
    rules = list(list_landing_rules(contract.tables[0]))
    return any(
        known.get(each.rule_id, (each.reason, each.remedy)) != (each.reason, each.remedy) for each in rules
    )


_WHAT = {
    (False, "csv"): "line for each",
    (False, "jsonl"): "JSON document for each",
    (True, "jsonl"): "change event for each change of each",
}


def _of(proposal: Proposal) -> str:
    return make_singular(proposal.table).replace("_", " ")


def _repeated(proposal: Proposal) -> Meaning:
    if proposal.is_change_log:
        return "The same change arrived before", "none needed: connectors deliver at least once"
    return f"Another {_of(proposal)} of this key arrived first", "none needed: the first arrival is kept"


def name_repeated_rule(proposal: Proposal) -> str:
    """Return the id of the rule that a row breaks whose key another has."""
    return (
        REPEATED_CHANGE
        if proposal.is_change_log
        else _id("repeated", make_singular(proposal.table), proposal)
    )


def name_event_rule(proposal: Proposal) -> str:
    """Return the id of the rule that a row breaks whose time cannot be read, or cannot be."""
    assert proposal.event_at
    return _id("invalid", proposal.event_at[-1], proposal)


def _id(prefix: str, about: str, proposal: Proposal) -> str:
    return "_".join(filter(None, (prefix, proposal.rule_scope, make_snake_case(about))))


def _properties(proposal: Proposal) -> list[CommentedMap]:
    columns: list[CommentedMap] = []
    if proposal.is_change_log:
        for name, kind, description, custom, required in _CHANGE_FIELDS:
            columns.append(_plain(name, kind, description, custom, required=required))
        holders: dict[Path, CommentedMap] = {(): _object("after", "The row after the change.")}
        columns.append(holders[()])
    else:
        holders = {}
    for each in proposal.fields:
        place = each.path[:-1]
        column = write_property(each, proposal)
        if each.path == proposal.event_at:
            column = _with_event_rule(column, proposal)
        if not place and not proposal.is_change_log:
            columns.append(column)
            continue
        if place not in holders:
            holders[place] = _object(place[-1], f"{place[-1][:1].upper()}{place[-1][1:]}.")
            (holders[()]["properties"] if () in holders else columns).append(holders[place])
        holders[place]["properties"].append(column)
    return columns


def _with_event_rule(column: CommentedMap, proposal: Proposal) -> CommentedMap:
    """Let silver say of a time that it cannot be read or, as typing errors are, cannot be."""
    name = str(column["name"])
    rule = _rule(
        name_event_rule(proposal), f"{name} is absent or no time that can be", f"send {name}", "conformity"
    )
    return CommentedMap({**column, "quality": CommentedSeq([rule])})


def _object(name: str, description: str) -> CommentedMap:
    return CommentedMap(
        {"name": name, "logicalType": "object", "description": description, "properties": CommentedSeq()}
    )


def _plain(name: str, kind: str, description: str, custom: dict[str, Any], *, required: bool) -> CommentedMap:
    column: dict[str, Any] = {"name": name, "logicalType": kind}
    if required:
        column["required"] = True
    column["description"] = description
    if custom:
        column["customProperties"] = [{"property": key, "value": value} for key, value in custom.items()]
    return one_line(column)  # type: ignore[no-any-return]


def write_property(field: Field, proposal: Proposal) -> CommentedMap:
    """Return what a contract says of one column or key, on one line."""
    column: dict[str, Any] = {"name": field.path[-1], "logicalType": field.logical}
    if field.physical:
        column["physicalType"] = field.physical
    if field.required:
        column["required"] = True
    # The standard has keys of tables, not of what is within a column.
    if field.path in proposal.key and not field.path[1:] and not proposal.is_change_log:
        column["primaryKey"] = True
        if len(proposal.key) > 1:
            column["primaryKeyPosition"] = list(proposal.key).index(field.path) + 1
    column["description"] = field.description
    if options := field.type.options if not field.physical else {}:
        column["logicalTypeOptions"] = {key: _number(value) for key, value in options.items()}
    if field.values:
        column["enum"] = [{"value": value} for value in field.values]
    custom: dict[str, Any] = {}
    if proposal.is_change_log and field.path in proposal.key:
        # The log's own rules look for it.
        custom[CHECKED_BY] = SILVER
    if field.optional:
        custom[OPTIONAL] = True
    if names := [alias for alias, name in proposal.aliases.items() if name == field.path[-1]]:
        custom[ALIASES] = names
    if field.pii:
        custom[PII] = field.pii
    if custom:
        column["customProperties"] = [{"property": key, "value": value} for key, value in custom.items()]
    return one_line(column)  # type: ignore[no-any-return]


def _number(value: Any) -> Any:
    """Return a number that YAML writes as people do: 0.01, and not 1E-2."""
    return YAML().load(format(value, "f")) if isinstance(value, Decimal) else value


def _rule(name: str, reason: str, remedy: str, dimension: str) -> CommentedMap:
    return CommentedMap(
        {
            "name": name,
            "type": "text",
            "dimension": dimension,
            "description": reason,
            "customProperties": CommentedSeq(
                [
                    one_line({"property": "remedy", "value": remedy}),
                    one_line({"property": CHECKED_BY, "value": SILVER}),
                ]
            ),
        }
    )
