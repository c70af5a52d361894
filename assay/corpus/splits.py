"""Divide documents into splits by a hash of their ids."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import accumulate

_RANGE = 1 << 64


def split_of(document_id: str, shares: Mapping[str, float]) -> str:
    """Return the split of a document.

    It depends on nothing but the id and the shares: documents that come later move no other, and all rows of
    a document are in one split, whatever corpus they are in.
    """
    place = int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:8]) / _RANGE
    ends = accumulate(shares.values())
    return next((name for name, end in zip(shares, ends, strict=True) if place < end), list(shares)[-1])
