"""What dbt's manifest says of a training set: its labels, its features, and the histories it is made of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.leakage.calls import Ref, Unread, calls_of
from assay.runs.fault import MISUSED, Fault

LABEL_COLUMNS = ("prediction_at", "outcome", "outcome_known_at")
SPLIT, WEIGHT = "split", "weight"
# What events are known by, whatever a feature view says of it.
AVAILABLE_AT = "available_at"

Node = dict[str, Any]


@dataclass(frozen=True)
class History:
    """A table of half-open ranges."""

    name: str
    relation: str
    entity_keys: list[str]
    valid_from: str = "valid_from"
    valid_to: str = "valid_to"


@dataclass(frozen=True)
class Windows:
    """The arguments of the `windowed_history` a feature view is made by; `relation` holds its events."""

    relation: str
    entity_keys: list[str]
    event_at: str
    available_at: str
    measures: dict[str, Any]
    windows: list[str]
    where: str | None


@dataclass(frozen=True)
class View:
    """A feature view as declared; `windows` is None where it is made in another way."""

    name: str
    relation: str
    entity_keys: list[str]
    max_age: str | None
    defaults: dict[str, Any]
    derived: dict[str, str]
    inputs: list[str]
    windows: Windows | None


@dataclass(frozen=True)
class Features:
    """What a training set takes from a view."""

    view: View
    columns: list[str]
    derived: list[str]
    prefix: str
    max_age: str | None
    inputs: dict[str, str]


@dataclass(frozen=True)
class TrainingSet:
    """A training set as declared.

    `ages_unknown` are relations taken with a max_age, of which it is not told when values were confirmed.
    `scramble` is SQL that changes outcomes not yet known at `{at}` in the landed rows, as the label declares
    it under `meta.label.scramble`; None where it declares nothing. `unread` says which parts of the
    definition could not be read.
    """

    name: str
    relation: str
    keys: list[str]
    label: str
    features: list[Features]
    ages_unknown: list[str]
    histories: list[History]
    scramble: list[str] | None
    unread: list[str] = field(default_factory=list)


class Manifest:
    """The manifest dbt wrote when it last parsed the project."""

    def __init__(self, path: Path) -> None:
        manifest = json.loads(path.read_text())
        self.nodes: dict[str, Node] = manifest["nodes"]
        self._macros: dict[str, Node] = manifest["macros"]

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

    def ancestors(self, names: list[str]) -> dict[str, Node]:
        """Return the named nodes and all that they are made of, by id."""
        found: dict[str, Node] = {}
        waiting = [self.node(name)["unique_id"] for name in names]
        while waiting:
            id_ = waiting.pop()
            if id_ in self.nodes and id_ not in found:
                found[id_] = self.nodes[id_]
                waiting += self.nodes[id_]["depends_on"].get("nodes", [])
        return found

    def users_of(self, macro: str, among: dict[str, Node]) -> list[str]:
        """Return the names of the nodes that call a macro, by way of others too, and of all their readers."""
        users: set[str] = set()
        waiting = [id_ for id_, node in among.items() if macro in self._macros_of(node)]
        while waiting:
            users.add(id_ := waiting.pop())
            waiting += [
                other
                for other, node in among.items()
                if id_ in node["depends_on"].get("nodes", []) and other not in users
            ]
        return sorted(among[id_]["name"] for id_ in users)

    def _macros_of(self, node: Node) -> set[str]:
        found: set[str] = set()
        waiting = list(node["depends_on"].get("macros", []))
        while waiting:
            if (id_ := waiting.pop()) not in found and id_ in self._macros:
                found.add(id_)
                waiting += self._macros[id_]["depends_on"]["macros"]
        return {id_.rpartition(".")[2] for id_ in found}

    def training_set(self, name: str) -> TrainingSet:
        """Read what is declared of a training set.

        Raises:
            Fault: it is none: it reads no labels, or says not which columns identify a row.
        """
        node = self.node(name)
        labels = [
            parent
            for id_ in node["depends_on"].get("nodes", [])
            if (parent := self.nodes.get(id_)) and all(each in parent["columns"] for each in LABEL_COLUMNS)
        ]
        if len(labels) != 1:
            raise Fault(
                f"{name} is no training set: it must read one model with the columns "
                f"{', '.join(LABEL_COLUMNS)}, and reads {len(labels)}.",
                MISUSED,
            )
        keys = _primary_key(node) or _primary_key(labels[0])
        if not keys:
            raise Fault(f"{name} has no primary_key among its constraints: declare one.", MISUSED)
        joins = calls_of("point_in_time_join", node["raw_code"])
        features: list[Features] = []
        ages_unknown: list[str] = []
        unread = [] if joins else ["its features: there is no call of point_in_time_join"]
        for request in [each for join in joins for each in _listed(join.get("features"))]:
            if isinstance(request, dict) and isinstance(request.get("view"), str):
                features.append(self._features(request))
                continue
            unread.append("features that are taken from no feature view")
            if not isinstance(request, dict) or not isinstance(relation := request.get("relation"), Ref):
                continue
            if request.get("max_age") and not request.get("confirmed_at"):
                ages_unknown.append(relation_of(self.node(relation.name)))
        ancestors = self.ancestors([name])
        return TrainingSet(
            name,
            relation_of(node),
            keys,
            relation_of(labels[0]),
            features,
            ages_unknown,
            [history for each in ancestors.values() if (history := _history(each))],
            labels[0]["config"].get("meta", {}).get("label", {}).get("scramble"),
            unread,
        )

    def _features(self, request: dict[str, Any]) -> Features:
        view = self._view(request["view"])
        return Features(
            view,
            request.get("columns") or [],
            request.get("derived") or [],
            request.get("prefix") or "",
            request.get("max_age", view.max_age),
            request.get("inputs") or {},
        )

    def _view(self, name: str) -> View:
        node = self.node(name)
        declared = node["config"]["meta"]["feature_view"]
        return View(
            name,
            relation_of(node),
            declared["keys"],
            declared.get("max_age"),
            declared.get("defaults") or {},
            {each["name"]: each["expression"] for each in declared.get("derived") or []},
            [each["name"] for each in declared.get("inputs") or []],
            self._windows(node),
        )

    def _windows(self, node: Node) -> Windows | None:
        calls = calls_of("windowed_history", node["raw_code"])
        if len(calls) != 1 or not isinstance(relation := calls[0].pop("relation"), Ref):
            return None
        if any(isinstance(each, Unread) for each in calls[0].values()):
            return None
        return Windows(relation=relation_of(self.node(relation.name)), **{"where": None, **calls[0]})


def relation_of(node: Node) -> str:
    """Return a node's relation as SQL, without the catalog: a copy of the file has another."""
    return f'"{node["schema"]}"."{node["alias"]}"'


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _primary_key(node: Node) -> list[str]:
    for constraint in node.get("constraints") or []:
        if constraint["type"] == "primary_key":
            return list(constraint["columns"])
    return []


def _history(node: Node) -> History | None:
    """Return what a node is as a history, if it is one and its keys are declared."""
    if node["resource_type"] == "snapshot":
        unique_key = node["config"]["unique_key"]
        keys = [unique_key] if isinstance(unique_key, str) else list(unique_key)
        return History(node["name"], relation_of(node), keys, "dbt_valid_from", "dbt_valid_to")
    if not {"valid_from", "valid_to"} <= node["columns"].keys():
        return None
    declared = node["config"].get("meta", {}).get("feature_view")
    keys = declared["keys"] if declared else [key for key in _primary_key(node) if key != "valid_from"]
    return History(node["name"], relation_of(node), keys) if keys else None
