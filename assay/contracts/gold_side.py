"""Change the YAML of gold's models as the contract of a product requires."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.contracts.contract import Column, Contract, Table, join_words
from assay.contracts.dbt_tests import DbtTest, list_tests, make_full_name
from assay.contracts.types import normalize
from assay.project.personal import PII
from assay.project.yaml_file import one_line

_ENDS = ("endOfSupport", "endOfLife")


def bring_about(
    contract: Contract, table: Table, node: Any, entry: CommentedMap, still_personal: Collection[str] = ()
) -> Iterator[str]:
    """Change the YAML entry of a model as its contract requires, and yield each change in words.

    Args:
        contract: the product's contract.
        table: the model's table in the contract.
        node: the model as dbt parsed it: its descriptions have their doc blocks filled in, for comparison.
        entry: the model's entry in its YAML file; changed in place.
        still_personal: columns that pass on personal data, though the contract does not say so; they keep the
            mark that they have.
    """
    if join_words(table.raw.get("description")) != join_words(node.description):
        yield "description"
        put(entry, "description", join_words(table.raw.get("description")))
    config = entry.get("config") or {}
    if config.get("group") != contract.id:
        yield f"group {contract.id}"
        if not entry.get("config"):
            put(entry, "config", one_line({}))
        entry["config"]["group"] = contract.id
    yield from _deprecation(contract, table, entry)
    yield from _key(table, entry)
    if node.config.contract.enforced:
        yield from _columns(table, node, entry, still_personal)
    yield from bring_tests(list_tests(table), find_declared_tests(entry), entry)


def find_declared_tests(entry: dict[str, Any]) -> list[DbtTest]:
    """Return the tests in a model's YAML entry: first those of the table, then those of its columns."""
    found = [_declared(test, None) for test in entry.get("data_tests") or []]
    for column in entry.get("columns") or []:
        found += [_declared(test, column["name"]) for test in column.get("data_tests") or []]
    return found


