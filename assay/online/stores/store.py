"""What every online store can do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from assay.core.fault import Fault
from assay.online.definition import OnlineView

Catalog = dict[str, OnlineView]
# A view, and the texts of its entities' keys.
Wanted = tuple[str, Sequence[str]]


class StoreUnavailable(Fault):
    """The store cannot be read now: it is away, locked, broken, or holds nothing.

    Args:
        message: for those who run it; it may name files and hosts.
        for_callers: for those who ask a server, whom these are no business of.
    """

    def __init__(
        self, message: str, for_callers: str = "The online store cannot be read now: try again."
    ) -> None:
        super().__init__(message)
        self.for_callers = for_callers


@dataclass(frozen=True)
class Entity:
    """What a store holds of an entity, by the text of its key."""

    key: str
    version: int
    stretch: str


@dataclass(frozen=True)
class Reading:
    """Stretches, in the order asked for, all of one moment; and the catalog of that moment.

    The catalog is the same object as long as the store has not been written to.
    """

    catalog: Catalog
    stretches: list[list[bytes | str | None]]


class Store(Protocol):
    """An online store. Reading is done by servers, writing by `assay online sync`, at the same time."""

    # As people may see it: without a password.
    url: str

    async def read(self, wanted: Sequence[Wanted]) -> Reading:
        """Read stretches in one round trip; views the store does not have are read as empty.

        Raises:
            StoreUnavailable: it cannot be read now, or has lost part of a view.
        """

    async def sample(self, view: str) -> str | None:
        """Return the key of some entity of a view; None where there is none.

        Raises:
            StoreUnavailable: it cannot be read now.
        """

    def catalog(self) -> Catalog:
        """Return what the store holds; empty where nothing has been written yet.

        Raises:
            StoreUnavailable: it cannot be read now.
        """

    def names(self) -> set[str]:
        """Return the names of the views that a store has anything of, readable or not."""

    def versions(self, view: str) -> Iterator[tuple[str, int]]:
        """Yield the key and the version of each entity of a view; -1 where it may be another's."""

    def entities(self, view: str) -> int:
        """Count the entities of a view."""

    def write(
        self,
        view: OnlineView,
        changed: Iterable[Sequence[Entity]],
        removed: Iterable[str],
        *,
        instead_of: OnlineView | None,
    ) -> None:
        """Bring a view to another build in one step: readers see the old one until all of it is there.

        Args:
            view: what it declares, and what it is of.
            changed: batches of the entities to put in place.
            removed: keys of the entities to take out.
            instead_of: what the store held of the view when the changes were found; None for nothing.

        Raises:
            StoreUnavailable: it cannot be written now, or another sync was quicker; it holds what it did,
                or says that it is not whole.
        """

    def remove(self, view: str) -> None:
        """Take a view out."""

    async def close(self) -> None:
        """Let go of files and connections."""


def empty(url: str) -> StoreUnavailable:
    """Say that a store holds nothing."""
    said = "holds no feature views. To fill it: assay online sync"
    return StoreUnavailable(f"{url} {said}", f"The online store {said}")


def not_whole(url: str, view: str) -> StoreUnavailable:
    """Say that a store has lost part of a view."""
    said = f"has lost part of {view}. To write it again: assay online sync"
    return StoreUnavailable(f"{url} {said}", f"The online store {said}")


def overtaken(view: OnlineView) -> StoreUnavailable:
    """Say that a view has changed in the store since it was compared."""
    return StoreUnavailable(f"Another sync wrote {view.name} meanwhile; nothing of it is changed. Try again.")
