"""Find and open the online store."""

from __future__ import annotations

import os
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.core.places import Places
from assay.online.stores.sealed import SealedStore
from assay.online.stores.shown_url import shown_url
from assay.online.stores.store import Store

VARIABLE = "ASSAY_ONLINE_STORE"
URLS = (
    "sqlite:PATH, redis://HOST:PORT/DATABASE, postgresql://HOST:PORT/DATABASE or "
    "dynamodb://TABLE?region=REGION"
)


def store_url(url: str | None, places: Places) -> str:
    """Return the URL of the online store.

    Args:
        url: the URL that a person gave; None for the one in ASSAY_ONLINE_STORE, or else for SQLite beside the
            warehouse.
        places: the project's places.
    """
    return url or os.environ.get(VARIABLE) or f"sqlite:{places.main_warehouse.parent / 'online.sqlite'}"


def store_file(url: str) -> Path | None:
    """Return the file of a store in SQLite; None for any other URL."""
    scheme, _, rest = url.partition(":")
    if scheme != "sqlite" or not rest:
        return None
    return Path(rest.removeprefix("//") if rest.startswith("///") else rest)


def open_store(url: str) -> SealedStore:
    """Open an online store, encrypted or not; the connection is made when the store is first used.

    Args:
        url: one of the forms in `URLS`.

    Raises:
        Fault: the URL is of an unknown kind, a package that the store needs is not installed, or a key for
            encryption is too short.
    """
    return SealedStore(_open(url))


def _open(url: str) -> Store:
    if file := store_file(url):
        from assay.online.stores.sqlite import SqliteStore

        return SqliteStore(file)
    scheme = url.partition(":")[0]
    if scheme in ("redis", "rediss", "unix"):
        from assay.online.stores.redis import RedisStore

        return RedisStore(url)
    if scheme in ("postgresql", "postgres"):
        from assay.online.stores.postgres import PostgresStore

        return PostgresStore(url)
    if scheme == "dynamodb":
        from assay.online.stores.dynamodb import DynamoStore

        return DynamoStore(url)
    raise Fault(f"{shown_url(url)} is no online store: write {URLS}.", MISUSED)
