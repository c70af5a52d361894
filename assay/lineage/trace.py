"""Follow a prediction, version, landed file or column to what it was made of, and to what came of it.

Every hop has a key. A prediction names its model's run and version, and rows of feature views by view, entity
and instant; `gold.mon_lineage` has these down to table, file and row of silver; a version lists the files it
was made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.core.places import Places
from assay.core.sql import quoted
from assay.core.words import escaped
from assay.ledger.logged_versions import read_logged_versions
from assay.lineage.columns import tables_of
from assay.lineage.followed_tables import follow_tables
from assay.lineage.landed_copies import find_copies
from assay.lineage.traced import (
    ColumnStep,
    FilesOfTable,
    FileVersion,
    LandedRows,
    RowsOfFile,
    Served,
    ServedView,
    Trace,
    TracedColumn,
    TracedFile,
    TracedPrediction,
    TracedVersion,
)
from assay.project.compiled import compiled_project
from assay.project.conventions import TABLES, is_of_kind
from assay.project.graph import Manifest, Node, descendant_ids, read_manifest, relation_of
from assay.project.project import Project
from assay.project.warehouse import opened, relation_named
from assay.training.store import Version, VersionStore, find_named

_EXAMPLES = 5
_LINEAGE, _PREDICTIONS, _FILES = "mon_lineage", "slv_predictions", "brz_files"

Connection = duckdb.DuckDBPyConnection
_Column = tuple[str, str]


def trace(places: Places, what: str) -> Trace:
    """Follow what is called so, both ways: a prediction's id, a file, a version, or `table.column`.

    Args:
        places: the project's places.
        what: the id of a prediction; the path of a file, in the landing zone or to it; a version, as much of
            its name as no other has, with `@`, or a training set for its newest one; a table's column.

    Raises:
        Fault: nothing is called so, nothing is built, or a build has the warehouse and nothing is published.
        OSError: a merged file is damaged, or cannot be read.
    """
    manifest = read_manifest()
    if manifest is None:
        raise Fault("dbt has not read this project yet. To build it: assay build", MISUSED)
    versions = VersionStore(places).versions()
    what = escaped(what)
    found = Trace(what)
    try:
        column = _follow_column(places, manifest, what)
        with opened(places.warehouse) as connection:
            connection.execute(f"use {quoted(_catalog(connection))}")
            tracer = _Tracer(places, manifest, versions, connection)
            all_found = (tracer.prediction(what), tracer.version(what), tracer.file(what))
            found.found.extend(each for each in all_found if each is not None)
            if column:
                found.found.append(tracer.column(*column))
            if not found.found:
                raise Fault(tracer.explain_unknown(what), MISUSED)
            found = replace(found, waiting=tracer.count_waiting())
    except (duckdb.Error, OSError) as error:
        raise known_fault(error) or error from error
    return found


class _Tracer:
    """Looks things up in a warehouse, or in what is published of it while a build has the warehouse."""

    def __init__(
        self, places: Places, manifest: Manifest, versions: list[Version], connection: Connection
    ) -> None:
        self._places, self._manifest, self._versions = places, manifest, versions
        self._connection = connection
        self._logged = read_logged_versions(places.ledger)
        self._relations: dict[str, str | None] = {}

    def prediction(self, what: str) -> TracedPrediction | None:
        """Follow a prediction to its model, and to the rows that may have entered its features."""
        lineage = self._relation(_LINEAGE)
        rows = self._rows(
            "select model_name, model_run_id, training_version, predicted_at, feature_view, entity_keys, "
            "as_of, valid_from, silver_table, linked_by, source_file, file_version, row_count, row_numbers "
            f"from {lineage} where prediction_id = ? order by all",
            what,
        ) if lineage else []  # fmt: skip
        if not rows:
            return None
        model, run_id, named, predicted_at = rows[0][:4]
        moved = self._find_moved({row[10] for row in rows if row[10]})
        views: dict[tuple[Any, ...], ServedView] = {}
        for view, keys, as_of, valid_from, table, linked_by, file, file_version, count, numbers in (
            row[4:] for row in rows
        ):
            if view is None:
                continue
            served = views.setdefault(
                (view, keys, as_of), ServedView(view, json.loads(keys), as_of, valid_from, [])
            )
            if table is not None:
                served.landed.append(
                    LandedRows(
                        table, linked_by, file, file_version, count, numbers or [], moved.get(file, [])
                    )
                )
        of_run = {each.version for each in self._logged if run_id and each.model_run_id == run_id}
        names = [each.manifest.version for each in self._versions]
        kept = [name for name in names if (name.startswith(named) if named else name in of_run)]
        file, row_number = self._landed_prediction(what) or (None, None)
        return TracedPrediction(
            what,
            model,
            run_id,
            named,
            kept[0] if len(kept) == 1 else None,
            predicted_at,
            file,
            row_number,
            list(views.values()),
        )

    def version(self, what: str) -> TracedVersion | None:
        """Follow a version to its files, and to the predictions of models that trained on it."""
        version = find_named(what, self._versions)
        if version is None:
            return None
        manifest = version.manifest
        runs = sorted({each.model_run_id for each in self._logged if each.version == manifest.version})
        is_there = manifest.name in self._of_kind(self._manifest.nodes, "training_sets")
        sources = {*map(_name_of, self._manifest.sources_of(manifest.name).values())} if is_there else set()
        by_table: dict[str, list[tuple[str, int]]] = {}
        for file in version.input_files.values():
            table = ".".join(file.source_file.split("/")[:2])
            # A version lists the files of the whole warehouse. One whose model is gone may be made of any.
            if table in sources or not is_there:
                by_table.setdefault(table, []).append((file.source_file, file.row_count))
        return TracedVersion(
            manifest.version,
            manifest.run_id,
            manifest.code_version,
            manifest.rows,
            manifest.created_at,
            sorted({feature.view for feature in manifest.features}),
            [
                FilesOfTable(table, len(files), sum(rows for _, rows in files), min(files)[0], max(files)[0])
                for table, files in sorted(by_table.items())
            ],
            runs,
            # A client may have told as much of the name as no other version has.
            self._served(
                "(contains(training_version, '@') and starts_with($1, training_version)) "
                "or (training_version is null and list_contains($2, model_run_id))",
                manifest.version,
                runs,
            ),
        )

    def file(self, what: str) -> TracedFile | None:
        """Follow a landed file to its rows, and to all that they may have entered."""
        files = self._relation(_FILES)
        if files is None:
            return None
        name = self._name_in_landing(what)
        rows = self._rows(
            "select file_id, file_version, status, error, row_count, landed_at, run_id "
            f"from {files} where source_file = ? order by file_version",
            name,
        )
        if not rows:
            return None
        checked = [node for node in self._manifest.nodes.values() if is_of_kind(node, "checked_rows")]
        tables = {node["unique_id"]: found for node in checked if (found := self._rows_of_file(node, name))}
        below = descendant_ids(tables, self._manifest.nodes)
        ids = {row[0] for row in rows}
        sets = self._of_kind(below, "training_sets")
        # Of a version whose model is gone, nobody can tell.
        others = set(self._of_kind(self._manifest.nodes, "training_sets")) - {*sets}
        return TracedFile(
            name,
            [FileVersion(*row) for row in rows],
            [str(path) for path in find_copies(self._places, [name])[name]],
            list(tables.values()),
            self._of_kind(below, "feature_views"),
            sets,
            [
                each.manifest.version
                for each in self._versions
                if each.manifest.name not in others and ids & each.input_files.keys()
            ],
            self._served("source_file = $1", name),
            self._served(
                "source_file is null and list_contains($1, silver_table) and prediction_id not in "
                f"(select prediction_id from {self._relation(_LINEAGE)} where source_file = $2)",
                [each.silver_table for each in tables.values()],
                name,
            ),
        )

    def column(
        self, table: str, column: str, tables: dict[str, dict[str, Any]], not_followed: dict[str, str]
    ) -> TracedColumn:
        """Follow a column to the columns it is made of, and to those that are made of it."""
        readers: dict[_Column, list[tuple[str, str, bool]]] = {}
        for reader, described in tables.items():
            for name, made in described["columns"].items():
                for source, source_column, is_same in made["from"]:
                    readers.setdefault((source, source_column), []).append((reader, name, is_same))
        made_of = _steps((table, column), lambda at: tables[at[0]]["columns"].get(at[1], {}).get("from", []))
        makes = _steps((table, column), lambda at: readers.get(at, []))
        had = {(table, column), *((step.table, step.column) for step in makes)}
        views = sorted({name for name, _ in had if tables[name]["isFeatureView"]})
        versions = [
            each.manifest.version
            for each in self._versions
            if any((feature.view, feature.name) in had for feature in each.manifest.features)
        ]
        served = self._served("list_contains($1, feature_view)", views)
        on_the_way = {table, *(step.table for step in made_of)}
        not_followed = {name: why for name, why in not_followed.items() if name in on_the_way}
        return TracedColumn(table, column, made_of, makes, views, versions, served, not_followed)

    def count_waiting(self, condition: str = "true", *values: Any) -> int:
        """Count the predictions that landed after their lineage was built, which is not at each build."""
        lineage, predictions = self._relation(_LINEAGE), self._relation(_PREDICTIONS)
        if lineage is None or predictions is None:
            return 0
        [(count,)] = self._rows(
            f"with followed as (select distinct prediction_id from {lineage}), "
            # Before these days, none is followed.
            "covered as (select min(available_at) as since from "
            f"{predictions} semi join followed using (prediction_id)) "
            f"select count(*) from {predictions} anti join followed using (prediction_id) cross join covered "
            f"where available_at >= coalesce(since, available_at) and {condition}",
            *values,
        )
        return int(count)

    def explain_unknown(self, what: str) -> str:
        """Say why nothing is found under a name, and what to do."""
        if self._relation(_FILES) is None:
            return (
                f"{what} is no prediction that is published, and files and columns cannot be looked up, "
                "because a build has the warehouse: try again when it is done."
            )
        if self.count_waiting("prediction_id = ?", what):
            return (
                f"Prediction {what} has landed since gold.{_LINEAGE} was built, which is not at each build "
                "(refresh_every in dbt_project.yml). To build it now: assay build --all"
            )
        if self._landed_prediction(what):
            return (
                f"Prediction {what} has landed, and gold.{_LINEAGE} does not have it: it landed before the "
                "days that the variable lineage_days covers. Raise that in dbt_project.yml, and build."
            )
        if "@" in what:
            known = [each.manifest.version for each in self._versions]
            return unknown(f"There is no version {what}, and no prediction or file of that name", what, known)
        if what in self._of_kind(self._manifest.nodes, "training_sets"):
            return f"Training set {what} has no version yet. To make one: assay training-set create {what}"
        known = [name for (name,) in self._rows(f"select distinct source_file from {self._relation(_FILES)}")]
        known += [node["name"] for node in self._manifest.nodes.values() if node["resource_type"] == "model"]
        said = f"Nothing is called {what}: no prediction, landed file, version or column (as TABLE.COLUMN)"
        if len(known) > _EXAMPLES:
            near = unknown(said, self._name_in_landing(what).rpartition(".")[0] or what, known)
            if "did you mean" in near:
                return near
        return f"{said}. A prediction is known once the build after it has loaded it."

    def _find_moved(self, names: set[str]) -> dict[str, list[str]]:
        """Return the files that hold landed files now, of those that no longer lie there by themselves."""
        gone = [name for name in names if not (self._places.landing / name).is_file()]
        return {name: [*map(str, paths)] for name, paths in find_copies(self._places, gone).items()}

    def _served(self, condition: str, *values: Any) -> Served:
        lineage = self._relation(_LINEAGE)
        if lineage is None:
            return Served(0, [], None, None, [])
        [(count, models, first, last, examples)] = self._rows(
            "select count(distinct prediction_id), list_sort(list_distinct(list(model_name))), "
            "min(predicted_at), max(predicted_at), "
            f"list_sort(list_distinct(list(prediction_id)))[:{_EXAMPLES}] from {lineage} where {condition}",
            *values,
        )
        return Served(count, models or [], first, last, examples or [])

    def _rows_of_file(self, node: Node, name: str) -> RowsOfFile | None:
        if self._relation(node["alias"]) is None:
            return None
        [(kept, rejected, rule_ids)] = self._rows(
            "select count(*) filter (rule_ids is null), count(*) filter (rule_ids is not null), "
            "list_sort(list_distinct(flatten(list(rule_ids) filter (rule_ids is not null)))) "
            f"from {relation_of(node)} where source_file = ?",
            name,
        )
        return RowsOfFile(node["alias"], kept, rejected, rule_ids or []) if kept or rejected else None

    def _landed_prediction(self, prediction_id: str) -> tuple[str, int] | None:
        predictions = self._relation(_PREDICTIONS)
        if predictions is None:
            return None
        rows = self._rows(
            f"select source_file, row_number from {predictions} where prediction_id = ?", prediction_id
        )
        return rows[0] if rows else None

    def _of_kind(self, ids: Iterable[str], kind: str) -> list[str]:
        nodes = (self._manifest.nodes[id_] for id_ in ids if id_ in self._manifest.nodes)
        return sorted(node["name"] for node in nodes if is_of_kind(node, kind))

    def _name_in_landing(self, what: str) -> str:
        path, landing = Path(what), self._places.landing
        for root in (landing, landing.absolute(), landing.resolve()):
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        return what

    def _relation(self, name: str) -> str | None:
        if name not in self._relations:
            self._relations[name] = relation_named(self._connection, name)
        return self._relations[name]

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, list(values)).fetchall()


def _follow_column(
    places: Places, manifest: Manifest, what: str
) -> tuple[str, str, dict[str, dict[str, Any]], dict[str, str]] | None:
    """Return table and column, all tables with what their columns are made of, and what cannot be followed.

    Raises:
        Fault: the table has no such column.
    """
    relation, _, column = what.rpartition(".")
    nodes = [node for node in manifest.nodes.values() if node["resource_type"] in TABLES]
    names = {f"{node['schema']}.{node['name']}": node["name"] for node in nodes}
    names |= {node["name"]: node["name"] for node in nodes}
    names |= {name: name for name in map(_name_of, manifest.sources.values())}
    table = names.get(relation)
    if table is None or not places.warehouse.is_file():
        return None
    project = Project()
    compiled = compiled_project(project)
    with tables_of(places.warehouse) as connection:
        tables, not_followed = follow_tables(project.manifest, compiled, connection)
    if column not in tables[table]["columns"]:
        raise Fault(unknown(f"{table} has no column {column}", column, tables[table]["columns"]), MISUSED)
    return table, column, tables, not_followed


def _name_of(source: Node) -> str:
    return f"{source['source_name']}.{source['name']}"


def _steps(start: _Column, next_of: Callable[[_Column], Iterable[Any]]) -> list[ColumnStep]:
    """Return the columns that are reached from one, the nearest first, each once."""
    found: dict[_Column, ColumnStep] = {}
    ahead, depth = [start], 0
    while ahead:
        depth += 1
        reached = [
            ColumnStep(table, column, is_same, depth)
            for at in ahead
            for table, column, is_same in sorted(next_of(at))
        ]
        ahead = []
        for step in reached:
            at = (step.table, step.column)
            if at != start and at not in found:
                found[at] = step
                ahead.append(at)
    return list(found.values())


def _catalog(connection: Connection) -> str:
    """Return the name under which the warehouse is attached."""
    [(name,)] = connection.execute(
        "select database_name from duckdb_databases() where not internal and path is not null"
    ).fetchall()
    return str(name)
