"""Record in the run ledger whether sources and products kept their contracts in each run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from assay.ledger.file import LedgerTable
from assay.ledger.results import NodeResult
from assay.project.conventions import is_published
from assay.project.failures import FAILED
from assay.project.graph import Node
from assay.project.products import Products

Side = Literal["source", "product", "table"]
Status = Literal["kept", "broken", "held back"]

CONTRACTS = LedgerTable(
    "contracts",
    """
    run_id varchar not null,
    contract varchar not null,
    side varchar not null,
    owner varchar,
    status varchar not null,
    why varchar,
    primary key (run_id, contract)
""",
)


_NO_PROMISE = "promises no completeness, delay or volume; rows that break its rules are rejected"


@dataclass(frozen=True)
class ContractState:
    """Whether a source or product kept its contract in a run.

    `why` says what broke it, or that nothing is promised. A product that is held back is not broken itself,
    but reads a broken one. A table of gold without a contract has the side `table`: it is published alone.
    """

    contract: str
    side: Side
    owner: str | None
    status: Status
    why: str | None


_COLUMNS = [column.name for column in fields(ContractState)]


def describe_contracts(
    results: Iterable[Any],
    products: Products,
    owner_of: dict[str, str],
    nodes: Iterable[NodeResult],
    sources: Iterable[Node] = (),
) -> list[ContractState]:
    """Return for each source and product of a whole run whether it kept its contract.

    A product's contract is kept if the product may be published. A source's is kept if the test of its
    promises passed on all of its tables, or if it promises nothing that could be measured.

    Args:
        results: the results of dbt's run.
        products: the products as judged after the same run.
        owner_of: the owner of each node, by the node's id.
        nodes: the nodes' results, with the messages of their tests.
        sources: the manifest's landing tables.
    """
    messages = {node.unique_id: node.message for node in nodes}
    states: dict[str, ContractState] = {}
    owners: dict[str, str | None] = {}
    in_groups = set()
    for result in results:
        node, status = result.node, str(result.status)
        if is_published(node):
            product = products.product_of[node.alias]
            owners.setdefault(product, owner_of.get(node.unique_id))
            in_groups |= {product} if node.config.group else set()
        source = (node.config.meta or {}).get("contract") if node.resource_type == "test" else None
        if source and status != "skipped":
            is_broken = status == "warn" or status in FAILED
            why = (messages.get(node.unique_id) or node.name) if is_broken else None
            if is_broken or source not in states:
                owner = owner_of.get(node.attached_node or "")
                states[source] = ContractState(
                    source, "source", owner, "broken" if is_broken else "kept", why
                )
    for each in sources:
        meta = each["config"].get("meta") or {}
        if meta.get("contract_rules"):
            name = str(each["source_name"])
            states.setdefault(name, ContractState(name, "source", meta.get("owner"), "kept", _NO_PROMISE))
    for product in sorted(set(products.product_of.values())):
        why = products.stopped.get(product)
        state: Status = "broken" if product in products.broken else "held back" if why else "kept"
        # `contracts sync` puts the tables of a contract into a group of dbt.
        side: Side = "product" if product in in_groups else "table"
        states[product] = ContractState(product, side, owners.get(product), state, why)
    return list(states.values())


def record_contracts(ledger: Path, run_id: str, states: Iterable[ContractState]) -> None:
    """Write the states of contracts in a run to the ledger.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
        duckdb.Error: the ledger cannot be written for any other reason.
    """
    CONTRACTS.write(ledger, [{"run_id": run_id, **asdict(state)} for state in states])


def read_newest_contracts(ledger: Path) -> list[tuple[ContractState, datetime]]:
    """Return the state of each contract in the last run that judged contracts, and since when (UTC) it holds.

    Builds of past moments do not count. The result is empty if no run has judged contracts yet.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = CONTRACTS.read(
        ledger,
        f"""
            with judged as (

                select contracts.*, runs.started_at
                from contracts
                inner join runs on contracts.run_id = runs.run_id
                where runs.as_of is null

            ),

            changes as (

                select
                    *,
                    status is distinct from lag(status) over earlier as is_new,
                    started_at = max(started_at) over () as is_last
                from judged
                window earlier as (partition by contract order by started_at)

            )

            select
                {", ".join(_COLUMNS)},
                max(started_at) filter (is_new) over (partition by contract) as since
            from changes
            qualify is_last
            order by side desc, contract
            """,
    )
    return [(ContractState(*row[:-1]), row[-1]) for row in rows]
