"""Describe a project as assets of Dagster: landing tables, dbt's nodes, and what a build leaves behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any
from zoneinfo import ZoneInfo

from dagster import AssetCheckSpec, AssetKey, AssetSpec, FreshnessPolicy
from dagster_dbt import DagsterDbtTranslator

from assay.contracts.availability import ALL_DAYS, Promise
from assay.dlt.declared import DeclaredSource
from assay.online.published import CATALOG
from assay.project.conventions import TABLES, is_of_kind, layer_of, product_of
from assay.project.failures import TESTS
from assay.project.graph import Manifest, Node, ancestor_ids, parent_ids
from assay.project.owners import owners

ONLINE, REPORT, DOCS = AssetKey("online_store"), AssetKey(["pages", "report"]), AssetKey(["pages", "docs"])
AS_OF = AssetKey(["as_of", "warehouse"])
PUBLISHED, TRAINING_SETS, DLT = "published", "training_sets", "dlt"
#: The group of the assets in which files land, and the node that loads them.
LANDING, LOADER = "landing", "brz_files"
_MONDAY = datetime(2024, 1, 1)
_UNITS = {"minute": "minutes", "hour": "hours", "day": "days"}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True)
class ProjectAssets:
    """The assets of a project: `nodes` and `checks` by dbt's id, the others by name.

    `nodes` has sources, too; `dlt` has what lands in them, by what it fills. `landing` says by their ids what
    they are called where files land. `selectors` has the names of nodes in dbt's syntax, `parents` the ids of
    what each test reads.
    """

    dlt: dict[str, AssetSpec]
    nodes: dict[str, AssetSpec]
    checks: dict[str, AssetCheckSpec]
    products: dict[str, AssetSpec]
    training_sets: dict[str, AssetSpec]
    others: list[AssetSpec]
    landing: dict[str, str]
    selectors: dict[str, str]
    parents: dict[str, set[str]]

    @property
    def specs(self) -> list[AssetSpec]:
        """All of them; what is made of others stands behind them."""
        return [
            *self.dlt.values(),
            *self.nodes.values(),
            *self.products.values(),
            *self.training_sets.values(),
            *self.others,
        ]


def describe_assets(
    manifest: Manifest, promises: Iterable[Promise], fetched: Sequence[DeclaredSource]
) -> ProjectAssets:
    """Describe the assets of a project.

    Args:
        manifest: of the project.
        promises: by when contracts promise that products are published.
        fetched: the sources of dlt that contracts name.
    """
    known = {**manifest.sources, **manifest.nodes}
    owner_of = owners(manifest)
    nodes = {
        id_: _describe_node(known[id_], spec, owner_of.get(id_)) for id_, spec in _translate(manifest).items()
    }
    dlt = {str(each.target): _describe_dlt(each) for each in fetched}
    for id_, node in manifest.sources.items():
        if senders := [
            dlt[str(each.target)].key for each in fetched if each.fills(node["source_name"], node["name"])
        ]:
            nodes[id_] = nodes[id_].replace_attributes(deps=senders)
    tests = {
        id_: node
        for id_, node in {**manifest.nodes, **manifest.unit_tests}.items()
        if node["resource_type"] in TESTS
    }
    parents = {id_: {each for each in parent_ids(node) if each in nodes} for id_, node in tests.items()}
    checks = {
        id_: _describe_check(node, _judged(node, parents[id_], known), parents[id_], nodes)
        for id_, node in tests.items()
        if parents[id_]
    }
    products = _describe_products(manifest, nodes, promises)
    training_sets = {
        node["name"]: AssetSpec(
            AssetKey([TRAINING_SETS, node["name"]]),
            deps=[nodes[id_].key],
            description=f"The newest version of {node['name']}: rows that a model trains on, kept for good.",
            group_name=TRAINING_SETS,
            owners=nodes[id_].owners,
            kinds={"parquet"},
            skippable=True,
        )
        for id_, node in manifest.nodes.items()
        if id_ in nodes and is_of_kind(node, "training_sets")
    }
    return ProjectAssets(
        dlt=dlt,
        nodes=nodes,
        checks=checks,
        products=products,
        training_sets=training_sets,
        others=_describe_others(manifest, products),
        landing={id_: f"{node['source_name']}/{node['name']}" for id_, node in manifest.sources.items()},
        selectors={id_: f"fqn:{'.'.join(node['fqn'])}" for id_, node in {**known, **tests}.items()},
        parents=parents,
    )


def _describe_dlt(source: DeclaredSource) -> AssetSpec:
    return AssetSpec(
        AssetKey([DLT, *str(source.target).split(".")]),
        description=f"What {source.place} yields: what is new in it lands, each row once.",
        group_name=LANDING,
        kinds={"dlt", "file"},
        skippable=True,
    )


def _translate(manifest: Manifest) -> dict[str, AssetSpec]:
    """Return dbt's sources, models, seeds and snapshots as dagster-dbt describes them, parents first."""
    raw = {
        "metadata": {"adapter_type": "duckdb"},
        "nodes": manifest.nodes,
        "sources": manifest.sources,
        "groups": manifest.groups,
        "exposures": {},
        "metrics": {},
    }
    known = {**manifest.sources, **manifest.nodes}
    order = TopologicalSorter({id_: parent_ids(node) for id_, node in known.items()}).static_order()
    translator = DagsterDbtTranslator()
    return {
        id_: translator.get_asset_spec(raw, id_, None)
        for id_ in order
        if id_ in known
        and known[id_]["resource_type"] in (*TABLES, "source")
        and known[id_]["config"].get("materialized") != "ephemeral"
    }


