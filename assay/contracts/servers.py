"""Write the `servers` of a product's contract, which say where readers and other tools find its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedSeq

from assay.contracts.contract import Contract
from assay.core.places import find_places
from assay.project.yaml_file import one_line


def published_server(schema: str) -> dict[str, str]:
    """Return the entry of `servers` for the published tables of a schema."""
    file = find_places().published
    path = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return {"server": "published", "type": "duckdb", "database": path.as_posix(), "schema": schema}


def lacks_server(contract: Contract) -> bool:
    """Tell whether a product's contract has no server and puts the schema into `physicalName`.

    Other tools would take `schema.table` for the name of a table.
    """
    schemas = {table.relation.partition(".")[0] for table in contract.tables if "." in table.relation}
    return not contract.raw.get("servers") and not contract.is_of_source and len(schemas) == 1


def name_server(content: Any, schema: str) -> None:
    """Add `servers` to a contract, and remove the schema from its tables' names.

    Args:
        content: the content of the contract's file; changed in place.
        schema: the schema of its tables.
    """
    servers = CommentedSeq([one_line(published_server(schema))])
    content.insert(list(content).index("schema"), "servers", servers)
    for table in content["schema"]:
        if "physicalName" in table:
            table["physicalName"] = str(table["physicalName"]).removeprefix(f"{schema}.")
