"""What the relations of a warehouse hold, to compare a lake with a file."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from assay.project.warehouse import attach

# Those of a run, and what is computed from them.
_OF_RUN = ("loaded_at", "run_id", "appended_until")


def contents(file: Path, *, as_in_lake: bool = False) -> dict[str, object]:
    """Return columns, number of rows and a hash of the rows of each table and view of a warehouse.

    With `as_in_lake`, vectors of one length are lists, and HUGEINT is a decimal, as a lake keeps them.
    """
    found: dict[str, object] = {}
    with duckdb.connect() as connection:
        attach(connection, file, "assay")
        relations = connection.execute(
            "select distinct schema_name, table_name from duckdb_columns() where database_name = 'assay' "
            "and not internal and schema_name <> 'published'"
        ).fetchall()
        for schema, name in relations:
            rows = f'select columns(_column -> _column not in {_OF_RUN}) from assay."{schema}"."{name}"'
            columns = connection.execute(f"describe {rows}").fetchall()
            if as_in_lake:
                kept = {
                    name: re.sub(r"\[\d+\]", "[]", kind).replace("HUGEINT", "DECIMAL(38,0)")
                    for name, kind, *_ in columns
                }
                casts = ", ".join(f'"{name}"::{kind} as "{name}"' for name, kind in kept.items())
                rows = f"select {casts} from ({rows})"
                columns = [*kept.items()]
            content = connection.execute(
                f"select count(*), bit_xor(hash(each)), sum(hash(each)::hugeint) from ({rows}) as each"
            ).fetchall()
            found[f"{schema}.{name}"] = ([column[:2] for column in columns], content)
    return found
