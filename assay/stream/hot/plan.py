"""Decide which online views new messages reach, and compile the SQL of the models on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.fault import Fault
from assay.project.conventions import is_of_kind
from assay.project.graph import Manifest, Node, parent_ids, relation_of
from assay.project.project import Project
from assay.stream.source import StreamSource

_BETWEEN = "-- assay: the next query --"
_CONTENT_HASH = re.compile(r"assay\.content_hash\([^)]*\)")
_WINDOWED = re.compile(r"\bwindowed_history\(")
_KEY = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class CheckedTable:
    """The way of a streamed table into silver: its bronze model, and the model that checks its rows.

    `flag_copies` is SQL that finds copies in the checked table; `key` are the columns that tell them.
    `standing` are the nodes that the checked model reads beside bronze.
    """

    source: StreamSource
    bronze: Node
    checked: Node
    bronze_sql: str
    checked_sql: str
    key: list[str]
    flag_copies: str
    standing: list[Node]

    @property
    def is_of_changes(self) -> bool:
        """Whether its rows are changes of a table, one of which may say that the table is emptied."""
        return self.key == ["change_hash"]


@dataclass(frozen=True)
class HotView:
    """An online view that is kept up to date between builds.

    Its `models` are run in their order, over slices of its `checked` tables; `standing` nodes are read as
    they were built. `online_sql` makes its online rows. `recent_sql` makes of the last model what each entity
    shows from its last arrival on, for those whose last arrival opened a row; None if only all rows tell.
    """

    name: str
    keys: list[str]
    checked: list[str]
    models: list[tuple[Node, str]]
    standing: list[Node]
    online_sql: str
    recent_sql: str | None


@dataclass(frozen=True)
class HotPlan:
    """All that the hot path runs; `database` is the name that compiled SQL gives the warehouse.

    `cold` are the online views that messages reach too, and why each is left to builds.
    """

    database: str
    tables: dict[str, CheckedTable]
    views: list[HotView]
    cold: dict[str, str]

    @property
    def standing(self) -> dict[str, Node]:
        """The nodes that are read as they were built, by their relations."""
        readers: list[CheckedTable | HotView] = [*self.tables.values(), *self.views]
        return {relation_of(node): node for reader in readers for node in reader.standing}


def make_hot_plan(project: Project, sources: Sequence[StreamSource]) -> HotPlan:
    """Return what to run for the messages of some streams.

    Raises:
        Fault: dbt cannot compile the project.
    """
    manifest = project.manifest
    streamed = {(each.table.source, each.table.name): each for each in sources}
    by_checked = {
        id_: streamed[place]
        for id_, node in manifest.nodes.items()
        if is_of_kind(node, "checked_rows") and (place := _source_of(manifest, node)) in streamed
    }
    online = sorted(
        (node for node in manifest.nodes.values() if is_of_kind(node, "online_views")),
        key=lambda node: str(node["name"]),
    )
    ways = {node["name"]: _way(manifest, node, by_checked) for node in online}
    cold = {name: why for name, way in ways.items() if (why := _why_cold(manifest, way, by_checked))}
    hot = [node for node in online if ways[node["name"]] and node["name"] not in cold]
    if not hot:
        return HotPlan(project.warehouse.stem, {}, [], cold)
    compiled = project.compiled_with_ancestors([node["name"] for node in hot])
    used = {id_ for node in hot for id_ in ways[node["name"]] if id_ in by_checked}
    online_sql, flags = _compile_calls(project, manifest, [node["name"] for node in hot], sorted(used))
    recent_sql = _compile_recent(project, hot)
    tables = {}
    for id_ in sorted(used):
        node = manifest.nodes[id_]
        bronze = _bronze_of(manifest, node)
        tables[id_] = CheckedTable(
            by_checked[id_],
            bronze,
            node,
            compiled[bronze["unique_id"]],
            compiled[id_],
            json.loads(_found(_KEY, _hook_of(node))),
            flags[id_],
            [each for each in manifest.parents(node) if each["unique_id"] != bronze["unique_id"]],
        )
    views = [
        HotView(
            node["name"],
            list(node["config"]["meta"]["feature_view"]["keys"]),
            [id_ for id_ in ways[node["name"]] if id_ in by_checked],
            [
                (manifest.nodes[id_], compiled[id_])
                for id_ in _in_order(manifest, ways[node["name"]])
                if id_ not in by_checked
            ],
            _standing(manifest, ways[node["name"]], by_checked),
            online_sql[node["name"]],
            recent_sql.get(node["name"]),
        )
        for node in hot
    ]
    return HotPlan(project.warehouse.stem, tables, views, cold)


def _source_of(manifest: Manifest, checked: Node) -> tuple[str, str] | None:
    """Return the landing table whose rows a model checks."""
    for bronze in manifest.parents(checked):
        for id_ in parent_ids(bronze):
            if id_ in manifest.sources:
                return manifest.sources[id_]["source_name"], manifest.sources[id_]["name"]
    return None


def _bronze_of(manifest: Manifest, checked: Node) -> Node:
    return next(
        each for each in manifest.parents(checked) if any(id_ in manifest.sources for id_ in parent_ids(each))
    )


def _way(manifest: Manifest, view: Node, checked: Iterable[str]) -> set[str]:
    """Return the checked tables that a view is made of, and what lies between them and the view."""
    above = manifest.ancestors([view["name"]])
    way = {id_ for id_ in checked if id_ in above}
    size = -1
    while way and len(way) != size:
        size = len(way)
        way |= {id_ for id_, node in above.items() if way.intersection(parent_ids(node))}
    return way


def _why_cold(manifest: Manifest, way: Iterable[str], checked: Mapping[str, StreamSource]) -> str | None:
    for id_ in way:
        node = manifest.nodes[id_]
        if id_ in checked and set(checked[id_].table.modes.values()) - {"evolve"}:
            # The loader sets rows aside by comparing them with those before them.
            return f"the schema_mode of {checked[id_].name} is judged when files are loaded"
        if node["resource_type"] != "model":
            return f"{node['name']}, a {node['resource_type']}, is on the way"
        if node.get("language") != "sql":
            return f"{node['name']}, which is not SQL, is on the way"
    return None


def _in_order(manifest: Manifest, way: set[str]) -> list[str]:
    """Return nodes, each after those that it reads."""
    done: dict[str, None] = {}

    def visit(id_: str) -> None:
        for parent in parent_ids(manifest.nodes[id_]):
            if parent in way and parent not in done:
                visit(parent)
        done[id_] = None

    for id_ in sorted(way):
        if id_ not in done:
            visit(id_)
    return list(done)


def _standing(manifest: Manifest, way: set[str], checked: Iterable[str]) -> list[Node]:
    """Return the nodes that the models on the way read, and that lie beside it."""
    inner = way.difference(checked)
    ids = {parent for id_ in inner for parent in parent_ids(manifest.nodes[id_])} - way
    return [manifest.nodes[id_] for id_ in sorted(ids) if id_ in manifest.nodes]


def _compile_calls(
    project: Project, manifest: Manifest, views: Sequence[str], checked: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Compile what is not a model of its own: the online rows of views, and the search for copies."""
    calls = [f"{{{{ assay._online_rows(assay.feature_view('{name}'), ref('{name}')) }}}}" for name in views]
    for id_ in checked:
        hook = _CONTENT_HASH.sub("'landed.content_hash'", _hook_of(manifest.nodes[id_]))
        calls.append(re.sub(r"\bthis\b", f"ref('{manifest.nodes[id_]['name']}')", hook))
    done = project.compiled_inline(f"\n{_BETWEEN}\n".join(calls)).split(_BETWEEN)
    return dict(zip(views, done, strict=False)), dict(zip(checked, done[len(views) :], strict=True))


def _compile_recent(project: Project, views: Sequence[Node]) -> dict[str, str]:
    """Compile the ends of the histories, of the views that are windowed histories."""
    calls = {
        node["name"]: _WINDOWED.sub("_recent_windowed_history(", node["raw_code"])
        for node in views
        if node["config"]["materialized"] == "history" and len(_WINDOWED.findall(node["raw_code"])) == 1
    }
    if not calls:
        return {}
    # Not all have a short way, and dbt compiles no empty text.
    done = project.compiled_inline(f"\n{_BETWEEN}\n".join([*calls.values(), "select 1"])).split(_BETWEEN)
    return {name: sql for name, sql in zip(calls, done, strict=False) if sql.strip()}


def _hook_of(checked: Node) -> str:
    hooks: list[Any] = checked["config"].get("post-hook") or []
    found = [hook["sql"] for hook in hooks if "flag_duplicates" in hook["sql"]]
    if not found:
        raise Fault(f"{checked['name']} is not written with checked_rows or checked_changes.")
    return str(found[0])


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[0] if match else "[]"
