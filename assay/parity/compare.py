"""Compare the answers of the online store with those of the offline join, feature by feature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from assay.online.types import time_in

_EXAMPLES = 3


@dataclass
class FeatureParity:
    """The comparison of a feature over all questions.

    `missing` counts values that exist only offline, `extra` those that exist only online. `smape` is the
    symmetric mean absolute percentage error of numbers that exist on both sides: the mean of
    `2 |a - b| / (|a| + |b|)`, from 0 to 2; a pair of zeros counts 0. None if there is no such pair.
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
        """Whether any pair of answers differs."""
        return bool(self.mismatched or self.missing or self.extra)


def compare(
    view: str,
    feature: str,
    questions: Sequence[str],
    online: Sequence[Any],
    offline: Sequence[Any],
    cause: Callable[[int], str] | None = None,
) -> FeatureParity:
    """Compare the answers to the same questions.

    Args:
        view: the feature view's name.
        feature: the feature's name.
        questions: a text for people about each question.
        online: the answers of the store.
        offline: the answers of the join.
        cause: says of a question, by its place, why its answers differ.
    """
    found = FeatureParity(view, feature)
    errors = []
    for place, (question, served, joined) in enumerate(zip(questions, online, offline, strict=True)):
        found.compared += 1
        if served is None and joined is not None:
            found.missing += 1
        elif served is not None and joined is None:
            found.extra += 1
        elif not same(served, joined):
            found.mismatched += 1
        if _is_number(served) and _is_number(joined):
            errors.append(_relative_error(float(served), float(joined)))
        if not same(served, joined) and len(found.examples) < _EXAMPLES:
            why = f"; {cause(place)}" if cause else ""
            found.examples.append(f"{question}: online {told(served)}, offline {told(joined)}{why}")
    found.smape = math.fsum(errors) / len(errors) if errors else None
    return found


def same(served: Any, joined: Any) -> bool:
    """Tell whether an answer of the store and one of the join are the same value."""
    if isinstance(served, dict):
        # In Arrow, a map is a list of pairs.
        others = joined if isinstance(joined, dict) else {str(key): value for key, value in joined or ()}
        return served.keys() == others.keys() and all(same(served[name], others[name]) for name in served)
    if isinstance(served, list) and isinstance(joined, list):
        return len(served) == len(joined) and all(map(same, served, joined))
    if isinstance(served, str) and isinstance(joined, date):
        # Within lists, times are texts as in SQL.
        served = time_in(served)
    if isinstance(served, float) and isinstance(joined, float) and math.isnan(served):
        return math.isnan(joined)
    return bool(served == joined) and isinstance(served, bool) == isinstance(joined, bool)


def told(answer: Any) -> str:
    """Write an answer for people: times as ISO 8601, numbers without the name of their type."""
    if isinstance(answer, date):
        return answer.isoformat()
    return str(answer) if isinstance(answer, Decimal) else repr(answer)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return math.isfinite(value)


def _relative_error(served: float, joined: float) -> float:
    size = abs(served) + abs(joined)
    return 2 * abs(served - joined) / size if size else 0.0
