"""Compare data with contracts: columns and types of built gold tables, and columns of landed files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from assay.contracts.contract import Contract, Table
from assay.contracts.document import Finding
from assay.contracts.types import normalize
from assay.core.fault import known_fault
from assay.project.warehouse import connect

_Columns = dict[str, dict[str, str]]


def find_data_differences(contracts: Iterable[Contract], warehouse: Path) -> list[Finding]:
    """Return the differences between a warehouse and its contracts.

    Args:
        contracts: all contracts of the project.
        warehouse: the file; no build may be writing it.

    Raises:
        Fault: the file cannot be opened.
    """
    try:
        with connect(warehouse) as connection:
            built = _built(connection)
            landed = _landed(connection)
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    return [
        finding
        for contract in contracts
        for table in contract.tables
        for finding in (_of_source if contract.is_of_source else _of_product)(contract, table, built, landed)
    ]


def _built(connection: duckdb.DuckDBPyConnection) -> _Columns:
    found: _Columns = {}
    for schema, table, column, data_type in connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = current_database() order by table_name, column_index"
    ).fetchall():
        found.setdefault(f"{schema}.{table}", {})[column] = data_type
    return found


def _landed(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the undeclared columns that files of each landing table have."""
    try:
        rows = connection.execute(
            "select source_name || '__' || table_name, "
            "list_sort(list_distinct(flatten(list(unexpected_columns)))) "
            "from landing.files where status = 'loaded' group by all"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return dict(rows)


def _of_product(
    contract: Contract, table: Table, built: _Columns, landed: dict[str, list[str]]
) -> Iterator[Finding]:
    del landed
    where = contract.where(table.place)
    columns = built.get(table.relation)
    if columns is None:
        yield Finding(where, f"{table.relation} is not in the warehouse.", "To build it: assay build")
        return
    wanted = {column.name: column for column in table.columns}
    for name in wanted.keys() - columns.keys():
        yield Finding(
            contract.where(wanted[name].place), f"{table.relation} lacks the column {name}.", "Build again."
        )
    for name, data_type in columns.items():
        if name not in wanted:
            yield Finding(where, f"{table.relation} has a column {name} that the contract does not name.")
            continue
        promised = wanted[name].raw.get("physicalType")
        if promised and normalize(promised) != normalize(data_type):
            yield Finding(
                contract.where(wanted[name].place),
                f"{table.relation}.{name} is {promised}; in the warehouse it is {data_type.lower()}.",
            )


def _of_source(
    contract: Contract, table: Table, built: _Columns, landed: dict[str, list[str]]
) -> Iterator[Finding]:
    del built
    known = {column.name for column in table.columns}
    for name in landed.get(table.relation.partition(".")[2], []):
        if name not in known:
            yield Finding(
                contract.where(table.place),
                f"{table.relation} has landed with a column {name} that the contract does not name.",
                f"Its values are kept. To accept it: assay schema accept {contract.id}.{table.name} {name}",
            )
