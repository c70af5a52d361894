"""Where silver begins: the models that know when each row became available."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from assay.project.graph import Manifest, Node

# The macro by which they leave out what was not known yet.
_KNOWN_AS_OF = "known_as_of"


def gates_of(manifest: Manifest, nodes: Iterable[Node]) -> list[Node]:
    """Return the models that leave out what was not known as of a moment."""
    return [
        node
        for node in nodes
        if node["resource_type"] == "model"
        and any(macro["name"] == _KNOWN_AS_OF for macro in manifest.macros_of([node]).values())
    ]


def is_landing(source: Node) -> bool:
    """Whether a source is a table of the landing zone."""
    meta: dict[str, Any] = source.get("config", {}).get("meta") or source.get("meta") or {}
    return "landing" in meta


def landing_tables_of(manifest: Manifest, node: Node) -> list[str]:
    """Return the tables of schema landing that a node is made of."""
    sources = manifest.sources_of(node["name"]).values()
    return sorted(str(source["identifier"]) for source in sources if is_landing(source))
