"""Which sources and products keep their contracts, by owner."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from assay.report.blocks import Column, Section, Table, Text
from assay.report.docs import Docs
from assay.report.tables import Absent
from assay.report.words import counted, listed, moment
from assay.runs.contract_ledger import ContractState

_NO_OWNER = "nobody"


def contracts_section(contracts: Sequence[tuple[ContractState, datetime]], docs: Docs) -> Section:
    """Tell of every contract whether it is kept; the tests that broke it are told of as what broke.

    Args:
        contracts: each with when (UTC) it began to be as it is.
        docs: of dbt.

    Raises:
        Absent: there are none.
    """
    if not contracts:
        raise Absent("No build has judged contracts yet.")
    ordered = sorted(contracts, key=_order)
    names = ("owner", "contract", "of a", "status", "since (UTC)", "why")
    rows = [
        [
            Text(state.owner or _NO_OWNER),
            docs.text(state.contract),
            Text(state.side),
            Text(state.status, "good" if state.status == "kept" else "bad"),
            Text(moment(since)),
            Text(state.why or ""),
        ]
        for state, since in ordered
    ]
    table = Table("Contracts by owner", [Column(name) for name in names], rows)
    return Section(_lead([state for state, _ in ordered]), [table])


def _order(each: tuple[ContractState, datetime]) -> tuple[str, bool, str]:
    state, _ = each
    return state.owner or _NO_OWNER, state.status == "kept", state.contract


def _lead(states: Sequence[ContractState]) -> str:
    broken = [state.contract for state in states if state.status != "kept"]
    of = counted(len(states), "contract")
    return f"Of {of}, those of {listed(broken)} are broken." if broken else f"All {of} are kept."
