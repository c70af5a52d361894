"""Who answers for each node of the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from assay.project.conventions import layer_of
from assay.project.graph import parent_ids


def owners(manifest: Path) -> dict[str, str]:
    """Return the owners of nodes, by id, as far as anybody answers for them.

    A model is its own YAML's (`meta.owner`) or its product's, which is its dbt group; what is
    read from one source alone, before gold, is that source's.

    Args:
        manifest: the file that dbt wrote of its last run; nobody answers for anything where there is none.
    """
    if not manifest.is_file():
        return {}
    content = json.loads(manifest.read_text(encoding="utf-8"))
    groups = {group["name"]: group["owner"].get("name") for group in content.get("groups", {}).values()}
    known: dict[str, str | None] = {
        unique_id: source["config"]["meta"].get("owner") for unique_id, source in content["sources"].items()
    }
    nodes = content["nodes"]

    def owner(unique_id: str) -> str | None:
        if unique_id not in known and unique_id in nodes:
            known[unique_id] = None
            node = nodes[unique_id]
            above = [owner(each) for each in parent_ids(node)]
            sources = {each for each in above if each} if layer_of(node) != "gold" else set()
            known[unique_id] = _declared(node, groups) or (sources.pop() if len(sources) == 1 else None)
        return known.get(unique_id)

    return {unique_id: found for unique_id in nodes if (found := owner(unique_id))}


def _declared(node: dict[str, Any], groups: dict[str, str]) -> str | None:
    meta = node["config"].get("meta") or {}
    return meta.get("owner") or groups.get(node["config"].get("group") or "")
