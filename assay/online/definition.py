"""What a feature view that is online declares, as `srv_catalog` writes it down."""

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

# What clients ask for is of few kinds; who asks for all kinds must not fill the memory.
_SELECTIONS_KEPT = 1000


@dataclass(frozen=True)
class OnlineColumn:
    """A key, a column, a derived feature or a request input.

    `default` is SQL, None where there is none; `pii` is `hash` or `mask` where values are personal data.
    """

    name: str
    type: str
    description: str = ""
    default: str | None = None
    expression: str | None = None
    pii: str | None = None

    @cached_property
    def kind(self) -> str:
        """How its values travel."""
        return kind_of(self.type)


@dataclass(frozen=True)
class Build:
    """What a view's rows are of: the dbt run, and when something last arrived for the view (UTC).

    `entities` is how many a store has been given, None where that is not known.
    """

    run_id: str
    known_until: datetime | None
    synced_at: datetime | None = None
    entities: int | None = None


@dataclass(frozen=True)
class OnlineView:
    """A feature view as it is served."""

    name: str
    text: str
    build: Build
    declared: dict[str, Any] = field(repr=False)
    _selections: dict[tuple[str, ...], Selection] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, definition: str, build: Build) -> OnlineView:
        """Read a definition."""
        declared = json.loads(definition)
        return cls(declared["name"], definition, build, declared)

    @cached_property
    def keys(self) -> list[OnlineColumn]:
        """The columns that name the entity, in the order of the view's declaration."""
        return _columns(self.declared["keys"])

    @property
    def pii_key(self) -> str | None:
        """The fingerprint of the key that its personal keys are hashed with; None where they are not."""
        return self.declared.get("pii_key")

    def find_key(self) -> PiiKey | None:
        """Return the key that the view's personal keys are hashed with; None where they are not.

        Raises:
            Fault: this process has another, or none.
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
        """Return an entity's key as it is stored, of the values that a caller knows it by.

        Raises:
            Fault: what is hashed was hashed with another key than this process has.
        """
        key = self.find_key()
        if key is None:
            return list(values)
        pairs = zip(self.keys, values, strict=True)
        return [key.hashed(value) if column.pii == "hash" else value for column, value in pairs]

    @cached_property
    def columns(self) -> dict[str, OnlineColumn]:
        """What is stored, by name, in the order in which it is stored."""
        return {column.name: column for column in _columns(self.declared["columns"])}

    @cached_property
    def derived(self) -> dict[str, OnlineColumn]:
        """The derived features, by name; each may use those before it."""
        return {column.name: column for column in _columns(self.declared["derived"])}

    @cached_property
    def inputs(self) -> dict[str, OnlineColumn]:
        """What requests bring along, by name."""
        return {column.name: column for column in _columns(self.declared["inputs"])}

    @cached_property
    def max_age(self) -> timedelta | None:
        """How old values may be; None without limit."""
        declared = self.declared["max_age"]
        if declared is None:
            return None
        return length_of(declared)

    @cached_property
    def features(self) -> dict[str, OnlineColumn]:
        """All that can be asked for, by name."""
        return self.columns | self.derived

    def selection(self, names: Sequence[str]) -> Selection:
        """Return what answering features takes; it is kept for the next request of the same."""
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
    """What answering some features takes.

    `positions` tells where the values of each column lie in a row; `derived` are the derived features to
    compute, in their order, from the columns `needed` and the request's `inputs`.
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
