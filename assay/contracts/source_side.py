"""Change the YAML of landing tables as the contract of a source requires."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.contracts.contract import (
    DIALECT,
    KEEPS_PROMISES,
    Column,
    Contract,
    Table,
    find_custom,
    join_words,
    make_snake_case,
)
from assay.contracts.dbt_tests import PROMISES, DbtTest
from assay.contracts.gold_side import make_plain, put
from assay.contracts.landing_rules import find_landed_type, find_time_format, list_landing_rules
from assay.contracts.rules import Unenforceable, find_bounds
from assay.contracts.servers import find_stream_server
from assay.landing.names import name_of
from assay.landing.schema.logical_types import landed_as
from assay.project.personal import PII
from assay.project.yaml_file import one_line

# A landed row has no loading time of its own; the file that it came from has one.
_LAST_LANDED = "{{ assay.last_landed(source_node) }}"
CONTRACT_RULES = "contract_rules"
# The platform's own rule: a repeated row does not count against a source's completeness.
_EXACT_DUPLICATE = "exact_duplicate"
_WHY_IT_WARNS = (
    "Warns the owner and stops nothing: rows that break a rule are in quarantine already, "
    "the others are right."
)
# Custom properties: of a column, whether files may lack it, and its other names in files; of a table, how
# files that differ are treated.
OPTIONAL, ALIASES, SCHEMA_MODE = "optional", "aliases", "schemaMode"
# Of a stream: how late is too late, and after how long without messages a partition is idle.
LATENESS, IDLE_AFTER = "lateness", "idleAfter"
_UNITS = {"d": "d", "day": "d", "days": "d", "h": "h", "hour": "h", "hours": "h", "m": "m", "minutes": "m"}
_PERIODS = {"d": "day", "h": "hour", "m": "minute"}
_SECONDS = {"s": 1, "sec": 1, "seconds": 1, "m": 60, "h": 3600, "d": 86400}


def bring_about(contract: Contract, table: Table, node: Any, entry: CommentedMap) -> Iterator[str]:
    """Change the YAML entry of a landing table as its contract requires, and yield each change in words.

    Args:
        contract: the source's contract.
        table: the landing table in the contract.
        node: the table as dbt parsed it; None if it is new.
        entry: the table's entry in its YAML file; changed in place.
    """
    if join_words(table.raw.get("description")) != join_words(node.description if node else ""):
        yield "description"
        put(entry, "description", join_words(table.raw.get("description")))
    for path, value in _meta(contract, table).items():
        yield from _settle(entry, path, value)
    yield from _columns(table, node, entry)


def find_warn_after(contract: Contract, table: Table) -> dict[str, Any] | None:
    """Return how long the source may send nothing, in the form of dbt's `freshness`; None if not agreed on.

    Raises:
        Unenforceable: the unit is unknown, or the value is no whole number.
    """
    for _, level in contract.service_levels(table):
        if level["property"] == "frequency":
            unit = _UNITS.get(str(level.get("unit")).lower())
            if unit is None:
                raise Unenforceable(f"frequency has the unit {level.get('unit')!r}: write m, h or d.")
            count = float(level["value"])
            if not count.is_integer():
                raise Unenforceable(f"frequency is {count:g} {unit}: write a whole number of m, h or d.")
            return {"count": int(count), "period": _PERIODS[unit]}
    return None


def make_promise_test(contract: Contract, table: Table) -> DbtTest | None:
    """Return the test of the promised completeness, latency and volume; None if nothing is promised.

    Raises:
        Unenforceable: a promise cannot be understood.
    """
    arguments: dict[str, Any] = {}
    for _, level in contract.service_levels(table):
        if level["property"] == "completeness":
            arguments["completeness"] = round(float(level["value"]) / 100, 12)
            copies = [rule.rule_id for rule in list_landing_rules(table) if rule.dimension == "uniqueness"]
            arguments["forgiven"] = list(dict.fromkeys([_EXACT_DUPLICATE, *copies]))
        elif level["property"] == "latency":
            arguments["latency"] = float(level["value"]) * _seconds(level)
    for rule in table.rules:
        if rule.raw.get("metric") == "rowCount":
            arguments["rows_a_day"] = list(find_bounds(rule.raw))
    if not arguments:
        return None
    return DbtTest(
        f"{make_snake_case(contract.id)}_{make_snake_case(table.name)}{KEEPS_PROMISES}",
        PROMISES,
        arguments,
        warns=True,
        contract=contract.id,
        description=_WHY_IT_WARNS,
    )


def _seconds(level: dict[str, Any]) -> int:
    unit = _UNITS.get(str(level.get("unit")).lower(), str(level.get("unit")).lower())
    if unit not in _SECONDS:
        raise Unenforceable(f"latency has the unit {level.get('unit')!r}: write s, m, h or d.")
    return _SECONDS[unit]


def _meta(contract: Contract, table: Table) -> dict[tuple[str, ...], Any]:
    rules: list[dict[str, Any]] = []
    for rule in list_landing_rules(table):
        listed = {"rule_id": rule.rule_id, "reason": rule.reason, "remedy": rule.remedy, **rule.test}
        # A rule that silver checks may be written under several columns.
        rules += [listed] if listed not in rules else []
    fields = [column for top in table.columns for column in _one_level(top)]
    is_csv = table.custom("format") != "jsonl"
    aliases = {alias: column.name for column in fields for alias in find_custom(column.raw, ALIASES) or []}
    formats = {_key(column, is_csv): find_time_format(column) for column in fields}
    settings = {
        "format": table.custom("format") or "csv",
        DIALECT: table.dialect.declared or None,
        OPTIONAL: [_key(column, is_csv) for column in fields if find_custom(column.raw, OPTIONAL)] or None,
        "types" if is_csv else "keys": {_key(column, is_csv): find_landed_type(column) for column in fields},
        "physical_types": {
            _key(column, is_csv): column.raw["physicalType"]
            for column in fields
            if landed_as(column.raw.get("physicalType") or "")
        }
        or None,
        "time_formats": {name: each for name, each in formats.items() if each} or None,
        ALIASES: aliases or None,
        "schema_mode": table.custom(SCHEMA_MODE),
        "streamed": find_stream_server(contract, table) is not None or None,
        "lateness": table.custom(LATENESS),
        "idle_after": table.custom(IDLE_AFTER),
    }
    return {
        **{("config", "meta", "landing", name): value for name, value in settings.items()},
        ("config", "freshness", "warn_after"): (silence := find_warn_after(contract, table)),
        ("config", "loaded_at_query"): _LAST_LANDED if silence else None,
        ("config", "meta", "owner"): contract.owner,
        ("config", "meta", CONTRACT_RULES): rules or None,
        ("config", "meta", PII): table.shields or None,
    }


def _key(column: Column, is_csv: bool) -> str:
    return column.name if is_csv else name_of(column.path)


def _one_level(column: Column) -> list[Column]:
    """Return a column with the fields directly in it, which is as deep as the loader looks."""
    return [column, *column.columns]


def _settle(entry: CommentedMap, path: tuple[str, ...], value: Any) -> Iterator[str]:
    holder: Any = entry
    for key in path[:-1]:
        if not isinstance(holder.get(key), dict):
            if value is None:
                return
            if holder is entry:
                put(holder, key, CommentedMap())
            else:
                holder[key] = CommentedMap()
        holder = holder[key]
    found = make_plain(holder.get(path[-1]))
    if found == value or (path[-1] == OPTIONAL and set(found or []) == set(value or [])):
        return
    yield f"{path[-1]}"
    if value is None:
        del holder[path[-1]]
    elif path[-1] == OPTIONAL:
        holder.pop(OPTIONAL, None)
        holder.insert(list(holder).index("format") + 1, OPTIONAL, one_line(value))
    elif path[-1] in ("warn_after", DIALECT):
        holder[path[-1]] = one_line(value)
    elif isinstance(value, dict):
        holder[path[-1]] = CommentedMap(value)
        holder.fa.set_block_style()
    elif isinstance(value, list):
        holder[path[-1]] = CommentedSeq(one_line(each) for each in value)
    else:
        holder[path[-1]] = value


def _columns(table: Table, node: Any, entry: CommentedMap) -> Iterator[str]:
    if table.custom("format") == "jsonl":
        if not entry.get("columns"):
            yield "columns"
            entry["columns"] = CommentedSeq(
                [one_line({"name": "line", "description": "{{ doc('landing_line') }}"})]
            )
        return
    declared = {column["name"]: column for column in entry.get("columns") or []}
    wanted = [column.name for column in table.columns]
    if list(declared) != wanted:
        changes = [f"+{name}" for name in wanted if name not in declared]
        changes += [f"-{name}" for name in declared if name not in wanted]
        yield f"columns: {', '.join(changes) or 'order'}"
    columns = []
    for column in table.columns:
        written = declared.get(column.name, one_line({"name": column.name}))
        described = node.columns.get(column.name) if node else None
        description = join_words(column.raw.get("description"))
        if description != join_words(described.description if described else ""):
            if column.name in declared:
                yield f"column {column.name}: description"
            written["description"] = description
        columns.append(written)
    if columns != list(entry.get("columns") or []):
        entry["columns"] = CommentedSeq(columns)
