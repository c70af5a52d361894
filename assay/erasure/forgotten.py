"""Know who was forgotten, without their keys, so that a file that lands later brings nobody back."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from assay.core.disk import replace_private
from assay.core.fault import Fault
from assay.core.sql import quoted
from assay.erasure.find import columns_of
from assay.erasure.person import Person, keys_in
from assay.pii.key import PiiKey
from assay.pii.sql import hash_sql
from assay.project.conventions import CHECKED
from assay.project.warehouse import connect

_BYTES_OF_KEY = 32


def forgotten_file(warehouse: Path) -> Path:
    """Return the file beside a warehouse that lists who was forgotten, as hashes under a key of its own."""
    return warehouse.with_name(f"{warehouse.name}.forgotten.json")


def note_forgotten(warehouse: Path, person: Person) -> None:
    """Add a person to the list.

    Raises:
        Fault: the list is damaged.
        OSError: it cannot be written.
    """
    listed = _read(warehouse) or {"key": secrets.token_hex(_BYTES_OF_KEY), "people": []}
    key = PiiKey(bytes.fromhex(listed["key"]))
    for value in person.values:
        entry = {"entity": person.entity, "column": person.column, "hash": key.hashed(value)}
        if entry not in listed["people"]:
            listed["people"].append(entry)
    replace_private(forgotten_file(warehouse), json.dumps(listed).encode())


def find_returned(warehouse: Path) -> list[str]:
    """Return who was forgotten and is in silver again, each as `ENTITY=KEY`.

    Raises:
        Fault: the list is damaged, or another program has the warehouse open.
        duckdb.Error: the warehouse cannot be read.
    """
    listed = _read(warehouse)
    if listed is None:
        return []
    hashes: dict[tuple[str, str], list[str]] = {}
    for entry in listed["people"]:
        hashes.setdefault((entry["entity"], entry["column"]), []).append(entry["hash"])
    found: set[str] = set()
    with connect(warehouse) as connection:
        PiiKey(bytes.fromhex(listed["key"])).set_variables(connection)
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
        ).fetchall():
            if table.endswith(CHECKED):
                columns = columns_of(connection, schema, table)
                relation = f"{quoted(schema)}.{quoted(table)}"
                for (entity, column), of_column in hashes.items():
                    for keys in keys_in(relation, columns, entity, column):
                        found |= {
                            f"{entity}={key}"
                            for (key,) in connection.execute(
                                "select distinct person_key from "
                                f"({keys}) where list_contains($1, {hash_sql('person_key')})",
                                [of_column],
                            ).fetchall()
                        }
    return sorted(found)


def _read(warehouse: Path) -> dict[str, Any] | None:
    file = forgotten_file(warehouse)
    try:
        listed: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        bytes.fromhex(listed["key"])
        return listed | {"people": list(listed["people"])}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Fault(
            f"{file} is damaged; it lists who was forgotten, so that nobody comes back. "
            "Put it back from a backup, or remove it: then nobody of them is known any more."
        ) from error
