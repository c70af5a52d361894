"""Write a review as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite
from typing import Any

from assay.diff.review import Review
from assay.diff.tables import TableDiff


def as_document(review: Review) -> dict[str, Any]:
    """Return a review as values of JSON; times, decimals, NaN and infinity are texts."""
    document = {
        "base": review.base,
        "head": review.head,
        "is_broken": review.is_broken,
        "tables": [_table(each) for each in review.tables],
        "breaks": [asdict(each) for each in review.breaks],
        "contract_changes": [asdict(each) for each in review.contract_changes],
        "training_sets": [asdict(each) | {"bits_change": each.bits_change} for each in review.training],
        "drift": [asdict(each) for each in review.drift],
        "notes": review.notes,
    }
    found: dict[str, Any] = json.loads(json.dumps(_plain(document), default=str))
    return found


def _plain(value: Any) -> Any:
    """Return what JSON can hold: it knows no NaN, and names of its fields are texts, unlike keys of a MAP."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _table(table: TableDiff) -> dict[str, Any]:
    return {
        "name": table.pair.name,
        "status": table.status,
        "own_change": table.pair.is_own,
        "why_not": table.why_not or None,
        "rows": asdict(table.rows) if table.rows else None,
        "before": asdict(table.before) if table.before else None,
        "after": asdict(table.after) if table.after else None,
    }
