"""Read the roles of contracts: who may read which tables of gold, which columns, which rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from assay.contracts.contract import FOLDER, SHIELDS, Contract, Table, find_custom
from assay.contracts.document import SUFFIX, Finding, read
from assay.contracts.grants import Grant, Role
from assay.core.fault import MISUSED, Fault, unknown
from assay.core.sql import folded, quoted
from assay.project.paths import contract_folders

#: The custom property of a role that says which tables it may read, and what of them.
TABLES = "tables"
_COLUMNS, _PLAIN, _ROWS = "columns", "plain", "rows"
_OPTIONS = (_COLUMNS, *SHIELDS, _PLAIN, _ROWS)
# Whoever may write may read, too.
_ACCESS = ("read", "write")
# It names a folder, on file systems that know no case as well.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DECLARES = re.compile(r"""^\s*["']?roles["']?\s*:|[{,]\s*["']?roles["']?\s*:""", re.MULTILINE)
_CUSTOM = "customProperties"
_Place = tuple[str | int, ...]
# By logical type, where a contract does not say the type in the warehouse.
_TYPES = {"integer": "bigint", "number": "double", "boolean": "boolean", "date": "date", "time": "time"} | {
    "timestamp": "timestamp"
}


def read_roles() -> list[Role]:
    """Read the roles of the project in the current folder; contracts without roles are not parsed.

    Returns:
        The roles in the order of their names.

    Raises:
        Fault: a contract that has roles is wrong.
    """
    files = [path for folder in contract_folders(FOLDER) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    contracts, findings = [], []
    for file in filter(_declares_roles, files):
        document, wrong = read(file)
        findings += wrong
        if document and not wrong:
            contracts.append(Contract(document))
    findings += find_role_mistakes(contracts)
    if findings:
        raise Fault(
            "Contracts with roles have mistakes, so nobody can tell who may read what:\n"
            + "\n".join(map(str, findings)),
            MISUSED,
        )
    return list_roles(contracts)


def list_roles(contracts: Iterable[Contract]) -> list[Role]:
    """Return the roles of products' contracts, which have no mistakes."""
    grants: dict[str, list[Grant]] = {}
    for contract in contracts:
        for role in contract.raw.get("roles") or [] if not contract.is_of_source else []:
            declared = find_custom(role, TABLES)
            found = grants.setdefault(str(role["role"]), [])
            for table in contract.tables:
                if declared is None or table.name in declared:
                    found.append(_grant(table, (declared or {}).get(table.name) or {}))
    return [
        Role(name, sorted(found, key=lambda grant: grant.table)) for name, found in sorted(grants.items())
    ]


def _declares_roles(file: Path) -> bool:
    return _DECLARES.search(file.read_text(encoding="utf-8", errors="replace")) is not None


def _grant(table: Table, options: dict[str, Any]) -> Grant:
    names = [column.name for column in table.columns]
    wanted = options.get(_COLUMNS) or names
    # Personal data is shielded as its contract says, unless the role may see it as gold has it.
    shields = {
        column.name: shield
        for column in table.columns
        if (shield := next((each.pii for each in column.walk() if each.pii), None))
        and column.name not in (options.get(_PLAIN) or [])
    }
    shields |= {name: shield for shield in SHIELDS for name in options.get(shield) or []}
    return Grant(
        table.relation.rpartition(".")[2],
        [name for name in names if name in wanted],
        {name: shields[name] for name in names if name in wanted and name in shields},
        options.get(_ROWS),
        [name for name in names if name not in wanted],
    )


def find_role_mistakes(contracts: Iterable[Contract]) -> Iterator[Finding]:
    """Yield what is wrong with the roles of contracts, but for conditions on rows that SQL cannot read."""
    spelt: dict[str, str] = {}
    for contract in contracts:
        seen = set()
        for number, role in enumerate(contract.raw.get("roles") or []):
            place: _Place = ("roles", number)
            name, where = str(role["role"]), contract.where(place)
            if not _NAME.fullmatch(name):
                yield Finding(
                    where,
                    f"the role {name!r} cannot name a folder, in which its file lies.",
                    "Write letters, digits, _ and -, a letter or digit first.",
                )
            other = spelt.setdefault(name.lower(), name)
            if other != name:
                yield Finding(where, f"the role {name} is called {other} elsewhere.", "Write it in one way.")
            if name in seen:
                yield Finding(where, f"the role {name} stands here twice.", "Make it one.")
            seen.add(name)
            yield from _misspelt(contract, name, role, place)
            if contract.is_of_source:
                if find_custom(role, TABLES) is not None:
                    yield Finding(
                        where,
                        f"the role {name} is given tables of a source, which are not published.",
                        "Give it tables of a product, in the product's contract.",
                    )
                continue
            if str(role.get("access", _ACCESS[0])).lower() not in _ACCESS:
                yield Finding(
                    where,
                    f"the access of the role {name} is {role['access']!r}.",
                    f"Write {' or '.join(_ACCESS)}, or take the role out: who is not named reads nothing.",
                )
            yield from _tables(contract, name, role, place)


def _misspelt(contract: Contract, name: str, role: dict[str, Any], place: _Place) -> Iterator[Finding]:
    for number, each in enumerate(role.get(_CUSTOM) or []):
        written = str(each["property"])
        if written != TABLES and get_close_matches(written, [TABLES], cutoff=0.8):
            yield Finding(
                contract.where((*place, _CUSTOM, number)),
                f"the role {name}: {written} is no property.",
                f"Write {TABLES}: without it, the role reads all tables here.",
            )


def _tables(contract: Contract, name: str, role: dict[str, Any], place: _Place) -> Iterator[Finding]:
    position = next(
        (number for number, each in enumerate(role.get(_CUSTOM) or []) if each["property"] == TABLES), None
    )
    if position is None:
        return
    place = (*place, _CUSTOM, position, "value")
    declared = find_custom(role, TABLES)
    if not isinstance(declared, dict) or not declared:
        yield Finding(
            contract.where(place),
            f"the role {name}: {TABLES} is {declared!r}.",
            "Write a table for each entry, such as {TABLE: {mask: [COLUMN]}}.",
        )
        return
    tables = {table.name: table for table in contract.tables}
    for table, options in declared.items():
        at = (*place, table)
        if table not in tables:
            said = f"the role {name} is given {table}, which is no table here"
            yield Finding(contract.where(at), unknown(said, str(table), tables))
        elif options is not None and not isinstance(options, dict):
            yield Finding(
                contract.where(at),
                f"the role {name}: {table} is {options!r}.",
                f"Write some of {', '.join(_OPTIONS)}, or nothing for all of the table.",
            )
        else:
            yield from _options(contract, tables[table], name, options or {}, at)


def _options(
    contract: Contract, table: Table, role: str, options: dict[str, Any], place: _Place
) -> Iterator[Finding]:
    named = f"the role {role}: {table.name}"
    names = [column.name for column in table.columns]
    lists: dict[str, list[str]] = {}
    for option, value in options.items():
        where = contract.where((*place, option))
        if option not in _OPTIONS:
            yield Finding(where, unknown(f"{named} has no option {option}", str(option), _OPTIONS))
        elif option == _ROWS:
            if not isinstance(value, str) or not value.strip():
                yield Finding(where, f"{named}: {_ROWS} is {value!r}.", "Write a condition in SQL.")
        elif not isinstance(value, list) or not value:
            yield Finding(where, f"{named}: {option} is {value!r}.", "Write a list of columns.")
        else:
            lists[option] = [str(each) for each in value]
            for column in lists[option]:
                if column not in names:
                    yield Finding(where, unknown(f"{named} has no column {column}", column, names))
    for column in names:
        how = [option for option in (*SHIELDS, _PLAIN) if column in lists.get(option, ())]
        if len(how) > 1:
            yield Finding(
                contract.where(place), f"{named}: {column} is in {' and in '.join(how)}.", "Choose one."
            )
        if how and column not in lists.get(_COLUMNS, names):
            yield Finding(
                contract.where(place),
                f"{named}: {column} is in {how[0]} and not in {_COLUMNS}, so the role does not see it.",
                f"Put it into {_COLUMNS}, or take it out of {how[0]}.",
            )


def find_row_mistakes(contracts: Sequence[Contract]) -> Iterator[Finding]:
    """Yield the conditions on rows that SQL cannot read; they may read tables of other contracts.

    Args:
        contracts: all contracts of the project; their roles have no other mistakes.
    """
    conditions = [
        (contract, table, role, place, options[_ROWS])
        for contract in contracts
        if not contract.is_of_source
        for table, role, place, options in _granted(contract)
        if options.get(_ROWS)
    ]
    if not conditions:
        return
    import duckdb

    with duckdb.connect() as connection:
        for table in (table for each in contracts if not each.is_of_source for table in each.tables):
            _make_empty(connection, table)
        for contract, table, role, place, rows in conditions:
            try:
                kind = connection.execute(f"describe {condition_query(table.relation, rows)}").fetchall()[0][
                    1
                ]
            except duckdb.Error as error:
                why = str(error).splitlines()[0]
                yield Finding(
                    contract.where((*place, _ROWS)), f"the role {role}: {table.name}: {_ROWS}: {why}"
                )
                continue
            if kind != "BOOLEAN":
                yield Finding(
                    contract.where((*place, _ROWS)),
                    f"the role {role}: {table.name}: {_ROWS} is of type {kind}.",
                    "Write a condition, which is true or false.",
                )


def condition_query(relation: str, rows: str) -> str:
    """Return a query that has the value of a condition for each row of a table, `schema.name`.

    The condition stands on lines of its own, so that a comment in it ends with it.
    """
    schema, _, name = relation.rpartition(".")
    return f"select (\n{rows}\n) as is_seen from {quoted(schema)}.{quoted(name)}"


def _granted(contract: Contract) -> Iterator[tuple[Table, str, _Place, dict[str, Any]]]:
    tables = {table.name: table for table in contract.tables}
    for number, role in enumerate(contract.raw.get("roles") or []):
        for position, each in enumerate(role.get(_CUSTOM) or []):
            if each["property"] == TABLES:
                for name, options in each["value"].items():
                    place = ("roles", number, _CUSTOM, position, "value", name)
                    yield tables[name], str(role["role"]), place, options or {}


def _make_empty(connection: Any, table: Table) -> None:
    import duckdb

    schema, _, name = table.relation.rpartition(".")
    columns = {
        folded(column.name): f"{quoted(column.name)} "
        f"{column.raw.get('physicalType') or _TYPES.get(column.kind, 'varchar')}"
        for column in table.columns
    }
    try:
        connection.execute(f"create schema if not exists {quoted(schema)}")
        connection.execute(f"create table {quoted(schema)}.{quoted(name)} ({', '.join(columns.values())})")
    except duckdb.Error:
        # A type that is wrong is told of with its column; a condition that reads the table is refused.
        return
