"""A plugin of dbt-duckdb that gives the key for personal data to each session of DuckDB.

The key must not stand in SQL: dbt writes SQL to its logs and its target folder.
"""

from __future__ import annotations

from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from assay.core.disk import keep_new_files_private
from assay.pii.key import find_pii_key


class Plugin(BasePlugin):
    """Sets the session's variables `pii_inner`, `pii_outer` and `pii_fingerprint` if there is a key."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Make the files that dbt writes, such as the warehouse, readable by their owner only."""
        keep_new_files_private()

    def configure_cursor(self, cursor: Any) -> None:
        """Set the variables of a session."""
        if key := find_pii_key():
            key.set_variables(cursor)
