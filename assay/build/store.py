"""Tell what the online store holds, to notice that somebody emptied, replaced or changed it."""

from __future__ import annotations

from hashlib import sha256

from assay.core.fault import Fault
from assay.core.places import Places
from assay.online.stores.open import open_store, store_url


def read_store(places: Places) -> str | None:
    """Return a hash of the views that the project's online store holds; None if it cannot be read."""
    try:
        catalog = open_store(store_url(None, places)).catalog()
    except Fault:
        return None
    digest = sha256()
    for name, view in sorted(catalog.items()):
        digest.update(f"{name} {view.build.run_id} {view.build.digest}\n{view.text}\n".encode())
    return digest.hexdigest()
