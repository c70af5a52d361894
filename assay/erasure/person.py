"""Find out who is meant by ENTITY=KEY, and in which columns of any table the key stands."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import duckdb

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.sql import folded, text
from assay.core.words import escaped
from assay.landing.names import RESERVED
from assay.pii.forgotten import keys_of_row
from assay.pii.key import VARIABLE, PiiKey, find_pii_key
from assay.project.conventions import is_of_kind
from assay.project.graph import Manifest

# Of an id such as 17@2025-12-01; that of a day has no part 17.
_PARTS_OF_LABEL_ID = r"string_split_regex(label_id::varchar, '[@|,;\s]+')"
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True)
class Person:
    """An entity and its key, or several of one kind that are forgotten together.

    `columns` are the names of the columns that have the key, whichever table they are in; `values` are the
    texts it may have there: the key itself, and its hash where a column is declared personal. `labels` are
    the labels of such entities, by whose ids predictions name them. Of several people, `key` names all.
    """

    entity: str
    key: str
    columns: tuple[str, ...]
    values: tuple[str, ...]
    labels: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What the run ledger says of it, which names nobody: the entity."""
        return self.entity

    def condition(self, columns: Collection[str]) -> str | None:
        """Return SQL that holds for the person's rows of a table; None where no column names a person.

        Args:
            columns: the table's.
        """
        values = ", ".join(map(text, self.values))
        named = [keys for column in self.columns for keys in keys_of_row(columns, self.entity, column)]
        parts = [f"list_has_any({keys}, [{values}])" for keys in dict.fromkeys(named)]
        if self.labels and {"label_name", "label_id"} <= {folded(each) for each in columns}:
            # A prediction need not tell what it was made with, and then its label alone says of whom it is.
            of_labels = f"label_name in ({', '.join(map(text, self.labels))})"
            parts.append(f"({of_labels} and list_has_any({_PARTS_OF_LABEL_ID}, [{values}]))")
        return f"coalesce({' or '.join(parts)}, false)" if parts else None

    def is_in_key(self, key: str) -> bool:
        """Tell whether the text that an entity is stored under, or one of its keys, is the person's."""
        if key in self.values:
            return True
        # Several keys are a JSON array.
        with suppress(ValueError):
            several = json.loads(key)
            return isinstance(several, list) and any(str(each) in self.values for each in several)
        return False


def find_people(
    asked: Sequence[str], manifest: Manifest, connection: duckdb.DuckDBPyConnection
) -> list[Person]:
    """Find out who is meant, each once.

    Args:
        asked: `ENTITY=KEY` of each, all of one entity.
        manifest: of the project, as dbt has parsed it.
        connection: to the warehouse.

    Raises:
        Fault: as `find_person`, or they are of several entities.
    """
    people = [find_person(each, manifest, connection) for each in dict.fromkeys(asked)]
    entities = sorted({each.entity for each in people})
    if len(entities) > 1:
        raise Fault(f"{' and '.join(entities)} are forgotten one after the other.", MISUSED)
    return people


def put_together(people: Sequence[Person]) -> Person:
    """Return several people of one entity as one, who has the keys of all."""
    first, *_ = people
    values = tuple(value for each in people for value in each.values)
    return replace(first, key=", ".join(each.key for each in people), values=values)


def find_person(asked: str, manifest: Manifest, connection: duckdb.DuckDBPyConnection) -> Person:
    """Find out who is meant.

    The columns with the key are those of the entity's feature views, or `<entity>_id` where it has none.

    Args:
        asked: `ENTITY=KEY`.
        manifest: of the project, as dbt has parsed it.
        connection: to the warehouse.

    Raises:
        Fault: it is not of that form, or the project has no such entity with a key of one column.
    """
    entity, separator, key = escaped(asked).partition("=")
    if not (separator and entity.strip() and key.strip()):
        raise Fault(f"{asked!r} names nobody: write ENTITY=KEY, such as customer=17.", MISUSED)
    entity, key = entity.strip(), key.strip()
    keys = _keys_of_entities(manifest)
    columns = {
        str(name)
        for (name,) in connection.execute(
            "select distinct column_name from duckdb_columns() where not internal"
        ).fetchall()
        # `file=1` would remove a whole file, `run=...` all that a run has loaded.
        if name not in RESERVED
    }
    asked_keys = keys.get(entity, {(f"{entity}_id",)})
    found = tuple(sorted(each[0] for each in asked_keys if len(each) == 1))
    if not found:
        several = ", ".join(sorted({column for each in asked_keys for column in each}))
        raise Fault(
            f"{entity} has a key of several columns, {several}: forget one of those instead.", MISUSED
        )
    if not columns.intersection(found):
        known = sorted({*keys, *(name.removesuffix("_id") for name in columns if name.endswith("_id"))})
        raise Fault(unknown(f"{entity} is no entity of this project", entity, known), MISUSED)
    secret = _find_key_of_silver(connection)
    texts = [key]
    if _UUID.fullmatch(key):
        # Which letters it is written in says nothing, and a column of this type has small ones.
        texts = [*dict.fromkeys((key, key.lower(), key.upper()))]
    hashes = map(secret.hashed, texts) if secret else ()
    return Person(entity, key, found, (*texts, *hashes), _find_labels(found, manifest, connection))


def _find_labels(
    columns: Collection[str], manifest: Manifest, connection: duckdb.DuckDBPyConnection
) -> tuple[str, ...]:
    """Return the labels whose tables have one of the columns."""
    having = {
        (schema, table)
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_columns() where list_contains($1, column_name)",
            [list(columns)],
        ).fetchall()
    }
    labels = (node for node in manifest.nodes.values() if is_of_kind(node, "labels"))
    return tuple(
        sorted(
            node["name"] for node in labels if (node["schema"], node.get("alias") or node["name"]) in having
        )
    )


def _find_key_of_silver(connection: duckdb.DuckDBPyConnection) -> PiiKey | None:
    """Return the key that hashes personal data.

    Raises:
        Fault: silver was hashed with another one, under which nobody is found.
    """
    secret = find_pii_key()
    try:
        held = connection.execute("select fingerprint from landing.pii_key").fetchall()
    except duckdb.CatalogException:
        held = []
    if any(fingerprint and (not secret or secret.fingerprint != fingerprint) for (fingerprint,) in held):
        raise Fault(
            f"Silver hashes personal data, and {VARIABLE} is {'another' if secret else 'not set'}, so that "
            "not all rows of a person would be found: set it to what it was in the build.",
            MISUSED,
        )
    return secret


def _keys_of_entities(manifest: Manifest) -> dict[str, set[tuple[str, ...]]]:
    """Return the keys of each entity's feature views: one view may name the column otherwise than another."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for node in manifest.nodes.values():
        view = ((node.get("config") or {}).get("meta") or {}).get("feature_view") or {}
        if view.get("entity") and view.get("keys"):
            found.setdefault(str(view["entity"]), set()).add(tuple(map(str, view["keys"])))
    return found
