"""What a change does, and the review of two versions of the code (`assay diff`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from assay.console.progress import Display
from assay.contracts.diff import Change
from assay.core.fault import MISUSED, Fault
from assay.core.places import Places
from assay.core.words import counted, listed
from assay.diff.beside import ABOVE_FAILED, Side, build_side, plan_work, run_tests
from assay.diff.breaks import (
    Break,
    bears_on_contracts,
    find_breaks,
    find_contract_changes,
    find_new_findings,
)
from assay.diff.code import CodeVersion, changed_ids, read_version, target_of
from assay.diff.git import Commit, find_commit, has_commit, write_tree
from assay.diff.hashed import require_its_key, tell_of_keys
from assay.diff.production import Production, take_production
from assay.diff.selection import select_ids
from assay.diff.tables import Pair, TableDiff, compare_pair, opened_sides, pair_nodes
from assay.diff.training import TrainingDiff, compare_training_sets
from assay.diff.warehouses import AFTER, BEFORE, attachable, find_warehouse, pair_tables
from assay.diff.workshop import workshop
from assay.ledger.nodes import read_nodes
from assay.ledger.results import NodeResult
from assay.project.conventions import MONITORING
from assay.project.failures import FAILED
from assay.project.head_start import take_head_start
from assay.project.personal import Personal
from assay.project.project import Project

if TYPE_CHECKING:
    from assay.diff.drift import ViewDrift
    from assay.report.blocks import Chart

_WORKING_TREE = "the working tree"
_BASE, _HEAD = "assay_diff_base", "assay_diff_head"


@dataclass
class Review:
    """What a change does.

    Attributes:
        base: what is compared with, as a person called it.
        head: what is reviewed.
        tables: those that the change touches, in the order in which they are built.
        breaks: the promises that it breaks.
        contract_changes: what differs between the contracts.
        training: what becomes of training sets.
        drift: of the features whose values changed.
        charts: how changed columns lie on both sides, by table; empty unless they were asked for.
        notes: what a reader must know to understand the rest.
    """

    base: str
    head: str
    tables: list[TableDiff] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    contract_changes: list[Change] = field(default_factory=list)
    training: list[TrainingDiff] = field(default_factory=list)
    drift: list[ViewDrift] = field(default_factory=list)
    charts: Mapping[str, Sequence[Chart]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_broken(self) -> bool:
        """Whether the change breaks a promise, or does not build."""
        return bool(self.breaks)


def review(
    places: Places,
    base: str,
    head: str | None,
    select: str | None,
    display: Display,
    *,
    with_charts: bool = False,
) -> Review:
    """Review a change, of the code or between two warehouses.

    Args:
        places: of the project in the current folder.
        base: a branch, tag or commit; or the path of a warehouse.
        head: another one of the same kind; None for the working tree, or the project's own warehouse.
        select: which tables to compare: in dbt's selection syntax, or of warehouses by name; None for all.
        display: shows the progress.
        with_charts: whether to draw how changed columns lie, which takes extra `report`.

    Raises:
        Fault: a side is unknown, one is code and the other a warehouse, or they cannot be compared.
    """
    if old := find_warehouse(base):
        new = find_warehouse(head) if head else places.warehouse
        if not (new and new.is_file()):
            raise Fault(f"{base} is a warehouse, and {head or new} is none: name two of a kind.", MISUSED)
        return _review_warehouses(places, (old, new), select, display, with_charts=with_charts)
    if head and find_warehouse(head):
        raise Fault(f"{head} is a warehouse, and {base} is none: name two of a kind.", MISUSED)
    return _review_code(places, base, head, select, display, with_charts=with_charts)


def _review_warehouses(
    places: Places,
    files: tuple[Path, Path],
    select: str | None,
    display: Display,
    *,
    with_charts: bool,
) -> Review:
    manifest = Project().manifest
    found = Review(str(files[0]), str(files[1]))
    with workshop(places, display) as folder:
        attached = {
            name: attachable(file, places, folder / name, display)
            for name, file in zip((BEFORE, AFTER), files, strict=True)
        }
        with opened_sides(attached, folder) as connection:
            found.notes += tell_of_keys(connection, (BEFORE, AFTER))
            personal = Personal.of(manifest)
            pairs, views = pair_tables(connection, manifest, select)
            found.notes += [f"Left out: {counted(views, 'view')}, which are made of tables."] * bool(views)
            _compare_pairs(connection, pairs, personal, found, with_charts=with_charts)
    return found


def _compare_pairs(
    connection: duckdb.DuckDBPyConnection,
    pairs: Sequence[Pair],
    personal: Personal,
    found: Review,
    *,
    with_charts: bool,
) -> None:
    found.tables.extend(compare_pair(connection, pair, personal) for pair in pairs)
    if with_charts:
        from assay.diff.charts import draw_columns

        found.charts = draw_columns(connection, found.tables, personal)


def _review_code(
    places: Places,
    base: str,
    head: str | None,
    select: str | None,
    display: Display,
    *,
    with_charts: bool,
) -> Review:
    old, new = find_commit(base), find_commit(head) if head else None
    with workshop(places, display) as folder:
        # dbt parses anew what was parsed for a warehouse that has another name.
        after = _read(new, folder / "head", places.warehouse)
        before = _read(old, folder / "base", places.warehouse)
        found = Review(base, head or _WORKING_TREE)
        found.contract_changes = find_contract_changes(before, after)
        changed = changed_ids(before, after), changed_ids(after, before)
        touched = before.below(changed[0]), after.below(changed[1])
        if found.contract_changes or bears_on_contracts(before, after):
            found.breaks = find_new_findings(before, after)
        chosen = _choose(select, (before, after), changed, touched, places, found)
        sides = Side(before, _BASE), Side(after, _HEAD)
        if chosen[0] & before.tables.keys() or chosen[1] & after.tables.keys():
            production = take_production(places, folder / "production", display)
            made_of = _made_of(production, before, folder, places.warehouse)
            known = [production.current(side.code, made_of) for side in sides]
            _build(sides, chosen, touched, known, production, folder, display)
            last = read_nodes(places.ledger, production.run_id) if production.run_id else []
            _compare(sides, chosen, changed, production, last, folder, found, with_charts=with_charts)
            failed_before = _fail_before(sides, last, production, folder, display)
        else:
            failed_before = set()
        found.breaks += find_breaks(sides, found.tables, found.contract_changes, failed_before)
        return found


def _choose(
    select: str | None,
    versions: tuple[CodeVersion, CodeVersion],
    changed: tuple[set[str], set[str]],
    touched: tuple[set[str], set[str]],
    places: Places,
    found: Review,
) -> tuple[set[str], set[str]]:
    """Return which of the touched nodes to compare: those selected, or all but what only watches others."""
    if select is not None:
        selected = select_ids(select, versions, places.warehouse)
        return touched[0] & selected, touched[1] & selected
    watching = {
        each
        for code, own, ids in zip(versions, changed, touched, strict=True)
        for each in (ids - own) & code.tables.keys()
        if code.tables[each].name.startswith(MONITORING)
    }
    if watching:
        found.notes.append(
            f"Left out: {counted(len(watching), 'table')} of monitoring, made of the others. "
            f"To compare them: --select {MONITORING}*"
        )
    return touched[0] - watching, touched[1] - watching


def _made_of(production: Production, base: CodeVersion, folder: Path, warehouse: Path) -> CodeVersion | None:
    """Return the version that production was built from, where its state alone does not tell."""
    if production.sha == base.sha:
        return base
    if production.is_of(base) or not (production.sha and has_commit(production.sha)):
        return None
    try:
        return _read(Commit("what production is built from", production.sha), folder / "made_of", warehouse)
    except Fault:
        # Then nothing is known of it, and more is built.
        return None


def _build(
    sides: tuple[Side, Side],
    chosen: tuple[set[str], set[str]],
    touched: tuple[set[str], set[str]],
    known: Sequence[set[str]],
    production: Production,
    folder: Path,
    display: Display,
) -> None:
    for number, side in enumerate(sides):
        # What the change does not touch is the same in both versions.
        current = known[number] | (known[1 - number] - touched[1 - number])
        work = plan_work(side.code, chosen[number], current, production)
        require_its_key(production.fingerprint, side.code, work.build)
        where = folder / side.name
        where.mkdir()
        if work.build:
            tables = counted(len(work.build), "table")
            display.say(f"Building {tables} of {side.code.name}, beside production")
        build_side(side, work, production, where, display, tests=side is sides[1])
        if side.failed:
            personal = _personal(sides)
            side.failed = {each: personal.text(why) for each, why in side.failed.items()}
        if side is sides[0] and side.failed:
            raise _base_does_not_build(side)


def _base_does_not_build(side: Side) -> Fault:
    nodes = side.code.manifest.nodes
    names = {nodes[each].name: why for each, why in sorted(side.failed.items()) if why != ABOVE_FAILED}
    first = next(iter(names))
    return Fault(
        f"{side.code.name} cannot be compared with, because it does not build: {listed(list(names))}.\n"
        f"{first}: {names[first]}\n"
        "Nothing has changed in the warehouse. Compare with a version that builds.",
        MISUSED,
    )


def _compare(
    sides: tuple[Side, Side],
    chosen: tuple[set[str], set[str]],
    changed: tuple[set[str], set[str]],
    production: Production,
    last: Sequence[NodeResult],
    folder: Path,
    found: Review,
    *,
    with_charts: bool,
) -> None:
    after = sides[1].code
    seconds = {each.unique_id: each.seconds for each in last}
    pairs = pair_nodes(sides, chosen, production, changed[0] | changed[1], seconds)
    files = {production.name: production.file} | {side.name: side.file for side in sides if side.file}
    with opened_sides(files, folder) as connection:
        _compare_pairs(connection, pairs, _personal(sides), found, with_charts=with_charts)
        found.training.extend(compare_training_sets(connection, found.tables, after, folder))
        found.drift.extend(_drift(connection, after, folder, found))


def _personal(sides: tuple[Side, Side]) -> Personal:
    """Return what is personal on either side: a change that no longer says so discloses nothing."""
    return Personal.of(sides[0].code.plain) | Personal.of(sides[1].code.plain)


def _drift(
    connection: duckdb.DuckDBPyConnection, code: CodeVersion, folder: Path, found: Review
) -> list[ViewDrift]:
    try:
        from assay.diff.drift import measure_drift
    except ModuleNotFoundError as missing:
        found.notes.append(
            f"Drift is not judged, because {missing.name} is not installed: pip install 'assay[drift]'."
        )
        return []
    return measure_drift(connection, found.tables, code, folder / "macros.duckdb")


def _fail_before(
    sides: tuple[Side, Side],
    last: Sequence[NodeResult],
    production: Production,
    folder: Path,
    display: Display,
) -> set[str]:
    """Return which tests that fail on the later side fail in the base, too."""
    before, after = sides
    tests = {each for each in after.failing_tests if each in before.code.manifest.nodes}
    if not before.file:
        return tests & {each.unique_id for each in last if each.status in FAILED}
    run_tests(before, tests, production, folder / before.name, display)
    return set(before.failing_tests)


def _read(commit: Commit | None, folder: Path, warehouse: Path) -> CodeVersion:
    if commit is None:
        return read_version(_WORKING_TREE, Path.cwd(), None, warehouse)
    tree = write_tree(commit, folder)
    take_head_start(tree / target_of(tree))
    return read_version(commit.name, tree, commit.sha, warehouse)
