"""What a contract says: tables, columns and rules, with what Assay reads into the standard's fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from assay.contracts.document import SUFFIX, Document, Finding, read
from assay.landing.dialect import Dialect, dialect_of
from assay.project.paths import contract_folders
from assay.project.personal import PII

FOLDER = Path("contracts")
# What silver makes of personal data.
SHIELDS = ("hash", "mask")
_LANDING = "landing."
#: Custom property of a table: how its CSV files are written.
DIALECT = "dialect"
#: The step of a path from an array to each of its items; no key may hold this character.
EACH = "\0"


@dataclass(frozen=True)
class Rule:
    """A rule of a contract, on a table or one of its columns.

    `name` is the id under which rows go to quarantine (landing tables), or the name of a dbt test (gold).
    """

    raw: dict[str, Any]
    place: tuple[str | int, ...]

    @property
    def name(self) -> str | None:
        """Its name; `id` where it has no name."""
        return self.raw.get("name") or self.raw.get("id")

    @property
    def kind(self) -> str:
        """The standard's type: text, library, sql or custom."""
        return str(self.raw.get("type") or "library")

    def custom(self, key: str) -> Any:
        """Return a custom property, or None."""
        return custom(self.raw, key)


@dataclass(frozen=True)
class Column:
    """A column; of JSON documents a field, and of arrays what their items are; `path` tells where it lies."""

    raw: dict[str, Any]
    place: tuple[str | int, ...]
    path: tuple[str, ...]
    columns: list[Column] = field(default_factory=list)
    item: Column | None = None

    @property
    def name(self) -> str:
        """Its name in the relation, or in its object."""
        return self.path[-1] if self.path[-1] != EACH else f"{Column({}, (), self.path[:-1]).name} item"

    @property
    def label(self) -> str:
        """Its path, as people read it: `lines[].price`."""
        return ".".join(self.path).replace(f".{EACH}", "[]")

    @property
    def is_nested(self) -> bool:
        """Whether it lies within a column."""
        return len(self.path) > 1

    @property
    def kind(self) -> str:
        """Its logical type."""
        return str(self.raw.get("logicalType") or "string")

    @property
    def is_required(self) -> bool:
        """Whether it must have a value."""
        return bool(self.raw.get("required"))

    @property
    def rules(self) -> list[Rule]:
        """Rules written under it."""
        return _rules(self.raw, self.place)

    @property
    def options(self) -> dict[str, Any]:
        """Bounds, lengths and pattern of its values."""
        return dict(self.raw.get("logicalTypeOptions") or {})

    @property
    def valid_values(self) -> list[Any]:
        """The values it may have, where they are listed as `enum`."""
        return [each["value"] for each in self.raw.get("enum") or []]

    @property
    def pii(self) -> str | None:
        """What silver makes of its values, `hash` or `mask`, where they are personal data."""
        return cast(str | None, custom(self.raw, PII))

    def walk(self) -> Iterator[Column]:
        """Yield it, the fields within it, and what its items are."""
        yield self
        for column in [*self.columns, *([self.item] if self.item else [])]:
            yield from column.walk()


@dataclass(frozen=True)
class Table:
    """A table under contract: a landing table, or one of gold."""

    raw: dict[str, Any]
    place: tuple[str | int, ...]
    contract: Contract

    @property
    def name(self) -> str:
        """Its name within source or product."""
        return str(self.raw["name"])

    @property
    def relation(self) -> str:
        """`schema.name` in the warehouse; the schema may be that of the contract's server."""
        name = str(self.raw.get("physicalName") or self.name)
        servers = self.contract.raw.get("servers") or []
        schemas = [server["schema"] for server in servers if server.get("schema")]
        return f"{schemas[0]}.{name}" if schemas and "." not in name else name

    @cached_property
    def columns(self) -> list[Column]:
        """Its columns, in order."""
        return _columns(self.raw, self.place, ())

    @property
    def key(self) -> list[str]:
        """Columns of the primary key, in its order."""
        keys = [column for column in self.columns if column.raw.get("primaryKey")]
        return [
            column.name for column in sorted(keys, key=lambda each: each.raw.get("primaryKeyPosition") or 1)
        ]

    @property
    def dialect(self) -> Dialect:
        """How its files are written.

        Raises:
            ValueError: what is declared of it cannot be followed.
        """
        return dialect_of(self.custom(DIALECT))

    @property
    def rules(self) -> list[Rule]:
        """Rules of the table itself."""
        return _rules(self.raw, self.place)

    def all_rules(self) -> Iterator[tuple[Column | None, Rule]]:
        """Yield the rules of the table (None) and of each column and field."""
        for rule in self.rules:
            yield None, rule
        for top in self.columns:
            for column in top.walk():
                for rule in column.rules:
                    yield column, rule

    def custom(self, key: str) -> Any:
        """Return a custom property, or None."""
        return custom(self.raw, key)


