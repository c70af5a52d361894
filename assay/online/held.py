"""What an online store holds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from assay.core.fault import Fault
from assay.online.stores.store import Catalog, Store


@dataclass(frozen=True)
class HeldView:
    """A feature view in a store, and the build it is of; times are UTC, naive."""

    view: str
    entities: int
    known_until: datetime | None
    synced_at: datetime | None
    run_id: str


def read_held(store: Store) -> list[HeldView]:
    """Return the views that a store holds.

    Raises:
        Fault: the store is empty, cannot be read, or has lost part of a view.
    """
    catalog = store.catalog()
    if not catalog:
        raise Fault(f"{store.url} holds no feature views. To fill it: assay online sync")
    found = [
        HeldView(
            view.name,
            store.entities(view.name),
            view.build.known_until,
            view.build.synced_at,
            view.build.run_id,
        )
        for view in catalog.values()
    ]
    asyncio.run(_require_whole(store, catalog))
    return found


async def _require_whole(store: Store, catalog: Catalog) -> None:
    try:
        await store.read([])
        await store.read([(name, []) for name in catalog])
    finally:
        await store.close()
