"""Review a change: build what it touches beside production, and compare table by table (`assay diff`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault
from assay.core.lock import Holder, locked
from assay.core.places import Places, find_target
from assay.core.words import counted, listed
from assay.diff.beside import Side, Work, build_side, plan_work
from assay.diff.code import CodeVersion, changed_ids, read_version
from assay.diff.git import Commit, find_commit, write_tree
from assay.diff.production import Production, take_production
from assay.diff.selection import select_ids
from assay.diff.tables import TableDiff, compare_pair, opened_sides, pair_nodes
from assay.ledger.nodes import read_nodes
from assay.ledger.results import NodeResult
from assay.project.conventions import MONITORING
from assay.project.head_start import take_head_start
from assay.project.personal import Personal

_FOLDER = "diff"
_WORKING_TREE = "the working tree"
_BASE, _HEAD = "assay_diff_base", "assay_diff_head"


@dataclass(frozen=True)
class Review:
    """What a change does.

    Attributes:
        base: what is compared with, as a person called it.
        head: what is reviewed.
        tables: those that the change touches, in the order in which they are built.
        notes: what a reader must know to understand the rest.
    """

    base: str
    head: str
    tables: list[TableDiff] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_broken(self) -> bool:
        """Whether the change breaks a contract, or does not build."""
        return any(each.status == "not built" for each in self.tables)


def review(places: Places, base: str, head: str | None, select: str | None, display: Display) -> Review:
    """Review what changes from one version of the code to another.

    Args:
        places: of the project in the current folder.
        base: a branch, tag or commit.
        head: another one; None for the working tree.
        select: which of the touched tables to compare, in dbt's selection syntax; None for all.
        display: shows the progress.

    Raises:
        Fault: a version is unknown, cannot be parsed, or the base cannot be built; nothing is built; or
            another program writes to the warehouse.
    """
    old, new = find_commit(base), find_commit(head) if head else None
    with _workshop(places, display) as folder:
        # dbt parses anew what was parsed for a warehouse that has another name.
        warehouse = places.warehouse
        after = _read(new, folder / "head", warehouse)
        before = _read(old, folder / "base", warehouse)
        changed = changed_ids(before, after), changed_ids(after, before)
        touched = all_touched = before.below(changed[0]), after.below(changed[1])
        found = Review(base, head or _WORKING_TREE)
        if select is not None:
            chosen = select_ids(select, (before, after), warehouse)
            touched = touched[0] & chosen, touched[1] & chosen
        else:
            watching = _watching(before, touched[0] - changed[0]) | _watching(after, touched[1] - changed[1])
            touched = touched[0] - watching, touched[1] - watching
            if watching:
                found.notes.append(
                    f"Left out: {counted(len(watching), 'table')} of monitoring, made of the others. "
                    f"To compare them: --select {MONITORING}*"
                )
        if not any(
            each in code.tables for code, ids in zip((before, after), touched, strict=True) for each in ids
        ):
            return found
        production = take_production(places, folder / "production", display)
        sides = Side(before, _BASE), Side(after, _HEAD)
        known = production.current(before), production.current(after)
        for number, side in enumerate(sides):
            # What the change does not touch is the same in both versions.
            current = known[number] | (known[1 - number] - all_touched[1 - number])
            work = plan_work(side.code, touched[number], current, production)
            _build(side, work, production, folder, display)
        costs = {each.unique_id: each.seconds for each in _built_last(places, production)}
        pairs = pair_nodes(sides, touched, production, changed[0] | changed[1], costs)
        personal = Personal.of(before.plain) | Personal.of(after.plain)
        files = {production.name: production.file} | {side.name: side.file for side in sides if side.file}
        with opened_sides(files, folder) as connection:
            found.tables.extend(compare_pair(connection, pair, personal) for pair in pairs)
        return found


def _build(side: Side, work: Work, production: Production, folder: Path, display: Display) -> None:
    if not work.build:
        return
    where = folder / side.name
    where.mkdir()
    display.say(f"Building {counted(len(work.build), 'table')} of {side.code.name}, beside production")
    build_side(side, work, production, where, display, tests=side.name == _HEAD)
    if side.name == _BASE and side.failed:
        raise _base_does_not_build(side)


def _built_last(places: Places, production: Production) -> list[NodeResult]:
    return read_nodes(places.ledger, production.run_id) if production.run_id else []


def _watching(code: CodeVersion, ids: set[str]) -> set[str]:
    return {each for each in ids if each in code.tables and code.tables[each].name.startswith(MONITORING)}


def _read(commit: Commit | None, folder: Path, warehouse: Path) -> CodeVersion:
    if commit is None:
        return read_version(_WORKING_TREE, Path.cwd(), None, warehouse)
    tree = write_tree(commit, folder)
    take_head_start(tree / find_target())
    return read_version(commit.name, tree, commit.sha, warehouse)


def _base_does_not_build(side: Side) -> Fault:
    nodes = side.code.manifest.nodes
    names = {nodes[each].name: why for each, why in sorted(side.failed.items())}
    first = next(iter(names))
    return Fault(
        f"{side.code.name} cannot be compared with, because it does not build: {listed(list(names))}.\n"
        f"{first}: {names[first]}\n"
        "Production is as it was. Compare with a version that builds.",
        MISUSED,
    )


@contextmanager
def _workshop(places: Places, display: Display) -> Iterator[Path]:
    """Provide an empty folder beside the warehouse, which is removed afterwards; one diff at a time.

    Raises:
        Fault: another diff went on for ten minutes.
    """

    def waiting(holder: Holder | None) -> None:
        display.say(f"Waiting for another diff: {holder or 'it has just begun'}")

    folder = places.warehouse.with_name(_FOLDER).absolute()
    with locked(folder, command="assay diff", wait=600, on_wait=waiting):
        # One that was killed has left its own: a running one would hold the lock.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
