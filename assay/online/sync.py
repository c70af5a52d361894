"""Bring an online store to what the last build published: only what differs is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.online.definition import OnlineView
from assay.online.published import Changes, Published, open_published
from assay.online.stores.store import Entity, Store

# Told of a view, how many entities are to be written, and how many are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Synced:
    """What a sync did to a view: entities that the store holds, wrote and took out."""

    view: str
    entities: int
    written: int
    removed: int


def sync(
    published: Path, store: Store, progress: Progress = lambda *_: None, view: str | None = None
) -> list[Synced]:
    """Bring views of a store to the state of the published file; views that are gone are taken out.

    Each view changes in one step, and serving goes on meanwhile. A sync that was killed has changed nothing
    of the view it was at; the next one does it.

    Args:
        published: the file a build published.
        store: where to write.
        progress: told how far it is.
        view: the one view to bring up to date; None for all.

    Raises:
        Fault: nothing is published, there is no such view, or the store cannot be written.
    """
    with open_published(published) as source:
        views = source.views()
        if view is not None and view not in views:
            raise Fault(f"{view} is no feature view that is online: there are {', '.join(views)}.", MISUSED)
        stored = store.catalog()
        if view is None:
            for gone in store.names() - views.keys():
                store.remove(gone)
        wanted = [view] if view else list(views)
        return [_sync_view(source, views[name], stored.get(name), store, progress) for name in wanted]


def _sync_view(
    source: Published, view: OnlineView, stored: OnlineView | None, store: Store, progress: Progress
) -> Synced:
    # Under another definition all must be written anew; versions of the old one say nothing.
    versions = store.versions(view.name)
    if stored is None or stored.text != view.text:
        versions = ((key, -1) for key, _ in versions)
    changes = source.compare(view, versions)
    store.write(changes.view, _watched(changes, progress), changes.removed, instead_of=stored)
    return Synced(view.name, changes.entities, changes.changed, len(changes.removed))


def _watched(changes: Changes, progress: Progress) -> Iterator[list[Entity]]:
    done = 0
    progress(changes.view.name, changes.changed, done)
    for batch in changes.batches():
        yield batch
        done += len(batch)
        progress(changes.view.name, changes.changed, done)
