"""The online store of a project, asked without a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.api.folder import run_beside_loop
from assay.api.printed import Printed, PrintedList

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from assay.api.folder import ProjectFolder
    from assay.core.places import Places
    from assay.online.answer import ViewAnswer
    from assay.online.held import HeldView
    from assay.online.stores.store import Store
    from assay.online.sync import Synced


class OnlineFeatures(Printed, Mapping[str, Any]):
    """The features of one entity by name, as they are online.

    Args:
        values: of the features, by name.
        statuses: how each came about: `PRESENT`, `NULL_VALUE`, `NOT_FOUND` or `OUTSIDE_MAX_AGE`.
        defaults: features whose value is the declared default.
        left_out: features that need request inputs, and which.
        write: prints them.
        folder: the project's.
    """

    def __init__(
        self,
        values: dict[str, Any],
        *,
        statuses: dict[str, str],
        defaults: list[str],
        left_out: dict[str, list[str]],
        write: Callable[[Console], None],
        folder: Path,
    ) -> None:
        super().__init__(write, folder)
        self._values = values
        self.statuses = statuses
        self.defaults = defaults
        self.left_out = left_out

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Online:
    """What a project has online, in the store that ASSAY_ONLINE_STORE names or beside the warehouse.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def status(self, *, store: str | None = None) -> PrintedList[HeldView]:
        """Tell what a store holds, of which build, and how old it is.

        Args:
            store: the URL of another store.

        Raises:
            Fault: the store is empty, cannot be read, or has lost part of a view.
        """
        from assay.online.display import print_status
        from assay.online.held import read_held

        def read() -> tuple[str, list[HeldView]]:
            with self._opened(store) as (_, opened):
                return opened.url, read_held(opened)

        url, held = run_beside_loop(read)
        return PrintedList(held, lambda found, console: print_status(url, found, console), self._project.root)

    def get(
        self,
        view: str,
        key: Any,
        *,
        at: datetime | str | None = None,
        inputs: Mapping[str, Any] | None = None,
        store: str | None = None,
    ) -> OnlineFeatures:
        """Return all features of an entity that can be computed, as the server would answer.

        Args:
            view: the feature view.
            key: the entity's key; of a view with several a dict by name, or their values in the view's order.
            at: the instant, UTC where it has no offset; now without it.
            inputs: what derived features need with the request, by name.
            store: the URL of another store.

        Raises:
            Fault: something is unknown, missing or of another type, or the store cannot be read.
        """
        from assay.online.display import print_answer
        from assay.online.get import get_one

        moment = at.isoformat() if isinstance(at, datetime) else at

        def ask() -> ViewAnswer:
            with self._opened(store) as (_, opened):
                return get_one(opened, view, key, moment, inputs or {})

        answer = run_beside_loop(ask)
        keys = [key[each.name] for each in answer.view.keys] if isinstance(key, Mapping) else key
        told = [str(each) for each in (keys if isinstance(keys, list | tuple) else [keys])]
        return OnlineFeatures(
            {feature.name: feature.values[0] for feature in answer.features},
            statuses={feature.name: feature.statuses[0] for feature in answer.features},
            defaults=[feature.name for feature in answer.features if feature.is_default[0]],
            left_out=answer.left_out,
            write=lambda console: print_answer(answer, told, console),
            folder=self._project.root,
        )

    def sync(self, view: str | None = None, *, store: str | None = None) -> PrintedList[Synced]:
        """Bring the store to what the last build published; only what differs is written.

        Args:
            view: the one view to bring up to date; all without it.
            store: the URL of another store.

        Raises:
            Fault: nothing is published, there is no such view, or the store cannot be written.
        """
        from assay.alerts.runbooks import Runbook
        from assay.alerts.standing import watch_changes
        from assay.online.ahead import Ahead
        from assay.online.display import print_synced, shown_progress
        from assay.online.sync import sync

        with self._opened(store) as (places, opened), shown_progress(self._project.console) as progress:
            done = sync(places.published, opened, progress, view, ahead=Ahead(places.ahead))
            if store is None and view is None:
                self._project.warn(watch_changes(places, [], [Runbook.ONLINE_NOT_SYNCED]))
        return PrintedList(
            done, lambda found, console: print_synced(opened.url, found, console), self._project.root
        )

    @contextmanager
    def _opened(self, url: str | None) -> Iterator[tuple[Places, Store]]:
        from assay.online.stores.open import open_store, store_url

        with self._project.places() as places:
            yield places, open_store(store_url(url, places))
