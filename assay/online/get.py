"""Ask a store for one entity, as the command line and Python do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from assay.core.moment import now
from assay.online.answer import Answerer, ViewAnswer
from assay.online.request import Refused, ViewRequest, instant_given, view_named, view_request
from assay.online.stores.store import Catalog, Store


def get_one(store: Store, name: str, key: Any, at: str | None, inputs: Mapping[str, Any]) -> ViewAnswer:
    """Return all features of an entity that can be computed.

    Args:
        store: where to ask.
        name: of the view.
        key: the entity's key; of a view with several a mapping by name, or their values in the view's order.
        at: the instant in ISO 8601 (UTC where no offset is given); None for now.
        inputs: request inputs, by name.

    Raises:
        Refused: something is unknown, missing or of another type.
        StoreUnavailable: the store cannot be read, or holds nothing.
    """
    moment = now() if at is None else instant_given(at)
    given = {word: value.isoformat() if isinstance(value, date) else value for word, value in inputs.items()}

    def plan(catalog: Catalog) -> list[ViewRequest]:
        keys = [each.name for each in view_named(catalog, name).keys]
        values = _values_of(key, keys)
        if len(keys) != len(values):
            raise Refused(f"{name} has the keys {', '.join(keys)}: give --key once for each.")
        if strange := given.keys() - catalog[name].inputs.keys():
            known = ", ".join(catalog[name].inputs) or "none"
            raise Refused(f"{name} has no input {', '.join(sorted(strange))}: there are {known}.")
        entity = dict(zip(keys, values, strict=True)) | given
        return [view_request(catalog, name, None, {word: [value] for word, value in entity.items()}, moment)]

    async def ask() -> ViewAnswer:
        try:
            _, [answer] = await Answerer(store).answer(plan)
            return answer
        finally:
            await store.close()

    return asyncio.run(ask())


def _values_of(key: Any, names: Sequence[str]) -> list[Any]:
    """Return the values of a key in the view's order; none where they are not those of the view."""
    if isinstance(key, Mapping):
        return [key[name] for name in names] if set(key) == set(names) else []
    return list(key) if isinstance(key, list | tuple) else [key]
