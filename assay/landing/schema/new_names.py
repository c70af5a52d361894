"""Query the values of undeclared columns and keys, which differ from file to file.

Each file may have other names, so a query with a column for each name would grow with the number of files.
Here each value is a row, found by the keys that the documents hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from assay.core.sql import text
from assay.landing.declared import LandingTable
from assay.landing.schema.logical_types import NESTED, LogicalType, reads
from assay.landing.schema.measure import Counts
from assay.landing.schema.values import document_of, is_change_log, paths_of, pointer

_ASKED = pa.schema(
    {
        "file_id": pa.int64(),
        "place": pa.string(),
        "key": pa.string(),
        "name": pa.string(),
        "number": pa.int64(),
    }
)


@contextmanager
def new_values(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    landed: str,
    names: Mapping[int, Sequence[str]],
) -> Iterator[str]:
    """Provide a query of the values that rows have under the given names.

    Columns: `file_id`, `row_number`, `name`, the name's `number`, `text`, `type` (of JSON) and `is_filled`.

    Args:
        connection: a connection to the warehouse.
        table: the declared table.
        landed: a relation of landed rows.
        names: file_id -> the names to query.
    """
    is_csv = table.format == "csv"
    asked = [
        (file_id, pointer(path[:-1]) or "$", path[-1], name, number)
        for file_id, of_file in names.items()
        for number, name in enumerate(of_file)
        for path in ([(name,)] if is_csv else paths_of(table, name))
    ]
    columns = zip(*asked, strict=True) if asked else [[]] * len(_ASKED)
    connection.register("asked_names", pa.table([list(each) for each in columns], _ASKED))
    places = ", ".join(text(place) for place in dict.fromkeys(["$", *(place for _, place, *_ in asked)]))
    document = "other_values" if is_csv else document_of(is_change_log(table))
    is_filled = "text <> ''" if is_csv else "type <> 'NULL'"
    try:
        yield f"""
            with documents as (
                select file_id, row_number, {document} as document from {landed}
            ),
            objects as (
                select
                    file_id, row_number, unnest([{places}]) as place,
                    unnest(json_extract(document, [{places}])) as held
                from documents
                where document is not null
            ),
            entries as (
                select
                    file_id, row_number, place,
                    unnest(json_keys(held)) as key, unnest(json_extract(held, '$.*')) as value
                from objects
                where json_type(held) = 'OBJECT'
            ),
            firsts as (
                select
                    file_id, row_number, name, any_value(number) as number,
                    arg_min(value, place) as value
                from entries
                inner join asked_names using (file_id, place, key)
                group by file_id, row_number, name
            )
            select
                *, json_extract_string(value, '$') as text, json_type(value) as type,
                {is_filled} as is_filled
            from firsts
        """
    finally:
        connection.unregister("asked_names")


def count_new_values(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    landed: str,
    names: Mapping[int, Sequence[str]],
    types: Sequence[LogicalType] = (),
) -> dict[int, dict[str, Counts]]:
    """Count the values under each file's own names; `rows` are the rows that have the name."""
    nested = ", ".join(text(each) for each in NESTED.values())
    tried = [
        f"type = '{NESTED[each]}'"
        if each in NESTED
        else f"type not in ({nested}) and {reads('text', each, table.dialect)}"
        for each in types
    ]
    counts = "".join(f", count(*) filter (where is_filled and {each})" for each in tried)
    with new_values(connection, table, landed, names) as values:
        rows = connection.execute(
            f"select file_id, name, count(*), count(*) filter (where is_filled){counts} "
            f"from ({values}) group by all"
        ).fetchall()
    found: dict[int, dict[str, Counts]] = {}
    for file_id, name, present, filled, *numbers in rows:
        reading = dict(zip(types, numbers, strict=True))
        found.setdefault(file_id, {})[name] = Counts(present, present, filled, reading)
    return found
