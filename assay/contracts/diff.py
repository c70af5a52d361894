"""Compare two versions of a contract, and tell which changes break its consumers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assay.contracts.contract import DIALECT, Column, Contract, Rule, Table
from assay.contracts.document import parse, read
from assay.contracts.options import TIMES_OF_FORMATS, find_bound, make_comparable
from assay.contracts.types import is_wider
from assay.core.fault import MISUSED, Fault
from assay.landing.dialect import DEFAULT


@dataclass(frozen=True)
class Change:
    """A change of a contract: `rule` names the kind of change, `where` the table or column."""

    is_breaking: bool
    rule: str
    where: str
    what: str


def load(name: str) -> Contract:
    """Read a contract from a file, or from a revision of git as `REVISION:PATH`.

    Raises:
        Fault: there is no such file, or it does not conform to the standard.
    """
    if not Path(name).exists() and ":" in name:
        document, findings = parse(name, _shown(name))
    else:
        document, findings = read(Path(name))
    if document is None or findings:
        raise Fault("\n".join(str(finding) for finding in findings), MISUSED)
    return Contract(document)


def _shown(name: str) -> str:
    """Return a file's text in a revision of git."""
    # git would read a name that begins with a dash as an option.
    command = ["git", "cat-file", "--end-of-options", "blob", name]
    try:
        shown = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise Fault(f"{name}: git cannot be run ({error.strerror}): install it, or name a file.") from error
    if shown.returncode:
        raise Fault(f"{name}: {shown.stderr.decode(errors='replace').strip()}", MISUSED)
    try:
        return shown.stdout.decode()
    except UnicodeDecodeError as error:
        raise Fault(f"{name} is not UTF-8.", MISUSED) from error


def compare(old: Contract, new: Contract) -> list[Change]:
    """Return the differences between two versions of a contract.

    A change is breaking if it may break a reader of the old version: something is gone, has another type,
    or is promised to a lesser degree.
    """
    changes = [*_of_contract(old, new), *_of_tables(old, new)]
    is_breaking = any(change.is_breaking for change in changes)
    if is_breaking and _major(old) == _major(new):
        what = f"breaking changes need a new major version; it is {new.raw.get('version')}"
        changes.append(Change(True, "version-not-raised", new.id, what))
    return changes


def _of_contract(old: Contract, new: Contract) -> Iterator[Change]:
    if old.id != new.id:
        yield Change(True, "id-changed", old.id, f"is {new.id} now")
    if old.owner != new.owner:
        yield Change(False, "owner-changed", old.id, f"{old.owner} to {new.owner}")
    if old.raw.get("status") != new.raw.get("status"):
        yield Change(False, "status-changed", old.id, f"{old.raw.get('status')} to {new.raw.get('status')}")
    for consumer in sorted(set(old.consumers) ^ set(new.consumers)):
        word = "added" if consumer in new.consumers else "removed"
        yield Change(False, f"consumer-{word}", old.id, consumer)


