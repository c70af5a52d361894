"""Find which promises a change breaks: contracts, columns of gold, tests of the new tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.contracts.check import check_code
from assay.contracts.contract import FOLDER, Contract
from assay.contracts.diff import Change, compare
from assay.contracts.document import SUFFIX, read
from assay.contracts.types import is_wider
from assay.core.words import counted
from assay.diff.beside import ABOVE_FAILED, Side
from assay.diff.code import CodeVersion, working_at
from assay.diff.tables import TableDiff
from assay.project.conventions import is_published
from assay.project.failures import guarded
from assay.project.paths import contract_folders


@dataclass(frozen=True)
class Break:
    """A promise that the change breaks.

    Attributes:
        kind: `contract`, `column` of a table in gold under dbt's contract, `table` of gold, `test`, or
            `build`.
        where: the contract, table, column or test.
        what: became of it.
    """

    kind: str
    where: str
    what: str


def find_contract_changes(before: CodeVersion, after: CodeVersion) -> list[Change]:
    """Return what differs between the contracts of two versions."""
    files = _files(before), _files(after)
    # To parse a contract takes longer than to see that it is the same.
    same = {name for name, content in files[0].items() if files[1].get(name) == content}
    old, new = (
        _contracts(code, each.keys() - same) for code, each in zip((before, after), files, strict=True)
    )
    found = [Change(True, "contract-removed", name, "is gone") for name in sorted(old.keys() - new.keys())]
    found += [Change(False, "contract-added", name, "is new") for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        found += compare(old[name], new[name])
    return found


def _files(code: CodeVersion) -> dict[Path, bytes]:
    with working_at(code.root):
        return {
            file: file.read_bytes()
            for folder in contract_folders(FOLDER)
            for file in sorted(folder.glob(f"*{SUFFIX}"))
        }


def _contracts(code: CodeVersion, files: Iterable[Path]) -> dict[str, Contract]:
    with working_at(code.root):
        read_files = [read(file) for file in sorted(files)]
    # What is wrong with a contract is a finding of the check.
    contracts = [Contract(document) for document, wrong in read_files if document and not wrong]
    return {contract.id: contract for contract in contracts}


def bears_on_contracts(before: CodeVersion, after: CodeVersion) -> bool:
    """Tell whether anything has changed that contracts say; the SQL of a table in gold is no such thing."""
    nodes = before.manifest.nodes, after.manifest.nodes
    for unique_id in before.digests.keys() | after.digests.keys():
        if before.digests.get(unique_id) == after.digests.get(unique_id):
            continue
        old, new = (each.get(unique_id) for each in nodes)
        if not (old and new and is_published(old) and _declared(old) == _declared(new)):
            return True
    return False


def _declared(node: Any) -> Any:
    declared = node.to_dict(omit_none=True)
    return [declared.get(name) for name in ("name", "config", "columns", "constraints", "meta")]


def find_new_findings(before: CodeVersion, after: CodeVersion) -> list[Break]:
    """Return what `assay contracts check` finds in the code of the later version alone."""
    with working_at(after.root):
        found = check_code().findings
    if not found:
        return []
    with working_at(before.root):
        known = {_essence(each.where, each.what) for each in check_code().findings}
    return [
        Break("contract", each.where, f"{each.what} {each.remedy}".strip())
        for each in found
        if _essence(each.where, each.what) not in known
    ]


def _essence(where: str, what: str) -> tuple[str, str]:
    """Return a finding without the line that it stands in."""
    return where.rpartition(":")[0] or where, what


def find_breaks(
    sides: tuple[Side, Side], tables: Sequence[TableDiff], changes: Sequence[Change], failed_before: set[str]
) -> list[Break]:
    """Return the promises that the later side breaks.

    Args:
        sides: both versions, with what was built and tested of the later one.
        tables: how they differ.
        changes: of contracts.
        failed_before: the tests that fail in the base, too.
    """
    found = [Break("contract", each.where, each.what) for each in changes if each.is_breaking]
    told = {each.where for each in found}
    found += [each for each in _of_gold(sides[0].code, tables) if each.where not in told]
    found += _of_builds(tables)
    found += _of_tests(sides[1], failed_before)
    return found


def _of_gold(code: CodeVersion, tables: Sequence[TableDiff]) -> Iterator[Break]:
    """Yield the columns and tables that readers of gold had, by dbt's contract, and have no more."""
    for table in tables:
        node = code.tables.get(table.pair.unique_id)
        if node is None or table.rows is None or not is_published(node) or not node.config.contract.enforced:
            continue
        name = table.pair.name
        if table.status == "removed":
            yield Break("table", name, "is gone")
            continue
        for column in table.rows.columns:
            where = f"{name}.{column.name}"
            if column.after is None:
                yield Break("column", where, "is gone")
            elif column.before and not is_wider(column.before.lower(), column.after.lower()):
                yield Break("column", where, f"was {column.before} and is {column.after}")


def _of_builds(tables: Sequence[TableDiff]) -> Iterator[Break]:
    for table in tables:
        if table.status == "not built" and table.why_not != ABOVE_FAILED:
            yield Break("build", table.pair.name, f"does not build: {table.why_not.splitlines()[0]}")


def _of_tests(side: Side, failed_before: set[str]) -> Iterator[Break]:
    nodes = side.code.manifest.nodes
    for unique_id, rows in sorted(side.failing_tests.items()):
        if unique_id in failed_before:
            continue
        about = f"of {guarded(nodes[unique_id], nodes)}"
        said = f"{counted(rows, 'failing row')}" if rows is not None else "it could not run"
        yield Break("test", nodes[unique_id].name, f"{about}: {said}")
