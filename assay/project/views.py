"""Find feature views: models that declare `config.meta.feature_view`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.project.conventions import MONITORING, is_feature_view
from assay.project.graph import parent_ids
from assay.project.personal import is_personal
from assay.project.project import Project

VALIDITY = ("valid_from", "valid_to", "updated_at", "confirmed_at")


@dataclass(frozen=True)
class FeatureView:
    """A feature view as its YAML declares it, and the models that read it.

    `columns` maps each column to its data type and description; `relation` is its name in SQL; `personal` are
    the columns with personal data.
    """

    name: str
    description: str
    declared: dict[str, Any]
    columns: dict[str, tuple[str, str]]
    relation: str
    used_by: list[str]
    personal: frozenset[str] = frozenset()

    @property
    def keys(self) -> list[str]:
        """Columns that name the entity."""
        return list(self.declared["keys"])

    @property
    def features(self) -> list[str]:
        """Columns that are neither keys nor times of validity."""
        return [column for column in self.columns if column not in (*self.keys, *VALIDITY)]

    def told(self, word: str) -> str:
        """Write the declared value of a key for people; a dash if it is not declared."""
        value = self.declared.get(word)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return "-" if value is None else str(value)


def feature_views(project: Project) -> list[FeatureView]:
    """Return the feature views of a project and its packages, by name."""
    readers: dict[str, list[str]] = {}
    for model in project.models:
        # Monitoring models read every view, but do not count as consumers.
        for read in parent_ids(model) if not model.name.startswith(MONITORING) else []:
            readers.setdefault(read, []).append(model.name)
    return [
        FeatureView(
            name=model.name,
            description=" ".join(model.description.split()),
            declared=model.config.meta["feature_view"],
            columns={
                column.name: (column.data_type or "", column.description) for column in model.columns.values()
            },
            relation=model.relation_name,
            used_by=readers.get(model.unique_id, []),
            personal=frozenset(
                column.name for column in model.columns.values() if is_personal(column.to_dict())
            ),
        )
        for model in project.models
        if is_feature_view(model)
    ]


def view_named(name: str, views: Iterable[FeatureView]) -> FeatureView:
    """Return the feature view with a name.

    Raises:
        Fault: no feature view has that name.
    """
    by_name = {view.name: view for view in views}
    if name not in by_name:
        raise Fault(f"{name} is no feature view: there are {', '.join(by_name) or 'none'}.", MISUSED)
    return by_name[name]
