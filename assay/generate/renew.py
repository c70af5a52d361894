"""Bring a source that is there to what a newer sample shows; what people wrote stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.contracts.contract import find_custom
from assay.contracts.source_side import OPTIONAL
from assay.core.words import listed
from assay.generate.contract import write_property
from assay.generate.described import write_column_entry
from assay.generate.profile import DIRTY, ColumnProfile, Profile, write_number_sql
from assay.generate.propose import Field, Path, Proposal
from assay.generate.silver import write_column_line, write_shape_of
from assay.generate.types import Type, write_type
from assay.landing.schema.logical_types import LogicalType
from assay.project.yaml_file import one_line

_WIDER = {("integer", "number"), ("date", "timestamp")}


@dataclass
class Renewal:
    """What a newer sample changes: each change in words; and what is left for a person to do, by file."""

    changes: list[str] = field(default_factory=list)
    new: list[Field] = field(default_factory=list)
    retyped: list[tuple[Field, Field]] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    #: What silver calls fields, where a person calls them otherwise.
    names: dict[Path, str] = field(default_factory=dict)


def renew_contract(table: Any, proposal: Proposal, profile: Profile) -> Renewal:
    """Change a contract's table to what a newer sample shows of it, and return the changes.

    Args:
        table: the table's entry in the contract; changed in place.
        proposal: what would be proposed of the sample alone.
        profile: the sample.
    """
    renewal = Renewal()
    root = _named(table, "after") if proposal.is_change_log else table
    for each in proposal.fields:
        holder = _holder(root, each.path)
        number = _index(holder, each.path[-1])
        if number is None:
            new = replace(each, required=False, optional=not proposal.is_change_log, values=())
            holder.setdefault("properties", CommentedSeq()).append(write_property(new, proposal))
            renewal.new.append(new)
            told = [each.evidence[word] for word in ("type", "personal") if word in each.evidence]
            renewal.changes.append(f"{each.label} is new: {'; '.join(told)}")
            continue
        column = holder["properties"][number]
        silver_checks = bool(column.get("quality"))
        before = json.loads(json.dumps(column, default=str))
        words = [
            *_retype(column, each, profile.by_path[each.path], proposal, renewal),
            *(
                []
                if each.path in (*proposal.key, proposal.event_at)
                else _fill(column, profile.by_path[each.path])
            ),
            *_values(column, profile.by_path[each.path], each),
            *([] if silver_checks else _bounds(column, profile.by_path[each.path])),
        ]
        if json.loads(json.dumps(column, default=str)) != before:
            renewal.changes += [f"{each.label} {word}" for word in words]
    for label in list_labels_only_in_contract(root, profile):
        renewal.by_hand.append(
            f"{label} is in the contract and not in the sample: if the source no longer sends it, take out "
            "required there, and add {property: optional, value: true} to its customProperties"
        )
    return renewal


def list_labels_only_in_contract(holder: Any, profile: Profile, path: Path = ()) -> Iterator[str]:
    """Yield the columns of a contract that a sample lacks, those aside that may be absent."""
    known = {".".join(each).lower() for each in profile.by_path}
    for column in holder.get("properties") or []:
        own = (*path, str(column.get("physicalName") or column["name"]))
        label = ".".join(own)
        if column.get("properties"):
            yield from list_labels_only_in_contract(column, profile, own)
        elif label.lower() not in known and not find_custom(column, OPTIONAL):
            yield label


def is_of_table(table: Any, profile: Profile) -> bool:
    """Tell whether a sample has the format and a column of a table, by the table's entry in the contract."""
    is_change_log = _index(table, "after") is not None and _index(table, "op") is not None
    if find_custom(table, "format") != profile.sample.format or is_change_log != profile.is_change_log:
        return False
    root = _named(table, "after") if is_change_log else table
    holders = [(_holder_there(root, each.path), each.path[-1]) for each in profile.columns]
    return any(holder is not None and _index(holder, name) is not None for holder, name in holders)


def find_written_otherwise(table: Any, profile: Profile, *, is_change_log: bool = False) -> Iterator[str]:
    """Yield what is wrong with a sample whose times or numbers are written otherwise than the contract says.

    Args:
        table: the table's entry in the contract.
        profile: the sample.
        is_change_log: whether its rows lie under `after`.
    """
    root = _named(table, "after") if is_change_log else table
    for found in profile.columns:
        holder = _holder_there(root, found.path)
        number = _index(holder, found.path[-1]) if holder is not None else None
        column = holder["properties"][number] if number is not None else {}
        label = ".".join(found.path)
        match column.get("logicalType"):
            case "date" | "timestamp" if found.written:
                declared = (column.get("logicalTypeOptions") or {}).get("format", "as ISO 8601 has them")
                ways = [str(each.format) for each in (found.written, *found.also_written)]
                if declared not in ways:
                    yield f"{label} has times written {' or '.join(ways)}, where the contract says {declared}"
            case "integer" | "number" if found.numbers < (1 - DIRTY) * found.filled:
                for decimal, thousands in profile.sample.number_signs:
                    other = replace(profile.sample.dialect, decimal=decimal, thousands=thousands)
                    misfits, _ = profile.misfits(
                        found.path, f"{write_number_sql('value', other)} is not null"
                    )
                    if misfits <= DIRTY * found.filled:
                        known = profile.sample.dialect
                        yield (
                            f"{label} has numbers with decimal {decimal!r} and thousands {thousands!r}, "
                            f"where the contract says {known.decimal!r} and {known.thousands!r}"
                        )
                        break


