"""Run the models between silver and a training set again in memory, for some entities and known rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.moment import as_variable
from assay.core.sql import quoted, text
from assay.leakage.declared import TrainingSet
from assay.leakage.erased import Erased
from assay.leakage.silver import gates_of
from assay.leakage.tables import columns_of, literal
from assay.project.graph import Node, parent_ids, relation_of
from assay.project.warehouse import attach

_RUN, _SLICE = "_assay_run", "_assay_slice"
# The schema of landed rows, which no model makes.
_LANDED = "landing"
# Returns the SQL condition of the rows that a run sees, for a table and its columns.
Condition = Callable[[Node, dict[str, str]], str]


def everything(node: Node, columns: dict[str, str]) -> str:
    """Keep all rows."""
    return "true"


def everything_as_it_is(node: Node, columns: dict[str, str]) -> str:
    """Select all columns."""
    return "*"


class Replay:
    """Runs the models of a training set repeatedly over a slice of the warehouse.

    A run begins with the tables of silver that say when each row became available, and with nodes without
    SQL: seeds, snapshots, Python models. The slice holds only some entities, so that a run takes well under
    a second. Features over many entities may differ from those in the warehouse, but equally on both sides
    of a comparison, since both sides use the same slice.

    Attributes:
        connection: the warehouse, which is only read, with the slice and the last run beside it in memory.
        unread: models that could not be run, and why.
        entity: the column by which the slice is cut; None if it holds everything.
    """

    def __init__(self, training_set: TrainingSet, erased: Erased, warehouse: Path) -> None:
        self.connection = duckdb.connect(config={"threads": 2})
        # Attached under its own name, because its views contain that name.
        attach(self.connection, warehouse, warehouse.stem)
        self._warehouse = quoted(warehouse.stem)
        self.connection.execute(f"use {self._warehouse}")
        self.connection.execute("set TimeZone = 'UTC'")
        self.unread: dict[str, str] = {}
        self._set = training_set
        self._erased = erased
        manifest = erased.manifest
        self._nodes = manifest.ancestors([training_set.name])
        self.gates = gates_of(manifest, self._nodes.values())
        self._gate_ids = {gate["unique_id"] for gate in self.gates}
        self._held: set[str] = set()
        self.entity = self._entity()
        for name in (_RUN, _SLICE):
            self.connection.execute(f"attach ':memory:' as {name}")

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def columns(self, node: Node) -> dict[str, str]:
        """Return the columns of a built node."""
        return columns_of(self.connection, self._built(node))

    def entities(self) -> list[list[str]]:
        """Return the keys of feature views that the label has, each once, the finest last."""
        labels = columns_of(self.connection, self._set.label)
        keys = [list(features.view.entity_keys) for features in self._set.features]
        if not keys:
            taken = {*self._set.keys, "prediction_at", "outcome", "outcome_known_at"}
            keys = [[column] for column in labels if column.endswith("_id") and column not in taken]
        found = [
            key
            for position, key in enumerate(keys)
            if set(key) <= labels.keys() and key not in keys[:position]
        ]
        return sorted(found, key=len)

    def _entity(self) -> str | None:
        single = [column for key in self.entities() for column in key]
        held = [self.columns(gate).keys() for gate in self.gates]
        ranked = sorted(
            set(single), key=lambda column: (-sum(column in each for each in held), single.index(column))
        )
        return ranked[0] if ranked and any(ranked[0] in each for each in held) else None

    def cut(self, values: str | None) -> None:
        """Fill the slice with the entities that a query of one column returns, and with their labels.

        None fills it with everything.
        """
        if values:
            self.connection.execute(f"create or replace temp table _assay_entities as {values}")
        kept = f"where {quoted(self.entity)} in (from _assay_entities)" if self.entity and values else ""
        for gate in self.gates:
            cut = kept if self.entity in self.columns(gate) else ""
            self._fill(_SLICE, gate, f"from {self._built(gate)} {cut}")
        label = self._erased.manifest.node(self._set.label_name)
        self._fill(_SLICE, label, f"from {self._built(label)} {kept}")

    def run(
        self,
        target: str,
        known: Condition,
        *,
        until: datetime | None = None,
        clock: datetime,
        labels: str | None = None,
        shown: Condition = everything_as_it_is,
    ) -> str:
        """Build a model from the slice, and return the table that holds it.

        Args:
            target: the model's name.
            known: the condition of the known rows of each table of silver.
            until: the time up to which snapshots are known; None for all of their rows.
            clock: the time up to which labels can be known.
            labels: the rows of the label, as a query on the table `{slice}`; None to build the label too.
            shown: the select list of each table of silver.

        Raises:
            duckdb.Error: a model that ran before fails on these rows.
        """
        for schema in {node["schema"] for node in self._nodes.values()}:
            self.connection.execute(f"drop schema if exists {_RUN}.{quoted(schema)} cascade")
            self.connection.execute(f"create schema {_RUN}.{quoted(schema)}")
        here = self._erased.at
        with self._names_of_the_run():
            for node in self._order(target, builds_labels=labels is None):
                source = f"{_SLICE}.{relation_of(node)}"
                code = self._erased.compiled.get(node["unique_id"])
                if labels is not None and node["name"] == self._set.label_name:
                    self._fill(_RUN, node, labels.format(slice=source))
                elif node["unique_id"] in self._gate_ids:
                    columns = self.columns(node)
                    query = f"select {shown(node, columns)} from {source} where {known(node, columns)}"
                    self._fill(_RUN, node, query)
                elif node["unique_id"] in self._held or not code or not _is_sql(node):
                    self._fill_as_built(node, until)
                else:
                    self._run_sql(node, code.replace(as_variable(here), as_variable(clock)), until)
        return f"{_RUN}.{relation_of(self._erased.manifest.node(target))}"

    def _run_sql(self, node: Node, code: str, until: datetime | None) -> None:
        try:
            self._fill(_RUN, node, code.replace(f'"{self._erased.path.stem}".', f'"{_RUN}".'))
        except (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException) as error:
            self._held.add(node["unique_id"])
            self.unread[node["name"]] = str(error).partition("\n")[0]
            self._fill_as_built(node, until)

    def _fill(self, catalog: str, node: Node, query: str) -> None:
        self.connection.execute(f"create schema if not exists {catalog}.{quoted(node['schema'])}")
        self.connection.execute(f"create or replace table {catalog}.{relation_of(node)} as {query}")

    def _fill_as_built(self, node: Node, until: datetime | None) -> None:
        query = f"from {self._built(node)}"
        if until and node["resource_type"] == "snapshot":
            current = node["config"].get("dbt_valid_to_current") or "null::timestamp"
            ended = f"case when dbt_valid_to <= {literal(until)} then dbt_valid_to else {current} end"
            query = (
                f"select * replace ({ended} as dbt_valid_to) {query} where dbt_valid_from <= {literal(until)}"
            )
        self._fill(_RUN, node, query)

    def _built(self, node: Node) -> str:
        return f"{self._warehouse}.{relation_of(node)}"

    @contextmanager
    def _names_of_the_run(self) -> Iterator[None]:
        """Make names without a catalog, in hand-written SQL, refer to the run and to landed rows."""
        self.connection.execute(f"use {_RUN}")
        schemas = {node["schema"] for node in self._nodes.values()}
        path = [f"{_RUN}.main", *(f"{_RUN}.{quoted(schema)}" for schema in sorted(schemas))]
        path.append(f"{self._warehouse}.{_LANDED}")
        self.connection.execute(f"set search_path = {text(','.join(path))}")
        try:
            yield
        finally:
            self.connection.execute(f"use {self._warehouse}")

    def _order(self, target: str, *, builds_labels: bool) -> Iterable[Node]:
        """Yield the nodes that a run fills, each after the nodes that it reads."""
        label = self._erased.manifest.node(self._set.label_name)["unique_id"]
        done: list[str] = []

        def visit(id_: str) -> None:
            if id_ in done or id_ not in self._nodes:
                return
            node = self._nodes[id_]
            # A given label, and nodes without SQL, are taken as they are.
            is_given = id_ in self._gate_ids or (id_ == label and not builds_labels)
            if not is_given and _is_sql(node):
                for parent in parent_ids(node):
                    visit(parent)
            done.append(id_)

        visit(self._erased.manifest.node(target)["unique_id"])
        return [self._nodes[id_] for id_ in done if self._nodes[id_]["config"]["materialized"] != "ephemeral"]


def _is_sql(node: Node) -> bool:
    """Tell whether a node can be run again; a seed has no language."""
    return node["resource_type"] == "model" and node.get("language") == "sql"


def known_by(at: datetime) -> Condition:
    """Return a condition that keeps the rows available at a moment."""

    def condition(node: Node, columns: dict[str, str]) -> str:
        return f"available_at <= {literal(at)}" if "available_at" in columns else "true"

    return condition
