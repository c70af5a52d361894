"""Serve training sets as feature services: a service answers the features that a training set trains on."""

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
    """Return what each training set joins from online views, in the order of its joins.

    Args:
        catalog: the store's catalog; each view lists the features that training sets join from it.
    """
    found: dict[str, Parts] = {}
    for view in catalog.values():
        for part in view.declared.get("services", []):
            found.setdefault(part["name"], []).append(part)
    return {name: sorted(parts, key=lambda part: part["place"]) for name, parts in sorted(found.items())}


def service_requests(
    catalog: Catalog, name: str, parts: Parts, entities: Mapping[str, Sequence[Any]], at: datetime
) -> list[ViewRequest]:
    """Make the requests for all features that a training set trains on.

    Args:
        catalog: the store's catalog.
        name: the training set's name.
        parts: what the training set joins, from `services_in`.
        entities: see `view_request`.
        at: the instant (UTC, without zone).

    Raises:
        Refused: the training set joins something that is not online, or a request is refused.
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
