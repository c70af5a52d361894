"""Build tables of a version beside production, which is only read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.build.outside import LOADER, lands
from assay.build.plan import Plan
from assay.console.progress import Display
from assay.core.fault import LOCKED, Fault, known_fault
from assay.core.sql import quoted
from assay.core.words import listed
from assay.diff.code import CodeVersion, working_at
from assay.diff.production import Production
from assay.landing.past import copy_landing
from assay.project.dbt_run import DbtOutcome, run_dbt
from assay.project.failures import FAILED, plain_message
from assay.project.graph import parent_ids
from assay.project.warehouse import attach, connect

#: Why a node was not built that is not at fault itself.
ABOVE_FAILED = "what it reads could not be built"
_LANDING = "landing"
# What a warehouse holds there of itself.
_OF_WAREHOUSE = ("pii_key", "warehouse")


@dataclass(frozen=True)
class Work:
    """What is to be built of a version.

    Attributes:
        build: the ids of the tables and views.
        lands: whether landing tables are copied, because sources are declared anew.
    """

    build: frozenset[str]
    lands: bool


@dataclass
class Side:
    """A version with its tables: where each is, and how its build went.

    Attributes:
        code: the version.
        name: the catalog of what was built beside production.
        file: of it; None if nothing was built.
        built: the nodes that were built.
        failed: why nodes were not built, by id.
        seconds: how long each took.
        failing_tests: tests that failed, with how many rows failed; None of a test that could not run.
    """

    code: CodeVersion
    name: str
    file: Path | None = None
    built: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failing_tests: dict[str, int | None] = field(default_factory=dict)


def plan_work(code: CodeVersion, touched: set[str], current: set[str], production: Production) -> Work:
    """Find what of the touched nodes production does not have of this code, and what is missing above them.

    Args:
        code: the version.
        touched: nodes and sources of it that the two versions make differently.
        current: the nodes and sources whose tables in production are of this code.
        production: what is there.

    Raises:
        Fault: something is needed that was not published, while a build has the warehouse.
    """
    tables, nodes, sources = code.tables, code.manifest.nodes, code.manifest.sources

    def is_there(unique_id: str) -> bool:
        node = nodes[unique_id]
        return production.holds(node) and (unique_id in current or node.name == LOADER)

    build: set[str] = set()
    read: set[str] = set()
    ahead = [each for each in touched if each in tables and not is_there(each)]
    while ahead:
        unique_id = ahead.pop()
        if unique_id in build:
            continue
        build.add(unique_id)
        for parent in _parents(unique_id, nodes):
            read.add(parent)
            if parent in tables and not is_there(parent):
                ahead.append(parent)
    others = {each for each in read - build if each in sources or nodes[each].name == LOADER}
    if production.is_published and (missing := _unpublished(build, others, code)):
        raise Fault(
            f"A build has the warehouse, and what it published does not hold what {listed(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} made of: try again when the build is done.",
            LOCKED,
        )
    lands_anew = any(
        each in sources and lands(sources[each]) and each not in current and (current or each in touched)
        for each in others
    )
    if lands_anew:
        build |= {each for each, node in tables.items() if node.name == LOADER}
    return Work(frozenset(build), lands_anew)


def _unpublished(build: set[str], others: set[str], code: CodeVersion) -> list[str]:
    return sorted(
        code.manifest.nodes[each].name
        for each in build
        if others.intersection(_parents(each, code.manifest.nodes))
    )


def _parents(unique_id: str, nodes: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a node reads; of models that are only part of its SQL, what these read."""
    for parent in parent_ids(nodes[unique_id]):
        if parent in nodes and nodes[parent].config.materialized == "ephemeral":
            yield from _parents(parent, nodes)
        else:
            yield parent


def build_side(
    side: Side, work: Work, production: Production, folder: Path, display: Display, *, tests: bool
) -> None:
    """Build what is to be built of a version into a new file.

    Args:
        side: the version; learns where its tables are, and how the build went.
        work: what is to be built.
        production: all else is read there.
        folder: an empty folder.
        display: shows the progress.
        tests: whether tests of what is built run, too.

    Raises:
        Fault: dbt could not run the nodes at all.
    """
    if not work.build:
        return
    side.file = folder / f"{side.name}.duckdb"
    (folder / _LANDING).mkdir()
    manifest = side.code.manifest
    _prepare(side, work, production)
    for each in work.build:
        _move(manifest.nodes[each], side.name)
    if work.lands:
        for source in manifest.sources.values():
            if lands(source):
                _move(source, side.name)
    outcome = _run(side, set(work.build), "run", production, folder, display)
    for result in outcome.results:
        unique_id = result.node.unique_id
        if unique_id not in work.build:
            continue
        side.seconds[unique_id] = result.execution_time
        if str(result.status) == "success":
            side.built.add(unique_id)
        else:
            side.failed[unique_id] = plain_message(result.message or "") or ABOVE_FAILED
    if tests:
        run_tests(side, _tests_of(side, production), production, folder, display)


