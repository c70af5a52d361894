"""Find the models at which silver begins, which know when each row became available."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from assay.project.graph import Manifest, Node

# The macro with which these models leave out rows that were not known yet.
_KNOWN_AS_OF = "known_as_of"


def gates_of(manifest: Manifest, nodes: Iterable[Node]) -> list[Node]:
    """Return the models that leave out the rows that were not known at a moment."""
    return [
        node
        for node in nodes
        if node["resource_type"] == "model"
        and any(macro["name"] == _KNOWN_AS_OF for macro in manifest.macros_of([node]).values())
    ]


def is_landing(source: Node) -> bool:
    """Tell whether a source is a table of the landing zone."""
    meta: dict[str, Any] = source.get("config", {}).get("meta") or source.get("meta") or {}
    return "landing" in meta


def landing_tables_of(manifest: Manifest, node: Node) -> list[str]:
    """Return the tables of schema landing upstream of a node."""
    sources = manifest.sources_of(node["name"]).values()
    return sorted(str(source["identifier"]) for source in sources if is_landing(source))
