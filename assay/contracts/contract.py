"""Read a contract: tables, columns and rules, and Assay's own custom properties."""

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
# The ways in which silver shields personal data.
SHIELDS = ("hash", "mask")
_LANDING = "landing."
#: The custom property of a table that says how its CSV files are written.
DIALECT = "dialect"
#: How the names of tests end that a source must pass to keep what its contract promises.
KEEPS_PROMISES = "_keep_their_promises"
#: The step in a path from an array to its items; no key may contain this character.
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
        """The rule's name; its `id` if it has no name."""
        return self.raw.get("name") or self.raw.get("id")

    @property
    def kind(self) -> str:
        """The rule's type in the standard: text, library, sql or custom."""
        return str(self.raw.get("type") or "library")

    def custom(self, key: str) -> Any:
        """Return a custom property, or None."""
        return find_custom(self.raw, key)


@dataclass(frozen=True)
class Column:
    """A column, a field of a JSON document, or the items of an array; `path` says where it is."""

    raw: dict[str, Any]
    place: tuple[str | int, ...]
    path: tuple[str, ...]
    columns: list[Column] = field(default_factory=list)
    item: Column | None = None

    @property
    def name(self) -> str:
        """The column's name in its relation, or the field's in its object."""
        return self.path[-1] if self.path[-1] != EACH else f"{Column({}, (), self.path[:-1]).name} item"

    @property
    def label(self) -> str:
        """The column's path in the form for people: `lines[].price`."""
        return ".".join(self.path).replace(f".{EACH}", "[]")

    @property
    def is_nested(self) -> bool:
        """Whether this is a part of another column."""
        return len(self.path) > 1

    @property
    def kind(self) -> str:
        """The column's logical type."""
        return str(self.raw.get("logicalType") or "string")

    @property
    def is_required(self) -> bool:
        """Whether the column must have a value."""
        return bool(self.raw.get("required"))

    @property
    def rules(self) -> list[Rule]:
        """The rules that are written under the column."""
        return _rules(self.raw, self.place)

    @property
    def options(self) -> dict[str, Any]:
        """Bounds, lengths and pattern of the column's values."""
        return dict(self.raw.get("logicalTypeOptions") or {})

    @property
    def valid_values(self) -> list[Any]:
        """The values that the column may have, if they are listed as `enum`."""
        return [each["value"] for each in self.raw.get("enum") or []]

    @property
    def pii(self) -> str | None:
        """How silver shields the column's personal data, `hash` or `mask`; None for other data."""
        return cast(str | None, find_custom(self.raw, PII))

    def walk(self) -> Iterator[Column]:
        """Yield the column and everything in it: fields and items."""
        yield self
        for column in [*self.columns, *([self.item] if self.item else [])]:
            yield from column.walk()


@dataclass(frozen=True)
class Table:
    """A table under contract: a landing table or a table of gold."""

    raw: dict[str, Any]
    place: tuple[str | int, ...]
    contract: Contract

    @property
    def name(self) -> str:
        """The table's name within its source or product."""
        return str(self.raw["name"])

    @property
    def relation(self) -> str:
        """The table as `schema.name` in the warehouse; the schema may come from the contract's server."""
        name = str(self.raw.get("physicalName") or self.name)
        servers = self.contract.raw.get("servers") or []
        schemas = [server["schema"] for server in servers if server.get("schema")]
        return f"{schemas[0]}.{name}" if schemas and "." not in name else name

    @cached_property
    def columns(self) -> list[Column]:
        """The table's columns, in order."""
        return _columns(self.raw, self.place, ())

    @property
    def key(self) -> list[str]:
        """The columns of the primary key, in the key's order."""
        keys = [column for column in self.columns if column.raw.get("primaryKey")]
        return [
            column.name for column in sorted(keys, key=lambda each: each.raw.get("primaryKeyPosition") or 1)
        ]

    @property
    def dialect(self) -> Dialect:
        """How the table's CSV files are written.

        Raises:
            ValueError: the declared dialect is wrong.
        """
        return dialect_of(self.custom(DIALECT))

    @property
    def shields(self) -> dict[str, str]:
        """How silver shields the table's personal data, by the path of column or field."""
        columns = [column for top in self.columns for column in top.walk()]
        return {".".join(each.path): each.pii for each in columns if each.pii}

    @property
    def rules(self) -> list[Rule]:
        """The rules of the table itself, without those of its columns."""
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
        return find_custom(self.raw, key)


