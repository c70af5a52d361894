"""A plugin of dbt-duckdb that gives each session of DuckDB the keys: for personal data, and of the warehouse.

A session knows who was forgotten, too, so that checked tables of silver reject rows of who comes back.

Keys must not stand in SQL or profiles: dbt writes SQL to its logs and its target folder, and prints profiles.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from assay.core.disk import keep_new_files_private
from assay.core.encryption import attach_file, is_encrypted, needs_key
from assay.core.optimizer import leave_out_wrong_rules
from assay.core.places import find_places
from assay.core.sql import search_path
from assay.pii.forgotten import ForgottenPeople, read_forgotten
from assay.pii.key import find_pii_key

_SET_ASIDE = "assay_set_aside"


class Plugin(BasePlugin):
    """Sets the session's variables `pii_inner`, `pii_outer` and `pii_fingerprint` if there is a key.

    If the warehouse is encrypted, or is new and there is a key for it, dbt opens none and this attaches it.
    """

    _encrypted: Path | None = None
    _database = ""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Make the files that dbt writes, such as the warehouse, readable by their owner only."""
        keep_new_files_private()

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Let dbt open memory in place of an encrypted warehouse, which can only be attached."""
        file = Path(creds.path)
        is_file = not creds.path.startswith((":memory:", "md:", "motherduck:"))
        self._encrypted = file if is_file and needs_key(file) else None
        if self._encrypted:
            self._database = str(creds.database)
            config["temp_directory"] = f"{file}.tmp"
            creds.path = ":memory:"

    def configure_connection(self, conn: Any) -> None:
        """Attach an encrypted warehouse under its name; make the function by which silver asks for SQL."""
        leave_out_wrong_rules(conn)
        if self._encrypted and self.creds:
            # Only dbt's opening of a file goes by it, which is done now.
            self.creds.path = str(self._encrypted)
            attach_file(conn, self._encrypted, self._database, read_only=False)
        for each in (self.creds.attach if self.creds else None) or []:
            # dbt attaches afterwards what is not there.
            if is_encrypted(Path(each.path)):
                name = each.alias.strip('"') if each.alias else Path(each.path).stem
                attach_file(conn, Path(each.path), name, read_only=bool(each.read_only))
        conn.create_function(_SET_ASIDE, _set_aside_sql, ["VARCHAR", "VARCHAR"], "VARCHAR", side_effects=True)

    def configure_cursor(self, cursor: Any) -> None:
        """Set the variables of a session, and let names without a database be of an encrypted warehouse.

        What is new of an incremental model in Python dbt-duckdb writes into memory, where it looks as well.
        """
        if self._encrypted:
            cursor.execute(search_path(self._database, "memory"))
        if key := find_pii_key():
            key.set_variables(cursor)
        if people := _find_forgotten():
            people.set_variables(cursor)


def _set_aside_sql(relation: str, columns: str) -> str:
    """Return SQL for the rows of forgotten people; `columns` are the table's, as a JSON list."""
    people = _find_forgotten()
    return people.set_aside_sql(relation, json.loads(columns)) if people else ""


def _find_forgotten() -> ForgottenPeople | None:
    # What is rebuilt beside a lake is a file, which the settings of the lake do not go with.
    named = os.environ.get("ASSAY_WAREHOUSE")
    return read_forgotten(Path(named) if named else find_places().main_warehouse)
