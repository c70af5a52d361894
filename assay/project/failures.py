"""Say in words what failed in a dbt run, and what could not run because of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.words import counted
from assay.project.findings import finding
from assay.project.graph import ancestor_ids, parent_ids
from assay.project.personal import read_personal

FAILED = ("error", "fail", "runtime error", "partial success")
TESTS = ("test", "unit_test")
_LINES_OF_MESSAGE = 15
_NOT_TOLD = ("compiled code at ", "> in macro ", "> called by ")
# What dbt says of a model under contract that its YAML does not describe.
_UNDESCRIBED = re.compile(
    r"Contract enforcement failed for: \(.*?(\w+)\.sql\)\s+Constraints must be defined in a `yml`"
    r"|Error in model (\w+) .*\s+This model has an enforced contract, and its 'columns' specification"
)
_OUT_OF_SYNC = "target schemas on this incremental model are out of sync"


@dataclass(frozen=True)
class Failure:
    """A node that failed or warned.

    `guards` names the relation (and column) a test is about, `failing_rows` how many rows a data test found;
    `skipped` counts the nodes that could not run because of it.
    """

    name: str
    kind: str
    guards: str
    failing_rows: int | None
    message: str
    skipped: int

    def __str__(self) -> str:
        about = f" of {self.guards}" if self.guards else ""
        rows = f": {counted(self.failing_rows, 'failing row')}" if self.failing_rows else ""
        return f"{self.kind} {self.name}{about}{rows}"


@dataclass(frozen=True)
class Verdict:
    """What a run of dbt proved; `tests_failed` includes tests that could not be run for an error."""

    failures: list[Failure]
    warnings: list[Failure]
    nodes_run: int
    nodes_skipped: int
    tests_passed: int
    tests_failed: int


def judge(results: Iterable[Any], messages: Mapping[str, str | None] | None = None) -> Verdict:
    """Sort the results of a dbt run by how they ended.

    Args:
        results: of dbt's run.
        messages: what is said of nodes, by id, where their rows were looked at.
    """
    messages = messages or {}
    by_status: dict[str, list[Any]] = {}
    nodes: dict[str, Any] = {}
    for result in results:
        by_status.setdefault(str(result.status), []).append(result)
        nodes[result.node.unique_id] = result.node
    failed = [result for status in FAILED for result in by_status.get(status, [])]
    warned = by_status.get("warn", [])
    skipped = by_status.get("skipped", [])
    passed = by_status.get("pass", [])
    above_skipped = [ancestor_ids(result.node.unique_id, nodes) for result in skipped]
    return Verdict(
        failures=[_failure(result, nodes, above_skipped, messages) for result in failed],
        warnings=[_failure(result, nodes, [], messages) for result in warned],
        nodes_run=len(nodes) - len(skipped),
        nodes_skipped=len(skipped),
        tests_passed=len(passed) + len(warned),
        tests_failed=sum(result.node.resource_type in TESTS for result in failed),
    )


def plain_message(message: str, *, with_place: bool = False) -> str:
    """Return what a message of dbt says, without the headings and tracebacks around it.

    Args:
        message: dbt's.
        with_place: whether to say which node of which file it is about, where nothing else does.
    """
    if _OUT_OF_SYNC in message:
        return "The model's columns are not those of its table: assay build --full-refresh builds it anew."
    if found := _UNDESCRIBED.search(message):
        name = found[1] or found[2]
        return f"The YAML of {name} lacks its columns. To write them: assay features yaml {name} --write"
    if "Traceback (most recent call last)" in message:
        # A Python model's: the last line that is not indented is the exception.
        last = [line.strip() for line in message.splitlines() if line.strip()][-1]
        return re.sub(r"^[\w.]+(?:Error|Exception|Missing): ", "", last)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_NOT_TOLD)]
    if len(lines) > 1 and (heading := re.match(r"\w+ Error(?: in (\w+ .*))?$", lines[0])):
        place = [f"{heading[1]}:"] if with_place and heading[1] else []
        lines = [*place, *lines[1:]]
    if len(lines) > _LINES_OF_MESSAGE:
        lines = [*lines[:_LINES_OF_MESSAGE], "... (the rest is in logs/dbt.log)"]
    return "\n".join(lines)


def message_of(result: Any, sample: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return what is to be said of a node of dbt's run beside how it ended.

    Args:
        result: of the node.
        sample: rows that failed, where it is a data test and they were looked at.
    """
    if result.node.resource_type == "test" and str(result.status) in ("fail", "warn"):
        # dbt says how many rows it got, which is told already.
        return finding(result.node, sample)
    return read_personal().text(plain_message(result.message or ""))


def _failure(
    result: Any, nodes: dict[str, Any], above_skipped: list[set[str]], messages: Mapping[str, str | None]
) -> Failure:
    node = result.node
    is_test = node.resource_type in TESTS
    # A failed test keeps others from what it guards.
    blocked = set(parent_ids(node)) if is_test else {node.unique_id}
    return Failure(
        name=node.name if is_test else relation(node.unique_id, nodes),
        kind=str(node.resource_type).replace("_", " "),
        guards=guarded(node, nodes) if is_test else "",
        failing_rows=result.failures if node.resource_type == "test" else None,
        message=messages.get(node.unique_id) or message_of(result),
        skipped=sum(bool(blocked & above) for above in above_skipped),
    )


def guarded(test: Any, nodes: dict[str, Any]) -> str:
    """Return the relation, and the column, that a test is about."""
    column = getattr(test, "column_name", None)
    relations = ", ".join(relation(unique_id, nodes) for unique_id in sorted(guarded_ids(test)))
    return relations + (f".{column}" if column else "")


def guarded_ids(test: Any) -> set[str]:
    """Return the ids of what a test is about."""
    attached = getattr(test, "attached_node", None) or getattr(test, "tested_node_unique_id", None)
    return {attached} if attached else set(parent_ids(test))


def relation(unique_id: str, nodes: dict[str, Any]) -> str:
    """Return `schema.name`, or of what was not part of the run what its id says."""
    if unique_id in nodes:
        return f"{nodes[unique_id].schema}.{nodes[unique_id].alias}"
    return ".".join(unique_id.split(".")[2:])
