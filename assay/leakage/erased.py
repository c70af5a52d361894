"""Build a warehouse in a separate folder without anything that became available after a moment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import Fault
from assay.core.moment import as_variable
from assay.core.sql import quoted
from assay.landing.past import copy_landing
from assay.leakage.declared import EMBARGO, SPLIT
from assay.leakage.silver import gates_of, landing_tables_of
from assay.leakage.tables import columns_of, literal
from assay.project.calls import calls_of
from assay.project.dbt_run import DbtOutcome, Watcher, run_dbt
from assay.project.failures import plain_message
from assay.project.graph import Manifest, Node, relation_of
from assay.project.warehouse import attach, connect

# The macro that returns the time up to which labels can be known.
_KNOWN_UNTIL = "known_until"
# When each part of a split and the embargo before it begin; a model may put single rows into other parts.
_STARTS = f"""
    with rows as (
        select {{at}} as _at, {SPLIT} as part from {{relation}}
        where {{at}} is not null and {SPLIT} is not null
    ),
    parts as (
        select part, min(_at) as starts_at, lag(max(_at)) over (order by min(_at)) as before
        from rows where part != '{EMBARGO}' group by part
    )
    select starts_at, part from parts
    union all
    select min(rows._at), '{EMBARGO}' from rows
    inner join parts on rows._at > parts.before and rows._at < parts.starts_at
    where rows.part = '{EMBARGO}' group by parts.part
    order by 1
