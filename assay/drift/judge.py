"""Judge whether a difference is more than chance, and large enough to matter.

With many rows, every difference is significant; with few rows, large differences come by chance. So a
feature drifts if its difference is both significant and large. P-values are those of scipy, adjusted over all
features that are compared together by Benjamini and Hochberg (1995): at most a share of `false_discoveries`
of the reported drifts is expected to be chance. That assumes independent rows. Rows of one entity are not
independent, which is another reason to require a minimum size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy
import scipy

from assay.drift.limits import Limits
from assay.drift.measure import FeatureDrift

Verdict = Literal["drift", "watch", "stable", "too few rows"]

# scipy computes the exact distribution of the two-sample statistic up to this number of rows.
_COUNTED_OUT = 10_000


def judged(found: Sequence[FeatureDrift], limits: Limits) -> list[FeatureDrift]:
    """Return the measured features with p-values, adjusted over all features, and with verdicts."""
    with_p = [replace(each, p_value=_p_value(each), null_p_value=_null_p_value(each)) for each in found]
    given = [
        (number, name, getattr(each, name))
        for number, each in enumerate(with_p)
        for name in ("p_value", "null_p_value")
        if getattr(each, name) is not None
    ]
    adjusted: dict[tuple[int, str], float] = {}
    if given:
        corrected = scipy.stats.false_discovery_control([p for _, _, p in given])
        adjusted = {(number, name): float(p) for (number, name, _), p in zip(given, corrected, strict=True)}
    return [
        replace(
            each,
            adjusted_p_value=adjusted.get((number, "p_value")),
            verdict=_verdict(
                each, limits, adjusted.get((number, "p_value")), adjusted.get((number, "null_p_value"))
            ),
        )
        for number, each in enumerate(with_p)
    ]


def ks_p_value(statistic: float, n: int, m: int) -> float:
    """Return the p-value of the two-sided two-sample Kolmogorov-Smirnov test, as scipy's `ks_2samp` does.

    Args:
        statistic: the greatest difference of the distribution functions.
        n: the number of rows of one sample.
        m: the number of rows of the other sample.
    """
    if max(n, m) <= _COUNTED_OUT:
        # scipy takes samples, not the statistic, so it gets the simplest two samples that differ as much.
        r = numpy.arange(n + 1)
        c = numpy.clip(numpy.rint((r / n - statistic) * m), 0, m)
        place = int(numpy.argmin(numpy.abs(r / n - c / m - statistic)))
        zeros = place, int(c[place])
        samples = [numpy.repeat([0, 1], [few, of - few]) for few, of in zip(zeros, (n, m), strict=True)]
        return float(scipy.stats.ks_2samp(*samples).pvalue)
    return float(scipy.stats.distributions.kstwo.sf(statistic, numpy.round(n * m / (n + m))))


def _p_value(each: FeatureDrift) -> float | None:
    if min(each.reference_present, each.current_present) == 0:
        return None
    if each.ks is not None:
        return ks_p_value(each.ks, each.reference_present, each.current_present)
    if not each.degrees_of_freedom:
        # With a single category, nothing can differ.
        return 1.0
    return float(scipy.stats.chi2.sf(each.chi2, each.degrees_of_freedom))


def _null_p_value(each: FeatureDrift) -> float | None:
    """Return the p-value of Fisher's exact test that both sides have the same share of NULLs."""
    if min(each.reference_rows, each.current_rows) == 0:
        return None
    table = [
        [each.reference_nulls, each.reference_present],
        [each.current_nulls, each.current_present],
    ]
    return float(scipy.stats.fisher_exact(table).pvalue)


def _verdict(
    each: FeatureDrift, limits: Limits, p_value: float | None, null_p_value: float | None
) -> Verdict:
    def is_real(p: float | None) -> bool:
        return p is not None and p < limits.false_discoveries

    if min(each.reference_rows, each.current_rows) < limits.fewest_rows:
        return "too few rows"
    null_shift = abs(each.null_shift or 0.0)
    if is_real(null_p_value) and null_shift >= limits.null_drift:
        return "drift"
    if min(each.reference_present, each.current_present) >= limits.fewest_rows and is_real(p_value):
        psi, ks = each.psi or 0.0, each.ks or 0.0
        if psi >= limits.psi_drift or ks >= limits.ks_drift:
            return "drift"
        if psi >= limits.psi_watch or ks >= limits.ks_watch:
            return "watch"
    if is_real(null_p_value) and null_shift >= limits.null_watch:
        return "watch"
    return "stable"
