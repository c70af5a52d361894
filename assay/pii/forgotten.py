"""Know who was forgotten, without their keys, and find their rows in a table of silver."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.core.disk import replace_private
from assay.core.fault import Fault
from assay.core.sql import folded, quoted, text
from assay.pii.key import PiiKey
from assay.pii.sql import hash_sql

#: The rule that a row breaks which names somebody who was forgotten.
RULE = "forgotten"
_BYTES_OF_KEY = 32
# The session's variables for the hash of a key, and for a list of hashes, with its number behind it.
_INNER, _OUTER, _HASHES = "forgotten_inner", "forgotten_outer", "forgotten_hashes_"
# What exposures to experiments and logged predictions say of an entity, whichever it is.
_ENTITY, _ENTITY_ID, _SERVED, _KEYS = "entity", "entity_id", "served", "entity_keys"


@dataclass(frozen=True)
class ForgottenPeople:
    """Who was forgotten: hashes of their keys, under a key of the list's own.

    `hashes` are by entity and by the name of the column with its key.
    """

    key: PiiKey = field(default_factory=lambda: PiiKey(secrets.token_bytes(_BYTES_OF_KEY)))
    hashes: Mapping[tuple[str, str], list[str]] = field(default_factory=dict)

    def with_keys(self, entity: str, column: str, keys: Collection[str]) -> ForgottenPeople:
        """Return the list with one more person, by all texts that may stand as the key."""
        place = (entity, column)
        before = self.hashes.get(place, [])
        new = [self.key.hashed(key) for key in keys]
        return ForgottenPeople(self.key, {**self.hashes, place: [*dict.fromkeys([*before, *new])]})

    def keep(self, warehouse: Path) -> None:
        """Write the list beside the warehouse.

        Raises:
            OSError: it cannot be written.
        """
        people = [
            {"entity": entity, "column": column, "hash": each}
            for (entity, column), hashes in self.hashes.items()
            for each in hashes
        ]
        content = {"key": self.key.secret.hex(), "people": people}
        replace_private(forgotten_file(warehouse), json.dumps(content).encode())

    def set_variables(self, cursor: Any) -> None:
        """Set the variables of a session of DuckDB by which `keys_sql` knows them."""
        inner, outer = self.key.pads
        cursor.execute(f"set variable {_INNER} = unhex('{inner.hex()}')")
        cursor.execute(f"set variable {_OUTER} = unhex('{outer.hex()}')")
        for number, hashes in enumerate(self.hashes.values()):
            cursor.execute(f"set variable {_HASHES}{number} = [{', '.join(map(text, hashes))}]")

    def keys_sql(self, relation: str, columns: Collection[str]) -> Iterator[tuple[str, str, str]]:
        """Yield where listed people stand in a table: by entity, and by each way in which a row names one.

        Args:
            relation: the table, quoted.
            columns: the table's.

        Yields:
            The entity, an expression of the list of keys that a row names, and a query for those of them that
            are listed, as `person_key`. The session has the variables.
        """
        for number, (entity, column) in enumerate(self.hashes):
            hashed = hash_sql("person_key", _INNER, _OUTER)
            is_listed = f"list_contains(getvariable('{_HASHES}{number}'), {hashed})"
            for keys in keys_of_row(columns, entity, column):
                each = f"select distinct unnest({keys}) as person_key from {relation}"
                yield entity, keys, f"select person_key from ({each}) where {is_listed}"

    def set_aside_sql(self, relation: str, columns: Collection[str]) -> str:
        """Return SQL that rejects the rows of a checked table which name a listed person; '' if none can.

        Args:
            relation: the table, quoted.
            columns: the table's.
        """
        rows = [
            f"select file_id, row_number from (select file_id, row_number, unnest({keys}) as person_key "
            f"from {relation}) where person_key in ({listed})"
            for _, keys, listed in self.keys_sql(relation, columns)
        ]
        if not (rows and {"rule_ids", "file_id", "row_number"} <= {*columns}):
            return ""
        return (
            f"update {relation} set rule_ids = list_append(coalesce(rule_ids, []), {text(RULE)}) "
            f"where not list_contains(coalesce(rule_ids, []), {text(RULE)}) "
            f"and (file_id, row_number) in ({' union '.join(rows)})"
        )


def keys_of_row(columns: Collection[str], entity: str, column: str) -> Iterator[str]:
    """Yield SQL for the keys of an entity that a row names, a list of texts, by each way in which it may.

    Args:
        columns: the table's.
        entity: of which the keys are.
        column: the name of the key's column.
    """
    known = {folded(each) for each in columns}
    if folded(column) in known:
        yield _texts_of(quoted(column))
    if {_ENTITY, _ENTITY_ID} <= known:
        yield f"case when {_ENTITY} = {text(entity)} then [{_ENTITY_ID}::varchar] end"
    if _SERVED in known:
        path = text(f'$[*].keys."{column}"')
        yield f"try(json_extract_string({_SERVED}::varchar, {path}))"
    if _KEYS in known:
        path = text(f'$."{column}"')
        yield f"[try(json_extract_string({_KEYS}::varchar, {path}))]"


def _texts_of(name: str) -> str:
    """Return SQL for the texts of a key: pandas makes a whole number one with a fraction, 17 to 17.0."""
    as_it_is = f"{name}::varchar"
    has_fraction = f"regexp_matches(typeof({name}), '^(FLOAT|DOUBLE|DECIMAL)')"
    whole = f"regexp_replace({as_it_is}, '[.]0+$', '')"
    return f"case when {has_fraction} then [{as_it_is}, {whole}] else [{as_it_is}] end"


def forgotten_file(warehouse: Path) -> Path:
    """Return the file beside a warehouse that lists who was forgotten, as hashes under a key of its own."""
    return warehouse.with_name(f"{warehouse.name}.forgotten.json")


def read_forgotten(warehouse: Path) -> ForgottenPeople | None:
    """Return the list of who was forgotten; None if nobody was.

    Raises:
        Fault: the list is damaged.
    """
    file = forgotten_file(warehouse)
    try:
        listed: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        hashes: dict[tuple[str, str], list[str]] = {}
        for each in listed["people"]:
            hashes.setdefault((each["entity"], each["column"]), []).append(each["hash"])
        return ForgottenPeople(PiiKey(bytes.fromhex(listed["key"])), hashes)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Fault(
            f"{file} is damaged; it lists who was forgotten, so that nobody comes back. "
            "Put it back from a backup, or remove it: then nobody of them is known any more."
        ) from error
