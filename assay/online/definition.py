"""Read the definition of an online feature view from `srv_catalog`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from assay.core.fault import Fault
from assay.core.moment import length_of
from assay.core.sql import folded, names_in
from assay.online.types import kind_of
from assay.pii.key import VARIABLE, PiiKey, find_pii_key

# Clients use few different selections. The limit keeps a client that tries all from filling the memory.
_SELECTIONS_KEPT = 1000


@dataclass(frozen=True)
class OnlineColumn:
    """A key, a column, a derived feature or a request input.

    `default` is SQL, None if there is no default; `pii` is `hash` or `mask` for personal data.
    """

    name: str
    type: str
    description: str = ""
    default: str | None = None
    expression: str | None = None
    pii: str | None = None

    @cached_property
    def kind(self) -> str:
        """How values of the column are encoded in JSON."""
        return kind_of(self.type)


@dataclass(frozen=True)
class Build:
    """The build of a view's rows: the dbt run, and the time of the view's last arrival (UTC).

    `entities` is the number of entities that a store is to hold, and `digest` tells by which keys and
    versions they are; None if it is not known.
    """

    run_id: str
    known_until: datetime | None
    synced_at: datetime | None = None
    entities: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class OnlineView:
    """A feature view that is served online."""

    name: str
    text: str
    build: Build
    declared: dict[str, Any] = field(repr=False)
    _selections: dict[tuple[str, ...], Selection] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, definition: str, build: Build) -> OnlineView:
        """Read a view's definition."""
        declared = json.loads(definition)
        return cls(declared["name"], definition, build, declared)

    @cached_property
    def keys(self) -> list[OnlineColumn]:
        """The columns that name the entity, in the order of the view's declaration."""
        return _columns(self.declared["keys"])

    @property
    def pii_key(self) -> str | None:
        """The fingerprint of the key that hashes the view's personal keys; None if they are not hashed."""
        return self.declared.get("pii_key")

    def find_key(self) -> PiiKey | None:
        """Return the key that hashes the view's personal keys; None if they are not hashed.

        Raises:
            Fault: this process has another key, or none.
        """
        if self.pii_key is None:
            return None
        key = find_pii_key()
        if key is None or key.fingerprint != self.pii_key:
            raise Fault(
                f"The keys of {self.name} are hashed, and {VARIABLE} is {'another' if key else 'not set'}: "
                "set it to what it was in the build."
            )
        return key

    def hashed_keys(self, values: Sequence[str]) -> list[str]:
        """Convert an entity's key from the caller's values to the stored ones.

        Raises:
            Fault: the stored keys were hashed with another key than this process has.
        """
        key = self.find_key()
        if key is None:
            return list(values)
        pairs = zip(self.keys, values, strict=True)
        return [key.hashed(value) if column.pii == "hash" else value for column, value in pairs]

    @cached_property
    def columns(self) -> dict[str, OnlineColumn]:
        """The stored columns by name, in the order in which they are stored."""
        return {column.name: column for column in _columns(self.declared["columns"])}

    @cached_property
    def derived(self) -> dict[str, OnlineColumn]:
        """The derived features, by name; each may use those before it."""
        return {column.name: column for column in _columns(self.declared["derived"])}

    @cached_property
    def inputs(self) -> dict[str, OnlineColumn]:
        """The inputs that requests bring, by name."""
        return {column.name: column for column in _columns(self.declared["inputs"])}

    @cached_property
    def max_age(self) -> timedelta | None:
        """The maximum age of values; None for no limit."""
        declared = self.declared["max_age"]
        if declared is None:
            return None
        return length_of(declared)

    @cached_property
    def features(self) -> dict[str, OnlineColumn]:
        """All columns and derived features that can be requested, by name."""
        return self.columns | self.derived

    def selection(self, names: Sequence[str]) -> Selection:
        """Return what is needed to answer the given features; the result is cached."""
        wanted = tuple(names)
        if wanted not in self._selections:
            if len(self._selections) >= _SELECTIONS_KEPT:
                self._selections.clear()
            self._selections[wanted] = self._select(wanted)
        return self._selections[wanted]

    def _select(self, names: tuple[str, ...]) -> Selection:
        derivation = set(names) & self.derived.keys()
        for column in reversed(self.derived.values()):
            if column.name in derivation:
                used = names_in(column.expression or "")
                derivation |= {name for name in self.derived if folded(name) in used}
        derived = [column for column in self.derived.values() if column.name in derivation]
        used = {name for column in derived for name in names_in(column.expression or "")}
        return Selection(
            {
                name: position
                for position, name in enumerate(self.columns)
                if folded(name) in used or name in names
            },
            derived,
            [column for column in self.columns.values() if folded(column.name) in used],
            [column for column in self.inputs.values() if folded(column.name) in used],
        )


@dataclass(frozen=True)
class Selection:
    """What is needed to answer some features.

    `positions` gives the position of each column's value in a row. `derived` are the derived features to
    compute, in their order, from the columns in `needed` and the request's `inputs`.
    """

    positions: dict[str, int]
    derived: list[OnlineColumn]
    needed: list[OnlineColumn]
    inputs: list[OnlineColumn]


def _columns(declared: list[dict[str, Any]]) -> list[OnlineColumn]:
    return [
        OnlineColumn(
            each["name"],
            each["type"],
            each.get("description") or "",
            None if each.get("default") is None else str(each["default"]),
            each.get("expression"),
            each.get("pii"),
        )
        for each in declared
    ]
