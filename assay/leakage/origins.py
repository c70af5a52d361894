"""Check what a training set is made of: nothing bypasses silver, and data without a time is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from assay.core.sql import quoted, text
from assay.leakage.declared import TrainingSet
from assay.leakage.erased import Erased
from assay.leakage.findings import Check
from assay.leakage.silver import gates_of, is_landing
from assay.leakage.tables import columns_of, number, one_row
from assay.leakage.trained import made_by_hand
from assay.project.conventions import AVAILABILITY, LABEL_COLUMNS, TABLES, layer_of
from assay.project.graph import Manifest, Node, parent_ids, relation_of

# Table functions that generate their rows; all others may read a table from anywhere.
_MADE_UP = {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row"}
# The meta key under which a person states why a node holds nothing of the future.
_VOUCHED = "knows_no_future"
_LANDING = "landing"
# The model that lists files.
_FILES = "brz_files"
# If a larger share of rows lands later than declared, it is more than an outage.
_MOST_LATE = 0.01


class Origins:
    """Finds what the nodes upstream of a training set read, also by names that dbt does not know."""

    def __init__(self, training_set: TrainingSet, erased: Erased) -> None:
        self.manifest = erased.manifest
        self.compiled = erased.compiled
        nodes = self.manifest.nodes.values()
        self._by_relation = {
            (node["schema"], node["alias"]): node["unique_id"]
            for node in nodes
            if node["resource_type"] in TABLES
        }
        self.root = self.manifest.node(training_set.name)["unique_id"]
        self._gates = {
            each["unique_id"]
            for each in gates_of(self.manifest, self.manifest.ancestors([training_set.name]).values())
        }
        self._read: dict[str, tuple[list[str], list[str]]] = {}

    def _parents(self, id_: str) -> tuple[list[str], list[str]]:
        """Return the ids of the nodes that a node reads, and the names of other things that it reads."""
        if id_ not in self._read:
            node = self.manifest.nodes[id_]
            parents = parent_ids(node)
            others: list[str] = []
            if node.get("language") == "sql" and (code := self.compiled.get(id_)):
                for schema, name in tables_read(code):
                    known = self._by_relation.get((schema, name))
                    if known and known != id_:
                        parents.append(known)
                    elif schema == _LANDING and not self._is_source(parents, name):
                        parents.append(f"{_LANDING}.{name}")
                    elif not known and not self._is_source(parents, name):
                        others.append(f"{schema}.{name}" if schema else name)
            self._read[id_] = (list(dict.fromkeys(parents)), others)
        return self._read[id_]

    def _is_source(self, parents: list[str], name: str) -> bool:
        return any(
            self.manifest.sources[id_]["identifier"] == name
            for id_ in parents
            if id_ in self.manifest.sources
        )

    def _is_bronze(self, id_: str) -> bool:
        source = self.manifest.sources.get(id_)
        node = self.manifest.nodes.get(id_)
        return (
            id_.startswith(f"{_LANDING}.")
            or bool(source and is_landing(source))
            or bool(node and (node["name"] == _FILES or layer_of(node) == "bronze"))
        )

    def beside_gates(self) -> dict[str, list[str]]:
        """Return the gates that read more than one table: known_as_of may cover only one of them."""
        found: dict[str, list[str]] = {}
        for id_ in sorted(self._gates):
            parents = self._parents(id_)[0]
            bronze = sorted(name_of(parent) for parent in parents if self._is_bronze(parent))
            if bronze and len(bronze) + len(self._gates.intersection(parents)) > 1:
                found[name_of(id_)] = bronze
        return found

    def past_silver(self) -> list[list[str]]:
        """Return the paths from bronze to the training set on which no model applies known_as_of."""
        found: list[list[str]] = []
        seen: set[str] = set()

        def visit(id_: str, way: list[str]) -> None:
            if id_ in seen or id_ in self._gates:
                return
            seen.add(id_)
            if self._is_bronze(id_):
                found.append([name_of(id_), *way])
                # Not kept as seen, so that every path to it is reported.
                seen.discard(id_)
                return
            if id_ in self.manifest.nodes:
                for parent in self._parents(id_)[0]:
                    visit(parent, [name_of(id_), *way])

        visit(self.root, [])
        return found

    def without_time(self, id_: str) -> dict[str, bool]:
        """Return the data without a time on which a node depends, and whether a person vouches for each."""
        found: dict[str, bool] = {}
        seen: set[str] = set()
        waiting = [id_]
        while waiting:
            each = waiting.pop()
            if each in seen or (self._is_bronze(each) and each not in self.manifest.nodes):
                continue
            seen.add(each)
            if each in self.manifest.sources:
                source = self.manifest.sources[each]
                found[f"the source {source['source_name']}.{source['name']}"] = _is_vouched(source)
                continue
            node = self.manifest.nodes.get(each)
            if node is None or node["name"] == _FILES:
                continue
            kind = (
                "seed"
                if node["resource_type"] == "seed"
                else "Python model"
                if node.get("language") == "python"
                else None
            )
            if kind:
                found[f"the {kind} {node['name']}"] = _is_vouched(node)
            parents, others = self._parents(each)
            waiting += parents
            for other in others:
                found[f"{other}, which {node['name']} reads"] = _is_vouched(node)
        return found


def check_origins(training_set: TrainingSet, erased: Erased, connection: duckdb.DuckDBPyConnection) -> Check:
    """Look for ways past silver and for lags that landings contradict; name columns of what has no time."""
    check = Check("origins")
    origins = Origins(training_set, erased)
    check.rows = number(connection, f"select count(*) from {training_set.relation}")
    keys = quoted(*training_set.keys)
    example = (
        one_row(connection, f"select {keys} from {training_set.relation} order by all limit 1")
        if check.rows
        else {}
    )
    for way in origins.past_silver():
        check.found(
            way[0], check.rows, example, " -> ".join(way), "silver in between",
            "Bronze holds what landed, whenever it was known: read the model of silver, which says by "
            "known_as_of when each row became available.",
        )  # fmt: skip
    for gate, bronze in origins.beside_gates().items():
        check.found(
            gate, check.rows, example, f"reads {', '.join(bronze)}, and more besides",
            "one table of bronze a model of silver",
            "See that known_as_of holds for each of them: what it does not hold for may be of the future.",
            is_warning=True,
        )  # fmt: skip
    _name_without_time(check, origins, training_set, erased, connection)
    _compare_lags(check, training_set, erased, connection)
    return check


def tables_read(code: str) -> list[tuple[str, str]]:
    """Return schema and name of the tables that a query reads, and its table functions."""
    with duckdb.connect() as connection:
        [(tree,)] = connection.execute("select json_serialize_sql(?)", [code]).fetchall()
    nodes = list(_walk(json.loads(tree)))
    ctes = {entry["key"].lower() for node in nodes if "cte_map" in node for entry in node["cte_map"]["map"]}
    found = {
        (node["schema_name"], node["table_name"])
        for node in nodes
        if node.get("type") == "BASE_TABLE"
        and (node["schema_name"] or node["table_name"].lower() not in ctes)
    }
    found |= {
        ("", f"{name}()")
        for node in nodes
        if node.get("type") == "TABLE_FUNCTION"
        and (name := node["function"].get("function_name", "")) not in _MADE_UP
    }
    return sorted(found)


def _walk(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from _walk(each)


def name_of(id_: str) -> str:
    """Return the name of a node for messages."""
    return id_.split(".", 2)[-1] if id_.count(".") > 1 else id_


def _is_vouched(node: Node) -> bool:
    return bool(node["config"].get("meta", {}).get(_VOUCHED))


def _name_without_time(
    check: Check,
    origins: Origins,
    training_set: TrainingSet,
    erased: Erased,
    connection: duckdb.DuckDBPyConnection,
) -> None:
    columns: dict[str, str] = {}
    for features in training_set.features:
        view = erased.manifest.node(features.view.name)["unique_id"]
        for name in [*features.columns, *features.derived]:
            columns[features.prefix + name] = view
    label = erased.manifest.node(training_set.label_name)["unique_id"]
    for name in columns_of(connection, training_set.label):
        if name not in (*training_set.keys, *LABEL_COLUMNS):
            columns.setdefault(name, label)
    for name in made_by_hand(training_set, connection):
        columns[name] = origins.root
    rests: dict[str, list[str]] = {}
    vouched: set[str] = set()
    for name, id_ in columns.items():
        for origin, is_vouched in origins.without_time(id_).items():
            if is_vouched:
                vouched.add(origin)
            else:
                rests.setdefault(origin, []).append(name)
                check.suspected.add(name)
    for origin, names in sorted(rests.items()):
        check.not_erasable.append(
            f"{', '.join(names)}: made of {origin}, where nothing says when it was known; nobody can prove "
            f"that it holds nothing of the future. Give it a time, or say under its meta.{_VOUCHED} why"
        )
    check.notes += [f"{origin}, of which meta.{_VOUCHED} vouches" for origin in sorted(vouched)]


def _compare_lags(
    check: Check, training_set: TrainingSet, erased: Erased, connection: duckdb.DuckDBPyConnection
) -> None:
    """Warn about sources whose rows land later than their declared lag allows."""
    lags = _declared_lags(erased.manifest)
    for gate in gates_of(erased.manifest, erased.manifest.ancestors([training_set.name]).values()):
        if not {"event_at", "available_at", "landed_at"} <= columns_of(connection, relation_of(gate)).keys():
            continue
        sources = {
            f"{source['source_name']}.{source['name']}"
            for source in erased.manifest.sources_of(gate["name"]).values()
        }
        for name in sorted(sources & lags.keys()):
            lag = f"interval {text(lags[name])}"
            landed = one_row(
                connection,
                f"select count(*) as rows, count(*) filter (landed_at > event_at + {lag}) as late, "
                f"median(landed_at - event_at) as usual from {relation_of(gate)} where event_at is not null",
            )
            if landed["rows"] and landed["late"] > _MOST_LATE * landed["rows"]:
                check.found(
                    f"{gate['name']}.available_at", landed["late"], {"source": name},
                    f"landed {landed['usual']} after the event in the median",
                    f"within the declared lag of {lags[name]}",
                    "If models are to use these rows only once their file has landed, declare {at: landed}, "
                    "or the lag they really have, in config.meta.availability of the source.",
                    is_warning=True,
                )  # fmt: skip


def _declared_lags(manifest: Manifest) -> dict[str, str]:
    declared = {
        f"{source['source_name']}.{source['name']}": source["config"].get("meta", {}).get(AVAILABILITY) or {}
        for source in manifest.sources.values()
    }
    return {name: each["lag"] for name, each in declared.items() if each.get("at") == "lag"}