@dataclass(frozen=True)
class Contract:
    """A contract whose file keeps to the standard."""

    document: Document

    @property
    def raw(self) -> dict[str, Any]:
        """What the file says."""
        return dict(self.document.content)

    @property
    def id(self) -> str:
        """Id of the source or product."""
        return str(self.raw["id"])

    @property
    def owners(self) -> list[str]:
        """Who answers for it: the team, or people whose role is owner."""
        team = self.raw.get("team") or {}
        if isinstance(team, dict) and team.get("name"):
            return [str(team["name"])]
        members = team.get("members") or [] if isinstance(team, dict) else team
        return [str(each.get("username")) for each in members if str(each.get("role")).lower() == "owner"]

    @property
    def owner(self) -> str | None:
        """The one who answers for it."""
        return self.owners[0] if self.owners else None

    @property
    def consumers(self) -> list[str]:
        """Who relies on it."""
        return [str(each) for each in custom(self.raw, "consumers") or []]

    @cached_property
    def tables(self) -> list[Table]:
        """Its tables."""
        return [
            Table(each, ("schema", number), self) for number, each in enumerate(self.raw.get("schema") or [])
        ]

    @property
    def is_of_source(self) -> bool:
        """Whether it binds a source that lands files, and not a product in gold."""
        return bool(self.tables) and all(table.relation.startswith(_LANDING) for table in self.tables)

    def service_levels(self, table: Table) -> list[tuple[tuple[str | int, ...], dict[str, Any]]]:
        """Return the service levels of a table, each with its place; those that name no table are of all."""
        levels = enumerate(self.raw.get("slaProperties") or [])
        return [
            (("slaProperties", number), level)
            for number, level in levels
            if str(level.get("element") or table.name).split(".")[0] == table.name
        ]

    def where(self, place: tuple[str | int, ...] = ()) -> str:
        """Return `file:line`."""
        return self.document.where(place)


def read_contracts(*folders: Path) -> tuple[list[Contract], list[Finding]]:
    """Read all contracts in some folders.

    Returns:
        Those that keep to the standard, by file name; and what is wrong with the others.
    """
    contracts, findings = [], []
    for path in (path for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}"))):
        document, wrong = read(path)
        findings += wrong
        if document and not wrong:
            contracts.append(Contract(document))
    return contracts, findings


def contract_file(name: str) -> Path:
    """Return the file of the contract of a source or product; where it has none yet, the one to write."""
    files = [folder / f"{name}{SUFFIX}" for folder in contract_folders(FOLDER)]
    return next((file for file in files if file.is_file()), files[0])


def custom(raw: dict[str, Any], key: str) -> Any:
    """Return the value of a custom property, or None."""
    return next(
        (each["value"] for each in raw.get("customProperties") or [] if each["property"] == key), None
    )


def snake(name: str) -> str:
    """Return a name in snake case, as rule ids and tests are written."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|\W+", "_", name)
    return words.lower().strip("_")


def words(text: Any) -> str:
    """Return a description as it is compared: without the breaks of its lines."""
    return " ".join(str(text or "").split())


def _columns(raw: dict[str, Any], place: tuple[str | int, ...], path: tuple[str, ...]) -> list[Column]:
    columns = []
    for number, each in enumerate(raw.get("properties") or []):
        name = str(each.get("physicalName") or each["name"])
        columns.append(_column(each, (*place, "properties", number), (*path, name)))
    return columns


def _column(raw: dict[str, Any], place: tuple[str | int, ...], path: tuple[str, ...]) -> Column:
    items = raw.get("items")
    item = _column(items, (*place, "items"), (*path, EACH)) if isinstance(items, dict) else None
    return Column(raw, place, path, _columns(raw, place, path), item)


def _rules(raw: dict[str, Any], place: tuple[str | int, ...]) -> list[Rule]:
    return [Rule(each, (*place, "quality", number)) for number, each in enumerate(raw.get("quality") or [])]
