"""Read the landing tables that a project declares: dbt sources whose `config.meta` has a `landing` entry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from assay.core.sql import folded
from assay.core.yaml_text import read_yaml
from assay.landing.dialect import DEFAULT, Dialect, dialect_of
from assay.landing.names import MESSAGE_NAMES, path_of, wrong_names
from assay.landing.schema.logical_types import LOGICAL_TYPES, LogicalType
from assay.landing.time_format import EPOCHS

Format = Literal["csv", "jsonl"]
Mode = Literal["evolve", "freeze", "discard_value", "discard_row"]
MODES: tuple[Mode, ...] = get_args(Mode)
Difference = Literal["new", "lost", "type"]
DIFFERENCES: tuple[Difference, ...] = get_args(Difference)
_LENGTH = re.compile("[1-9][0-9]{0,5}[smhd]")
_SETTINGS = {
    "format",
    "dialect",
    "optional",
    "schema_mode",
    "types",
    "time_formats",
    "keys",
    "physical_types",
    "aliases",
    "streamed",
    "lateness",
    "idle_after",
}


class DeclarationError(Exception):
    """The `landing` entry in a source's YAML is wrong, or cannot be read."""


@dataclass(frozen=True)
class LandingTable:
    """One folder `<source>/<name>/` of the landing zone, and how its files are read.

    `columns` are the columns of a CSV file, in the order of the YAML; JSON lines have none, because the
    whole document is kept. `types` gives the logical type of each column, or of each key of a document by
    its path, such as `properties.price`. Files may lack the columns in `optional`. `aliases` maps other
    names that files may use to the declared names. `modes` says, for each kind of difference, how files
    that differ from the declaration are handled.
    """

    source: str
    name: str
    format: Format
    columns: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    modes: Mapping[Difference, Mode] = field(default_factory=dict, hash=False)
    types: Mapping[str, LogicalType] = field(default_factory=dict, hash=False)
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)
    owner: str | None = None
    #: How the CSV files are written.
    dialect: Dialect = DEFAULT
    #: Formats of times for DuckDB's strptime, by the name of the column or key.
    time_formats: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: Whether a stream lands messages in the table, as segments.
    is_streamed: bool = False
    #: The YAML file that declares the table.
    declared_in: Path | None = field(default=None, compare=False)

    def mode_of(self, difference: Difference) -> Mode:
        """Return the mode for a kind of difference: evolve by default, freeze for lost columns of CSV."""
        is_frozen = self.format == "csv" and difference == "lost" and not self.is_streamed
        default: Mode = "freeze" if is_frozen else "evolve"
        return self.modes.get(difference, default)

    @property
    def expected(self) -> tuple[str, ...]:
        """The declared columns, or the declared keys by their paths; empty if no keys are declared."""
        return self.columns if self.format == "csv" else tuple(self.types)

    @property
    def relation(self) -> str:
        """The name of the table in schema `landing` that holds the rows."""
        return f"{self.source}__{self.name}"


def declared_tables(*folders: Path) -> dict[tuple[str, str], LandingTable]:
    """Read every landing table declared in the YAML files under some folders.

    Returns:
        (source, table) -> LandingTable.

    Raises:
        DeclarationError: a `landing` entry with an unknown setting, format, mode or type, or a CSV table
            without columns.
    """
    tables = {}
    paths = [path for folder in folders for ending in ("yml", "yaml") for path in folder.rglob(f"*.{ending}")]
    for path in sorted(paths):
        for source in _mappings(_sources(path)):
            for table in _mappings(source.get("tables")):
                landing = _inner(table, "config", "meta", "landing")
                if landing:
                    declared = _landing_table(path, source, table, landing)
                    tables[declared.source, declared.name] = declared
    _refuse_shared_relations(tables.values())
    return tables


def lands_files(*folders: Path) -> bool:
    """Tell whether landing tables are declared under some folders; without any, no landing zone is needed."""
    return bool(declared_tables(*folders))


def _refuse_shared_relations(tables: Iterable[LandingTable]) -> None:
    known: dict[str, LandingTable] = {}
    for table in tables:
        other = known.setdefault(folded(table.relation), table)
        if other is not table:
            raise DeclarationError(
                f"{table.declared_in}: {table.source}.{table.name} would share the table "
                f"landing.{table.relation} with {other.source}.{other.name}: give one another name."
            )


def _sources(path: Path) -> Any:
    """Return the value of `sources` in a YAML file, of any type; None if the file has none.

    Raises:
        DeclarationError: the file cannot be read, or is no YAML.
    """
    # A folder may have such a name, and editors make links with it that lead nowhere.
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        # Most files declare no sources, and parsing YAML takes longer than landing a small file.
        content = read_yaml(text) if "sources" in text else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DeclarationError(f"{path} cannot be read as YAML: {error}") from error
    return content.get("sources") if isinstance(content, dict) else None


def _mappings(declared: Any) -> list[dict[str, Any]]:
    """Return the mappings of a list; dbt refuses entries of other types."""
    return [each for each in declared if isinstance(each, dict)] if isinstance(declared, list) else []


def _inner(declared: Any, *keys: str) -> Any:
    """Return the value under nested keys; None if one of the keys is missing or empty."""
    for key in keys:
        declared = declared.get(key) if isinstance(declared, dict) else None
    return declared


