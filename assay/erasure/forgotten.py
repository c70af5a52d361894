"""Find who was forgotten and came back in a file that landed later."""

from __future__ import annotations

from pathlib import Path

from assay.core.sql import quoted
from assay.erasure.find import columns_of
from assay.erasure.person import Person
from assay.pii.forgotten import ForgottenPeople, read_forgotten
from assay.project.conventions import CHECKED
from assay.project.warehouse import connect


def note_forgotten(warehouse: Path, person: Person) -> None:
    """Add a person to the list of who was forgotten.

    Raises:
        Fault: the list is damaged.
        OSError: it cannot be written.
    """
    listed = read_forgotten(warehouse) or ForgottenPeople()
    for column in person.columns:
        listed = listed.with_keys(person.entity, column, person.values)
    listed.keep(warehouse)


def find_returned(warehouse: Path) -> list[str]:
    """Return who was forgotten and is in silver again, each as `ENTITY=KEY`.

    Raises:
        Fault: the list is damaged, or another program has the warehouse open.
        duckdb.Error: the warehouse cannot be read.
    """
    listed = read_forgotten(warehouse)
    if listed is None:
        return []
    found: set[str] = set()
    with connect(warehouse) as connection:
        listed.set_variables(connection)
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
        ).fetchall():
            if table.endswith(CHECKED):
                columns = columns_of(connection, schema, table)
                for entity, _, keys in listed.keys_sql(f"{quoted(schema)}.{quoted(table)}", columns):
                    found |= {f"{entity}={key}" for (key,) in connection.execute(keys).fetchall()}
    return sorted(found)