def make_plain(value: Any) -> Any:
    """Convert values that ruamel read from YAML to built-in types."""
    if isinstance(value, dict):
        return {str(key): make_plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [make_plain(each) for each in value]
    return str(value) if isinstance(value, str) else value


def _declared(test: Any, column: str | None) -> DbtTest:
    if isinstance(test, str):
        return DbtTest(test, make_full_name(test), {}, column)
    ((macro, body),) = test.items()
    body = body or {}
    config = body.get("config") or {}
    return DbtTest(
        name=str(body.get("name") or macro),
        macro=make_full_name(str(macro)),
        arguments=make_plain(body.get("arguments") or {}),
        column=column,
        warns=str(config.get("severity", "error")).lower() == "warn",
        contract=(config.get("meta") or {}).get("contract"),
        description=join_words(body.get("description")) or None,
    )


def _deprecation(contract: Contract, table: Table, entry: CommentedMap) -> Iterator[str]:
    ends = [
        str(level["value"])
        for _, level in contract.service_levels(table)
        if level["property"] in _ENDS and level.get("value")
    ]
    wanted = min(ends, default=None)
    if wanted != (str(entry["deprecation_date"]) if entry.get("deprecation_date") else None):
        yield f"deprecation_date {wanted}"
        entry.pop("deprecation_date", None)
        if wanted:
            put(entry, "deprecation_date", wanted)


def _key(table: Table, entry: CommentedMap) -> Iterator[str]:
    constraints = entry.get("constraints") or []
    declared = next((list(each["columns"]) for each in constraints if each["type"] == "primary_key"), [])
    if declared == table.key:
        return
    yield f"primary key ({', '.join(table.key)})"
    others = [each for each in constraints if each["type"] != "primary_key"]
    entry.pop("constraints", None)
    key = [one_line({"type": "primary_key", "columns": table.key})] if table.key else []
    if key or others:
        put(entry, "constraints", CommentedSeq(key + others))


def _columns(table: Table, node: Any, entry: CommentedMap, still_personal: Collection[str]) -> Iterator[str]:
    declared = {column["name"]: column for column in entry.get("columns") or []}
    wanted = [column.name for column in table.columns]
    for name in declared.keys() - set(wanted):
        yield f"column {name} is removed"
    if [name for name in declared if name in wanted] != [name for name in wanted if name in declared]:
        yield "order of columns"
    columns = []
    for column in table.columns:
        if column.name not in declared:
            yield f"column {column.name} is added"
        written = declared.get(column.name, one_line({"name": column.name}))
        described = node.columns.get(column.name)
        yield from _column(column, written, described.description if described else "")
        if column.name not in still_personal:
            yield from _pii(column, written)
        columns.append(written)
    if columns != list(entry.get("columns") or []):
        put(entry, "columns", CommentedSeq(columns))


def _column(column: Column, written: CommentedMap, described: str) -> Iterator[str]:
    data_type = column.raw.get("physicalType")
    if data_type and normalize(str(written.get("data_type", ""))) != normalize(data_type):
        yield f"column {column.name}: data_type {data_type}"
        if "data_type" not in written:
            written.insert(1, "data_type", data_type)
        written["data_type"] = data_type
    description = join_words(column.raw.get("description"))
    if description != join_words(described):
        yield f"column {column.name}: description"
        written["description"] = description
    constraints = written.get("constraints") or []
    others = [each for each in constraints if each["type"] != "not_null"]
    if (len(others) < len(constraints)) != column.is_required:
        yield f"column {column.name}: {'not null' if column.is_required else 'may be null'}"
        written.pop("constraints", None)
        wanted = [{"type": "not_null"}] * column.is_required + others
        if wanted:
            written["constraints"] = one_line(wanted)


def _pii(column: Column, written: CommentedMap) -> Iterator[str]:
    config = make_plain(written.get("config") or {})
    meta = dict(config.get("meta") or {})
    if meta.get(PII) == column.pii:
        return
    taken = f"{PII} {meta.get(PII)} is taken out, since the contract says that it is no personal data"
    yield f"column {column.name}: {taken if column.pii is None else f'{PII} {column.pii}'}"
    meta = {key: value for key, value in meta.items() if key != PII} | (
        {PII: column.pii} if column.pii else {}
    )
    config = {key: value for key, value in config.items() if key != "meta"} | ({"meta": meta} if meta else {})
    written.pop("config", None)
    if config:
        written["config"] = one_line(config)


def bring_tests(wanted: list[DbtTest], known: list[DbtTest], entry: CommentedMap) -> Iterator[str]:
    """Change the tests in a model's YAML entry to the wanted ones, and yield each change in words.

    Args:
        wanted: the tests that a contract requires.
        known: the tests in the entry that belong to the contract; those not wanted are removed.
        entry: the model's entry; changed in place.
    """
    columns = {column["name"]: column for column in entry.get("columns") or []}
    declared = {(test.column, test.name): test for test in known}
    asked = {(test.column, test.name): test for test in wanted}
    for (column, name), test in declared.items():
        if asked.get((column, name)) != test:
            yield f"test {name} is {'changed' if (column, name) in asked else 'removed'}"
            holder = entry if column is None else columns[column]
            left = [each for each in holder["data_tests"] if _declared(each, column).name != name]
            if left:
                holder["data_tests"] = CommentedSeq(left)
            else:
                del holder["data_tests"]
    for (column, name), test in asked.items():
        if declared.get((column, name)) == test:
            continue
        if (column, name) not in declared:
            yield f"test {name} is added"
        holder = entry if column is None else _holder(columns, entry, column)
        if not holder.get("data_tests"):
            put(holder, "data_tests", CommentedSeq())
        ((macro, body),) = test.entry.items()
        # Only the innermost mappings and lists are written on one line, as people write them.
        block = CommentedMap((key, one_line(value)) for key, value in body.items())
        holder["data_tests"].append(CommentedMap({macro: block}))
        holder.fa.set_block_style()


def _holder(columns: dict[str, CommentedMap], entry: CommentedMap, name: str) -> CommentedMap:
    """Return the entry of a column; a new one if the YAML has no columns of the model."""
    if name not in columns:
        columns[name] = CommentedMap({"name": name})
        if not entry.get("columns"):
            put(entry, "columns", CommentedSeq())
        entry["columns"].append(columns[name])
    return columns[name]


_ORDER = ("name", "description", "deprecation_date", "config", "constraints", "data_tests", "columns")


def put(entry: CommentedMap, key: str, value: Any) -> None:
    """Set a key of a YAML entry; a new key goes to its usual position."""
    if key in entry:
        entry[key] = value
        return
    later = _ORDER[_ORDER.index(key) + 1 :] if key in _ORDER else ()
    place = next((number for number, each in enumerate(entry) if each in later), len(entry))
    entry.insert(place, key, value)
