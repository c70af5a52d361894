"""Feature services: each training set is one, and serves the features that it trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from assay.core.moment import length_of
from assay.online.request import Refused, ViewRequest, view_request
from assay.online.stores.store import Catalog
from assay.project.joins import AGE_OF_VIEW

Parts = list[dict[str, Any]]


def services_in(catalog: Catalog) -> dict[str, Parts]:
    """Return what each training set joins of the views that are online, in its order.

    Args:
        catalog: what a store holds; each view carries along what is joined of it, and by which training set.
    """
    found: dict[str, Parts] = {}
    for view in catalog.values():
        for part in view.declared.get("services", []):
            found.setdefault(part["name"], []).append(part)
    return {name: sorted(parts, key=lambda part: part["place"]) for name, parts in sorted(found.items())}


def service_requests(
    catalog: Catalog, name: str, parts: Parts, entities: Mapping[str, Sequence[Any]], at: datetime
) -> list[ViewRequest]:
    """Plan all that a training set trains on.

    Args:
        catalog: what the store holds.
        name: of the training set.
        parts: what it joins, of `services_in`.
        entities: see `view_request`.
        at: the instant (UTC, without zone).

    Raises:
        Refused: it joins what is not online, or is refused as any request is.
    """
    if None in parts[0]["views"]:
        raise Refused(f"{name} joins a relation that is no feature view, so it cannot be served.")
    if offline := [view for view in parts[0]["views"] if view not in catalog]:
        raise Refused(f"{name} joins {', '.join(offline)}, which is not online, so it cannot be served.")
    requests = []
    for part in parts:
        request = view_request(catalog, part["view"], part["features"], entities, at)
        if part["max_age"] != AGE_OF_VIEW:
            max_age = length_of(part["max_age"]) if part["max_age"] else None
            request = replace(request, max_age=max_age)
        requests.append(replace(request, prefix=part["prefix"]))
    return requests
