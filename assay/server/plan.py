"""From what a request says to what is asked of views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from assay.core.fault import unknown
from assay.core.moment import now
from assay.online.request import Refused, ViewRequest, instant_given, view_named, view_request
from assay.online.services import Parts, service_requests, services_in
from assay.online.stores.store import Catalog
from assay.server.keys import Reader
from assay.server.rejected import Rejected
from assay.server.shapes import FeaturesRequest, OnlineFeaturesRequest


def instant_of(text: str | None) -> datetime:
    """Return the instant asked for; now where none is."""
    return now() if text is None else instant_given(text)


def features_by_view(references: Sequence[str]) -> dict[str, list[str] | None]:
    """Group references, `view:feature` or `view` for all of it, by view.

    Raises:
        Refused: a feature stands twice.
    """
    found: dict[str, list[str] | None] = {}
    for reference in references:
        view, colon, feature = reference.partition(":")
        features = found.setdefault(view, [] if colon else None)
        if features is None or not colon:
            if colon or references.count(reference) > 1 or features is not None:
                raise Refused(f"{view} is asked for twice: name it once, or each of its features once.")
        elif feature in features:
            raise Refused(f"{reference} is asked for twice.")
        elif not feature:
            raise Refused(f"{reference} names no feature after its colon.")
        else:
            features.append(feature)
    return found


def plan_features(
    asked: FeaturesRequest, catalog: Catalog, reader: Reader, at: datetime
) -> list[ViewRequest]:
    """Plan the views of one entity.

    Raises:
        Refused: something is unknown, missing or of another type.
        Rejected: the reader may not read a view.
    """
    wanted = features_by_view(asked.feature_groups)
    reader.require(wanted)
    if (asked.user_id is None) == (asked.keys is None):
        raise Refused("Name the entity either by user_id or by keys.")
    inputs = {name: [value] for name, value in asked.inputs.items()}
    if asked.keys is not None:
        entities = {name: [value] for name, value in asked.keys.items()} | inputs
        _refuse_strange(entities, catalog, wanted)
        requests = [view_request(catalog, view, each, entities, at) for view, each in wanted.items()]
        return reader.rights.narrow(requests, wanted)
    _refuse_strange(inputs, catalog, wanted)
    keys = list(dict.fromkeys(key.name for view in wanted for key in view_named(catalog, view).keys))
    if len(keys) > 1:
        raise Refused(f"What is asked has the keys {', '.join(keys)}: name the entity by keys.")
    entities = {key: [asked.user_id] for key in keys} | inputs
    requests = [view_request(catalog, view, features, entities, at) for view, features in wanted.items()]
    return reader.rights.narrow(requests, wanted)


def plan_online_features(
    asked: OnlineFeaturesRequest, catalog: Catalog, reader: Reader, at: datetime, most: int
) -> list[ViewRequest]:
    """Plan the views of many entities.

    Raises:
        Refused: something is unknown, missing or of another type, or there are too many entities.
        Rejected: the reader may not read a view, or there is no such feature service.
    """
    if (not asked.features) == (asked.feature_service is None):
        raise Refused("Name what is wanted either by features or by feature_service.")
    wanted = features_by_view(asked.features or [])
    if whole := [view for view, features in wanted.items() if features is None]:
        raise Refused(
            f"{whole[0]} is no reference to a feature: write view:feature, or the view as feature_service."
        )
    parts: Parts = []
    if asked.feature_service is not None:
        parts = services_in(catalog).get(asked.feature_service, [])
        views = {view for part in parts for view in part["views"] if view} or {asked.feature_service}
        if not all(map(reader.may_read, views)):
            raise Rejected(403, f"This API key is not for {asked.feature_service}.")
        if not parts and asked.feature_service not in catalog:
            _refuse_service(asked.feature_service, catalog)
        wanted = dict.fromkeys(views)
    reader.require(wanted)
    sizes = {len(values) for values in asked.entities.values()}
    if len(sizes) > 1:
        raise Refused("All of entities must have as many values as each other.")
    if not sizes or not max(sizes):
        raise Refused("entities holds none: give for each key a list of values.")
    if max(sizes) > most:
        raise Refused(f"{max(sizes)} entities are too many for one request: at most {most}.")
    _refuse_strange(asked.entities, catalog, wanted)
    if parts:
        requests = service_requests(catalog, str(asked.feature_service), parts, asked.entities, at)
        # A model needs all that it was trained on.
        return reader.rights.narrow(requests, dict.fromkeys(views, True))
    requests = [
        view_request(catalog, view, features, asked.entities, at) for view, features in wanted.items()
    ]
    if len(requests) > 1 and not asked.full_feature_names:
        names = Counter(name for request in requests for name in request.features)
        if shared := [name for name, times in names.items() if times > 1]:
            raise Refused(f"{', '.join(shared)} would stand for several views: ask with full_feature_names.")
    return reader.rights.narrow(requests, wanted)


def _refuse_service(name: str, catalog: Catalog) -> None:
    """Say which feature services there are; whoever is told may read all of them."""
    said = f"There is no feature service {name}, which here is a training set's name or a feature view's"
    raise Rejected(404, unknown(said, name, [*services_in(catalog), *catalog]))


def _refuse_strange(
    entities: Mapping[str, Sequence[Any]], catalog: Catalog, wanted: Mapping[str, list[str] | None]
) -> None:
    known = {
        column.name
        for view in wanted
        if view in catalog
        for column in (*catalog[view].keys, *catalog[view].inputs.values())
    }
    strange = sorted(entities.keys() - known)
    if strange and all(view in catalog for view in wanted):
        raise Refused(
            f"{', '.join(strange)} is no key or input of what is asked: there are {', '.join(sorted(known))}."
        )
