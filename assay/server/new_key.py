"""Make API keys for feature views that there are, for models, documents and experiments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.moment import now
from assay.core.places import Places
from assay.online.request import instant_given
from assay.online.stores.open import open_store, store_url
from assay.online.stores.store import StoreUnavailable
from assay.server.keys import EVERY, KeyRing


def create_key(
    places: Places,
    name: str,
    *,
    views: Sequence[str] | None,
    predictions: Sequence[str] | None,
    sources: Sequence[str] | None,
    tags: Sequence[str] | None,
    experiments: Sequence[str] | None,
    role: str | None,
    expires: datetime | str | None,
) -> str:
    """Make a key and return it; it is told this once, and kept as a hash.

    Args:
        places: of the project.
        name: whose it is.
        views: the feature views it may read; `*` for all. A key that is for a role and nothing else may read
            all views of the role.
        predictions: the models whose predictions it may log; `*` for all.
        sources: the sources whose documents it may search; `*` for all.
        tags: of which a document must have one; all documents of the sources without it.
        experiments: those it may assign entities to; `*` for all.
        role: whose rights it has; all rights without it.
        expires: from when on it is invalid, UTC where it has no offset; never without it.

    Raises:
        Fault: it would be for nothing or nobody, a view or the role is unknown, it would have expired, the
            name has a valid key, or the keys cannot be written.
    """
    # A text is letters to Python, each of which may be a source.
    views, predictions, sources, tags, experiments = (
        [each] if isinstance(each, str) else each for each in (views, predictions, sources, tags, experiments)
    )
    if not name.strip():
        raise Fault("NAME is empty: say whose key it is.", MISUSED)
    for option, scope in (
        ("--views", views),
        ("--predictions", predictions),
        ("--sources", sources),
        ("--tags", tags),
        ("--experiments", experiments),
    ):
        if scope is not None and not scope:
            raise Fault(f"{option} names none: write those the key is for, or *.", MISUSED)
    if tags and not sources:
        raise Fault("--tags is for documents of some sources: write --sources SOURCE,... too, or *.", MISUSED)
    if role is not None:
        _require_role(role)
    if not views and not predictions and not sources and not experiments:
        if role is None:
            raise Fault(
                "Say what the key is for: --views VIEW,... or --predictions MODEL,... or "
                "--sources SOURCE,... or --experiments NAME,... or --role ROLE",
                MISUSED,
            )
        views = [EVERY]
    expires_at = instant_given(str(expires)) if expires else None
    if expires_at and expires_at <= now():
        raise Fault(f"--expires {expires} has passed.", MISUSED)
    _require_known(views or (), places)
    return KeyRing(places.serving).create(
        name,
        list(views or ()),
        expires_at,
        predictions or (),
        sources or (),
        tags or (EVERY,),
        experiments or (),
        role,
    )


def _require_role(role: str) -> None:
    # Reads contracts, which keys without a role do not need.
    from assay.contracts.roles import read_roles

    known = [each.name for each in read_roles()]
    if role not in known:
        raise Fault(unknown(f"No contract names the role {role!r}", role, known), MISUSED)


def _require_known(views: Iterable[str], places: Places) -> None:
    """Check that views are online, where the project's store can tell.

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
