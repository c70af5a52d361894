"""Gather what the catalog tells of: of the project, the warehouse, training sets and the online store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import duckdb

from assay.catalog.declared import Declared, ViewDeclared, read_declared
from assay.catalog.values import ViewValues, clock_of, read_values
from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.words import moment
from assay.lineage.columns import SourceColumn, Untraceable, lineage_of, tables_of
from assay.online.stores.open import open_store, store_url
from assay.online.stores.store import Catalog as StoreCatalog
from assay.project.personal import Personal
from assay.project.project import Project
from assay.report.blocks import Tone
from assay.report.tables import Absent, Row, Tables, opened_tables
from assay.training.store import VersionStore

_DRIFT = ("view", "feature", "reference", "window", "psi", "verdict")
_WINDOWS_SHOWN = 12


@dataclass(frozen=True)
class Freshness:
    """Whether what a view is made of still comes: in a word, and why."""

    word: str
    tone: Tone
    why: str


@dataclass(frozen=True)
class Online:
    """Where a view is online: in a word, and what the store says of it."""

    word: str
    tone: Tone
    why: str


@dataclass(frozen=True)
class Gathered:
    """All that pages are made of.

    `drift` has the windows of each feature and reference, by view; `compiled` the SQL of each model by id,
    `made_of` by model the columns that each of its columns is made of, `ids` the models by relation, and
    `models` by view those whose predictions were logged with its features.
    """

    declared: Declared
    tables: Tables
    personal: Personal
    with_rows: bool
    has_lineage: bool
    clock: datetime | None
    freshness: dict[str, Freshness]
    online: dict[str, Online]
    drift: dict[str, dict[str, list[list[Row]]]]
    models: dict[str, list[str]]
    compiled: dict[str, str]
    made_of: dict[str, dict[str, list[SourceColumn]]]
    ids: dict[str, str]


@contextmanager
def gathered(places: Places, *, with_rows: bool) -> Iterator[Gathered]:
    """Gather what there is, whatever is missing; the warehouse stays open meanwhile.

    Args:
        places: of the project.
        with_rows: whether values of single entities are shown.

    Raises:
        Fault: dbt cannot read the project.
    """
    project = Project()
    manifest = project.manifest
    declared = read_declared(manifest, project, VersionStore(places).versions())
    compiled = _compiled(project, places, declared)
    with opened_tables(places) as tables:
        yield Gathered(
            declared=declared,
            tables=tables,
            personal=Personal.of(manifest),
            with_rows=with_rows,
            has_lineage=places.lineage.is_file(),
            clock=clock_of(tables, [each.view for each in declared.views.values()]),
            freshness=_freshness(tables, declared),
            online=_online(places, declared),
            drift=_drift(tables),
            models=_models(tables),
            compiled=compiled,
            made_of=_columns(places, compiled),
            ids={
                f"{node['database']}.{node['schema']}.{node['alias']}": id_
                for id_, node in manifest.nodes.items()
                if id_ in compiled
            },
        )


def values_of(found: Gathered, declared: ViewDeclared) -> ViewValues:
    """Read what a view holds; what holds now can be asked for until the next view is read.

    Raises:
        Absent: the view is not built, or nothing has arrived yet.
    """
    found.tables.relation(declared.view.name)
    if found.clock is None:
        raise Absent("Nothing has arrived yet.")
    return read_values(found.tables, declared.view, found.clock, found.personal, with_rows=found.with_rows)


def _compiled(project: Project, places: Places, declared: Declared) -> dict[str, str]:
    """Compile what the views are made of; dbt opens the warehouse for it, and would make one."""
    if not declared.views or not places.warehouse.is_file():
        return {}
    try:
        return project.compiled_with_ancestors(list(declared.views))
    except Fault:
        # A build has the warehouse, or a macro asks for a table that is not built.
        return {}


def _freshness(tables: Tables, declared: Declared) -> dict[str, Freshness]:
    try:
        verdicts = {
            row["source_table"]: row["verdict"]
            for row in tables.rows("mon_freshness", "source_table", "verdict")
        }
    except Absent as absent:
        return {name: Freshness("not known", "none", str(absent)) for name in declared.views}
    return {name: _of_sources(view.sources, verdicts) for name, view in declared.views.items()}


def _of_sources(sources: list[str], verdicts: dict[str, str]) -> Freshness:
    of_view = {source: verdicts[source] for source in sources if source in verdicts}
    if stale := [source for source, verdict in of_view.items() if verdict == "stale"]:
        return Freshness("stale", "bad", f"{', '.join(stale)} fell silent")
    if fresh := [source for source, verdict in of_view.items() if verdict == "fresh"]:
        return Freshness("fresh", "good", f"{', '.join(fresh)} came within the limit")
    return Freshness("no limit", "none", "no source of it has a limit of silence")


def _online(places: Places, declared: Declared) -> dict[str, Online]:
    store: StoreCatalog | None = None
    why = ""
    try:
        store = open_store(store_url(None, places)).catalog()
    except Fault as fault:
        why = str(fault)
    found = {}
    for name, each in declared.views.items():
        is_declared = bool(each.view.declared.get("online"))
        build = store[name].build if store and name in store else None
        if build:
            known = f"known until {moment(build.known_until)} UTC" if build.known_until else "empty"
            entities = "" if build.entities is None else f"{build.entities:,} entities, "
            synced = f", synced {moment(build.synced_at)} UTC" if build.synced_at else ""
            found[name] = Online("online", "good", f"{entities}{known}{synced}, build {build.run_id[:8]}")
        elif is_declared:
            found[name] = Online("declared, not in the store", "watch", why or "assay online sync")
        else:
            found[name] = Online("offline", "none", "its YAML does not ask for it")
    return found


def _drift(tables: Tables) -> dict[str, dict[str, list[list[Row]]]]:
    try:
        rows = tables.rows("mon_feature_drift", *_DRIFT)
    except Absent:
        return {}
    found: dict[str, dict[str, list[list[Row]]]] = {}
    for (view, feature, _), windows in groupby(
        rows, key=lambda row: (row["view"], row["feature"], row["reference"])
    ):
        found.setdefault(view, {}).setdefault(feature, []).append(list(windows)[-_WINDOWS_SHOWN:])
    return found


def _models(tables: Tables) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        rows = tables.fetch(
            "select distinct feature_view, model_name from "
            f"{tables.relation('mon_served_features', ['feature_view', 'model_name'])} order by all"
        )
    except Absent:
        return {}
    for row in rows:
        found.setdefault(row["feature_view"], []).append(row["model_name"])
    return found


def _columns(places: Places, compiled: dict[str, str]) -> dict[str, dict[str, list[SourceColumn]]]:
    """Follow the columns of each model; of a model that cannot be followed there are none."""
    found: dict[str, dict[str, list[SourceColumn]]] = {}
    try:
        with tables_of(places.warehouse) as connection:
            for id_, sql in compiled.items():
                try:
                    columns = lineage_of(connection, sql).columns
                except (duckdb.Error, Untraceable):
                    continue
                found[id_] = {name: sorted(sources) for name, sources in columns.items()}
    except duckdb.Error:
        # A build has the warehouse.
        return {}
    return found
