"""A plugin of dbt-duckdb through which models hand their rows over to Spark, while `assay build` runs.

A model asks by the function `assay_computed` of SQL: dbt's SQL can call nothing else.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from assay.core.fault import known_fault
from assay.spark.handover import current

_FUNCTION = "assay_computed"


class Plugin(BasePlugin):
    """Gives each connection the function, where a build hands rows over."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Make the function; it is there for all cursors."""
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
        conn.create_function(_FUNCTION, compute, [text], text, side_effects=True)
