"""The SQL models of a source's table: bronze, and silver's checked, kept and rejected rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from assay.core.sql import needs_quotes
from assay.generate.contract import name_event_rule, name_repeated_rule
from assay.generate.propose import Field, Path, Proposal, make_singular
from assay.landing.time_format import duckdb_format

_COUNTS = {"milli": " * 1000", "micro": ""}


def name_bronze_model(proposal: Proposal) -> str:
    """Return the name of the model of landed rows."""
    return f"brz_{proposal.source}__{proposal.table}"


def name_checked_model(proposal: Proposal) -> str:
    """Return the name of the model of all rows with the rules that they break."""
    return f"slv_{proposal.things}__checked"


def name_kept_model(proposal: Proposal) -> str:
    """Return the name of the model of rows that break no rule."""
    return f"slv_{proposal.things}" + "__changes" * proposal.is_change_log


def name_rejected_model(proposal: Proposal) -> str:
    """Return the name of the model of rows that break one."""
    return f"slv_{proposal.things}__rejected"


def write_models(proposal: Proposal) -> dict[str, str]:
    """Return the SQL of silver's models by their names."""
    checked = f"ref('{name_checked_model(proposal)}')"
    return {
        name_checked_model(proposal): _checked_changes(proposal)
        if proposal.is_change_log
        else _checked_rows(proposal),
        name_kept_model(proposal): _changes(proposal)
        if proposal.is_change_log
        else f"{{{{ assay.kept_rows({checked}) }}}}\n",
        name_rejected_model(proposal): (
            f"{{{{ assay.rejected_rows({checked}, ref('{name_bronze_model(proposal)}'), "
            "ref('slv_rules')) }}\n"
        ),
    }


def write_bronze(proposal: Proposal) -> str:
    """Return the SQL of the model of landed rows."""
    return f"{{{{ assay.landed_rows('{proposal.source}', '{proposal.table}') }}}}\n"


def list_silver_fields(proposal: Proposal) -> list[Field]:
    """Return the fields that silver has as columns of their names, the key first."""
    named = [
        each
        for each in proposal.fields
        if each.silver
        and (each.path in proposal.key or each.path not in (proposal.event_at, proposal.received_at))
    ]
    return sorted(named, key=lambda each: each.path not in proposal.key)


def write_column_line(field: Field, proposal: Proposal) -> str:
    """Return the line of a column in the call of `checked_rows` or `checked_changes`."""
    return f"        '{field.silver}': {_expression(field, proposal)},\n"


def write_shape(paths: Sequence[Path]) -> str:
    """Return what `json_transform` is to make of documents."""
    tree: dict[str, Any] = {}
    for path in paths:
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = "VARCHAR"
    return write_shape_of(tree)


def write_shape_of(tree: dict[str, Any], indent: int = 8) -> str:
    """Return the same of a tree of keys, on as few lines as they take."""
    margin = " " * indent
    lines: list[str] = []
    line = ""
    for key, value in tree.items():
        is_object = isinstance(value, dict)
        part = f"{json.dumps(key)}: {write_shape_of(value, indent + 4) if is_object else json.dumps(value)}"
        if line and (is_object or len(margin) + len(line) + len(part) > 108):
            lines, line = [*lines, f"{line},"], ""
        line = f"{line}, {part}" if line else part
        if is_object:
            lines, line = [*lines, f"{line},"], ""
    if line:
        lines.append(line)
    body = "\n".join(margin + each for each in lines).rstrip(",")
    return "{\n" + body + "\n" + " " * (indent - 4) + "}"