"""


@dataclass(frozen=True)
class Erased:
    """A warehouse that ends at a moment, and how it was built.

    Attributes:
        path: the warehouse file.
        manifest: the project's manifest.
        at: the last instant of its data.
        until: the clock's time when labels were built again.
        compiled: the SQL of each model in the first step, by id; it contains `at`.
    """

    path: Path
    manifest: Manifest
    at: datetime
    until: datetime
    compiled: dict[str, str]


class Silent:
    """A watcher that does nothing."""

    def planned(self, nodes: int) -> None:
        """Nobody is told."""

    def started(self, node: str) -> None:
        """Nobody is told."""

    def ended(self, node: str) -> None:
        """Nobody is told."""

    def heard(self, event: Any) -> None:
        """Nobody is told."""


def parse(folder: Path, watcher: Watcher) -> Manifest:
    """Parse the project in the current folder; dbt writes its files to `folder`.

    Raises:
        Fault: dbt cannot parse the project.
    """
    _dbt(["parse"], folder, None, watcher)
    return Manifest.read(folder / "target" / "manifest.json")


def build_erased(
    manifest: Manifest,
    training_sets: Sequence[str],
    *,
    warehouse: Path,
    at: datetime,
    labelled_until: datetime,
    folder: Path,
    scramble: Sequence[str] = (),
    watcher: Watcher,
) -> Erased:
    """Build training sets of the project in the current folder from what was available by `at`.

    Most rows predicted shortly before `at` have no known outcome yet, and labels leave them out. So models
    that ask for the time up to which labels can be known are built again in a second step, with a later clock
    and the same erased data. Then the training set has all rows predicted by `at`, whatever their outcome.

    Args:
        manifest: the project's manifest.
        training_sets: the names of the models.
        warehouse: the file whose landed rows are copied; it is only read.
        at: the moment; everything that became available later is erased.
        labelled_until: the clock's time in the second step.
        folder: an empty folder for warehouse, target and logs.
        scramble: SQL statements that change landed rows before anything is built, such as outcomes that were
            not known yet; `{at}` is replaced by the moment as a literal.
        watcher: receives what dbt does.

    Raises:
        Fault: nothing has landed in the warehouse, or dbt could not build the erased one.
    """
    # The file has the same name, because views contain the catalog's name, which is the file's.
    erased = folder / warehouse.name
    if copy_landing(warehouse, erased, manifest.outside_tables) == 0:
        raise Fault(f"Nothing has landed in {warehouse}: build it first (assay build).")
    ancestors = manifest.ancestors(list(training_sets))
    _erase_landing(manifest, warehouse, erased, at)
    with connect(erased, read_only=False) as connection:
        for statement in scramble:
            connection.execute(statement.format(at=literal(at)))
    with connect(warehouse) as connection:
        splits = _splits(connection, ancestors.values())
    selected = [f"+{name}" for name in training_sets]
    compiled = _build(selected, folder, erased, at, splits, watcher)
    relabelled = manifest.users_of(_KNOWN_UNTIL, ancestors)
    if relabelled and labelled_until > at:
        with connect(erased, read_only=False) as connection:
            connection.execute("delete from landing.warehouse")
        _build(["--full-refresh", "--select", *relabelled], folder, erased, labelled_until, splits, watcher)
    return Erased(erased, manifest, at, labelled_until, compiled)


def _erase_landing(manifest: Manifest, warehouse: Path, erased: Path, at: datetime) -> None:
    """Delete from landing what became available after `at`, since a model may read landing without silver.

    Silver says when a row became available; without a built silver table, it is the time its file landed.
    """
    with connect(erased, read_only=False) as connection:
        attach(connection, warehouse, "whole")
        late: dict[str, str] = {}
        for gate in gates_of(manifest, manifest.nodes.values()):
            tables = landing_tables_of(manifest, gate)
            relation = f"whole.{relation_of(gate)}"
            try:
                columns = columns_of(connection, relation)
            except duckdb.Error:
                continue
            if len(tables) == 1 and {"file_id", "row_number", "available_at"} <= columns.keys():
                late[tables[0]] = (
                    f"select file_id, row_number from {relation} where available_at > {literal(at)}"
                )
        landed = connection.execute(
            "select table_name from duckdb_columns() where database_name = current_database() "
            "and schema_name = 'landing' and column_name in ('file_id', 'row_number') "
            "group by all having count(*) = 2 order by all"
        ).fetchall()
        landed_late = f"select file_id from landing.files where landed_at > {literal(at)}"
        for (table,) in landed:
            gone = (
                f"(file_id, row_number) in ({late[table]})"
                if table in late
                else f"file_id in ({landed_late})"
            )
            connection.execute(f"delete from landing.{quoted(table)} where {gone}")
        left = " union all ".join(f"select file_id from landing.{quoted(table)}" for (table,) in landed)
        if left:
            connection.execute(
                f"delete from landing.files where landed_at > {literal(at)} and file_id not in ({left})"
            )


def _splits(connection: duckdb.DuckDBPyConnection, nodes: Iterable[Node]) -> dict[str, list[dict[str, str]]]:
    """Return when each part of the splits begins, for the built models that are split by time."""
    found = {}
    for node in nodes:
        for call in calls_of("temporal_split", node.get("raw_code") or ""):
            at = str(call.get("at")).rpartition(".")[2]
            try:
                starts = connection.execute(_STARTS.format(at=at, relation=relation_of(node))).fetchall()
            except duckdb.Error:
                continue
            if starts:
                found[node["name"]] = [{"at": str(start), "split": part} for start, part in starts]
    return found


def _build(
    arguments: list[str],
    folder: Path,
    warehouse: Path,
    at: datetime,
    splits: dict[str, list[dict[str, str]]],
    watcher: Watcher,
) -> dict[str, str]:
    """Run a build, and return the SQL of each model."""
    select = arguments if "--select" in arguments else ["--select", *arguments]
    tests = ["--exclude-resource-type", "test", "unit_test"]
    variables = ["--vars", json.dumps({"as_of": as_variable(at), "held_splits": splits})]
    outcome = _dbt(["build", *select, *tests, *variables], folder, warehouse, watcher)
    return {
        result.node.unique_id: code
        for result in outcome.results
        if (code := getattr(result.node, "compiled_code", None))
    }


def _dbt(arguments: list[str], folder: Path, warehouse: Path | None, watcher: Watcher) -> DbtOutcome:
    paths = ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    # Not loaded from the landing zone: files that landed since would be in only one of the two warehouses.
    empty = folder / "landing"
    empty.mkdir(parents=True, exist_ok=True)
    outcome = run_dbt(
        [*arguments, *paths],
        warehouse=warehouse or folder / "none.duckdb",
        landing=empty,
        on_start=lambda _: None,
        watcher=watcher,
    )
    if not outcome.succeeded:
        messages = [each.message for each in outcome.results if str(each.status) == "error"]
        reason = messages[0] if messages else str(outcome.exception)
        raise Fault(f"The warehouse for the check could not be built: {plain_message(reason)}")
    return outcome
