"""Say in words what failed in a dbt run, and what could not run because of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_FAILED = ("error", "fail", "runtime error", "partial success")
_TESTS = ("test", "unit_test")
_LINES_OF_MESSAGE = 15


@dataclass(frozen=True)
class Failure:
    """A node that failed or warned.

    `guards` names the relation (and column) a test is about, `failing_rows` how many rows it found; `skipped`
    counts the nodes that could not run because of it.
    """

    name: str
    kind: str
    guards: str
    failing_rows: int | None
    message: str
    skipped: int

    def __str__(self) -> str:
        about = f" of {self.guards}" if self.guards else ""
        rows = f": {self.failing_rows:,} failing rows" if self.failing_rows else ""
        return f"{self.kind} {self.name}{about}{rows}"


@dataclass(frozen=True)
class Verdict:
    """What a run of dbt proved: `tests_failed` includes tests that could not be run for an error of their own."""

    failures: list[Failure]
    warnings: list[Failure]
    nodes_run: int
    nodes_skipped: int
    tests_passed: int
    tests_failed: int


def judge(results: Iterable[Any]) -> Verdict:
    """Sort the results of a dbt run by how they ended."""
    by_status: dict[str, list[Any]] = {}
    for result in results:
        by_status.setdefault(str(result.status), []).append(result)
    failed = [result for status in _FAILED for result in by_status.get(status, [])]
    warned = by_status.get("warn", [])
    skipped = by_status.get("skipped", [])
    passed = by_status.get("pass", [])
    ancestors = _ancestors(result.node for group in by_status.values() for result in group)
    return Verdict(
        failures=[_failure(result, skipped, ancestors) for result in failed],
        warnings=[_failure(result, [], ancestors) for result in warned],
        nodes_run=sum(len(group) for group in by_status.values()) - len(skipped),
        nodes_skipped=len(skipped),
        tests_passed=len(passed) + len(warned),
        tests_failed=sum(result.node.resource_type in _TESTS for result in failed),
    )


def plain_message(message: str) -> str:
    """Return what a message of dbt says, without the headings and tracebacks around it."""
    if "Traceback (most recent call last)" in message:
        # A Python model's: the last line that is not indented is the exception.
        last = [line.strip() for line in message.splitlines() if line.strip()][-1]
        return re.sub(r"^[\w.]+(?:Error|Exception|Missing): ", "", last)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("compiled code at ")]
    if len(lines) > 1 and re.match(r"\w+ Error( in \w+ .*)?$", lines[0]):
        lines = lines[1:]
    if len(lines) > _LINES_OF_MESSAGE:
        lines = [*lines[:_LINES_OF_MESSAGE], "... (the rest is in logs/dbt.log)"]
    return "\n".join(lines)


def _failure(result: Any, skipped: list[Any], ancestors: dict[str, set[str]]) -> Failure:
    node = result.node
    is_test = node.resource_type in _TESTS
    # What a failed test guards is what the nodes after it are kept from.
    blocked = set(node.depends_on.nodes) if is_test else {node.unique_id}
    return Failure(
        name=node.name if is_test else f"{node.schema}.{node.alias}",
        kind=str(node.resource_type).replace("_", " "),
        guards=_guarded(node) if is_test else "",
        failing_rows=result.failures if is_test else None,
        message=plain_message(result.message or ""),
        skipped=sum(bool(blocked & ancestors[other.node.unique_id]) for other in skipped),
    )


def _guarded(node: Any) -> str:
    names = sorted(unique_id.rpartition(".")[2] for unique_id in node.depends_on.nodes)
    attached = getattr(node, "attached_node", None)
    if attached:
        name = attached.rpartition(".")[2]
        return f"{name}.{node.column_name}" if node.column_name else name
    return ", ".join(names)


def _ancestors(nodes: Iterator[Any]) -> dict[str, set[str]]:
    parents = {node.unique_id: set(node.depends_on.nodes) for node in nodes if hasattr(node, "depends_on")}
    closed: dict[str, set[str]] = {}

    def close(node: str) -> set[str]:
        if node not in closed:
            above = parents.get(node, set())
            closed[node] = above.union(*(close(parent) for parent in above))
        return closed[node]

    for node in parents:
        close(node)
    return closed