def _of_tables(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = ({table.relation: table for table in each.tables} for each in (old, new))
    for name in before.keys() - after.keys():
        yield Change(True, "table-removed", name, "is gone")
    for name in after.keys() - before.keys():
        yield Change(False, "table-added", name, "is new")
    for name in sorted(before.keys() & after.keys()):
        yield from _of_dialect(before[name], after[name])
        yield from _of_columns(before[name], after[name])
        yield from _of_rules(name, dict(_named_rules(before[name])), dict(_named_rules(after[name])))
        yield from _of_levels(name, _levels(old, before[name]), _levels(new, after[name]))


def _of_dialect(old: Table, new: Table) -> Iterator[Change]:
    """Yield changes of a dialect, which break whoever reads or sends files in the old one."""
    before, after = (
        asdict(DEFAULT) | said if isinstance(said := table.custom(DIALECT), dict) else asdict(DEFAULT)
        for table in (old, new)
    )
    for name in before | after:
        had, has = before.get(name) or "none", after.get(name) or "none"
        if had != has:
            yield Change(True, "dialect-changed", old.relation, f"{name}: {had!r} to {has!r}")


def _of_columns(old: Table, new: Table) -> Iterator[Change]:
    before, after = (
        {column.label: column for top in table.columns for column in top.walk()} for table in (old, new)
    )
    for name in sorted(before.keys() - after.keys()):
        likely = [
            other
            for other in after.keys() - before.keys()
            if before[name].raw.get("description")
            and before[name].raw.get("description") == after[other].raw.get("description")
        ]
        what = f"seems to be renamed to {likely[0]}" if len(likely) == 1 else "is gone"
        yield Change(True, "column-removed", f"{old.relation}.{name}", what)
    for name in sorted(after.keys() - before.keys()):
        yield Change(False, "column-added", f"{old.relation}.{name}", "is new")
    if old.key != new.key:
        where = old.relation
        yield Change(bool(old.key), "key-changed", where, f"({', '.join(old.key)}) to ({', '.join(new.key)})")
    for name in sorted(before.keys() & after.keys()):
        yield from _of_column(f"{old.relation}.{name}", before[name], after[name])


def _of_column(where: str, old: Column, new: Column) -> Iterator[Change]:
    types = [str(each.raw.get("physicalType") or each.kind) for each in (old, new)]
    if types[0].lower() == types[1].lower():
        types = [old.kind, new.kind]
    if types[0].lower() != types[1].lower():
        wider = is_wider(*types)
        yield Change(not wider, "type-widened" if wider else "type-changed", where, " to ".join(types))
    for key in ("required", "unique"):
        had, has = bool(old.raw.get(key)), bool(new.raw.get(key))
        if had != has:
            yield Change(had, f"{key}-{'dropped' if had else 'added'}", where, f"{key}: {str(has).lower()}")
    for option in sorted(old.options.keys() | new.options.keys()):
        had_value, has_value = old.options.get(option), new.options.get(option)
        if had_value != has_value:
            yield Change(
                _is_looser(option, old, new), "bounds-changed", where, f"{option}: {had_value} to {has_value}"
            )
    if old.valid_values != new.valid_values:
        looser = bool(old.valid_values) and (
            not new.valid_values or bool(set(map(str, new.valid_values)) - set(map(str, old.valid_values)))
        )
        yield Change(looser, "values-changed", where, f"{old.valid_values} to {new.valid_values}")
    if not old.raw.get("deprecated") and new.raw.get("deprecated"):
        yield Change(False, "column-deprecated", where, "is going to go")


def _is_looser(option: str, old: Column, new: Column) -> bool:
    """Tell whether a changed option of a column lets more values pass than before."""
    before, after = old.options.get(option), new.options.get(option)
    match option:
        case "format" if new.kind in TIMES_OF_FORMATS:
            return True
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            return _is_looser_bound(old, new, is_least=option.endswith("inimum"))
        case "minLength" | "minItems" | "minProperties":
            return bool((after or 0) < (before or 0))
        case "maxLength" | "maxItems" | "maxProperties":
            return before is not None and (after is None or bool(after > before))
        case "uniqueItems":
            return bool(before) and not after
        case "required":
            return bool(set(before or []) - set(after or []))
        case "multipleOf" if before is not None and after is not None:
            return bool(make_comparable("number", after) % make_comparable("number", before))
    # For other options, only a newly added one surely lets fewer values pass.
    return before is not None


def _is_looser_bound(old: Column, new: Column, *, is_least: bool) -> bool:
    """Tell whether a changed bound lets more values pass; it may have become exclusive or inclusive."""
    try:
        before, after = (find_bound(each.kind, each.options, is_least=is_least) for each in (old, new))
        if before is None or after is None:
            return before is not None
        if before[0] == after[0]:
            return before[1] and not after[1]
        return bool(after[0] < before[0] if is_least else after[0] > before[0])
    except (ValueError, ArithmeticError, TypeError):
        return True


def _named_rules(table: Table) -> Iterator[tuple[str, Rule]]:
    for column, rule in table.all_rules():
        place = column.label if column else ""
        yield rule.name or f"{rule.raw.get('metric')} of {place or 'the table'}", rule


def _of_rules(where: str, old: dict[str, Rule], new: dict[str, Rule]) -> Iterator[Change]:
    for name in sorted(old.keys() - new.keys()):
        yield Change(True, "rule-removed", where, f"{name} is promised no more")
    for name in sorted(new.keys() - old.keys()):
        yield Change(False, "rule-added", where, f"{name} is promised, too")
    for name in sorted(old.keys() & new.keys()):
        before, after = (_essence(rule) for rule in (old[name], new[name]))
        if before != after:
            looser = _is_looser_rule(before, after)
            word = "loosened or changed" if looser else "tightened"
            yield Change(looser, "rule-changed", where, f"{name} is {word}")


_SAID = ("description", "businessImpact", "tags", "authoritativeDefinitions", "customProperties", "id")


def _essence(rule: Rule) -> dict[str, Any]:
    return {key: value for key, value in rule.raw.items() if key not in _SAID}


def _is_looser_rule(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Tell whether a changed rule may let more values pass; False only for a narrower list or range."""
    values = [(each.get("arguments") or {}).get("validValues") for each in (old, new)]
    others = [{key: value for key, value in each.items() if key != "arguments"} for each in (old, new)]
    if values[0] and values[1] and others[0] == others[1]:
        return not set(map(str, values[1])) <= set(map(str, values[0]))
    if old.get("mustBeBetween") and new.get("mustBeBetween"):
        (low, high), (new_low, new_high) = old["mustBeBetween"], new["mustBeBetween"]
        return bool(new_low < low or new_high > high)
    return True


_LESS_IS_MORE = ("latency", "frequency", "timeToDetect", "timeToNotify", "timeToRepair")


def _levels(contract: Contract, table: Table) -> dict[str, dict[str, Any]]:
    return {level["property"]: level for _, level in contract.service_levels(table)}


def _of_levels(where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        before, after = (
            (each.get(name, {}).get("value"), each.get(name, {}).get("unit")) for each in (old, new)
        )
        if before == after:
            continue
        said = [
            " ".join(str(part) for part in each if part is not None) or "nothing" for each in (before, after)
        ]
        if name in ("endOfSupport", "endOfLife"):
            yield Change(False, "end-announced", where, f"{name}: {said[0]} to {said[1]}")
            continue
        yield Change(
            _is_worse(name, before, after), "service-level-changed", where, f"{name}: {said[0]} to {said[1]}"
        )


def _is_worse(name: str, old: tuple[Any, Any], new: tuple[Any, Any]) -> bool:
    if old[0] is None:
        return False
    if new[0] is None or old[1] != new[1]:
        return True
    try:
        before, after = float(old[0]), float(new[0])
    except (TypeError, ValueError):
        return True
    return after > before if name in _LESS_IS_MORE else after < before


def _major(contract: Contract) -> str:
    return str(contract.raw.get("version", "")).lstrip("v").partition(".")[0]
