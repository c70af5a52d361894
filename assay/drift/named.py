"""Compare what people name: feature views, tables, files, and versions of training sets."""

from __future__ import annotations

from collections.abc import Sequence

from assay.core.places import Places
from assay.drift.compare import Comparison, compare
from assay.drift.trained import Trained
from assay.project.project import Project
from assay.project.views import feature_views, view_named
from assay.training.store import VersionStore


def compare_named(
    project: Project,
    places: Places,
    views: Sequence[str],
    tables: Sequence[str],
    reference: str | None,
    current: str | None,
) -> list[Comparison]:
    """Compare rows of feature views and tables.

    Args:
        project: compiles the macros, and knows the feature views.
        places: of the project.
        views: names of feature views; without any view or table, all of them, or those that the version of
            `reference` was trained on.
        tables: names of tables of gold, or paths of CSV and Parquet files.
        reference: rows to compare with (see `rows_of`), or a version of a training set.
        current: rows in question.

    Raises:
        Fault: nothing is published, or something that is named is not there.
    """
    is_version = reference is not None and "@" in reference
    trained = Trained(VersionStore(places).find(reference or "")) if is_version else None
    known = feature_views(project)
    names = [*(view_named(each, known).name for each in views), *tables]
    names = names or (trained.views if trained else [each.name for each in known])
    return compare(project, places.published, names, reference=trained or reference, current=current)
