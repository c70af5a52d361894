"""The nodes and macros of dbt's manifest, and the dependencies between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.places import find_target
from assay.core.sql import quoted
from assay.project.conventions import TABLES

Node = dict[str, Any]


class Manifest:
    """The manifest that dbt writes to its target folder."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.nodes: dict[str, Node] = manifest["nodes"]
        self.sources: dict[str, Node] = manifest.get("sources", {})
        self.macros: dict[str, Node] = manifest["macros"]
        self.groups: dict[str, dict[str, Any]] = manifest.get("groups", {})
        self.unit_tests: dict[str, Node] = manifest.get("unit_tests", {})

    @property
    def outside_tables(self) -> list[tuple[str, str]]:
        """Schema and name of each source table that is not filled by landed files."""
        return [
            (node["schema"], node["identifier"])
            for node in self.sources.values()
            if "landing" not in ((node.get("config") or {}).get("meta") or {})
        ]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read the manifest's file."""
        return cls(json.loads(path.read_text()))

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {node["name"]: id_ for id_, node in self.nodes.items() if node["resource_type"] in TABLES}

    def node(self, name: str) -> Node:
        """Return a model, snapshot or seed.

        Raises:
            Fault: no node has that name.
        """
        if name not in self._by_name:
            raise Fault(f"There is no model {name} in this project.", MISUSED)
        return self.nodes[self._by_name[name]]

    def parents(self, node: Node) -> list[Node]:
        """Return the nodes that a node reads directly, without sources, in the order of its SQL."""
        return [self.nodes[id_] for id_ in parent_ids(node) if id_ in self.nodes]

    def ancestors(self, names: Iterable[str]) -> dict[str, Node]:
        """Return the named nodes and all nodes upstream of them, by id."""
        begin = [self.node(name)["unique_id"] for name in names]
        return _known(reachable(begin, lambda id_: _parents_in(self.nodes, id_)), self.nodes)

    def sources_of(self, name: str) -> dict[str, Node]:
        """Return the source tables upstream of a node, by id."""
        above = [id_ for node in self.ancestors([name]).values() for id_ in parent_ids(node)]
        return _known(above, self.sources)

    def macros_of(self, nodes: Iterable[Node]) -> dict[str, Node]:
        """Return the macros that nodes call directly or through other macros, by id."""
        called = [id_ for node in nodes for id_ in node["depends_on"].get("macros", [])]
        return _known(
            reachable(
                called,
                lambda id_: self.macros[id_]["depends_on"]["macros"] if id_ in self.macros else [],
            ),
            self.macros,
        )

    def users_of(self, macro: str, among: dict[str, Node]) -> list[str]:
        """Return the names of nodes that call a macro, directly or indirectly, and of all their readers."""
        callers = [
            id_
            for id_, node in among.items()
            if macro in {each["name"] for each in self.macros_of([node]).values()}
        ]
        readers = {id_: [other for other, node in among.items() if id_ in parent_ids(node)] for id_ in among}
        return sorted(among[id_]["name"] for id_ in reachable(callers, lambda id_: readers[id_]))


def parent_ids(node: Any) -> list[str]:
    """Return the ids of the nodes that a node (dbt's own, or of the manifest's file) reads directly."""
    if isinstance(node, dict):
        return list((node.get("depends_on") or {}).get("nodes", []))
    return list(getattr(node.depends_on, "nodes", []))


def reachable(begin: Iterable[str], next_of: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the given ids and all ids that `next_of` leads to from them, each once."""
    found: dict[str, None] = {}
    ahead = list(begin)
    while ahead:
        if (id_ := ahead.pop()) not in found:
            found[id_] = None
            ahead += next_of(id_)
    return list(found)


def ancestor_ids(unique_id: str, nodes: Mapping[str, Any]) -> set[str]:
    """Return the ids of everything upstream of a node, also of ids that are not in `nodes`."""
    return set(reachable(_parents_in(nodes, unique_id), lambda id_: _parents_in(nodes, id_)))


def descendant_ids(begin: Iterable[str], nodes: Mapping[str, Any]) -> list[str]:
    """Return the given ids and those of all `nodes` downstream of them, each once."""
    children: dict[str, list[str]] = {}
    for unique_id, node in nodes.items():
        for parent in parent_ids(node):
            children.setdefault(parent, []).append(unique_id)
    return reachable(begin, lambda id_: children.get(id_, []))


def _parents_in(nodes: Mapping[str, Any], id_: str) -> list[str]:
    return parent_ids(nodes[id_]) if id_ in nodes else []


def _known(ids: Iterable[str], among: dict[str, Node]) -> dict[str, Node]:
    return {id_: among[id_] for id_ in ids if id_ in among}


def read_manifest() -> Manifest | None:
    """Read the manifest that dbt wrote last; None if there is none."""
    path = find_target() / "manifest.json"
    return Manifest.read(path) if path.is_file() else None


def relation_of(node: Node) -> str:
    """Return a node's relation as SQL without the catalog, whose name differs in a copy of the file."""
    return f"{quoted(node['schema'])}.{quoted(node['alias'])}"
