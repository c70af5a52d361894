"""Record the nodes of each run in the run ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from assay.ledger.file import LedgerTable
from assay.ledger.results import NodeResult
from assay.project.failures import FAILED

NODES = LedgerTable(
    "nodes",
    """
    run_id varchar not null,
    unique_id varchar not null,
    name varchar not null,
    kind varchar not null,
    relation varchar not null,
    status varchar not null,
    severity varchar,
    started_at timestamp,
    seconds double not null,
    table_rows bigint,
    failing_rows bigint,
    owner varchar,
    message varchar,
    sample json not null,
    primary key (run_id, unique_id)
""",
)
_COLUMNS = [column.name for column in fields(NodeResult)]
_REMOVED = "removed"
# The runs whose results stand for a run: itself, and if it built only what had changed, those before it
# back to the last run that built everything.
_STANDS_FOR = """
with parts as (

    select *, coalesce((options ->> 'part')::boolean, false) as is_part
    from runs

),

asked as (

    select
        parts.*,
        (
            select max(earlier.started_at)
            from parts as earlier
            where
                earlier.warehouse = parts.warehouse
                and not earlier.is_part
                and earlier.as_of is null
                and (earlier.options ->> 'select') is null
                and earlier.started_at <= parts.started_at
        ) as since
    from parts
    where list_contains($1, run_id)

),

standing as (

    select asked.run_id, parts.run_id as ran_id, parts.started_at as ran_at
    from asked
    inner join parts
        on
            parts.run_id = asked.run_id
            or (
                asked.is_part
                and parts.warehouse = asked.warehouse
                and parts.as_of is null
                and parts.started_at between asked.since and asked.started_at
            )

)
"""


def make_removed_node(unique_id: str) -> NodeResult:
    """Return the record that a node is gone from the project, so that its earlier results stand no more."""
    nothing = (None, None, 0.0, None, None, None, None)
    return NodeResult(unique_id, unique_id, _REMOVED, "", _REMOVED, *nothing, [])


def record_nodes(ledger: Path, run_id: str, nodes: Sequence[NodeResult]) -> None:
    """Write the results of a run's nodes to the ledger.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
        duckdb.Error: the ledger cannot be written for any other reason.
    """
    last = {node.unique_id: node for node in nodes}
    NODES.write(
        ledger,
        [{"run_id": run_id, **asdict(node), "sample": json.dumps(node.sample)} for node in last.values()],
    )


def read_nodes(ledger: Path, run_id: str) -> list[NodeResult]:
    """Return the nodes of a run in the order in which they began; none if the run's version kept no nodes.

    Raises:
        Fault: another program keeps the ledger open.
    """
    return read_nodes_by_run(ledger, [run_id])[run_id]


@dataclass(frozen=True)
class StatusesOfTest:
    """How a test ended in some runs, by their ids; it did not run in those that are missing."""

    name: str
    relation: str
    statuses: dict[str, str]


def read_test_statuses(ledger: Path, run_ids: Sequence[str]) -> list[StatusesOfTest]:
    """Return how the tests ended that failed or warned at least once in some runs, by name.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = NODES.read(
        ledger,
        """
        with ended as (

            -- Not by id, which is another as soon as an argument of the test is.
            select name, relation, run_id, any_value(status) as status
            from nodes
            where list_contains($1, run_id) and ends_with(kind, 'test')
            group by all

        )

        select name, relation, map_from_entries(list((run_id, status))) as statuses
        from ended
        group by name, relation
        having bool_or(list_contains($2, status))
        order by name, relation
        """,
        [list(run_ids), [*FAILED, "warn"]],
    )
    return [StatusesOfTest(*row) for row in rows]


def read_seconds(ledger: Path, warehouse: str, since: datetime) -> dict[str, float]:
    """Return how long the nodes of each relation ran in builds of a warehouse, in seconds.

    A test counts for the relation that it checks; several that one test checks are one name.

    Args:
        ledger: the run ledger.
        warehouse: as the ledger names it.
        since: from when on runs count (UTC).

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = NODES.read(
        ledger,
        "select nodes.relation, sum(nodes.seconds) from nodes inner join runs on nodes.run_id = runs.run_id "
        f"where runs.warehouse = $1 and runs.started_at >= $2 and nodes.status <> '{_REMOVED}' group by all",
        [warehouse, since],
    )
    return {str(relation): float(seconds) for relation, seconds in rows}


def read_first_built(ledger: Path, warehouse: str) -> dict[str, datetime]:
    """Return when the first run that the ledger knows began to build each relation of a warehouse (UTC).

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = NODES.read(
        ledger,
        "select nodes.relation, min(runs.started_at) from nodes join runs on nodes.run_id = runs.run_id "
        f"where runs.warehouse = $1 and nodes.status <> '{_REMOVED}' group by all",
        [warehouse],
    )
    return {str(relation): first for relation, first in rows}


def read_nodes_by_run(ledger: Path, run_ids: Sequence[str]) -> dict[str, list[NodeResult]]:
    """Return the nodes of several runs, by the runs' ids.

    A run that built only what had changed has the results of the runs before it for the nodes that it did
    not run; those began before it did.

    Raises:
        Fault: another program keeps the ledger open.
    """
    found: dict[str, list[NodeResult]] = {run_id: [] for run_id in run_ids}
    rows = NODES.read(
        ledger,
        f"""
        {_STANDS_FOR},

        latest as (

            select standing.run_id as asked_id, {", ".join(f"nodes.{column}" for column in _COLUMNS)}
            from standing
            inner join nodes on standing.ran_id = nodes.run_id
            qualify
                row_number() over (
                    partition by standing.run_id, nodes.unique_id order by standing.ran_at desc
                ) = 1

        )

        select asked_id, {", ".join(_COLUMNS)}
        from latest
        where status <> '{_REMOVED}'
        order by started_at nulls last, unique_id
        """,
        [list(run_ids)],
    )
    for run_id, *row in rows:
        values = dict(zip(_COLUMNS, row, strict=True))
        found[run_id].append(NodeResult(**values | {"sample": json.loads(values["sample"])}))
    return found
