"""What the project declares of its feature views, and who uses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.contracts.contract import FOLDER, Contract, read_contracts
from assay.project.conventions import MONITORING, is_label, is_training_set, layer_of
from assay.project.graph import Manifest, Node, ancestor_ids
from assay.project.joins import joined_features
from assay.project.paths import contract_folders
from assay.project.project import Project
from assay.project.views import FeatureView, feature_views
from assay.training.store import Version

# Of a contract, in the standard's words; a model or a column may state its own in `config.meta`.
LIFECYCLE, REPLACEMENT = "lifecycle", "replacement"


@dataclass(frozen=True)
class Upstream:
    """A table that a view is made of; `is_direct` where the view's own SQL reads it."""

    name: str
    layer: str
    is_direct: bool


@dataclass(frozen=True)
class Consumer:
    """Who uses a view or a training set: `how` says how that is known."""

    name: str
    kind: str
    how: str
    owner: str = ""


@dataclass(frozen=True)
class Joined:
    """What a model joins of a view: `columns` are stored features, `derived` computed ones."""

    model: str
    columns: list[str]
    derived: list[str]


@dataclass(frozen=True)
class ViewDeclared:
    """A feature view with what the project says of it."""

    view: FeatureView
    node: Node
    owner: str
    lifecycle: str
    replacement: str
    contract: Contract | None
    sources: list[str]
    upstream: list[Upstream]
    downstream: list[str]
    consumers: list[Consumer]
    joined: list[Joined]
    columns: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class SetDeclared:
    """A model that joins features: a training set, or another; `joined` by view."""

    name: str
    node: Node
    is_training_set: bool
    joined: dict[str, Joined]
    consumers: list[Consumer]
    versions: list[Version] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Declared:
    """All that the catalog tells of, by name."""

    views: dict[str, ViewDeclared]
    sets: dict[str, SetDeclared]


def read_declared(manifest: Manifest, project: Project, versions: Sequence[Version]) -> Declared:
    """Return the feature views of a project, and the models that join them.

    Args:
        manifest: of the project.
        project: as dbt parses it.
        versions: of training sets that were taken.
    """
    contracts = read_contracts(*contract_folders(FOLDER))[0]
    of_table = {
        table.relation.rpartition(".")[2]: contract for contract in contracts for table in contract.tables
    }
    joined = _joined(manifest)
    exposed = _exposed(project)
    labels = {node.name for node in project.models if is_label(node)}
    sets = {
        name: SetDeclared(
            name,
            manifest.node(name),
            is_training_set(next(node for node in project.models if node.name == name)),
            by_view,
            [*_of_contract(of_table.get(name)), *exposed.get(manifest.node(name)["unique_id"], [])],
            [each for each in versions if each.manifest.name == name],
            [each["name"] for each in manifest.parents(manifest.node(name)) if each["name"] in labels],
        )
        for name, by_view in joined.items()
    }
    views = {}
    for view in feature_views(project):
        node = manifest.node(view.name)
        contract = of_table.get(view.name)
        meta = node["config"].get("meta") or {}
        views[view.name] = ViewDeclared(
            view=view,
            node=node,
            owner=str(view.declared.get("owner") or (contract.owner if contract else None) or "nobody"),
            lifecycle=str(
                meta.get(LIFECYCLE) or (contract.raw.get("status") if contract else None) or "not stated"
            ),
            replacement=str(meta.get(REPLACEMENT) or ""),
            contract=contract,
            sources=sorted(
                f"{source['source_name']}.{source['name']}"
                for source in manifest.sources_of(view.name).values()
            ),
            upstream=_upstream(manifest, node),
            downstream=_downstream(manifest, node["unique_id"]),
            consumers=[*_of_contract(contract), *exposed.get(node["unique_id"], [])],
            joined=[by_view[view.name] for by_view in joined.values() if view.name in by_view],
            columns=node["columns"],
        )
    return Declared(views, sets)


def _joined(manifest: Manifest) -> dict[str, dict[str, Joined]]:
    """Return by model and view what is joined; a view that is joined twice counts once."""
    found: dict[str, dict[str, Joined]] = {}
    for node in sorted(manifest.nodes.values(), key=lambda node: str(node["name"])):
        for each in joined_features(node):
            if each.view:
                of_model = found.setdefault(node["name"], {})
                before = of_model.get(each.view, Joined(node["name"], [], []))
                of_model[each.view] = Joined(
                    node["name"],
                    list(dict.fromkeys([*before.columns, *each.columns])),
                    list(dict.fromkeys([*before.derived, *each.derived])),
                )
    return found


def _exposed(project: Project) -> dict[str, list[Consumer]]:
    """Return by node the exposures that name it, themselves or by what they read of a kind."""
    found: dict[str, list[Consumer]] = {}
    for each in project.exposures:
        owner = str(each.owner.name or each.owner.email or "")
        consumer = Consumer(each.label or each.name, str(each.type), "an exposure names it", owner)
        for id_ in each.depends_on.nodes:
            found.setdefault(id_, []).append(consumer)
    return found


def _of_contract(contract: Contract | None) -> list[Consumer]:
    if contract is None:
        return []
    return [Consumer(name, "people", f"contract {contract.id} names them") for name in contract.consumers]


def _upstream(manifest: Manifest, node: Node) -> list[Upstream]:
    direct = set(node["depends_on"]["nodes"])
    above = ancestor_ids(node["unique_id"], manifest.nodes) - {node["unique_id"]}
    found = [
        Upstream(f"{source['source_name']}.{source['name']}", "source", id_ in direct)
        for id_, source in manifest.sources.items()
        if id_ in above
    ]
    found += [
        Upstream(each["name"], layer_of(each) or each["resource_type"], id_ in direct)
        for id_, each in manifest.nodes.items()
        if id_ in above
    ]
    order = ("source", "bronze", "silver", "gold")
    return sorted(found, key=lambda each: (_place(each.layer, order), each.name))


def _place(layer: str, order: Sequence[str]) -> int:
    return order.index(layer) if layer in order else 1


def _downstream(manifest: Manifest, unique_id: str) -> list[str]:
    """Return the models that read a view themselves; what watches reads everything, and uses nothing."""
    return sorted(_readers(manifest.nodes.values(), unique_id))


def _readers(nodes: Iterable[Node], unique_id: str) -> Iterable[str]:
    for node in nodes:
        is_read = unique_id in (node["depends_on"].get("nodes") or [])
        if is_read and node["resource_type"] == "model" and not node["name"].startswith(MONITORING):
            yield str(node["name"])
