"""Links into dbt's documentation, where it was generated."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from assay.ledger.results import NodeResult
from assay.report.blocks import Text

FILE, LINEAGE = "dbt_docs.html", "assay_lineage.html"
_KINDS = ("model", "seed", "snapshot", "test")


class Docs:
    """Where nodes are documented.

    Args:
        page: the page of dbt's documentation; it need not be there.
        nodes: of the latest run, which have the ids that go with names.
    """

    def __init__(self, page: Path, nodes: Iterable[NodeResult]) -> None:
        self.page = page if page.is_file() else None
        self._ids = {node.name: node.unique_id for node in nodes if not node.kind.endswith("test")}

    def text(self, said: str, unique_id: str | None = None) -> Text:
        """Return what is said with a link; without id to the table that it names, as schema.table.column."""
        named = (self._ids[part] for part in said.split(".") if part in self._ids)
        found = unique_id or next(named, "")
        kind = found.partition(".")[0]
        return Text(said, href=f"{FILE}#!/{kind}/{found}" if self.page and kind in _KINDS else "")
