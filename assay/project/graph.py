"""The nodes and macros of dbt's manifest, and what depends on what."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.sql import quoted

Node = dict[str, Any]


class Manifest:
    """A manifest, as dbt writes it to its target folder."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.nodes: dict[str, Node] = manifest["nodes"]
        self.sources: dict[str, Node] = manifest.get("sources", {})
        self.macros: dict[str, Node] = manifest["macros"]

    @property
    def outside_tables(self) -> list[tuple[str, str]]:
        """Schema and name of the sources' tables that no files land in."""
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
        kinds = ("model", "snapshot", "seed")
        return {node["name"]: id_ for id_, node in self.nodes.items() if node["resource_type"] in kinds}

    def node(self, name: str) -> Node:
        """Return a model, snapshot or seed.

        Raises:
            Fault: there is none of that name.
        """
        if name not in self._by_name:
            raise Fault(f"There is no model {name} in this project.", MISUSED)
        return self.nodes[self._by_name[name]]

    def parents(self, node: Node) -> list[Node]:
        """Return the nodes that a node reads itself, in the order of its SQL; sources are not among them."""
        return [self.nodes[id_] for id_ in node["depends_on"].get("nodes", []) if id_ in self.nodes]

    def ancestors(self, names: Iterable[str]) -> dict[str, Node]:
        """Return the named nodes and all that they are made of, by id."""
        found: dict[str, Node] = {}
        waiting = [self.node(name)["unique_id"] for name in names]
        while waiting:
            id_ = waiting.pop()
            if id_ in self.nodes and id_ not in found:
                found[id_] = self.nodes[id_]
                waiting += self.nodes[id_]["depends_on"].get("nodes", [])
        return found

    def macros_of(self, nodes: Iterable[Node]) -> dict[str, Node]:
        """Return the macros that nodes call, by way of others too, by id."""
        found: dict[str, Node] = {}
        waiting = [id_ for node in nodes for id_ in node["depends_on"].get("macros", [])]
        while waiting:
            id_ = waiting.pop()
            if id_ in self.macros and id_ not in found:
                found[id_] = self.macros[id_]
                waiting += self.macros[id_]["depends_on"]["macros"]
        return found

    def users_of(self, macro: str, among: dict[str, Node]) -> list[str]:
        """Return the names of the nodes that call a macro, by way of others too, and of all their readers."""
        users: set[str] = set()
        waiting = [
            id_
            for id_, node in among.items()
            if macro in {each["name"] for each in self.macros_of([node]).values()}
        ]
        while waiting:
            users.add(id_ := waiting.pop())
            waiting += [
                other
                for other, node in among.items()
                if id_ in node["depends_on"].get("nodes", []) and other not in users
            ]
        return sorted(among[id_]["name"] for id_ in users)


def read_manifest() -> Manifest | None:
    """Return the manifest that dbt wrote last, if there is one."""
    path = Path(os.environ.get("DBT_TARGET_PATH") or "target", "manifest.json")
    return Manifest.read(path) if path.is_file() else None


def relation_of(node: Node) -> str:
    """Return a node's relation as SQL, without the catalog: a copy of the file has another."""
    return f"{quoted(node['schema'])}.{quoted(node['alias'])}"
