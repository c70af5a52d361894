"""Say in words what a test claims, what it found, where the rows came from and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.places import Places
from assay.core.sql import quoted
from assay.ledger.nodes import nodes_of
from assay.ledger.results import NodeResult
from assay.ledger.runs import Run, all_runs
from assay.project.graph import Manifest, read_manifest, relation_of
from assay.project.warehouse import opened

_CHECKED = "__checked"
_ROWS_TRACED = 20
_REMEDIES = {
    "unique": "Find out which of the rows with one key is right, and why the other came: of a file that "
    "landed twice under another name, or of a key that is none.",
    "not_null": "Ask the source for the value and land the file again; or declare what stands for it.",
    "relationships": "Land what the rows refer to; it may only be late.",
    "ranges_do_not_overlap": "Look for two states of one entity at one instant: of a change log that came in "
    "another order than it was written.",
    "source_keeps_its_promises": "Ask the source's owner to keep the contract, or agree on another: its "
    "file in contracts/ says what is promised.",
    "values_are_complete": "Look in the rows' source for what became of the values; the contract says how "
    "many may be absent.",
    "broken_rules_are_explained": "Rows were rejected by a rule that no contract has any more, or that has "
    "no reason. assay build --full-refresh judges all rows anew; reason and remedy stand in contracts/.",
    "holds_rows_if_landed": "Look at what silver rejected: a rule may reject all that landed.",
}
# How names of tests of dbt-expectations end that claim the same.
_ALIASES = {
    "compound_columns_to_be_unique": "unique",
    "values_to_be_unique": "unique",
    "to_not_be_null": "not_null",
}
_REMEDY = (
    "Have the rows mended at their source and land the file again; if they are right, mend the model or the "
    "test."
)


@dataclass(frozen=True)
class Origin:
    """A line of a landed file from which a row came."""

    source_file: str
    row_number: int


@dataclass(frozen=True)
class Explanation:
    """What is known of a test: its last result, whose run that was, where its rows came from, what to do.

    `declared_in` is the YAML or SQL file that has the test.
    """

    test: NodeResult
    run: Run
    claim: str
    description: str
    declared_in: str | None
    origins: list[Origin]
    remedy: str


def explain(places: Places, name: str) -> Explanation:
    """Explain a test by its last run.

    Args:
        places: of the project.
        name: of the test.

    Raises:
        Fault: no run had such a test, or another program keeps the ledger open.
    """
    run, test = _last_result(places, name)
    return explain_result(places, run, test, read_manifest())


def explain_result(places: Places, run: Run, test: NodeResult, manifest: Manifest | None) -> Explanation:
    """Explain what a run found with a test.

    Args:
        places: of the project.
        run: the run.
        test: what it found.
        manifest: of dbt, which says how the test was declared; None where it is not known.
    """
    declared = _declared(test.name, manifest)
    kind = (declared.get("test_metadata") or {}).get("name", "")
    is_there = test.sample and run.warehouse == str(places.warehouse)
    origins = _origins(places, test, manifest) if manifest and is_there else []
    return Explanation(
        test,
        run,
        test.name.replace("_", " "),
        str(declared.get("description") or ""),
        declared.get("original_file_path"),
        origins,
        _remedy(kind),
    )


def _last_result(places: Places, name: str) -> tuple[Run, NodeResult]:
    known: set[str] = set()
    for run in all_runs(places.ledger):
        tests = [node for node in nodes_of(places.ledger, run.run_id) if node.kind in ("test", "unit test")]
        for test in tests:
            if test.name == name and test.status != "skipped":
                return run, test
        known |= {test.name for test in tests}
    raise Fault(unknown(f"No build has run a test {name}", name, sorted(known)), MISUSED)


def _declared(name: str, manifest: Manifest | None) -> dict[str, Any]:
    nodes = manifest.nodes.values() if manifest else []
    return next((node for node in nodes if node["name"] == name and node["resource_type"] == "test"), {})


def _remedy(kind: str) -> str:
    for ending, known in _ALIASES.items():
        if kind.endswith(ending):
            return _REMEDIES[known]
    return _REMEDIES.get(kind, _REMEDY)


def _origins(places: Places, test: NodeResult, manifest: Manifest) -> list[Origin]:
    """Look rows up by their ids in the checked rows of silver, which know the lines they came from."""
    tested = (
        test.relation.rpartition(".")[2] if test.relation.count(".") == 1 else test.relation.split(".")[1]
    )
    found: dict[Origin, None] = {}
    try:
        with opened(places.warehouse) as connection:
            connection.execute(f"use {quoted(places.warehouse.stem)}")
            for node in manifest.ancestors([tested]).values():
                if node["name"].endswith(_CHECKED):
                    for origin in _lines(connection, relation_of(node), test.sample[:_ROWS_TRACED]):
                        found[origin] = None
    except (Fault, duckdb.CatalogException):
        # The warehouse is gone, or a build has it and what is published knows no files.
        return []
    return sorted(found, key=lambda each: (each.source_file, each.row_number))


def _lines(
    connection: duckdb.DuckDBPyConnection, checked: str, rows: Sequence[dict[str, Any]]
) -> list[Origin]:
    columns = {name for name, *_ in connection.execute(f"describe {checked}").fetchall()}
    ids = [name for name in rows[0] if name.endswith("_id") and name in columns]
    if not ids:
        return []
    conditions = " and ".join(f"{name}::varchar is not distinct from ?" for name in ids)
    found = []
    for row in rows:
        values = [None if row[name] is None else str(row[name]) for name in ids]
        lines = connection.execute(
            f"select source_file, row_number from {checked} where {conditions} limit 5", values
        ).fetchall()
        found += [Origin(*line) for line in lines]
    return found
