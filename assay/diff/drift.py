"""Judge whether features drift from one side to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from assay.core.column_types import is_category, is_number
from assay.core.fault import Fault
from assay.core.sql import quoted
from assay.diff.code import CodeVersion, working_at
from assay.diff.compare import columns_of
from assay.diff.tables import TableDiff, as_sql
from assay.drift.judge import judged
from assay.drift.limits import drift_limits
from assay.drift.measure import FeatureDrift, measure
from assay.drift.source import has_more, opened_by_arrival
from assay.project.conventions import is_feature_view
from assay.project.dbt_run import ask_dbt


@dataclass(frozen=True)
class ViewDrift:
    """How the features of a view differ between the sides, of those whose values changed."""

    view: str
    features: list[FeatureDrift]

    @property
    def drifting(self) -> list[str]:
        """The features that drift."""
        return [each.feature for each in self.features if each.verdict == "drift"]


class _Macros:
    """Compiles macros of a version that is parsed already."""

    def __init__(self, code: CodeVersion, warehouse: Path) -> None:
        self._code, self._warehouse = code, warehouse

    def compiled_inline(self, sql: str) -> str:
        with working_at(self._code.root):
            arguments = ["compile", "--no-populate-cache", "--inline", sql]
            asked = ask_dbt(arguments, self._warehouse, self._code.manifest)
        if not asked.success:
            raise Fault(f"Drift cannot be measured: {asked.exception}")
        return str(asked.result.results[0].node.compiled_code)


def measure_drift(
    connection: duckdb.DuckDBPyConnection,
    tables: Sequence[TableDiff],
    code: CodeVersion,
    warehouse: Path,
) -> list[ViewDrift]:
    """Compare the features whose values differ, all rows of the base with all of the other side.

    Args:
        connection: has both sides attached.
        tables: that were compared.
        code: the later version, whose limits hold.
        warehouse: a file that dbt may open.

    Raises:
        Fault: dbt cannot compile the macros.
    """
    views = [
        each
        for each in tables
        if each.rows
        and each.rows.changed_columns
        and each.pair.unique_id in code.tables
        and is_feature_view(code.tables[each.pair.unique_id])
    ]
    if not views:
        return []
    macros: Any = _Macros(code, warehouse)
    limits = drift_limits(macros)
    found: list[tuple[str, list[FeatureDrift]]] = []
    for view in views:
        assert view.pair.before
        assert view.pair.after
        before, after = as_sql(view.pair.before), as_sql(view.pair.after)
        numeric, categorical = _columns(connection, view, after, limits.most_categories)
        measured = measure(
            connection,
            macros,
            reference=_rows(connection, before, [*numeric, *categorical]),
            current=_rows(connection, after, [*numeric, *categorical]),
            numeric=numeric,
            categorical=categorical,
        )
        found.append((view.pair.name, measured))
    # All features are judged together, because more comparisons give more differences by chance.
    verdicts = iter(judged([each for _, measured in found for each in measured], limits))
    return [ViewDrift(name, [next(verdicts) for _ in measured]) for name, measured in found]


def _columns(
    connection: duckdb.DuckDBPyConnection, table: TableDiff, after: str, most: int
) -> tuple[list[str], list[str]]:
    """Return the changed columns that hold numbers, and those that hold a few categories."""
    assert table.rows
    changed = table.rows.changed_columns
    numeric = [each.name for each in changed if is_number(each.type)]
    categorical = [
        each.name
        for each in changed
        if is_category(each.type) and not has_more(connection, after, each.name, most)
    ]
    return numeric, categorical


def _rows(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str]) -> str:
    # States that begin because a window expires say nothing new of an entity.
    is_opened = opened_by_arrival(columns_of(connection, relation))
    return f"select {quoted(*columns)} from {relation} where {is_opened}"
