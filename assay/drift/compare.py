"""Compare current rows of feature views and tables with earlier rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay.core.fault import Fault
from assay.drift.judge import judged
from assay.drift.limits import drift_limits
from assay.drift.measure import FeatureDrift, measure
from assay.drift.source import Source, find_source
from assay.drift.spec import Rows, rows_of
from assay.drift.trained import Trained
from assay.project.project import Project
from assay.project.views import feature_views
from assay.project.warehouse import attach

CURRENT, REFERENCE = "30d", "90d"
_PUBLISHED = "assay_published"


@dataclass(frozen=True)
class Comparison:
    """A table, the compared rows, and the drift of each feature, the largest first."""

    source: Source
    reference: Rows
    current: Rows
    features: list[FeatureDrift]


def compare(
    project: Project,
    published: Path,
    names: Sequence[str],
    *,
    reference: str | Trained | None = None,
    current: str | None = None,
) -> list[Comparison]:
    """Compare rows of tables.

    Args:
        project: compiles the macros, and declares the keys of feature views.
        published: the file a build published.
        names: names of feature views or tables of gold, or paths of CSV and Parquet files.
        reference: the rows to compare with (see `rows_of`), or a version of a training set. The default is
            the 90 days before the current rows, or `split=train` of a table with splits.
        current: the rows to judge; the default is the last 30 days, or `split=test`.

    Raises:
        Fault: nothing is published, there is no such table, a specification is invalid, or the version has no
            column of a table.
    """
    if not published.is_file():
        raise Fault(f"Nothing is published yet in {published}. To publish: assay build")
    views = {view.name: view for view in feature_views(project)}
    limits = drift_limits(project)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, published, _PUBLISHED)
        found = []
        for name in names:
            source = find_source(connection, _PUBLISHED, name, views.get(name), limits)
            now = rows_of(current or ("split=test" if source.has_split else CURRENT), until=source.until)
            if isinstance(reference, Trained):
                source, before = reference.shared(source), reference.rows
                wanted = reference.select(source)
            else:
                before = rows_of(
                    reference or ("split=train" if source.has_split else REFERENCE),
                    until=now.start or source.until,
                )
                wanted = source.rows(before)
            measured = measure(
                connection,
                project,
                reference=wanted,
                current=source.rows(now),
                numeric=source.numeric,
                categorical=source.categorical,
            )
            found.append((source, before, now, measured))
    # All features are judged together, because more comparisons give more differences by chance.
    verdicts = iter(judged([each for *_, measured in found for each in measured], limits))
    return [
        Comparison(source, before, now, _worst_first([next(verdicts) for _ in measured]))
        for source, before, now, measured in found
    ]


def _worst_first(features: list[FeatureDrift]) -> list[FeatureDrift]:
    order = ("drift", "watch", "too few rows", "stable")
    return sorted(features, key=lambda each: (order.index(each.verdict), -(each.psi or 0.0), each.feature))
