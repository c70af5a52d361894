"""A plugin of dbt-duckdb through which models hand their rows over to Spark, while `assay build` runs.

A model asks by the function `assay_computed` of SQL: dbt's SQL can call nothing else. Before that, a history
that is kept up asks by `assay_increment_file` where to write the entities that something new concerns.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb.func import SPECIAL

from assay.core.fault import known_fault
from assay.spark.handover import current

_FUNCTION, _FILE_FUNCTION = "assay_computed", "assay_increment_file"


class Plugin(BasePlugin):
    """Gives each connection two functions, where a build hands rows over."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Make the functions; they are there for all cursors."""
        handover = current()
        if handover is None:
            return

        def compute(asked: str) -> str:
            try:
                # What the model's own transaction has written so far, no parent of it is in.
                with conn.cursor() as cursor:
                    return json.dumps({"sql": handover.compute(json.loads(asked), cursor)})
            except Exception as error:
                return json.dumps({"fault": str(known_fault(error) or error).rstrip(".")})

        text: Any = "VARCHAR"
        number: Any = "BIGINT"
        conn.create_function(_FUNCTION, compute, [text], text, side_effects=True)
        conn.create_function(
            *(_FILE_FUNCTION, handover.place_increment, [number], text),
            side_effects=True,
            null_handling=SPECIAL,
        )
