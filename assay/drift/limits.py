"""Read the sizes from which a difference is drift; the macro `drift_limits` gives them to models too."""

from __future__ import annotations

import json
from dataclasses import dataclass

from assay.project.project import Project


@dataclass(frozen=True)
class Limits:
    """The limits of PSI, KS and shift of the share of NULLs from which a feature drifts or is to be watched.

    A share of `false_discoveries` of the reported drifts may be chance. A feature with fewer rows than
    `fewest_rows` is not judged. dbt's model also needs `fewest_windows` earlier months to know what is usual:
    up to `usual_times` their median, or `usual_deviations` above it. A column with more texts than
    `most_categories` identifies rows, and is not compared.
    """

    psi_drift: float
    psi_watch: float
    ks_drift: float
    ks_watch: float
    null_drift: float
    null_watch: float
    false_discoveries: float
    fewest_rows: int
    fewest_windows: int
    usual_times: float
    usual_deviations: float
    most_categories: int


def drift_limits(project: Project) -> Limits:
    """Return the limits that hold in a project.

    Raises:
        Fault: the variable `drift_limits` has a key that is no limit.
    """
    return Limits(**json.loads(project.compiled_inline("{{ tojson(assay.drift_limits()) }}")))
