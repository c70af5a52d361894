"""What readers over the network may ask: queries that read published tables, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

# DuckDB's client begins and ends its transactions by these.
_TRANSACTIONS = {"BEGIN TRANSACTION", "BEGIN TRANSACTION READ ONLY", "COMMIT", "ROLLBACK"}
# All others may read files, run queries elsewhere, or stop the server.
_TABLE_FUNCTIONS = {
    *(
        "duckdb_columns",
        "duckdb_databases",
        "duckdb_schemas",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
    ),
    *("generate_series", "range", "repeat", "unnest"),
}
# They tell of the server's machine, or change what others see.
_REFUSED = {"current_setting", "getenv", "getvariable", "nextval", "write_log"}


class Guard:
    """Judges statements of readers; several threads may ask at once."""

    def __init__(self) -> None:
        # Only parses: nothing is attached to it.
        self._parser = duckdb.connect()

    def may_run(self, session: str, statement: str) -> bool:
        """Tell whether a reader may run a statement. What cannot be judged is refused.

        Args:
            session: of the reader.
            statement: in SQL.
        """
        if statement.strip().rstrip(";").strip().upper() in _TRANSACTIONS:
            return True
        try:
            found = self._parser.cursor().execute("select json_serialize_sql(?::varchar)", [statement])
            [(written,)] = found.fetchall()
        except duckdb.Error:
            return False
        tree = json.loads(written)
        if tree.get("error", True) or len(tree["statements"]) != 1:
            return False
        nodes = list(_walk(tree))
        tables = {
            str(node["function"]["function_name"]).lower()
            for node in nodes
            if node.get("type") == "TABLE_FUNCTION"
        }
        functions = {str(node["function_name"]).lower() for node in nodes if "function_name" in node}
        return tables <= _TABLE_FUNCTIONS and not (functions - tables) & _REFUSED


def _walk(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _walk(each)