def _retype(
    column: Any, found: Field, profile: ColumnProfile, proposal: Proposal, renewal: Renewal
) -> Iterator[str]:
    """Widen the type of a column to that of a newer sample's values."""
    old: LogicalType = column.get("logicalType")
    new = found.type
    if not profile.filled or old in ("string", "object") or column.get("physicalType"):
        return
    sql_before = write_type(old, column.get("logicalTypeOptions") or {})
    if old == new.logical:
        if old not in ("integer", "number") or not _is_wider(new.sql, sql_before):
            return
    elif (new.logical, old) in _WIDER:
        return
    elif (old, new.logical) not in _WIDER:
        new = new if (old, new.logical) == ("boolean", "integer") else Type("string", "varchar", new.evidence)
    before = replace(found, type=Type(old, sql_before, ""))
    column["logicalType"] = new.logical
    options = dict(column.get("logicalTypeOptions") or {})
    kept = (
        {key: value for key, value in options.items() if key == "minimum"} if new.logical != "string" else {}
    )
    column.pop("logicalTypeOptions", None)
    wider = write_property(replace(found, type=new), proposal).get("logicalTypeOptions") or {}
    wanted = {**{key: value for key, value in wider.items() if key != "minimum"}, **kept}
    if wanted:
        _put(column, "logicalTypeOptions", one_line(wanted))
    if found.silver not in ("written_at", "received_at"):
        renewal.retyped.append((before, replace(found, type=new)))
    yield f"is {new.logical} and no longer {old if old != new.logical else before.type.sql}: {new.evidence}"


def _fill(column: Any, profile: ColumnProfile) -> Iterator[str]:
    """Let a column be empty that a newer sample has empty."""
    if column.get("required") and profile.filled < profile.rows:
        del column["required"]
        yield f"is no longer required: empty in {profile.rows - profile.filled:,} of {profile.rows:,} rows"


def _values(column: Any, profile: ColumnProfile, found: Field) -> Iterator[str]:
    """Allow the values of a newer sample besides those that are allowed."""
    if not column.get("enum"):
        return
    if found.logical != "string":
        return
    allowed = [str(each["value"]) for each in column["enum"]]
    if not profile.values and profile.filled:
        del column["enum"]
        yield f"may have any value: there are {profile.distinct:,} different ones"
    elif new := [value for value in profile.values if value not in allowed]:
        for value in new:
            column["enum"].append(one_line({"value": value}))
        yield f"may be {listed([f'`{value}`' for value in new], 5)} as well"


def _bounds(column: Any, profile: ColumnProfile) -> Iterator[str]:
    """Take out the bounds that a newer sample's values do not keep to."""
    options = column.get("logicalTypeOptions") or {}
    if (
        column.get("logicalType") not in ("integer", "number")
        or profile.least is None
        or profile.most is None
    ):
        return
    found = f"values go from {profile.least:,g} to {profile.most:,g}"
    if "minimum" in options and profile.least < float(options["minimum"]):
        yield f"is no longer held to minimum {options.pop('minimum')}: {found}"
    if "maximum" in options and profile.most > float(options["maximum"]):
        yield f"is no longer held to maximum {options.pop('maximum')}: {found}"
    if "logicalTypeOptions" in column and not options:
        del column["logicalTypeOptions"]


def _is_wider(new: str, old: str) -> bool:
    """Tell whether a type of numbers holds more than another."""
    order = ["integer", "bigint"]
    if new in order and old in order:
        return order.index(new) > order.index(old)
    if new == "double" or old == "double":
        return new == "double" and old != "double"
    sizes = [tuple(map(int, re.findall(r"\d+", each))) for each in (new, old)]
    (new_digits, new_scale), (old_digits, old_scale) = sizes
    return new_scale > old_scale or (new_digits > old_digits and new_scale >= old_scale)


