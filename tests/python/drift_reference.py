"""What drift is by scipy and numpy, which share no code with the macros."""

from __future__ import annotations

import math

import numpy
from numpy.typing import NDArray

EPSILON, BINS = 1e-4, 10
Sample = NDArray[numpy.float64]


def expected_shares(reference: Sample, current: Sample) -> tuple[Sample, Sample]:
    """Shares of bins between the reference's quantiles; one that stands more than once is a bin itself."""
    quantiles = [sorted(reference)[math.ceil(len(reference) * i / BINS) - 1] for i in range(1, BINS)]
    shares = []
    for sample in (reference, current):
        below = [numpy.sum(sample <= q) for q in quantiles]
        below += [numpy.sum(sample < q) for q in quantiles if quantiles.count(q) > 1]
        shares.append([*below, len(sample)])
    cuts = sorted(set(zip(*shares, strict=True)))
    steps = [
        numpy.diff([0, *side]) / size
        for side, size in zip(zip(*cuts, strict=True), (len(reference), len(current)), strict=True)
    ]
    return steps[0], steps[1]


def expected_psi(p: Sample, q: Sample) -> float:
    """Population stability index of the shares of reference and current rows."""
    p, q = numpy.maximum(p, EPSILON), numpy.maximum(q, EPSILON)
    return float(numpy.sum((q - p) * numpy.log(q / p)))
