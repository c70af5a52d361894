"""Add to the YAML that declares a landing table; its comments and layout stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString as quoted

from assay.landing.declared import LandingTable
from assay.landing.schema.logical_types import LogicalType
from assay.project.yaml_file import YamlFile, one_line


@dataclass
class Additions:
    """Additions to a declaration: columns of CSV with descriptions, types by name, and so on.

    `aliases` maps names in files to declared columns.
    """

    columns: dict[str, str] = field(default_factory=dict)
    types: dict[str, LogicalType] = field(default_factory=dict)
    optional: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)


def declare(table: LandingTable, additions: Additions) -> None:
    """Add to the declaration of a landing table, in the file that holds it.

    Raises:
        OSError: the file cannot be written.
    """
    assert table.declared_in
    file = YamlFile(table.declared_in)
    declared = _declared(file.content, table)
    for name, description in additions.columns.items():
        declared["columns"].append(one_line({"name": name, "description": quoted(description)}))
    landing = _in_blocks(declared, "config", "meta", "landing")
    if additions.optional:
        names = dict.fromkeys([*landing.get("optional", []), *additions.optional])
        optional = one_line(list(names))
        if "optional" in landing:
            landing["optional"] = optional
        else:
            landing.insert(list(landing).index("format") + 1, "optional", optional)
    for word, entries in {
        "types" if table.format == "csv" else "keys": additions.types,
        "aliases": additions.aliases,
    }.items():
        if entries:
            landing.setdefault(word, CommentedMap())
            _in_blocks(landing, word).update(entries)
    file.write()


def _declared(document: Any, table: LandingTable) -> Any:
    source = next(each for each in document["sources"] if each["name"] == table.source)
    return next(each for each in source["tables"] if each["name"] == table.name)


def _in_blocks(mapping: Any, *path: str) -> Any:
    """Return a nested mapping, written in block style because additions may be long."""
    for name in path:
        mapping = mapping[name]
        mapping.fa.set_block_style()
    return mapping