@dataclass(frozen=True)
class Contract:
    """A contract whose file conforms to the standard."""

    document: Document

    @property
    def raw(self) -> dict[str, Any]:
        """The content of the file."""
        return dict(self.document.content)

    @property
    def id(self) -> str:
        """The id of the source or product."""
        return str(self.raw["id"])

    @property
    def owners(self) -> list[str]:
        """The owners: the team, or the members with the role owner."""
        team = self.raw.get("team") or {}
        if isinstance(team, dict) and team.get("name"):
            return [str(team["name"])]
        members = team.get("members") or [] if isinstance(team, dict) else team
        return [str(each.get("username")) for each in members if str(each.get("role")).lower() == "owner"]

    @property
    def owner(self) -> str | None:
        """The owner; None if there is none."""
        return self.owners[0] if self.owners else None

    @property
    def consumers(self) -> list[str]:
        """The consumers that rely on the contract."""
        return [str(each) for each in find_custom(self.raw, "consumers") or []]

    @cached_property
    def tables(self) -> list[Table]:
        """The tables under the contract."""
        return [
            Table(each, ("schema", number), self) for number, each in enumerate(self.raw.get("schema") or [])
        ]

    @property
    def is_of_source(self) -> bool:
        """Whether the contract is for a source that lands files, and not for a product of gold."""
        return bool(self.tables) and all(table.relation.startswith(_LANDING) for table in self.tables)

    def service_levels(self, table: Table) -> list[tuple[tuple[str | int, ...], dict[str, Any]]]:
        """Return a table's service levels, each with its place; levels that name no table hold for all."""
        levels = enumerate(self.raw.get("slaProperties") or [])
        return [
            (("slaProperties", number), level)
            for number, level in levels
            if str(level.get("element") or table.name).split(".")[0] == table.name
        ]

    def levels_of_no_table(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """Yield the place and property of each service level of a table that is not here, and that table."""
        names = {table.name for table in self.tables}
        for number, level in enumerate(self.raw.get("slaProperties") or []):
            element = str(level.get("element") or "").split(".")[0]
            if element and element not in names:
                yield ("slaProperties", number), str(level["property"]), element

    def where(self, place: tuple[str | int, ...] = ()) -> str:
        """Return `file:line`."""
        return self.document.where(place)


def read_contracts(*folders: Path) -> tuple[list[Contract], list[Finding]]:
    """Read all contracts in some folders.

    Returns:
        The contracts that conform to the standard, by file name; and what is wrong with the others.
    """
    contracts, findings = [], []
    for path in (path for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}"))):
        document, wrong = read(path)
        findings += wrong
        if document and not wrong:
            contracts.append(Contract(document))
    return contracts, findings


def find_contract_file(name: str) -> Path:
    """Return the contract file of a source or product, which may not exist yet."""
    files = [folder / f"{name}{SUFFIX}" for folder in contract_folders(FOLDER)]
    return next((file for file in files if file.is_file()), files[0])


def find_custom(raw: dict[str, Any], key: str) -> Any:
    """Return the value of a custom property, or None."""
    return next(
        (each["value"] for each in raw.get("customProperties") or [] if each["property"] == key), None
    )


def make_snake_case(name: str) -> str:
    """Convert a name to snake case, for ids of rules and names of tests."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|\W+", "_", name)
    return words.lower().strip("_")


def join_words(text: Any) -> str:
    """Return a description without line breaks, for comparison."""
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
