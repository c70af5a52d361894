"""An online store whose keys and values are encrypted, whatever store keeps them.

A key is encrypted as a name that is looked up, a value as one that belongs to its view and key; see `Seal`.
The entry of a view in the catalog names the key by its fingerprint: all entities of a view are of that key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from assay.core.encryption import (
    BEFORE,
    COMMAND,
    VARIABLE,
    find_encryption_key,
    find_key_before,
)
from assay.core.moment import now
from assay.core.sealing import Seal
from assay.online.definition import OnlineView
from assay.online.stores.store import UNKNOWN, Catalog, Entity, Reading, Store, StoreUnavailable, Wanted

_KIND = "online stores"
_TAG = re.compile(r'\{"encrypted_with": "([0-9a-f]+)", ')
_ATTEMPTS = 5


@dataclass(frozen=True)
class _Seal:
    """Encrypts keys and values of views with a key, as texts."""

    seal_of_store: Seal

    def seal_key(self, view: str, key: str) -> str:
        sealed = self.seal_of_store.seal_name(key.encode(), view.encode())
        return base64.urlsafe_b64encode(sealed).decode()

    def open_key(self, view: str, sealed: str) -> str:
        return self.seal_of_store.open_name(base64.urlsafe_b64decode(sealed), view.encode()).decode()

    def seal(self, view: str, sealed_key: str, stretch: str) -> str:
        bound = f"{view}\n{sealed_key}".encode()
        return base64.b64encode(self.seal_of_store.seal_value(stretch.encode(), bound)).decode()

    def open(self, view: str, sealed_key: str, value: bytes | str) -> str:
        bound = f"{view}\n{sealed_key}".encode()
        return self.seal_of_store.open_value(base64.b64decode(value), bound).decode()


class SealedStore:
    """A store whose views are encrypted if they were first written with a key.

    A view that is there stays as it is, plain or of a key, until `reseal` writes it with the key of now. A
    view of the key before is read as well, so servers that have both keys read on while a rotation runs.

    Args:
        store: what keeps the entities.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        key, before = find_encryption_key(), find_key_before()
        self._seals = {each.fingerprint: _Seal(Seal(each, _KIND)) for each in (before, key) if each}
        self._now = key.fingerprint if key else None
        self._tags: dict[str, str | None] = {}
        self._held: tuple[Catalog, Catalog] | None = None

    async def read(self, wanted: Sequence[Wanted]) -> Reading:
        """Read stretches; see `Store`. A view that was written anew meanwhile is asked for again."""
        for _ in range(_ATTEMPTS):
            assumed = {view: self._tags.get(view) for view, _ in wanted}
            asked = [(view, self._sealed_keys(view, assumed[view], keys)) for view, keys in wanted]
            reading = await self._store.read(asked)
            catalog = self._opened(reading.catalog)
            if all(self._tags.get(view) == assumed[view] for view in assumed):
                stretches = [
                    self._opened_stretches(view, assumed[view], keys, found)
                    for (view, keys), found in zip(asked, reading.stretches, strict=True)
                ]
                return Reading(catalog, stretches)
        raise StoreUnavailable(
            f"The online store {self.url} cannot be read: it changes its keys all the time."
        )

    async def sample(self, view: str) -> str | None:
        """Return some key; see `Store`."""
        reading = await self._store.read([])
        self._opened(reading.catalog)
        key = await self._store.sample(view)
        return None if key is None else self._opened_key(view, self._tags.get(view), key)

    def catalog(self) -> Catalog:
        """Return what the store holds; see `Store`."""
        return self._opened(self._store.catalog())

    def names(self) -> set[str]:
        """Return the names of the views there are; see `Store`."""
        return self._store.names()

    def versions(self, view: str) -> Iterator[tuple[str, int]]:
        """Yield keys and versions; see `Store`."""
        self.catalog()
        tag = self._tags.get(view)
        for key, version in self._store.versions(view):
            yield self._opened_key(view, tag, key), version

    def entities(self, view: str) -> int:
        """Count the entities of a view; see `Store`."""
        return self._store.entities(view)

    def write(
        self,
        view: OnlineView,
        changed: Iterable[Sequence[Entity]],
        removed: Iterable[str],
        *,
        instead_of: OnlineView | None,
    ) -> None:
        """Bring a view to another build; see `Store`. It stays plain, or of the key that it has."""
        if view.name not in self._tags:
            self.catalog()
        tag = self._tags.get(view.name) if instead_of else self._now
        self._store.write(
            _tagged(view, tag),
            ([self._sealed(view.name, tag, each) for each in batch] for batch in changed),
            (self._sealed_key(view.name, tag, key) for key in removed),
            instead_of=instead_of,
        )

    def remove(self, view: str) -> None:
        """Remove a view; see `Store`."""
        self._store.remove(view)

    async def close(self) -> None:
        """Close files and connections; see `Store`."""
        await self._store.close()

    def tags(self) -> dict[str, str | None]:
        """Return the fingerprint of each view's key, whether it is known here or not; None for a plain view.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        return {name: _tag_of(view) for name, view in self._store.catalog().items()}

    def unknown(self) -> list[str]:
        """Return the views whose key is not known here.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        return [name for name, tag in self.tags().items() if tag and tag not in self._seals]

    async def reseal(self, view: str, at_a_time: int) -> bool:
        """Write all entities of a view with the key of now, in one step; return whether it was of another.

        Args:
            view: its name.
            at_a_time: how many entities are in memory.

        Raises:
            StoreUnavailable: the store cannot be read or written now, another sync was faster, or the key of
                the view is not known here. The view is as it was.
        """
        held = self.catalog()[view]
        tag = self._tags[view]
        if tag == self._now or self._now is None:
            return False
        stored = list(self._store.versions(view))
        pieces = [stored[start : start + at_a_time] for start in range(0, len(stored), at_a_time)]
        values: list[Sequence[bytes | str | None]] = []
        # What is read and written again lies in memory, since a store is not written while it is read.
        for piece in pieces:
            values += [*(await self._store.read([(view, [key for key, _ in piece])])).stretches]
        batches = (
            [
                self._sealed(
                    view,
                    self._now,
                    Entity(
                        self._opened_key(view, tag, key), version, self._opened_value(view, tag, key, value)
                    ),
                )
                for (key, version), value in zip(piece, found, strict=True)
                if value is not None and version != UNKNOWN
            ]
            for piece, found in zip(pieces, values, strict=True)
        )
        # Of another moment: a sync that has found what to change before this does not go on with the old key.
        written = replace(held, build=replace(held.build, synced_at=now()))
        self._store.write(_tagged(written, self._now), batches, [key for key, _ in stored], instead_of=held)
        return True

    def _opened(self, catalog: Catalog) -> Catalog:
        """Return a catalog with definitions as they were written; the same object for the same one.

        Raises:
            StoreUnavailable: a view is of a key that is not known here.
        """
        if self._held is None or self._held[0] is not catalog:
            tags = {name: _tag_of(view) for name, view in catalog.items()}
            for name, tag in tags.items():
                if tag and tag not in self._seals:
                    raise self._refuse(name)
            self._tags = dict(tags)
            self._held = catalog, {name: _untagged(view) for name, view in catalog.items()}
        return self._held[1]

    def _refuse(self, view: str) -> StoreUnavailable:
        if not self._now:
            said = f"no key is set: set {VARIABLE} or {COMMAND} to what it was when the store was written"
        else:
            said = (
                f"{VARIABLE} or {COMMAND} gives another key: set it to what it was when the store was "
                f"written. To take the store to a new key: assay encrypt rotate, with the old one in {BEFORE}"
            )
        return StoreUnavailable(f"{view} in the online store {self.url} is encrypted, and {said}.")

    def _sealed_keys(self, view: str, tag: str | None, keys: Sequence[str]) -> list[str]:
        return [self._sealed_key(view, tag, key) for key in keys]

    def _sealed_key(self, view: str, tag: str | None, key: str) -> str:
        return self._seals[tag].seal_key(view, key) if tag else key

    def _sealed(self, view: str, tag: str | None, entity: Entity) -> Entity:
        if tag is None:
            return entity
        key = self._sealed_key(view, tag, entity.key)
        return Entity(key, entity.version, self._seals[tag].seal(view, key, entity.stretch))

    def _opened_key(self, view: str, tag: str | None, sealed: str) -> str:
        if tag is None:
            return sealed
        with self._damage_told(view):
            return self._seals[tag].open_key(view, sealed)

    def _opened_stretches(
        self, view: str, tag: str | None, keys: Sequence[str], found: list[bytes | str | None]
    ) -> list[bytes | str | None]:
        if tag is None:
            return found
        return [
            None if value is None else self._opened_value(view, tag, key, value)
            for key, value in zip(keys, found, strict=True)
        ]

    def _opened_value(self, view: str, tag: str | None, sealed_key: str, value: bytes | str) -> str:
        if tag is None:
            return value if isinstance(value, str) else value.decode()
        with self._damage_told(view):
            return self._seals[tag].open(view, sealed_key, value)

    @contextmanager
    def _damage_told(self, view: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise StoreUnavailable(
                f"An entity of {view} in the online store {self.url} was changed by another program: "
                "remove the view's entities, and write them again by assay online sync."
            ) from error


def _tag_of(view: OnlineView) -> str | None:
    found = _TAG.match(view.text)
    return found[1] if found else None


def _tagged(view: OnlineView, tag: str | None) -> OnlineView:
    """Return a view whose text names the key of its entities."""
    if tag is None:
        return view
    return replace(view, text=f'{{"encrypted_with": "{tag}", {view.text.lstrip()[1:]}')


def _untagged(view: OnlineView) -> OnlineView:
    found = _TAG.match(view.text)
    return OnlineView.of("{" + view.text[found.end() :], view.build) if found else view
