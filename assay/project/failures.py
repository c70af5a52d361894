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
NOT_RUN = ("skipped", "no-op")
TESTS = ("test", "unit_test")
_LINES_OF_MESSAGE = 15
_NOT_TOLD = ("compiled code at ", "> in macro ", "> called by ")
# dbt's messages about a model under contract whose columns are not in its YAML.
_UNDESCRIBED = re.compile(
    r"Contract enforcement failed for: \(.*?(\w+)\.sql\)\s+Constraints must be defined in a `yml`"
    r"|Error in model (\w+) .*\s+This model has an enforced contract, and its 'columns' specification"
)
# What DuckLake says to dbt's `table` and `incremental`.
_NO_KEYS_IN_LAKE = re.compile(r"(PRIMARY KEY/UNIQUE|CHECK) constraints are not supported in DuckLake", re.I)
_OUT_OF_SYNC = "target schemas on this incremental model are out of sync"


@dataclass(frozen=True)
class Failure:
    """A node that failed or warned.

    `guards` is the relation (and column) that a test checks, `failing_rows` the number of rows that a data
    test found, `skipped` the number of nodes that could not run because this one failed.
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
    """The results of a run of dbt; `tests_failed` includes tests that ended with an error."""

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
        messages: messages about nodes whose rows were examined, by the node's id.
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
    """Return a message of dbt without the headings and tracebacks around it.

    Args:
        message: the message as dbt wrote it.
        with_place: whether to name the node and its file, for callers that do not print them.
    """
    if _OUT_OF_SYNC in message:
        return "The model's columns are not those of its table: assay build --full-refresh rebuilds it."
    if _NO_KEYS_IN_LAKE.search(message):
        return (
            "A lake keeps no keys and checks for dbt's `table` and `incremental`. Write "
            "`+materialized: replaced` under gold in dbt_project.yml, or into the model's config: then both "
            "hold in a lake too."
        )
    if found := _UNDESCRIBED.search(message):
        name = found[1] or found[2]
        return f"The YAML of {name} lacks its columns. To write them: assay features yaml {name} --write"
    if "Traceback (most recent call last)" in message:
        return _exception_of(message)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_NOT_TOLD)]
    if len(lines) > 1 and (heading := re.match(r"\w+ Error(?: in (\w+ .*))?$", lines[0])):
        place = [f"{heading[1]}:"] if with_place and heading[1] else []
        lines = [*place, *lines[1:]]
    if len(lines) > _LINES_OF_MESSAGE:
        lines = [*lines[:_LINES_OF_MESSAGE], "... (the rest is in logs/dbt.log)"]
    return "\n".join(lines)


def _exception_of(message: str) -> str:
    """Return the first line of the exception that a traceback ends with, as that of a Python model."""
    lines = [line for line in message.splitlines() if line.strip()]
    indents = [len(line) - len(line.lstrip()) for line in lines]
    last = max((at for at, line in enumerate(lines) if line.lstrip().startswith('File "')), default=None)
    # Below the last place stand its code and marks, further in, and then the exception, further out.
    told = (
        lines[-1]
        if last is None
        else next(
            (
                line
                for line, indent in zip(lines[last:], indents[last:], strict=True)
                if indent < indents[last]
            ),
            lines[-1],
        )
    )
    return re.sub(r"^[\w.]+(?:Error|Exception|Missing): ", "", told.strip())


def message_of(result: Any, sample: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the message about a node of dbt's run that goes with its status.

    Args:
        result: the node's result.
        sample: some of the failing rows, if the node is a data test and its rows were examined.
    """
    if result.node.resource_type == "test" and str(result.status) in ("fail", "warn"):
        # dbt's message repeats the number of rows, which the caller prints already.
        return finding(result.node, sample)
    message = plain_message(result.message or "")
    return read_personal().text(message) if message else ""


def _failure(
    result: Any, nodes: dict[str, Any], above_skipped: list[set[str]], messages: Mapping[str, str | None]
) -> Failure:
    node = result.node
    is_test = node.resource_type in TESTS
    # A failed test stops the nodes that read what it checks.
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
    """Return the relation, and the column if any, that a test checks."""
    column = getattr(test, "column_name", None)
    relations = ", ".join(relation(unique_id, nodes) for unique_id in sorted(guarded_ids(test)))
    return relations + (f".{column}" if column else "")


def guarded_ids(test: Any) -> set[str]:
    """Return the ids of the nodes that a test checks."""
    attached = getattr(test, "attached_node", None) or getattr(test, "tested_node_unique_id", None)
    return {attached} if attached else set(parent_ids(test))


def relation(unique_id: str, nodes: dict[str, Any]) -> str:
    """Return a node as `schema.name`; a node that was not in the run is named by its id."""
    if unique_id in nodes:
        return f"{nodes[unique_id].schema}.{nodes[unique_id].alias}"
    return ".".join(unique_id.split(".")[2:])
