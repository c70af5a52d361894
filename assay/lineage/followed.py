"""Follow the columns of many queries, and keep what was found: only what has changed is followed again."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import duckdb

from assay.core.pickled import keep_pickled, read_pickled
from assay.lineage import columns
from assay.lineage.columns import QueryLineage, Untraceable, lineage_of, types_of

_FILE = "assay_columns.pickle"


def follow(
    connection: duckdb.DuckDBPyConnection, queries: Mapping[str, str]
) -> tuple[dict[str, QueryLineage], dict[str, str]]:
    """Return what each query reads and its columns are made of; and why others cannot be followed.

    Args:
        connection: to the database whose tables the queries read; nothing is run.
        queries: select statements by any name.
    """
    key = (duckdb.__version__, sha256(Path(columns.__file__).read_bytes()).hexdigest())
    kept: dict[str, tuple[str, QueryLineage]] = read_pickled(_FILE, key) or {}
    types = types_of(connection)
    found: dict[str, tuple[str, QueryLineage]] = {}
    not_followed = {}
    for name, query in queries.items():
        if name in kept and kept[name][0] == _digest(query, kept[name][1], types):
            found[name] = kept[name]
            continue
        try:
            lineage = lineage_of(connection, query)
        except (duckdb.Error, Untraceable) as error:
            not_followed[name] = str(error)
            continue
        found[name] = (_digest(query, lineage, types), lineage)
    if found != kept:
        keep_pickled(_FILE, key, found)
    return {name: lineage for name, (_, lineage) in found.items()}, not_followed


def _digest(query: str, lineage: QueryLineage, types: Mapping[str, dict[str, str]]) -> str:
    """Return a hash of all that the lineage of a query follows from: it, and the columns that it reads."""
    read = [(relation, [*types.get(relation, {}).items()]) for relation in sorted(lineage.relations)]
    return sha256(f"{query}\n{read}".encode()).hexdigest()
