"""Accept changes: have the declaration say what has come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay.contracts.declaration import Additions, declare
from assay.contracts.learn import learn
from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.core.places import Places
from assay.landing.declared import DeclarationError, LandingTable, declared_tables
from assay.landing.names import path_of, what_is_wrong
from assay.landing.schema.expected import Expected
from assay.landing.schema.recorded import SchemaChange, recorded_changes
from assay.project.paths import model_paths

_REMEDIES = {
    "csv": "Declare it under another name, with the file's name as an alias (aliases, in contract and YAML).",
    "jsonl": "Have the source call it otherwise; until then silver may read it from the whole document.",
}


@dataclass(frozen=True)
class Accepted:
    """What was accepted, the table as it was declared before, and the contract that says so, too.

    `refused` says of changes that were to be accepted, too, why they cannot be.
    """

    table: LandingTable
    changes: Sequence[SchemaChange]
    contract: Path | None
    refused: Sequence[str] = ()


def tables_by_name() -> dict[str, LandingTable]:
    """Return the landing tables that the project in the current folder declares, by `source.table`.

    Raises:
        Fault: one is declared wrongly.
    """
    try:
        return {f"{table.source}.{table.name}": table for table in declared_tables(*model_paths()).values()}
    except DeclarationError as error:
        raise Fault(str(error), MISUSED) from error


def changes_on_record(places: Places) -> list[SchemaChange]:
    """Return all changes that the warehouse has on record.

    Raises:
        Fault: there is no warehouse yet, or another program keeps it open.
    """
    with _opened(places.warehouse) as connection:
        return recorded_changes(connection)


def accept(places: Places, name: str, column: str | None = None) -> Accepted:
    """Declare what has changed of a landing table: new columns or keys, lost ones as optional, other types.

    A renamed column of a CSV file becomes an alias; of JSON lines the new key is declared, and the lost one
    becomes optional.

    Args:
        places: of the project in the current folder.
        name: of the table, `source.table`.
        column: to accept the changes of this one alone, also those that are over.

    Raises:
        Fault: there is no such table, or nothing that can be accepted of it.
    """
    tables = tables_by_name()
    if name not in tables:
        raise Fault(unknown(f"No landing table {name} is declared", name, tables), MISUSED)
    table = tables[name]
    with _opened(places.warehouse) as connection:
        changes = [each for each in recorded_changes(connection) if each.table == name]
        additions = _learnt(connection, table)
    changes = [each for each in changes if not each.is_accepted(table)]
    found = [
        each for each in changes if (each.state == "open" if column is None else each.column_name == column)
    ]
    if not found and column is not None:
        names = dict.fromkeys(each.column_name for each in changes)
        raise Fault(unknown(f"{name} has no change of {column} to accept", column, names), MISUSED)
    if not found:
        raise Fault(f"{name} has no change to accept. To see all there are: assay schema list", MISUSED)
    found, refused = _declarable(additions, table, found)
    if not found:
        raise Fault("\n".join(refused), MISUSED)
    _add(additions, table, found)
    declare(table, additions)
    return Accepted(table, found, learn(table, additions), refused)


def _declarable(
    additions: Additions, table: LandingTable, changes: Sequence[SchemaChange]
) -> tuple[list[SchemaChange], list[str]]:
    """Tell changes whose new names can be declared from the others, and say of these why not."""
    names = [*table.expected, *additions.types]
    renamed = {each.suggested_name for each in changes if each.kind == "renamed"}
    found, refused = [], []
    for each in changes:
        name: str | None
        match each.kind:
            case "new" if table.format == "jsonl" or each.column_name not in renamed:
                name = each.column_name
            case "renamed" if table.format == "jsonl" and each.suggested_name not in names:
                name = each.suggested_name
            case _:
                name = None
        if name is not None and (problem := _wrong(name, names, is_csv=table.format == "csv")):
            refused.append(f"{table.source}.{table.name}: {problem}. {_REMEDIES[table.format]}")
            continue
        found.append(each)
        names += [name] if name is not None else []
    return found, refused


def _wrong(name: str, names: Sequence[str], *, is_csv: bool) -> str | None:
    if is_csv:
        return what_is_wrong(name, names, is_column=True)
    beside = [path_of(each)[-1] for each in names if path_of(each)[:-1] == path_of(name)[:-1]]
    return what_is_wrong(path_of(name)[-1], beside, is_column=False)


@contextmanager
def _opened(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    if not warehouse.is_file():
        raise Fault(f"Nothing is built yet in {warehouse.parent}. To build: assay build")
    try:
        connection = duckdb.connect(str(warehouse), read_only=True)
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    with connection:
        yield connection


def _learnt(connection: duckdb.DuckDBPyConnection, table: LandingTable) -> Additions:
    """Declare what is expected without being declared: else all keys but the accepted one would be new."""
    if table.format == "csv" or table.expected:
        return Additions()
    expected = Expected(connection, table)
    types, names = expected.types, list[str]()
    for name in expected.names:
        # What cannot be declared comes up as new.
        if not _wrong(name, names, is_csv=False):
            names.append(name)
    return Additions(
        types={name: types.get(name, "string") for name in names},
        optional=[name for name in names if name not in {*expected.required, *table.optional}],
    )


def _add(additions: Additions, table: LandingTable, changes: Sequence[SchemaChange]) -> None:
    is_csv = table.format == "csv"
    new_names = {each.suggested_name for each in changes if each.kind == "renamed"}
    for each in changes:
        name, found_type = each.column_name, each.found_type or "string"
        match each.kind:
            case "type":
                additions.types[name] = found_type
            case "new" if not is_csv or name not in new_names:
                additions.types[name] = found_type
                # Files that were without it may come again.
                additions.optional.append(name)
                if is_csv:
                    additions.columns[name] = (
                        f"In files since {each.first_landed_at:%Y-%m-%d}; what it means is to be described."
                    )
            case "renamed" if is_csv and each.suggested_name:
                additions.aliases[each.suggested_name] = name
            case "renamed" if each.suggested_name:
                additions.types.setdefault(each.suggested_name, each.expected_type or "string")
                additions.optional += [name, each.suggested_name]
            case "lost":
                additions.optional.append(name)
