"""Find the online store that is meant."""

from __future__ import annotations

import os
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.core.places import Places
from assay.online.stores.shown_url import shown_url
from assay.online.stores.store import Store

VARIABLE = "ASSAY_ONLINE_STORE"


def store_url(url: str | None, places: Places) -> str:
    """Return the URL of the store that is meant.

    Args:
        url: as given; None for that of the environment (ASSAY_ONLINE_STORE), or else SQLite beside the
            warehouse.
        places: of the project.
    """
    return url or os.environ.get(VARIABLE) or f"sqlite:{places.main_warehouse.parent / 'online.sqlite'}"


def open_store(url: str) -> Store:
    """Open an online store; it is looked at when it is first used.

    Args:
        url: `sqlite:PATH` or `redis://HOST:PORT/DATABASE`.

    Raises:
        Fault: the URL is of no kind that is known, or what it needs is not installed.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        from assay.online.stores.sqlite import SqliteStore

        return SqliteStore(Path(rest.removeprefix("//") if rest.startswith("///") else rest))
    if scheme in ("redis", "rediss", "unix"):
        from assay.online.stores.redis import RedisStore

        return RedisStore(url)
    raise Fault(
        f"{shown_url(url)} is no online store: write sqlite:PATH or redis://HOST:PORT/DATABASE.", MISUSED
    )