def _landing_table(path: Path, source: dict[str, Any], table: dict[str, Any], landing: Any) -> LandingTable:
    where = f"{path}: {source.get('name')}.{table.get('name')}"
    if not isinstance(landing, dict):
        raise DeclarationError(f"{where}: landing is {landing!r}; it must be a mapping with a format.")
    if landing.get("format") not in ("csv", "jsonl"):
        raise DeclarationError(
            f"{where}: landing.format is {landing.get('format')!r}; it must be csv or jsonl."
        )
    is_csv = landing["format"] == "csv"
    _refuse(where, "landing", set(landing) - _SETTINGS, _SETTINGS)
    columns = tuple(column["name"] for column in table.get("columns") or []) if is_csv else ()
    if is_csv and not columns:
        raise DeclarationError(f"{where}: a CSV landing table needs its columns listed.")
    _refuse_names(where, columns, is_column=True)
    if landing.get("streamed") and (taken := [name for name in columns if folded(name) in MESSAGE_NAMES]):
        raise DeclarationError(
            f"{where}: {taken[0]!r} is the name of a column that Assay adds to the messages of a stream: "
            "declare it under another, and the message's name as one of landing.aliases."
        )
    for name in ("lateness", "idle_after"):
        if name in landing and not _LENGTH.fullmatch(str(landing[name])):
            raise DeclarationError(
                f"{where}: landing.{name} is {landing[name]!r}; it must be a length such as 30s, 10m or 2d."
            )
    modes = _modes(where, landing.get("schema_mode", {}))
    word, other = ("types", "keys") if is_csv else ("keys", "types")
    if other in landing:
        raise DeclarationError(f"{where}: {landing['format']} has landing.{word}, not landing.{other}.")
    types, aliases = landing.get(word) or {}, landing.get("aliases") or {}
    for name, logical_type in types.items():
        if logical_type not in LOGICAL_TYPES:
            raise DeclarationError(
                f"{where}: landing.{word} says {name} is {logical_type!r}; "
                f"it must be {_one_of(LOGICAL_TYPES)}."
            )
    if is_csv:
        _refuse(where, "landing.types", set(types) - set(columns), columns)
        _refuse(
            where,
            "landing.aliases, as names to read others as,",
            set(aliases.values()) - set(columns),
            columns,
        )
        if taken := [alias for alias in aliases if alias in columns]:
            raise DeclarationError(f"{where}: landing.aliases has {taken[0]!r}, which is a column itself.")
        strange = {name for name in landing.get("optional") or [] if name not in columns}
        _refuse(where, "landing.optional", strange, columns)
    else:
        _refuse_keys(where, types)
    if aliases and not is_csv:
        raise DeclarationError(f"{where}: landing.aliases is for CSV; name the other key under landing.keys.")
    return LandingTable(
        source["name"],
        table["name"],
        landing["format"],
        columns,
        frozenset(landing.get("optional") or []),
        modes,
        types,
        aliases,
        _owner(table) or _owner(source),
        _dialect(where, landing, is_csv=is_csv),
        _time_formats(where, landing.get("time_formats") or {}, types),
        bool(landing.get("streamed")),
        path,
    )


def _dialect(where: str, landing: dict[str, Any], *, is_csv: bool) -> Dialect:
    if "dialect" in landing and not is_csv:
        raise DeclarationError(f"{where}: landing.dialect is for CSV; JSON is written in one way alone.")
    try:
        return dialect_of(landing.get("dialect"))
    except ValueError as error:
        raise DeclarationError(f"{where}: of landing.dialect, {error}") from error


def _time_formats(where: str, formats: Any, types: dict[str, LogicalType]) -> dict[str, str]:
    if not isinstance(formats, dict):
        raise DeclarationError(f"{where}: landing.time_formats is {formats!r}; it must be a mapping by name.")
    for name, declared in formats.items():
        if types.get(name) not in ("date", "timestamp"):
            raise DeclarationError(
                f"{where}: landing.time_formats has {name}, which no type makes a date or timestamp."
            )
        if declared not in EPOCHS and not re.search("%[Yy]", str(declared)):
            raise DeclarationError(
                f"{where}: landing.time_formats says {name} is written as {declared!r}; "
                f"it must be a format of strptime with a year, such as %d.%m.%Y, or {_one_of(EPOCHS)}."
            )
    return dict(formats)


def _refuse_keys(where: str, names: Iterable[Any]) -> None:
    """Refuse wrong names of keys; the keys of an object are compared with each other only."""
    inside: dict[tuple[str, ...], list[Any]] = {}
    for name in names:
        *objects, key = path_of(name) if isinstance(name, str) else (name,)
        inside.setdefault(tuple(objects), []).append(key)
    for keys in inside.values():
        _refuse_names(where, keys, is_column=False)


def _refuse_names(where: str, names: Sequence[Any], *, is_column: bool) -> None:
    if wrong := wrong_names(names, is_column=is_column):
        remedy = "declare it under another, and the file's name as one of landing.aliases"
        raise DeclarationError(f"{where}: {wrong[0]}{f': {remedy}' if is_column else ''}.")


def _modes(where: str, declared: Any) -> dict[Difference, Mode]:
    """Read one mode for all differences, or a mode for each kind of difference."""
    modes = declared if isinstance(declared, dict) else dict.fromkeys(DIFFERENCES, declared)
    _refuse(where, "landing.schema_mode", set(modes) - set(DIFFERENCES), DIFFERENCES)
    for mode in modes.values():
        if mode not in MODES:
            raise DeclarationError(f"{where}: landing.schema_mode is {mode!r}; it must be {_one_of(MODES)}.")
    return modes


def _refuse(where: str, what: str, strange: set[str], known: Iterable[str]) -> None:
    if strange:
        raise DeclarationError(
            f"{where}: {what} has {', '.join(sorted(strange))}; it may have {_one_of(known)}."
        )


def _one_of(words: Iterable[str]) -> str:
    *others, last = words if isinstance(words, tuple) else sorted(words)
    return f"{', '.join(others)} or {last}" if others else last


def _owner(declared: dict[str, Any]) -> str | None:
    owner = _inner(declared, "config", "meta", "owner")
    return str(owner) if owner else None
