"""Which columns hold personal data, and values as people may be shown them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.project.graph import Manifest, read_manifest

# Keys of `config.meta`: of sources and columns; of columns of silver.
PII, LANDED_AS = "pii", "landed_as"
# Landed text, which may hold any field of its row; of JSON lines there is `line`.
_LANDED = ("line", "line_as_declared", "malformed_line", "other_values")
_DOCUMENT = "line"
# What dbt's own tests call the column that they are about.
_TESTED = ("unique_field", "value_field", "from_field")
_SHOWN, _LEAST_LENGTH = 4, 12
_NAMED = re.compile(r"(\w+): ([^\s,\"]+)")
_WITHHELD = "(withheld: it may hold personal data, and cannot be read)"


@dataclass(frozen=True)
class Personal:
    """The names of columns and JSON fields that hold personal data, in lower case.

    A name that is personal in one table counts as personal in all: rows that are shown may come from any.
    Where `is_known` is false, nothing tells what is personal, and all is taken to be.
    """

    names: frozenset[str]
    is_known: bool = True

    @classmethod
    def of(cls, manifest: Manifest) -> Personal:
        """Return what a project's contracts and models declare so."""
        names: set[str] = set()
        landed: set[str] = set()
        for source in manifest.sources.values():
            landed |= {field.lower() for field in (_meta(source).get(PII) or {})}
        landed |= {field.rpartition(".")[2] for field in landed}
        for node in manifest.nodes.values():
            for column in (node.get("columns") or {}).values():
                carries = str(_meta(column).get(LANDED_AS, "")).lower() in landed
                if carries or is_personal(column):
                    names.add(str(column["name"]).lower())
        return cls(frozenset(names | landed))

    def holds(self, *columns: str) -> bool:
        """Return whether one of these columns holds personal data."""
        return not self.is_known or any(column.lower() in self.names for column in columns)

    def example(self, value: Any, columns: Iterable[str]) -> Any:
        """Return a value made of these columns, masked where one of them is personal."""
        return masked(value) if self.holds(*columns) else value

    def shown(self, row: Mapping[str, Any], about: str = "") -> dict[str, Any]:
        """Return a row without personal data.

        Args:
            row: values by column.
            about: the relation and column that a test is about, whose rows may call that column otherwise.
        """
        tested = _TESTED if self.holds(about.rpartition(".")[2]) else ()
        return {
            name: masked(value)
            if self.holds(name) or name in tested
            else self._landed(value, row)
            if name in _LANDED
            else value
            for name, value in row.items()
        }

    def text(self, message: str) -> str:
        """Return a message such as `Duplicate key "card_id: 1"` without the values of personal columns."""
        if not self.is_known:
            return message
        return _NAMED.sub(
            lambda found: f"{found[1]}: {masked(found[2])}" if self.holds(found[1]) else found[0], message
        )

    def rows(self, rows: Sequence[Mapping[str, Any]], about: str = "") -> list[dict[str, Any]]:
        """Return rows without personal data."""
        return [self.shown(row, about) for row in rows]

    def _landed(self, value: Any, row: Mapping[str, Any]) -> Any:
        if not self.names or not value:
            return value
        try:
            return json.dumps(self._within(json.loads(value)), ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            return _WITHHELD if self.holds(*row) or _DOCUMENT in row else value

    def _within(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._field(name, each) for name, each in value.items()}
        return [self._within(each) for each in value] if isinstance(value, list) else value

    def _field(self, name: str, value: Any) -> Any:
        is_leaf = not isinstance(value, dict | list)
        return masked(value) if is_leaf and self.holds(name) else self._within(value)


def read_personal() -> Personal:
    """Return what the project in the current folder declares personal, as dbt parsed it last."""
    manifest = read_manifest()
    return Personal.of(manifest) if manifest else Personal(frozenset(), is_known=False)


def is_personal(column: Mapping[str, Any]) -> bool:
    """Return whether the YAML of a column says that it holds personal data."""
    config = column.get("config") or {}
    return PII in (column.get("tags") or config.get("tags") or []) or bool(_meta(column).get(PII))


def masked(value: Any) -> str | None:
    """Return the last characters of a long value, which tell it from others; of a short one nothing."""
    if value is None:
        return None
    text = str(value)
    return f"****{text[-_SHOWN:]}" if len(text) >= _LEAST_LENGTH else "****"


def _meta(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    return (holder.get("config") or {}).get("meta") or holder.get("meta") or {}
