"""The interface of all online stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from assay.core.fault import Fault
from assay.online.definition import OnlineView

Catalog = dict[str, OnlineView]
# A view's name, and the texts of its entities' keys.
Wanted = tuple[str, Sequence[str]]
# The version of an entity that may be of another build.
UNKNOWN = -1


class StoreUnavailable(Fault):
    """The store cannot be read now: it is unreachable, locked, broken or empty.

    Args:
        message: the message for operators, which may name files and hosts.
        for_callers: the message for clients of a server, which must not name these.
    """

    def __init__(
        self, message: str, for_callers: str = "The online store cannot be read now: try again."
    ) -> None:
        super().__init__(message)
        self.for_callers = for_callers


@dataclass(frozen=True)
class Entity:
    """An entity in a store, by the text of its key."""

    key: str
    version: int
    stretch: str


@dataclass(frozen=True)
class Reading:
    """Stretches in the requested order, and the catalog, all of the same moment.

    The catalog is the same object as long as the store has not been written to.
    """

    catalog: Catalog
    stretches: list[list[bytes | str | None]]


class Store(Protocol):
    """An online store. Reading is done by servers, writing by `assay online sync`, at the same time."""

    # Without the password, so that people may see it.
    url: str

    async def read(self, wanted: Sequence[Wanted]) -> Reading:
        """Read stretches in one round trip; a view that the store does not have gives empty stretches.

        Raises:
            StoreUnavailable: the store cannot be read now, or has lost part of a view.
        """

    async def sample(self, view: str) -> str | None:
        """Return the key of any entity of a view; None if there is none.

        Raises:
            StoreUnavailable: it cannot be read now.
        """

    def catalog(self) -> Catalog:
        """Return the store's catalog; empty if nothing has been written yet.

        Raises:
            StoreUnavailable: it cannot be read now.
        """

    def names(self) -> set[str]:
        """Return the names of the views of which the store has any part, readable or not."""

    def versions(self, view: str) -> Iterator[tuple[str, int]]:
        """Yield key and version of each entity of a view; the version may be UNKNOWN."""

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
        """Bring a view to another build in one step: readers see the old build until the new one is complete.

        Args:
            view: the view's definition and build; if the build does not say how many entities there are, they
                are as many as the store holds afterwards.
            changed: batches of the entities to write.
            removed: keys of the entities to remove.
            instead_of: the view that the store held when the changes were found; None if it held none.

        Raises:
            StoreUnavailable: the store cannot be written now, or another sync was faster. The store is
                unchanged, or reports that the view is not whole.
        """

    def remove(self, view: str) -> None:
        """Remove a view."""

    async def close(self) -> None:
        """Close files and connections."""


def empty(url: str) -> StoreUnavailable:
    """Return the error for an empty store."""
    said = "holds no feature views. To fill it: assay online sync"
    return StoreUnavailable(f"{url} {said}", f"The online store {said}")


def not_whole(url: str, view: str) -> StoreUnavailable:
    """Return the error for a store that has lost part of a view."""
    said = f"has lost part of {view}. To write it again: assay online sync"
    return StoreUnavailable(f"{url} {said}", f"The online store {said}")


def overtaken(view: str) -> StoreUnavailable:
    """Return the error for a view that another sync changed after it was compared."""
    return StoreUnavailable(f"Another sync wrote {view} meanwhile; nothing of it is changed. Try again.")
