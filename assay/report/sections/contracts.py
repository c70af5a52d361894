"""Which sources and products keep their contracts, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from assay.core.words import counted, listed, moment
from assay.ledger.contracts import ContractState
from assay.report.blocks import Block, Details, Head, Section, Table, Text
from assay.report.tables import Absent

Contract = tuple[ContractState, datetime]


def contracts_section(contracts: Sequence[Contract]) -> Section:
    """Tell of every contract whether it is kept; the tests that broke it are told of as what broke.

    Args:
        contracts: each with when (UTC) it began to be as it is.

    Raises:
        Absent: there are none.
    """
    if not contracts:
        raise Absent("No build has judged contracts yet.")
    ordered = sorted(contracts, key=lambda each: (each[0].owner or "", each[0].contract))
    broken = [each for each in ordered if each[0].status == "broken"]
    held_back = [each for each in ordered if each[0].status == "held back"]
    kept = [each for each in ordered if each[0].status == "kept"]
    of = counted(len(ordered), "contract")
    if not broken and not held_back:
        return Section(f"All {of} are kept.", [_table("Contracts that are kept", kept)])
    blocks: list[Block] = [_table("Contracts that are broken, and products held back", [*broken, *held_back])]
    if kept:
        summary = f"{counted(len(kept), 'contract')} kept"
        blocks.append(Details(summary, [_table("Contracts that are kept", kept)]))
    verb = "is" if len(broken) == 1 else "are"
    said = f"Of {of}, {listed([state.contract for state, _ in broken]) or 'none'} {verb} broken"
    rest = f"; {listed([state.contract for state, _ in held_back])} rest on what is" if held_back else ""
    return Section(f"{said}{rest}.", blocks)


def _table(caption: str, contracts: Sequence[Contract]) -> Table:
    columns = [Head(name) for name in ("contract", "owner", "of a", "status", "since (UTC)", "why")]
    rows = [
        [
            Text(state.contract),
            Text(state.owner or "nobody"),
            Text(state.side),
            Text(state.status, "good" if state.status == "kept" else "bad"),
            Text(moment(since)),
            Text(state.why or "\N{EN DASH}"),
        ]
        for state, since in contracts
    ]
    return Table(f"{caption}, by owner", columns, rows)