def _checked_rows(proposal: Proposal) -> str:
    keys = [proposal.field_of(path).silver for path in proposal.key] or ["content_hash"]
    lines = [write_column_line(each, proposal) for each in list_silver_fields(proposal)]
    if not proposal.key:
        keys = [f"{name_key(proposal)}"]
        lines.insert(0, f"        '{keys[0]}': 'content_hash',\n")
    for role, path in (("written_at", proposal.event_at), ("received_at", proposal.received_at)):
        if path:
            lines.append(f"        '{role}': {_instant(proposal.field_of(path), proposal)},\n")
        elif role == "written_at":
            lines.append("        'written_at': 'landed_at',\n")
    arguments = f"'{proposal.source}', '{proposal.table}', key=[{', '.join(map(repr, keys))}],"
    if proposal.key:
        arguments += f" repeated='{name_repeated_rule(proposal)}',"
    document = ""
    if proposal.format == "jsonl":
        document = f"    document='{write_shape([each.path for each in proposal.fields if each.silver])}',\n"
    rules = f"'{name_event_rule(proposal)}': 'claimed_at is null'" if proposal.event_at else ""
    return (
        f"{{{{ assay.checked_rows(\n    {arguments}\n{document}    columns={{\n{''.join(lines)}    }},\n"
        f"    rules={{{rules}}}\n) }}}}\n"
    )


def name_key(proposal: Proposal) -> str:
    """Return what silver calls the hash that stands in place of a key."""
    name = f"{make_singular(proposal.table)}_id"
    return (
        f"{make_singular(proposal.table)}_hash" if name in [each.silver for each in proposal.fields] else name
    )


def _checked_changes(proposal: Proposal) -> str:
    key = proposal.field_of(proposal.key[0])
    others = [each for each in list_silver_fields(proposal) if each is not key]
    attributes = ", ".join(f"'{each.path[-1]}'" for each in others)
    lines = "".join(write_column_line(each, proposal) for each in others)
    return (
        f"{{{{ assay.checked_changes(\n    '{proposal.source}', '{proposal.table}', key='{key.path[-1]}',\n"
        f"    attributes=[{attributes}],\n    columns={{\n{lines}    }}\n) }}}}\n"
    )


def _changes(proposal: Proposal) -> str:
    key = proposal.field_of(proposal.key[0])
    others = [each for each in list_silver_fields(proposal) if each is not key]
    pairs = "".join(f"    '{each.silver}': '{each.path[-1]}',\n" for each in others)
    checked = f"ref('{name_checked_model(proposal)}')"
    return f"{{{{ assay.effective_changes({checked}, '{key.path[-1]}', {{\n{pairs}}}) }}}}\n"


def _place(field: Field, proposal: Proposal) -> str:
    """Return the SQL of where a field's text lies."""
    names = [f'"{name}"' if needs_quotes(name) else name for name in field.path]
    if proposal.is_change_log:
        return f"attributes.{names[-1]}"
    return ".".join(["document", *names] if proposal.format == "jsonl" else names)


def _expression(field: Field, proposal: Proposal) -> str:
    """Return the Jinja that makes silver's column of a field."""
    place = _place(field, proposal)
    match field.type.sql:
        case "varchar" if field.logical in ("object", "array") and proposal.format == "jsonl":
            return f"'{place}'"
        case "varchar":
            return f"assay.filled('{place}')"
        case "timestamp":
            return _time(field, proposal)
        case "date" if "format" in field.type.options:
            return f"{_time(field, proposal)} ~ '::date'"
        case "double" if proposal.dialect.decimal != "." or proposal.dialect.thousands:
            return f"'try_cast(' ~ assay.plain_number('{place}') ~ ' as double)'"
        case "boolean" | "date" | "time" | "double":
            return f"'try_cast({place} as {field.type.sql})'"
    return f"assay.strict_number('{place}', '{field.type.sql}')"


def _instant(field: Field, proposal: Proposal) -> str:
    """Return the Jinja that makes an instant of a field."""
    if field.type.sql in ("integer", "bigint") or field.logical == "integer":
        unit = proposal.event_unit or "milli"
        return f"'try(make_timestamp(try_cast({_place(field, proposal)} as bigint){_COUNTS[unit]}))'"
    return _time(field, proposal)


def _time(field: Field, proposal: Proposal) -> str:
    """Return the Jinja that reads a time; of CSV, the source's YAML tells the macro how it is written."""
    written = field.type.options.get("format")
    if written is None or proposal.format == "csv":
        return f"assay.utc_timestamp('{_place(field, proposal)}')"
    return f"assay.utc_timestamp('{_place(field, proposal)}', ['{duckdb_format(written, field.logical)}'])"