def _describe_node(node: Node, spec: AssetSpec, owner: str | None) -> AssetSpec:
    is_source = node["resource_type"] == "source"
    if is_source:
        owner = (node["config"].get("meta") or {}).get("owner")
    group = spec.group_name or (LANDING if is_source else layer_of(node) or node["schema"])
    return spec.replace_attributes(
        group_name=_as_name(group),
        owners=spec.owners or _as_owners(owner),
        freshness_policy=_freshness(node) if is_source else None,
        kinds={"duckdb", "file"} if is_source else {"dbt", "duckdb"},
    )


def _judged(test: Node, parents: set[str], known: Mapping[str, Node]) -> str:
    """Return the node that a test is a check of: the one it is declared with, else the last it reads."""
    attached = test.get("attached_node")
    if attached in parents:
        return str(attached)
    return max(sorted(parents), key=lambda id_: len(ancestor_ids(id_, known)), default="")


def _describe_check(
    test: Node, judged: str, parents: set[str], nodes: Mapping[str, AssetSpec]
) -> AssetCheckSpec:
    return AssetCheckSpec(
        _as_name(test["name"]),
        asset=nodes[judged].key,
        additional_deps=[nodes[each].key for each in sorted(parents - {judged})],
        description=test.get("description") or None,
    )


def _describe_products(
    manifest: Manifest, nodes: Mapping[str, AssetSpec], promises: Iterable[Promise]
) -> dict[str, AssetSpec]:
    tables: dict[str, list[AssetSpec]] = {}
    for id_, node in manifest.nodes.items():
        if id_ in nodes and is_of_kind(node, "gold"):
            tables.setdefault(product_of(node), []).append(nodes[id_])
    # What has landed and is not published yet is nothing that Dagster could know.
    promised = {promise.product: promise for promise in promises if not promise.is_latency}
    return {
        product: AssetSpec(
            AssetKey([PUBLISHED, product]),
            deps=[spec.key for spec in specs],
            description=f"{product}, as readers have it in the published file.",
            group_name=PUBLISHED,
            owners=sorted({owner for spec in specs for owner in spec.owners}),
            kinds={"duckdb"},
            freshness_policy=as_policy(promised[product]) if product in promised else None,
            skippable=True,
        )
        for product, specs in tables.items()
    }


def _describe_others(manifest: Manifest, products: Mapping[str, AssetSpec]) -> list[AssetSpec]:
    published = [spec.key for spec in products.values()]
    online = [product_of(node) for node in manifest.nodes.values() if node["name"] == CATALOG]
    found = [
        AssetSpec(
            ONLINE,
            deps=[products[product].key for product in online if product in products],
            description="The online store, which the feature server reads.",
            group_name="online",
            skippable=True,
        )
    ]
    about = {REPORT: "What ran, what broke and how the data is: one HTML file.", DOCS: "dbt's documentation."}
    return [
        *(found if online else []),
        *(
            AssetSpec(
                key,
                deps=published if key == REPORT else [],
                description=said,
                group_name="pages",
                kinds={"html"},
                skippable=True,
            )
            for key, said in about.items()
        ),
    ]


def _freshness(source: Node) -> FreshnessPolicy | None:
    """Return for how long a source may be silent, as its contract says."""
    declared = source.get("freshness") or {}
    warn, error = (_length(declared.get(level) or {}) for level in ("warn_after", "error_after"))
    longest = error or warn
    if longest is None:
        return None
    return FreshnessPolicy.time_window(longest, warn if warn and warn < longest else None)


def _length(declared: Mapping[str, Any]) -> timedelta | None:
    count, period = declared.get("count"), declared.get("period")
    return timedelta(**{_UNITS[str(period)]: int(count)}) if count and str(period) in _UNITS else None


def as_policy(promise: Promise) -> FreshnessPolicy:
    """Return when Dagster calls a product overdue, by what its contract promises."""
    if promise.of_day is None:
        # Dagster's window knows no days of the week: it is as long as the longest pause that is promised.
        begins = (_MONDAY + timedelta(days=day) for day in range(7))
        longest = max(promise.due_after(begin) - begin for begin in begins)
        return FreshnessPolicy.time_window(max(longest, timedelta(minutes=1)))
    zone, at, shift = promise.zone, promise.of_day, 0
    if not isinstance(zone, ZoneInfo):
        # Dagster knows zones by name alone.
        local = datetime.combine(_MONDAY, at, zone)
        in_utc = local.astimezone(UTC)
        at, shift = in_utc.time(), (in_utc.date() - local.date()).days
    days = ",".join(str((day + shift + 1) % 7) for day in sorted(promise.days))
    cron = f"{at.minute} {at.hour} * * {'*' if promise.days == ALL_DAYS else days}"
    return FreshnessPolicy.cron(cron, timedelta(days=1), zone.key if isinstance(zone, ZoneInfo) else "UTC")


def _as_owners(owner: str | None) -> Sequence[str]:
    """Return an owner as Dagster writes it; who is no address of mail is a team."""
    if not owner:
        return []
    return [owner if _EMAIL.fullmatch(owner) else f"team:{owner}"]


def _as_name(text: str) -> str:
    return re.sub(r"\W", "_", text)
