"""Find the owner of each node of the project."""

from __future__ import annotations

from typing import Any

from assay.project.conventions import layer_of
from assay.project.graph import Manifest, parent_ids


def owners(manifest: Manifest) -> dict[str, str]:
    """Return the owner of each node that has one, by the node's id.

    The owner of a model is `meta.owner` of its YAML, or of the feature view that it declares, else the owner
    of its product (its dbt group). Before gold, a model without these has the owner of its source, if all of
    its sources have the same owner.

    Args:
        manifest: of the project.
    """
    groups = {group["name"]: group["owner"].get("name") for group in manifest.groups.values()}
    known: dict[str, str | None] = {
        unique_id: source["config"]["meta"].get("owner") for unique_id, source in manifest.sources.items()
    }
    nodes = manifest.nodes

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
    view = meta.get("feature_view")
    of_view = view.get("owner") if isinstance(view, dict) else None
    return meta.get("owner") or of_view or groups.get(node["config"].get("group") or "")
