"""Find the columns with personal data, and mask their values before people see them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.project.graph import Manifest, read_manifest

# Keys of `config.meta`: PII in sources and columns, LANDED_AS in columns of silver.
PII, LANDED_AS = "pii", "landed_as"
# Columns with landed text, which may hold any field of its row; JSON lines have `line`.
_LANDED = ("line", "line_as_declared", "malformed_line", "other_values")
_DOCUMENT = "line"
# The names that dbt's own tests give to the column that they check.
_TESTED = ("unique_field", "value_field", "from_field")
_SHOWN, _LEAST_LENGTH = 4, 12
_NAMED = re.compile(r"(\w+): ([^\s,\"]+)")
# DuckDB quotes values without the name of their column, too.
_QUOTED = re.compile(r"(duplicate key|convert string) (['\"])(?!\w+: )(.*?)\2")
_WITHHELD = "(withheld: it may hold personal data, and cannot be read)"


@dataclass(frozen=True)
class Personal:
    """The names of columns and JSON fields that hold personal data, in lower case.

    A name that is personal in one table counts as personal in all tables, because shown rows may come from
    any of them. If `is_known` is false, there is no manifest to tell, and every column counts as personal.
    """

    names: frozenset[str]
    is_known: bool = True

    @classmethod
    def of(cls, manifest: Manifest) -> Personal:
        """Collect the names that a project's contracts and models declare personal."""
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

    def __or__(self, other: Personal) -> Personal:
        """Return the names that are personal here or there."""
        return Personal(self.names | other.names, self.is_known and other.is_known)

    def holds(self, *columns: str) -> bool:
        """Tell whether one of these columns holds personal data."""
        return not self.is_known or any(column.lower() in self.names for column in columns)

    def example(self, value: Any, columns: Iterable[str]) -> Any:
        """Return a value that was made of these columns; it is masked if one of them is personal."""
        return masked(value) if self.holds(*columns) else value

    def shown(self, row: Mapping[str, Any], about: str = "") -> dict[str, Any]:
        """Return a row with its personal data masked.

        Args:
            row: values by column.
            about: the relation and column that a test checks; its rows may give that column another name.
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
        """Mask the values of personal columns in a message such as `Duplicate key "card_id: 1"`.

        Where any column is personal, so is a value of which the message does not say the column.
        """
        if not self.is_known:
            return message
        message = _NAMED.sub(
            lambda found: f"{found[1]}: {masked(found[2])}" if self.holds(found[1]) else found[0], message
        )
        if not self.names:
            return message
        return _QUOTED.sub(lambda found: f"{found[1]} {found[2]}{masked(found[3])}{found[2]}", message)

    def rows(self, rows: Sequence[Mapping[str, Any]], about: str = "") -> list[dict[str, Any]]:
        """Return rows with their personal data masked."""
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
    """Read which names the current project declares personal, from the manifest that dbt wrote last."""
    manifest = read_manifest()
    return Personal.of(manifest) if manifest else Personal(frozenset(), is_known=False)


def is_personal(column: Mapping[str, Any]) -> bool:
    """Tell whether the YAML of a column says that it holds personal data."""
    config = column.get("config") or {}
    return PII in (column.get("tags") or config.get("tags") or []) or bool(_meta(column).get(PII))


def masked(value: Any) -> str | None:
    """Mask a value: a long one keeps its last characters, to distinguish it; a short one keeps nothing."""
    if value is None:
        return None
    text = str(value)
    return f"****{text[-_SHOWN:]}" if len(text) >= _LEAST_LENGTH else "****"


def _meta(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    return (holder.get("config") or {}).get("meta") or holder.get("meta") or {}
