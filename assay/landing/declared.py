"""The landing tables a project declares: dbt sources whose `config.meta` has a `landing` entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

Format = Literal["csv", "jsonl"]


class DeclarationError(Exception):
    """A source's YAML says something about landing that cannot be followed."""


@dataclass(frozen=True)
class LandingTable:
    """One folder `<source>/<name>/` of the landing zone, and how its files are read.

    `columns` are the columns of a CSV file, in the order of the YAML; JSON lines have none, since the
    document is kept whole. Files may lack the columns named in `optional`.
    """

    source: str
    name: str
    format: Format
    columns: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()

    @property
    def relation(self) -> str:
        """Name of the table in schema `landing` that holds the rows."""
        return f"{self.source}__{self.name}"


def declared_tables(models: Path) -> dict[tuple[str, str], LandingTable]:
    """Read every landing table declared in the YAML files under `models`.

    Returns:
        (source, table) -> LandingTable.

    Raises:
        DeclarationError: a `landing` entry with an unknown format, or a CSV table without columns.
    """
    tables = {}
    for path in sorted([*models.rglob("*.yml"), *models.rglob("*.yaml")]):
        for source in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("sources") or []:
            for table in source.get("tables") or []:
                landing = table.get("config", {}).get("meta", {}).get("landing")
                if landing:
                    declared = _landing_table(path, source["name"], table, landing)
                    tables[declared.source, declared.name] = declared
    return tables


def _landing_table(path: Path, source: str, table: dict[str, Any], landing: dict[str, Any]) -> LandingTable:
    where = f"{path}: {source}.{table['name']}"
    if landing.get("format") not in ("csv", "jsonl"):
        raise DeclarationError(
            f"{where}: landing.format is {landing.get('format')!r}; it must be csv or jsonl."
        )
    columns: tuple[str, ...] = ()
    if landing["format"] == "csv":
        columns = tuple(column["name"] for column in table.get("columns") or [])
        if not columns:
            raise DeclarationError(f"{where}: a CSV landing table needs its columns listed.")
    return LandingTable(
        source, table["name"], landing["format"], columns, frozenset(landing.get("optional", []))
    )
