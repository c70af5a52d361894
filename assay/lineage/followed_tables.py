"""Follow the columns of all tables of a project: each table with what its columns are made of."""

from __future__ import annotations

from typing import Any

import duckdb

from assay.lineage.columns import types_of
from assay.lineage.followed import follow
from assay.project.conventions import MONITORING, TABLES, layer_of
from assay.project.graph import Manifest, Node, parent_ids


def follow_tables(
    manifest: Manifest, compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return by name each table with what its columns are made of; and what could not be followed."""
    nodes = {
        id_: node
        for id_, node in (*manifest.nodes.items(), *manifest.sources.items())
        if node["resource_type"] in (*TABLES, "source")
    }
    relations = {_relation(node): id_ for id_, node in nodes.items()}
    types = types_of(connection)
    followed, not_followed = follow(connection, compiled)
    tables = {}
    for id_, node in nodes.items():
        made_of = {
            name: [
                (_name(nodes[relations[source.relation]]), source.name, is_same)
                for source, is_same in sorted(sources.items())
                if source.relation in relations
            ]
            for name, sources in (followed[id_].columns.items() if id_ in followed else ())
        }
        declared = {name: column.get("data_type") or "" for name, column in node["columns"].items()}
        columns = types.get(_relation(node)) or declared
        tables[_name(node)] = {
            "kind": node["resource_type"],
            "layer": "source" if node["resource_type"] == "source" else layer_of(node) or node["schema"],
            "isMonitoring": _is_monitoring(node),
            "isFeatureView": bool((node["config"].get("meta") or {}).get("feature_view")),
            "description": " ".join(str(node["description"]).split()),
            "parents": sorted(_name(nodes[parent]) for parent in _parents(node) if parent in nodes),
            "columns": {
                name: {"type": kind, "from": made_of.get(name, [])} for name, kind in columns.items()
            },
        }
    return tables, {str(nodes[id_]["name"]): why for id_, why in not_followed.items()}


def _is_monitoring(node: Node) -> bool:
    return layer_of(node) == "monitoring" or str(node["name"]).startswith(MONITORING)


def _parents(node: Node) -> list[str]:
    return [] if node["resource_type"] == "source" else parent_ids(node)


def _name(node: Node) -> str:
    if node["resource_type"] == "source":
        return f"{node['source_name']}.{node['name']}"
    return str(node["name"])


def _relation(node: Node) -> str:
    return f"{node['database']}.{node['schema']}.{node.get('identifier') or node['alias']}"
