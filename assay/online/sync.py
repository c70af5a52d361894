"""Update an online store from the last published build; only differences are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.online.ahead import Ahead, Place
from assay.online.definition import OnlineView
from assay.online.published import Changes, Published, open_published
from assay.online.stores.store import UNKNOWN, Entity, Store

# Called with the view's name, the number of entities to write, and the number written so far.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Synced:
    """The outcome of a sync for a view: the numbers of entities that are stored, written and removed."""

    view: str
    entities: int
    written: int
    removed: int


def sync(
    published: Path,
    store: Store,
    progress: Progress = lambda *_: None,
    view: str | None = None,
    *,
    ahead: Ahead | None = None,
) -> list[Synced]:
    """Update the views of a store from the published file; views that are no longer online are removed.

    Each view changes in one step, and serving goes on meanwhile. If a sync is killed, the view that it was
    writing is unchanged, and the next sync writes it.

    Args:
        published: the file a build published.
        store: the store to write to.
        progress: called with the progress of each view.
        view: the only view to update; None for all.
        ahead: entities that a stream has brought online with messages that the build may lack.

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
        known = source.positions() if ahead else {}
        synced = [
            _sync_view(source, views[name], stored.get(name), store, progress, ahead, known)
            for name in wanted
        ]
    if ahead and view is None:
        ahead.reach(known)
    return synced


def _sync_view(
    source: Published,
    view: OnlineView,
    stored: OnlineView | None,
    store: Store,
    progress: Progress,
    ahead: Ahead | None,
    known: Mapping[Place, int],
) -> Synced:
    view = source.measure(view)
    kept, settled = ahead.find(view.name, known) if ahead else (set[str](), set[str]())
    entities = view.build.entities or 0
    is_of_definition = stored is not None and stored.text == view.text
    if stored is not None and is_of_definition and stored.build.digest == view.build.digest:
        store.write(view, [], [], instead_of=stored)
        return Synced(view.name, entities, 0, 0)
    # A changed definition changes every entity, so the versions of the old one cannot be compared. In a store
    # that has lost a part, what a stream has brought may be lost as well.
    versions = list(store.versions(view.name))
    if not is_of_definition or any(version == UNKNOWN for _, version in versions):
        versions = [(key, UNKNOWN) for key, _ in versions]
        kept, settled = set(), set()
    changes = source.compare(view, versions, ahead=kept, settled=settled)
    if kept:
        # The store holds more than the build, so it must be compared the next time.
        view = replace(view, build=replace(view.build, digest=None, entities=None))
    store.write(view, _watched(changes, progress), changes.removed, instead_of=stored)
    if ahead:
        ahead.settle(view.name, view.build.run_id, settled, changes.differing, known)
    return Synced(view.name, entities, changes.changed, len(changes.removed))


def _watched(changes: Changes, progress: Progress) -> Iterator[list[Entity]]:
    done = 0
    progress(changes.view.name, changes.changed, done)
    for batch in changes.batches():
        yield batch
        done += len(batch)
        progress(changes.view.name, changes.changed, done)