def run_tests(side: Side, tests: set[str], production: Production, folder: Path, display: Display) -> None:
    """Run data tests of a version, and note which fail."""
    if not tests:
        return
    for result in _run(side, tests, "test", production, folder, display).results:
        if str(result.status) in FAILED:
            failing = result.failures if str(result.status) == "fail" else None
            side.failing_tests[result.node.unique_id] = failing


def _tests_of(side: Side, production: Production) -> set[str]:
    """Return the tests of what was built, of which everything that they read is there."""
    nodes = side.code.manifest.nodes
    found = set()
    for unique_id, node in nodes.items():
        if node.resource_type != "test" or not side.built.intersection(_parents(unique_id, nodes)):
            continue
        read = [each for each in _parents(unique_id, nodes) if each in nodes]
        if all(
            each in side.built or (each not in side.failed and production.holds(nodes[each])) for each in read
        ):
            found.add(unique_id)
    return found


def _run(
    side: Side, ids: set[str], command: str, production: Production, folder: Path, display: Display
) -> DbtOutcome:
    assert side.file
    kinds = ["test", "unit_test"] if command == "run" else ["unit_test"]
    verb = "build" if command == "run" else "test"
    with working_at(side.code.root), Plan(frozenset(ids)).selection(side.code.manifest) as selection:
        arguments = [verb, *selection, "--target-path", str(folder / "target"), "--no-write-json"]
        outcome = run_dbt(
            [*arguments, "--exclude-resource-type", *kinds],
            warehouse=side.file,
            landing=folder / _LANDING,
            on_start=lambda run_id: None,
            watcher=display,
            manifest=side.code.manifest,
            attached={production.name: production.file},
        )
    if isinstance(outcome.exception, KeyboardInterrupt):
        raise outcome.exception
    if outcome.exception and not outcome.results:
        message = plain_message(str(outcome.exception))
        raise known_fault(outcome.exception) or Fault(f"{side.code.name} cannot be built: {message}")
    for result in outcome.results:
        # It has no table, and of the nodes that dbt skips behind it nobody could tell why.
        if result.node.resource_type == "operation" and str(result.status) in FAILED:
            raise Fault(f"{side.code.name} cannot be built: {plain_message(result.message)}")
    return outcome


def _move(node: Any, catalog: str) -> None:
    """Have a node or source lie in another catalog."""
    old, node.database = node.database, catalog
    if node.relation_name:
        node.relation_name = node.relation_name.replace(quoted(old), quoted(catalog), 1)


def _prepare(side: Side, work: Work, production: Production) -> None:
    """Make the file with what builds expect in it: landing tables, snapshots up to now, the key's mark."""
    assert side.file
    nodes = [side.code.manifest.nodes[each] for each in work.build]
    if work.lands:
        copy_landing(production.file, side.file)
    with connect(side.file, read_only=False) as connection:
        attach(connection, production.file, production.name)
        connection.execute(f"create schema if not exists {_LANDING}")
        if not work.lands:
            for (table,) in connection.execute(
                "select table_name from duckdb_tables() where database_name = $1 and schema_name = $2",
                [production.name, _LANDING],
            ).fetchall():
                if table not in _OF_WAREHOUSE:
                    connection.execute(
                        f"create view {_LANDING}.{quoted(table)} as "
                        f"from {quoted(production.name)}.{_LANDING}.{quoted(table)}"
                    )
        for node in nodes:
            # A snapshot goes on from what it has seen, as the next build of production would.
            if node.resource_type == "snapshot" and production.holds(node):
                table = f"{quoted(node.schema)}.{quoted(node.alias)}"
                connection.execute(f"create schema if not exists {quoted(node.schema)}")
                connection.execute(f"create table {table} as from {quoted(production.name)}.{table}")
