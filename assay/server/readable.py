"""Which feature views an API key can be for."""

from __future__ import annotations

from collections.abc import Iterable

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.places import Places
from assay.online.stores.open import open_store, store_url
from assay.online.stores.store import StoreUnavailable
from assay.server.keys import EVERY


def require_known(views: Iterable[str], places: Places) -> None:
    """Check that views are online, where the project's store can tell.

    Args:
        views: their names, or `*`.
        places: of the project.

    Raises:
        Fault: the store holds feature views, and one of these is none of them.
    """
    try:
        catalog = open_store(store_url(None, places)).catalog()
    except StoreUnavailable:
        return
    for view in views:
        if catalog and view != EVERY and view not in catalog:
            raise Fault(unknown(f"There is no feature view {view} online", view, catalog), MISUSED)
