"""A plugin of dbt-duckdb that lets its connections open lakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from assay.core.places import find_lake_file
from assay.core.sql import quoted, search_path, text
from assay.project.lake import UNVERIFIED, load_lake, make_catalog, options_of, path_of, prepare_lake
from assay.project.shared_lake import is_shared


class Plugin(BasePlugin):
    """Loads DuckDB's extensions for lakes from their packages, and says how dbt-duckdb attaches a lake."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Make the lake if there is none, and say where its Parquet files lie.

        Raises:
            Fault: the lake cannot be made.
        """
        creds: Any = self.creds
        self._lakes: list[tuple[str, bool]] = []
        # The schema of the catalog of the lake that dbt builds into, as SQL.
        self._catalog: str | None = None
        for each in creds.attach or []:
            if file := find_lake_file(each.path):
                catalog = Path(file)
                (make_catalog if each.read_only else prepare_lake)(catalog)
                each.path, each.options = path_of(catalog), dict(options_of(catalog))
                self._lakes.append((str(each.options["data_path"]), is_shared(catalog)))
                if each.alias == creds.database:
                    schema = each.options.get("metadata_schema", "main")
                    self._catalog = f"{quoted(f'__ducklake_metadata_{each.alias}')}.{quoted(str(schema))}"
                # dbt-duckdb writes the name into its SQL as it is.
                each.alias = quoted(each.alias)
        if self._lakes:
            creds.config_options = {**(creds.config_options or {}), **UNVERIFIED}

    def configure_connection(self, conn: Any) -> None:
        """Load the extensions.

        Raises:
            Fault: they are not installed, or there are no credentials for a bucket.
        """
        for data, shared in self._lakes:
            load_lake(conn, data, shared=shared)

    def configure_cursor(self, cursor: Any) -> None:
        """Let names without a database be of the lake, as they are of the warehouse where that is a file.

        The new rows of an incremental model in Python are found as well: dbt-duckdb writes them on a cursor
        of its own, into memory.
        """
        creds: Any = self.creds
        # What is built beside a lake that is only read is a file, which has them itself.
        memory = ["memory"] if creds.path == ":memory:" else []
        cursor.execute(search_path(creds.database, *memory))
        if self._catalog is not None:
            # macros/schema/_lake_definitions.sql reads it.
            cursor.execute(f"set variable assay_lake_catalog = {text(self._catalog)}")
