"""Explain a test: what it claims, what it found, where the rows came from, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.places import Places
from assay.core.sql import quoted
from assay.ledger.nodes import read_nodes
from assay.ledger.results import NodeResult
from assay.ledger.runs import Run, read_runs
from assay.project.conventions import CHECKED
from assay.project.graph import Manifest, read_manifest, relation_of
from assay.project.warehouse import opened

_ROWS_TRACED = 20
_REMEDIES = {
    "unique": "Find out which of the rows with the same key is right, and where the other came from: a file "
    "may have landed twice under two names, or the column may not be a key.",
    "not_null": "Ask the source for the value and land the file again; or declare a default for it.",
    "relationships": "Land the rows that these rows refer to; they may only be late.",
    "ranges_do_not_overlap": "Look for two states of one entity at one instant: a change log may have "
    "arrived in another order than it was written.",
    "source_keeps_its_promises": "Ask the source's owner to keep the contract, or agree on another: the "
    "contract's file in contracts/ holds the promises.",
    "values_are_complete": "Ask the rows' source why the values are absent; the contract says how many may "
    "be absent.",
    "broken_rules_are_explained": "A rule rejected rows, but it has no reason, or no contract has it any "
    "more. Write its reason and remedy in contracts/; assay build --full-refresh checks all rows again.",
    "holds_rows_if_landed": "Look at the rows that silver rejected: a rule may reject all landed rows.",
}
# The ends of names of dbt-expectations' tests, each with the dbt test that claims the same.
_ALIASES = {
    "compound_columns_to_be_unique": "unique",
    "values_to_be_unique": "unique",
    "to_not_be_null": "not_null",
}
_REMEDY = (
    "If the rows are wrong, let their source's contract reject such rows, and have them sent again: what has "
    "landed stays. If they are right, correct the model or the test."
)


@dataclass(frozen=True)
class Origin:
    """The line of a landed file from which a row came."""

    source_file: str
    row_number: int


@dataclass(frozen=True)
class Explanation:
    """A test's last result, the run it is from, the origin of the failing rows, and what to do.

    `declared_in` is the YAML or SQL file that declares the test.
    """

    test: NodeResult
    run: Run
    claim: str
    description: str
    declared_in: str | None
    origins: list[Origin]
    remedy: str


def explain(places: Places, name: str) -> Explanation:
    """Explain the last result of a test.

    Args:
        places: the project's places.
        name: the test's name.

    Raises:
        Fault: no run had a test with that name, it is a model, or another program keeps the ledger open.
    """
    run, test = _last_result(places, name)
    return explain_result(places, run, test, read_manifest())


def explain_result(places: Places, run: Run, test: NodeResult, manifest: Manifest | None) -> Explanation:
    """Explain a test's result in a run.

    Args:
        places: the project's places.
        run: the run.
        test: the test's result.
        manifest: dbt's manifest, which holds the test's declaration; None if there is none.
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
    other: str | None = None
    for run in read_runs(places.ledger):
        nodes = read_nodes(places.ledger, run.run_id)
        tests = [node for node in nodes if node.kind in ("test", "unit test")]
        for test in tests:
            if test.name == name and test.status != "skipped":
                return run, test
        known |= {test.name for test in tests}
        for node in nodes if other is None else []:
            if name in (node.name, node.relation):
                what = "a test that has never run" if node in tests else f"no test, but a {node.kind}"
                other = (
                    f"{name} is {what}: it ended as {node.status} in run {run.run_id[:8]}. "
                    f"For what failed, and why: assay runs show {run.run_id[:8]}"
                )
    if other:
        raise Fault(other, MISUSED)
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
    """Find the landed lines of failing rows: looks their ids up in silver's checked rows."""
    # Tests that earlier versions recorded may name a table without its schema.
    schema, _, rest = test.relation.partition(".")
    tested = rest.split(".")[0] or schema
    found: dict[Origin, None] = {}
    try:
        with opened(places.warehouse) as connection:
            connection.execute(f"use {quoted(places.warehouse.stem)}")
            for node in manifest.ancestors([tested]).values():
                if node["name"].endswith(CHECKED):
                    for origin in _lines(connection, relation_of(node), test.sample[:_ROWS_TRACED]):
                        found[origin] = None
    except (Fault, duckdb.CatalogException):
        # The warehouse is gone, or a build locks it: the published file has no landed files.
        return []
    return sorted(found, key=lambda each: (each.source_file, each.row_number))


def _lines(
    connection: duckdb.DuckDBPyConnection, checked: str, rows: Sequence[dict[str, Any]]
) -> list[Origin]:
    columns = {name for name, *_ in connection.execute(f"describe {checked}").fetchall()}
    ids = [name for name in rows[0] if name.endswith("_id") and name in columns]
    if not ids:
        return []
    conditions = " and ".join(f"{quoted(name)}::varchar is not distinct from ?" for name in ids)
    found = []
    for row in rows:
        values = [None if row[name] is None else str(row[name]) for name in ids]
        lines = connection.execute(
            f"select source_file, row_number from {checked} where {conditions} limit 5", values
        ).fetchall()
        found += [Origin(*line) for line in lines]
    return found
