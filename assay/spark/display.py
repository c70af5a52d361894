"""Print where nodes are computed."""

from __future__ import annotations

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted
from assay.spark.plan import PlannedNode, in_words


def print_plan(planned: list[PlannedNode], console: Console) -> None:
    """Print a row for each node, and how many are distributed and refused."""
    table = table_titled("Where nodes are computed with ASSAY_ENGINE=spark")
    table.add_column("node", overflow="fold", ratio=2)
    table.add_column("where", overflow="fold", ratio=2)
    for name in ("rows read", "MiB read"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=3)
    for node in planned:
        table.add_row(node.name, _where(node), _rows(node.rows), _mebibytes(node.bytes), node.why)
    console.print(table)
    distributed = sum(bool(node.keys) and not node.is_small for node in planned)
    line(console, f"{counted(distributed, 'node')} of {len(planned)} by key, the others on this machine.")
    if refused := [node.name for node in planned if node.is_refused]:
        told = counted(len(refused), "node")
        line(
            console, f"The distribute_by of {told} is refused: {', '.join(refused)}. Mend it, or take it out."
        )


def _where(node: PlannedNode) -> str:
    if node.is_refused:
        return "refused"
    return in_words(node.keys) if node.keys and not node.is_small else "this machine"


def _rows(rows: int | None) -> str:
    return "" if rows is None else f"{rows:,}"


def _mebibytes(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:,.1f}"