def renew_sql(sql: str, renewal: Renewal, proposal: Proposal, file: str) -> str:
    """Return the SQL of a checked model with the columns that are new, and others of wider types.

    What a person has written otherwise stays, and `by_hand` says what to do there.
    """
    for before, after in renewal.retyped:
        old, new = (_expression(each, proposal) for each in (before, after))
        lines = re.findall(rf"^ +'(\w+)': {re.escape(old)},$", sql, re.MULTILINE)
        if len(lines) == 1:
            renewal.names[after.path] = lines[0]
            sql = sql.replace(f"'{lines[0]}': {old},\n", f"'{lines[0]}': {new},\n")
        elif f": {new}," not in sql:
            renewal.by_hand.append(f"{file}: let the column of {after.label} be {new}")
    for each in renewal.new:
        line = write_column_line(each, proposal)
        added = _with_line(sql, line) if f"'{each.silver}':" not in sql else None
        if added and proposal.is_change_log:
            added = re.sub(r"(attributes=\[)([^\]]*)\]", _appended(each.path[-1]), added, count=1)
        elif added and proposal.format == "jsonl":
            added = _with_key(added, each.path)
        if added is None:
            renewal.by_hand.append(f"{file}: add under columns {line.strip()}")
        else:
            sql = added
    return sql


def _appended(name: str) -> Any:
    return lambda found: f"{found[1]}{found[2]}{', ' if found[2].strip() else ''}'{name}']"


def _expression(each: Field, proposal: Proposal) -> str:
    return write_column_line(each, proposal).partition("': ")[2].removesuffix(",\n")


def _with_line(sql: str, line: str) -> str | None:
    """Return the SQL with a column more, before the times; None where it has no place."""
    for anchor in (r"^ +'written_at':", r"^    \}(?:,|\n\) \}\})"):
        if found := re.search(anchor, sql, re.MULTILINE):
            return sql[: found.start()] + line + sql[found.start() :]
    return None


def _with_key(sql: str, path: Path) -> str | None:
    """Return the SQL with a key more in the shape of its documents; None where a person wrote that."""
    found = re.search(r"document='(\{.*?\})',\n", sql, re.DOTALL)
    try:
        tree = json.loads(found[1]) if found else None
    except ValueError:
        tree = None
    if found is None or tree is None or write_shape_of(tree) != found[1]:
        return None
    node = tree
    for key in path[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            return None
    node[path[-1]] = "VARCHAR"
    return sql[: found.start(1)] + write_shape_of(tree) + sql[found.end(1) :]


def renew_changes_sql(sql: str, renewal: Renewal, file: str) -> str:
    """Return the SQL of the model of effective changes with the attributes that are new."""
    for each in renewal.new:
        pair = f"'{each.silver}': '{each.path[-1]}'"
        if found := re.search(r",?\n?\}\) \}\}\s*$", sql):
            sql = f"{sql[: found.start()]},\n    {pair},\n}}) }}}}\n"
        else:
            renewal.by_hand.append(f"{file}: add {pair}")
    return sql


def renew_yaml(models: Sequence[Any], renewal: Renewal) -> None:
    """Change the YAML of the checked and kept models: columns that are new, and wider types."""
    for model in models:
        columns = model.setdefault("columns", CommentedSeq())
        names = [column["name"] for column in columns]
        place = names.index("event_at") if "event_at" in names else len(names)
        for each in renewal.new:
            if each.silver not in names:
                columns.insert(place, write_column_entry(each))
                place += 1
        for before, after in renewal.retyped:
            for column in columns:
                if (
                    column["name"] == renewal.names.get(after.path)
                    and column.get("data_type") == before.type.sql
                ):
                    column["data_type"] = after.type.sql


def _holder(root: Any, path: Path) -> Any:
    """Return what holds the last key of a path; new objects on the way where there are none."""
    for name in path[:-1]:
        number = _index(root, name)
        if number is None:
            new = CommentedMap(
                {
                    "name": name,
                    "logicalType": "object",
                    "description": f"{name}.",
                    "properties": CommentedSeq(),
                }
            )
            root["properties"].append(new)
            root = new
        else:
            root = root["properties"][number]
    return root


def _holder_there(root: Any, path: Path) -> Any:
    """Return what holds the last key of a path; None where the contract has no such object."""
    for name in path[:-1]:
        number = _index(root, name)
        if number is None:
            return None
        root = root["properties"][number]
    return root


def _named(table: Any, name: str) -> Any:
    number = _index(table, name)
    assert number is not None
    return table["properties"][number]


def _index(holder: Any, name: str) -> int | None:
    for number, column in enumerate(holder.get("properties") or []):
        if str(column.get("physicalName") or column["name"]).lower() == name.lower():
            return number
    return None


def _put(column: Any, key: str, value: Any) -> None:
    """Put a value where the contract has it in new columns: before what is custom."""
    place = next(
        (n for n, each in enumerate(column) if each in ("enum", "customProperties", "quality")), len(column)
    )
    column.insert(place, key, value)
