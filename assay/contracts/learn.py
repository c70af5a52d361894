"""Write accepted changes of files into the source's contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from assay.contracts.contract import find_contract_file, find_custom
from assay.contracts.declaration import Additions
from assay.contracts.landing_rules import CHECKED_BY, LANDING, SILVER
from assay.contracts.source_side import ALIASES, OPTIONAL
from assay.landing.declared import LandingTable
from assay.landing.names import path_of
from assay.project.yaml_file import YamlFile, one_line


def learn(table: LandingTable, additions: Additions) -> Path | None:
    """Add to the contract of a landing table what was added to its declaration.

    Args:
        table: the table as it was declared before.
        additions: the accepted changes.

    Returns:
        The contract's file; None if the table is under no contract.
    """
    path = find_contract_file(table.source)
    if not path.is_file():
        return None
    file = YamlFile(path)
    found = next((each for each in file.content.get("schema") or [] if each["name"] == table.name), None)
    if found is None:
        return None

    def column_of(name: str) -> Any:
        return _column(found, (name,) if table.format == "csv" else path_of(name))

    for name, logical_type in additions.types.items():
        column = column_of(name)
        column["logicalType"] = logical_type
        if not column.get("quality") and find_custom(column, CHECKED_BY) != SILVER:
            # The type of values in one file is no reason to reject the rows of other files.
            _customize(column, CHECKED_BY, LANDING)
    for name, description in additions.columns.items():
        column_of(name)["description"] = description
    for name in additions.optional:
        _customize(column_of(name), OPTIONAL, True)
    for alias, name in additions.aliases.items():
        column = column_of(name)
        known: list[str] = next(
            (each["value"] for each in column.get("customProperties") or [] if each["property"] == ALIASES),
            [],
        )
        _customize(column, ALIASES, [*known, alias])
    file.write()
    return path


def _column(holder: Any, path: tuple[str, ...]) -> Any:
    """Return a column, or a field by its path; a missing one is added at the end of its object."""
    columns = holder.setdefault("properties", CommentedSeq())
    number = next(
        (
            number
            for number, each in enumerate(columns)
            if (each.get("physicalName") or each["name"]) == path[0]
        ),
        None,
    )
    if number is None:
        kind = "object" if path[1:] else "string"
        columns.append(column := CommentedMap({"name": path[0], "logicalType": kind}))
    elif path[1:]:
        column = columns[number]
        column.fa.set_block_style()
    else:
        # Block style, because the addition may be long.
        columns[number] = column = CommentedMap(columns[number])
    return _column(column, path[1:]) if path[1:] else column


def _customize(column: Any, name: str, value: Any) -> None:
    others = [each for each in column.get("customProperties") or [] if each["property"] != name]
    column["customProperties"] = CommentedSeq([*others, one_line({"property": name, "value": value})])
