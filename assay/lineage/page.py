"""The lineage of tables and columns as a page: one HTML file that needs no network.

The columns are followed by DuckDB, as for OpenLineage.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from assay.core.disk import put_in_place
from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.core.places import Places
from assay.lineage.columns import tables_of, types_of
from assay.lineage.followed import follow
from assay.project.compiled import compiled_project
from assay.project.conventions import MONITORING, TABLES, layer_of
from assay.project.graph import Manifest, Node, parent_ids
from assay.project.project import Project


@dataclass(frozen=True)
class Page:
    """What was written: where, for how many models, and whose columns could not be followed, and why."""

    path: Path
    models: int
    not_followed: dict[str, str]


def write_page(places: Places, out: Path | None = None, about: str | None = None) -> Page:
    """Write the page of the project in the current folder.

    Args:
        places: of the project.
        out: the file; None for `assay_lineage.html` in dbt's target folder.
        about: the table, or `table.column`, that the page opens on; None for the first feature view.

    Raises:
        Fault: there is no warehouse, another program has it open, dbt cannot read the project, or there is
            nothing of the name.
    """
    if not places.warehouse.exists():
        raise Fault(f"There is no warehouse {places.warehouse} yet. To build it: assay build", MISUSED)
    project = Project()
    compiled = compiled_project(project)
    try:
        with tables_of(places.warehouse) as connection:
            tables, not_followed = _tables(project.manifest, compiled, connection)
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    start = _start(tables, about)
    path = out or places.lineage
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(_html({"tables": tables, "start": start}), encoding="utf-8")
    put_in_place(new, path)
    return Page(path, sum(table["kind"] == "model" for table in tables.values()), not_followed)


def _tables(
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


def _start(tables: dict[str, dict[str, Any]], about: str | None) -> dict[str, str]:
    """Return the table and the column that the page opens on."""
    if about is None:
        views = [name for name, table in tables.items() if table["isFeatureView"]]
        return {"table": min(views or tables, default=""), "column": ""}
    if about in tables:
        return {"table": about, "column": ""}
    table, _, column = about.rpartition(".")
    if table not in tables:
        name = table or about
        raise Fault(unknown(f"There is no table {name} in this project", name, tables), MISUSED)
    columns = tables[table]["columns"]
    if column not in columns:
        raise Fault(unknown(f"{table} has no column {column}", column, columns), MISUSED)
    return {"table": table, "column": column}


def _html(data: dict[str, Any]) -> str:
    folder = files("assay.lineage").joinpath("templates")
    script = folder.joinpath("lineage.js").read_text(encoding="utf-8")
    # Within a script, the text of an end tag would end it.
    script = script.replace('"DATA"', json.dumps(data, separators=(",", ":")).replace("</", "<\\/"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = folder.joinpath("lineage.html").read_text(encoding="utf-8")
    return page.replace("SCRIPT_HASH", digest, 1).replace("SCRIPT", script, 1)
