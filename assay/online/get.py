"""Ask a store for one entity, as the command line does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from assay.core.moment import now
from assay.online.answer import Answerer, ViewAnswer
from assay.online.request import Refused, ViewRequest, instant_given, view_named, view_request
from assay.online.stores.store import Catalog, Store


def get_one(store: Store, name: str, key: Sequence[str], at: str | None, inputs: Sequence[str]) -> ViewAnswer:
    """Return all features of an entity that can be computed.

    Args:
        store: where to ask.
        name: of the view.
        key: the entity's key, a value for each of the view's, in their order.
        at: the instant in ISO 8601 (UTC where no offset is given); None for now.
        inputs: request inputs, as `name=value`.

    Raises:
        Refused: something is unknown, missing or of another type.
        StoreUnavailable: the store cannot be read, or holds nothing.
    """
    moment = now() if at is None else instant_given(at)
    if unnamed := [each for each in inputs if "=" not in each]:
        raise Refused(f"--input {unnamed[0]}: write NAME=VALUE.")
    given = dict(each.partition("=")[::2] for each in inputs)

    def plan(catalog: Catalog) -> list[ViewRequest]:
        keys = [each.name for each in view_named(catalog, name).keys]
        if len(keys) != len(key):
            raise Refused(f"{name} has the keys {', '.join(keys)}: give --key once for each.")
        if strange := given.keys() - catalog[name].inputs.keys():
            known = ", ".join(catalog[name].inputs) or "none"
            raise Refused(f"{name} has no input {', '.join(sorted(strange))}: there are {known}.")
        entity = dict(zip(keys, key, strict=True)) | given
        return [view_request(catalog, name, None, {word: [value] for word, value in entity.items()}, moment)]

    async def ask() -> ViewAnswer:
        try:
            _, [answer] = await Answerer(store).answer(plan)
            return answer
        finally:
            await store.close()

    return asyncio.run(ask())
