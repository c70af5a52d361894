"""From which size on a difference is drift; the macro `drift_limits` says, for models as well."""

from __future__ import annotations

import json
from dataclasses import dataclass

from assay.project.project import Project


@dataclass(frozen=True)
class Limits:
    """PSI, KS and shift of the share of NULLs from which on a feature drifts or is to be watched.

    Of what is said to drift a share of `false_discoveries` may be chance. With fewer rows than `fewest_rows`
    nothing is said; nor, by the model, with fewer months than `fewest_windows` that say what is usual:
    `usual_times` their median, or `usual_deviations` above it. A column of more texts than `most_categories`
    tells rows apart, rather than kinds of rows.
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
        Fault: its variable `drift_limits` has words that are no limits.
    """
    return Limits(**json.loads(project.compiled_inline("{{ tojson(assay.drift_limits()) }}")))
