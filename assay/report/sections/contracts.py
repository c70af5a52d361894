"""Which sources and products keep their contracts, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from assay.core.words import counted, listed, moment
from assay.ledger.contracts import ContractState
from assay.report.blocks import Block, Details, Head, Paragraph, Section, Table, Text
from assay.report.tables import Absent

Contract = tuple[ContractState, datetime]
_DASH = "\N{EN DASH}"


def contracts_section(contracts: Sequence[Contract]) -> Section:
    """Tell of every contract whether it is kept, and which tables of gold have none.

    What broke a contract is told of in full as what broke.

    Args:
        contracts: each with when (UTC) it began to be as it is.

    Raises:
        Absent: no build has judged any.
    """
    if not contracts:
        raise Absent("No build has judged contracts yet.")
    ordered = sorted(contracts, key=lambda each: (each[0].owner or "", each[0].contract))
    without = [each for each in ordered if each[0].side == "table"]
    declared = [each for each in ordered if each[0].side != "table"]
    stopped = [each for each in declared if each[0].status != "kept"]
    kept = [each for each in declared if each[0].status == "kept"]
    blocks: list[Block] = []
    if stopped:
        blocks.append(_table("Contracts that are broken, and products held back", stopped))
    if kept and stopped:
        summary = f"{counted(len(kept), 'contract')} kept"
        blocks.append(Details(summary, [_table("Contracts that are kept", kept)]))
    elif kept:
        blocks.append(_table("Contracts that are kept", kept))
    if without:
        blocks += _without_contract(without)
    return Section(_lead(declared, without), blocks)


def _lead(declared: Sequence[Contract], without: Sequence[Contract]) -> str:
    broken = [state.contract for state, _ in declared if state.status == "broken"]
    held_back = [state.contract for state, _ in declared if state.status == "held back"]
    if not declared:
        said = "There is no contract yet"
    elif not broken and not held_back:
        said = f"All {len(declared)} contracts are kept" if len(declared) > 1 else "The one contract is kept"
    else:
        verb = "is" if len(broken) == 1 else "are"
        said = f"Of {counted(len(declared), 'contract')}, {listed(broken) or 'none'} {verb} broken"
        said += f"; {listed(held_back)} rest on what is" if held_back else ""
    if without:
        said += f". {counted(len(without), 'table')} of gold {'has' if len(without) == 1 else 'have'} none"
    return f"{said}."


def _without_contract(tables: Sequence[Contract]) -> list[Block]:
    """List the tables that readers get without a promise, and how to make one."""
    first = tables[0][0].contract
    command = f"assay contracts adopt {first} --product PRODUCT --owner OWNER && assay contracts sync"
    columns = [Head(name) for name in ("table", "owner", "published")]
    rows = [
        [
            Text(state.contract),
            Text(state.owner or "nobody"),
            Text("yes") if state.status == "kept" else Text("no", "bad", note=state.why or ""),
        ]
        for state, _ in tables
    ]
    return [
        Table("Tables of gold without a contract: nobody promises their columns to readers", columns, rows),
        Paragraph("To write a contract for one, with the columns that it has now:"),
        Paragraph(command, is_code=True),
    ]


def _table(caption: str, contracts: Sequence[Contract]) -> Table:
    columns = [Head(name) for name in ("contract", "owner", "kind", "status", "since (UTC)", "why")]
    rows = [
        [
            Text(state.contract),
            Text(state.owner or "nobody"),
            Text(state.side),
            Text(state.status, "good" if state.status == "kept" else "bad"),
            Text(moment(since)),
            Text(state.why or _DASH),
        ]
        for state, since in contracts
    ]
    return Table(f"{caption}, by owner", columns, rows)
