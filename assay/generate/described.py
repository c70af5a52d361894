"""The YAML of silver's models: what they are, their columns with types, and their tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.generate.propose import Field, Proposal, make_singular
from assay.generate.silver import (
    list_silver_fields,
    name_bronze_model,
    name_checked_model,
    name_kept_model,
    name_key,
    name_rejected_model,
)
from assay.project.personal import LANDED_AS, PII
from assay.project.yaml_file import one_line

_TYPES = {
    "op": "varchar",
    "is_deleted": "boolean",
    "is_snapshot": "boolean",
    "event_at": "timestamp",
    "claimed_at": "timestamp",
    "available_at": "timestamp",
    "claimed_available_at": "timestamp",
    "rule_ids": "varchar[]",
    "reason": "varchar",
    "file_id": "bigint",
    "row_number": "bigint",
    "source_file": "varchar",
    "file_version": "integer",
    "landed_at": "timestamp",
    "loaded_at": "timestamp",
    "run_id": "varchar",
}
_OF_CHANGES = ("op", "is_deleted", "is_snapshot")
_OF_FILES = ("row_number", "source_file", "file_version", "landed_at", "loaded_at", "run_id")


def write_entries(proposal: Proposal) -> Iterator[CommentedMap]:
    """Yield the YAML entries of silver's models."""
    things = proposal.things.replace("_", " ")
    times = ["event_at", "claimed_at", "available_at"]
    if proposal.received_at or proposal.is_change_log:
        times.append("claimed_available_at")
    own = [write_column_entry(each) for each in list_silver_fields(proposal)]
    if not proposal.key:
        what = f"The {make_singular(proposal.table)}, by the hash of all its landed values."
        own.insert(0, one_line({"name": name_key(proposal), "data_type": "varchar", "description": what}))
    if proposal.is_change_log:
        own[1:1] = _platform(_OF_CHANGES)
    conserved = {
        "name": f"{proposal.things}_are_kept_or_rejected",
        "arguments": one_line({"bronze": f"ref('{name_bronze_model(proposal)}')"}),
    }
    checked = _entry(
        name_checked_model(proposal),
        f"All {things} that landed, each tested once against all rules.",
        [*own, *_platform([*times, "rule_ids", "file_id", *_OF_FILES])],
        [{"assay.rows_are_conserved": CommentedMap(conserved)}],
    )
    if dropped := [each.label for each in proposal.fields if each.pii and not each.silver]:
        checked.insert(2, "config", one_line({"meta": {"pii_dropped": dropped}}))
    yield checked
    keys = [proposal.field_of(path).silver for path in proposal.key] or [name_key(proposal)]
    kept = [CommentedMap(each) for each in own]
    if len(keys) == 1 and not proposal.is_change_log:
        kept[0] = one_line(
            {**kept[0], "data_tests": [{"unique": {"name": f"{proposal.things}_are_kept_once"}}, "not_null"]}
        )
    yield _entry(
        name_kept_model(proposal),
        f"{_capital(things)} that break no rule"
        + (
            ", as they changed."
            if proposal.is_change_log
            else "; of those with one key the first that arrived."
        ),
        [*map(one_line, kept), *_platform([*times, *_OF_FILES])],
    )
    yield _entry(
        name_rejected_model(proposal),
        f"{_capital(things)} that break a rule, whole as they landed, with the reason and the remedy.",
        _platform(["rule_ids", "reason", "available_at", *_OF_FILES]),
    )


def write_column_entry(field: Field) -> CommentedMap:
    """Return the YAML of a column of silver, which says whether it holds personal data."""
    column: dict[str, Any] = {
        "name": field.silver,
        "data_type": field.type.sql,
        "description": field.description,
    }
    if field.pii:
        renamed = {LANDED_AS: field.path[-1]} if field.silver != field.path[-1] else {}
        column["config"] = {"meta": {PII: field.pii, **renamed}}
    return one_line(column)  # type: ignore[no-any-return]


def _platform(names: Iterable[str]) -> list[CommentedMap]:
    return [
        one_line(
            {"name": name, "data_type": _TYPES[name], "description": f"{{{{ doc('assay', '{name}') }}}}"}
        )
        for name in names
    ]


def _entry(
    name: str, description: str, columns: list[CommentedMap], tests: list[dict[str, Any]] | None = None
) -> CommentedMap:
    entry = CommentedMap({"name": name, "description": description})
    if tests:
        entry["data_tests"] = CommentedSeq(CommentedMap(test) for test in tests)
    entry["columns"] = CommentedSeq(columns)
    return entry


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
