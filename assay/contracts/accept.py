"""Accept changes of schema: write them into the declaration and the contract."""

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
from assay.project.warehouse import connect

_REMEDIES = {
    "csv": "Declare it under another name, and the file's name as its alias (aliases, in contract and YAML).",
    "jsonl": "Have the source call it otherwise; until then silver may read it from the whole document.",
}


@dataclass(frozen=True)
class Accepted:
    """The accepted changes, the table as it was declared before, and the contract that was changed too.

    `refused` says why other changes could not be accepted.
    """

    table: LandingTable
    changes: Sequence[SchemaChange]
    contract: Path | None
    refused: Sequence[str] = ()


def read_tables_by_name() -> dict[str, LandingTable]:
    """Return the landing tables that the project in the current folder declares, by `source.table`.

    Raises:
        Fault: the declaration of a table is wrong.
    """
    try:
        return {f"{table.source}.{table.name}": table for table in declared_tables(*model_paths()).values()}
    except DeclarationError as error:
        raise Fault(str(error), MISUSED) from error


def read_changes(places: Places) -> list[SchemaChange]:
    """Return all changes that the warehouse has recorded.

    Raises:
        Fault: there is no warehouse yet, or another program keeps it open.
    """
    with _opened(places.warehouse) as connection:
        return recorded_changes(connection)


def accept(places: Places, name: str, column: str | None = None) -> Accepted:
    """Declare the changes of a landing table: new columns or keys, lost ones as optional, other types.

    For a renamed column of a CSV file, the new name becomes an alias. For a renamed key of JSON lines, the
    new key is declared and the lost key becomes optional.

    Args:
        places: the places of the project in the current folder.
        name: the table, as `source.table`.
        column: the only column whose changes to accept, also those that are over; None for all columns.

    Raises:
        Fault: there is no such table, or it has no change that can be accepted.
    """
    tables = read_tables_by_name()
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
    """Split changes into those whose new names can be declared and the others, with the reason."""
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
        connection = connect(warehouse)
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    with connection:
        yield connection


def _learnt(connection: duckdb.DuckDBPyConnection, table: LandingTable) -> Additions:
    """Declare the learnt keys too: otherwise all keys except the accepted one would count as new."""
    if table.format == "csv" or table.expected:
        return Additions()
    expected = Expected(connection, table)
    types, names = expected.types, list[str]()
    for name in expected.names:
        # Learnt keys that cannot be declared will be reported as new.
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
                # The column is optional, because older files that lack it may land again.
                additions.optional.append(name)
                if is_csv:
                    additions.columns[name] = (
                        f"In files since {each.first_landed_at:%Y-%m-%d}; describe what it means."
                    )
            case "renamed" if is_csv and each.suggested_name:
                additions.aliases[each.suggested_name] = name
            case "renamed" if each.suggested_name:
                additions.types.setdefault(each.suggested_name, each.expected_type or "string")
                additions.optional += [name, each.suggested_name]
            case "lost":
                additions.optional.append(name)
