"""Count for each file the rows that have a column or key, and the values that read as each type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from assay.landing.declared import LandingTable
from assay.landing.names import name_of
from assay.landing.schema.logical_types import LogicalType
from assay.landing.schema.values import (
    containers_of,
    document_of,
    is_change_log,
    name_within,
    pointers,
    values_of,
)

# The result of a query has a column for each name and type, so names are queried in groups.
_NAMES_A_QUERY = 40


@dataclass
class Counts:
    """How many rows a file has, how many have a column or key, or a value, and how many read as each type."""

    rows: int
    present: int
    filled: int
    reads: dict[LogicalType, int]


@dataclass
class Keys:
    """How many documents of a file have each key, by the object that it is in; '' is the document."""

    documents: dict[str, int] = field(default_factory=dict)
    found: dict[str, dict[str, int]] = field(default_factory=dict)


def count_values(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    landed: str,
    types: Mapping[str, Sequence[LogicalType]],
) -> dict[int, dict[str, Counts]]:
    """Count the values of columns or keys.

    Args:
        connection: a connection to the warehouse.
        table: the declared table.
        landed: a relation of landed rows.
        types: the names to count, each with the types to try.

    Returns:
        file_id -> name -> counts, without the files that have no rows.
    """
    found: dict[int, dict[str, Counts]] = {}
    names = list(types)
    for first in range(0, len(names), _NAMES_A_QUERY):
        asked = names[first : first + _NAMES_A_QUERY]
        values = values_of(table, asked)
        conditions = ["true"]
        for name in asked:
            filled = values.is_filled(name)
            conditions += [values.is_present(name), filled]
            conditions += [f"{filled} and {values.reads(name, each)}" for each in types[name]]
        counts = ", ".join(f"count(*) filter (where {condition})" for condition in conditions)
        rows = connection.execute(
            f"select file_id, {counts} from ({values.relation(landed)}) where {values.is_row} "
            "group by file_id"
        ).fetchall()
        for file_id, total, *numbers in rows:
            counted = iter(numbers)
            of_file = found.setdefault(file_id, {})
            for name in asked:
                present, filled_rows = next(counted), next(counted)
                of_file[name] = Counts(
                    total, present, filled_rows, {each: next(counted) for each in types[name]}
                )
    return found


def find_keys(
    connection: duckdb.DuckDBPyConnection, table: LandingTable, landed: str, names: Sequence[str]
) -> dict[int, Keys]:
    """Find the keys of documents, and of those objects in them for which `names` has keys.

    Returns:
        file_id -> keys, without the files that have no documents.
    """
    containers = containers_of(table, names)
    rows = connection.execute(
        f"select file_id, json_keys(document, {pointers(containers)}) as keys, count(*) "
        f"from (select file_id, {document_of(is_change_log(table))} as document from {landed}) "
        "where document is not null group by all order by all"
    ).fetchall()
    found: dict[int, Keys] = {}
    for file_id, by_container, documents in rows:
        keys = found.setdefault(file_id, Keys())
        for container, inside in zip(["", *containers], by_container, strict=True):
            if not inside:
                continue
            keys.documents[container] = keys.documents.get(container, 0) + documents
            seen = keys.found.setdefault(container, {})
            for key in inside:
                name = name_within(table, container, key) if container else name_of((key,))
                seen[name] = seen.get(name, 0) + documents
    return found
