"""Compare what was answered online with what the join gives offline, feature by feature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from assay.online.types import time_in

_EXAMPLES = 3


@dataclass
class FeatureParity:
    """How a feature compares over all questions.

    `missing` are values that are only offline, `extra` those that are only online. `smape` is the symmetric
    mean absolute percentage error of numbers that are on both sides: the mean of `2 |a - b| / (|a| + |b|)`,
    from 0 to 2; 0 where both are 0. None where no numbers are on both sides.
    """

    view: str
    feature: str
    compared: int = 0
    mismatched: int = 0
    missing: int = 0
    extra: int = 0
    smape: float | None = None
    examples: list[str] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether any answer differs."""
        return bool(self.mismatched or self.missing or self.extra)


def compare(
    view: str, feature: str, questions: Sequence[str], online: Sequence[Any], offline: Sequence[Any]
) -> FeatureParity:
    """Compare the answers to the same questions.

    Args:
        view: the feature view's name.
        feature: the feature's name.
        questions: how to tell people of each question.
        online: what the store answered.
        offline: what the join gives.
    """
    found = FeatureParity(view, feature)
    errors = []
    for question, served, joined in zip(questions, online, offline, strict=True):
        found.compared += 1
        if served is None and joined is not None:
            found.missing += 1
        elif served is not None and joined is None:
            found.extra += 1
        elif not _same(served, joined):
            found.mismatched += 1
        if _is_number(served) and _is_number(joined):
            errors.append(_relative_error(float(served), float(joined)))
        if not _same(served, joined) and len(found.examples) < _EXAMPLES:
            found.examples.append(f"{question}: online {served!r}, offline {joined!r}")
    found.smape = math.fsum(errors) / len(errors) if errors else None
    return found


def _same(served: Any, joined: Any) -> bool:
    if isinstance(served, dict):
        # Arrow has a map as pairs.
        others = joined if isinstance(joined, dict) else {str(key): value for key, value in joined or ()}
        return served.keys() == others.keys() and all(_same(served[name], others[name]) for name in served)
    if isinstance(served, list) and isinstance(joined, list):
        return len(served) == len(joined) and all(map(_same, served, joined))
    if isinstance(served, str) and isinstance(joined, date):
        # Within lists, times are as SQL writes them.
        served = time_in(served)
    if isinstance(served, float) and isinstance(joined, float) and math.isnan(served):
        return math.isnan(joined)
    return bool(served == joined) and isinstance(served, bool) == isinstance(joined, bool)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return math.isfinite(value)


def _relative_error(served: float, joined: float) -> float:
    size = abs(served) + abs(joined)
    return 2 * abs(served - joined) / size if size else 0.0
