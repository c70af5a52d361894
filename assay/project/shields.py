"""Tell how columns of models are shielded that hold personal data, by what they are read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.project.conventions import layer_of
from assay.project.graph import parent_ids
from assay.project.personal import LANDED_AS, PII


class Shields:
    """How the columns of models are shielded, `hash` or `mask`.

    Args:
        nodes: models, seeds, snapshots and sources, as dbt has parsed them, by id.
        declared: what contracts say of landing tables that dbt's YAML may not say yet: shields of fields, by
            the source table's id.
    """

    def __init__(
        self, nodes: Mapping[str, Any], declared: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self._nodes = nodes
        self._declared = declared or {}
        self._known: dict[tuple[str, str], str | None] = {}

    def of(self, column: str, node: Any) -> str | None:
        """Return how a column is shielded: as its YAML says, else as anything that it is read from."""
        place = (node.unique_id, column)
        if place not in self._known:
            own = _meta(column, node).get(PII)
            above = sorted(filter(None, self.inherited(column, node).values())) if not own else []
            self._known[place] = own or next(iter(above), None)
        return self._known[place]

    def inherited(self, column: str, node: Any) -> dict[str, str | None]:
        """Return how a column is shielded in what a model reads, by name; what lacks it is left out.

        Silver's columns carry the landed fields of their names, or those that `landed_as` says.
        """
        found: dict[str, str | None] = {}
        for parent in self._parents(node):
            if layer_of(parent) == "bronze":
                landed_as = _meta(column, node).get(LANDED_AS, column)
                shield = self._landed(landed_as, parent)
                if shield or landed_as in parent.columns:
                    found[parent.name] = shield
            elif column in parent.columns or not parent.columns:
                found[parent.name] = self.of(column, parent)
        return found

    def _landed(self, name: str, bronze: Any) -> str | None:
        for source in self._parents(bronze):
            fields = self._declared.get(source.unique_id, source.config.meta.get(PII)) or {}
            for field, shield in fields.items():
                if name in (field, field.rpartition(".")[2]):
                    return str(shield)
        return None

    def _parents(self, node: Any) -> list[Any]:
        return [self._nodes[id_] for id_ in parent_ids(node) if id_ in self._nodes]


def _meta(column: str, node: Any) -> Mapping[str, Any]:
    return node.columns[column].config.meta if column in node.columns else {}
