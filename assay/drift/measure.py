"""Measure how two sets of rows differ, feature by feature, in SQL from dbt's macros."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from assay.project.project import Project

_REFERENCE, _CURRENT = "assay_reference", "assay_current"


@dataclass(frozen=True)
class FeatureDrift:
    """The difference of a feature between the current rows and the reference.

    `kind` is numeric or categorical. NULLs and NaN are counted apart from other values. `psi` is the
    population stability index, `js` the Jensen-Shannon distance (square root, nats), `ks` the greatest
    difference of the distribution functions. `mean_shift` is in standard deviations of the reference.
    `unseen_share` is the share of current values in categories that the reference lacks. Undefined figures
    are None.
    """

    feature: str
    kind: str
    reference_rows: int
    current_rows: int
    reference_nulls: int
    current_nulls: int
    psi: float | None
    js: float | None
    ks: float | None = None
    reference_mean: float | None = None
    current_mean: float | None = None
    mean_shift: float | None = None
    chi2: float | None = None
    degrees_of_freedom: int | None = None
    unseen_share: float | None = None
    p_value: float | None = None
    null_p_value: float | None = None
    adjusted_p_value: float | None = None
    verdict: str = ""

    @property
    def reference_present(self) -> int:
        """The number of rows of the reference that have a value."""
        return self.reference_rows - self.reference_nulls

    @property
    def current_present(self) -> int:
        """The number of current rows that have a value."""
        return self.current_rows - self.current_nulls

    @property
    def null_shift(self) -> float | None:
        """The growth of the share of NULLs; None if there are no rows."""
        if min(self.reference_rows, self.current_rows) == 0:
            return None
        return self.current_nulls / self.current_rows - self.reference_nulls / self.reference_rows


def measure(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    *,
    reference: str,
    current: str,
    numeric: Sequence[str],
    categorical: Sequence[str],
) -> list[FeatureDrift]:
    """Compare two queries, column by column.

    Args:
        connection: a connection that can run both queries.
        project: compiles the macros.
        reference: the SQL of the rows to compare with.
        current: the SQL of the rows to judge.
        numeric: the names of columns with numbers.
        categorical: the names of columns with categories.

    Raises:
        Fault: dbt cannot compile the macros.
    """
    if not (numeric or categorical):
        return []
    connection.execute(f"create or replace temp view {_REFERENCE} as {reference}")
    connection.execute(f"create or replace temp view {_CURRENT} as {current}")
    found = []
    for kind, columns in (("numeric", numeric), ("categorical", categorical)):
        if columns:
            call = f"assay.{kind}_drift('{_REFERENCE}', '{_CURRENT}', {list(columns)!r})"
            found += [
                _drift(kind, row) for row in _rows(connection, project.compiled_inline("{{ " + call + " }}"))
            ]
    return found


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or []]
    for row in cursor.fetchall():
        yield dict(zip(names, row, strict=True))


def _drift(kind: str, row: dict[str, Any]) -> FeatureDrift:
    stddev = row.pop("reference_stddev", None)
    before, now = row.get("reference_mean"), row.get("current_mean")
    shift = (now - before) / stddev if before is not None and now is not None and stddev else None
    return FeatureDrift(kind=kind, mean_shift=shift, **row)
