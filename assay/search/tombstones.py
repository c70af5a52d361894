"""Documents that are deleted and may still be published: searches hide them at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from assay.core.disk import replace_private
from assay.core.fault import LOCKED, Fault
from assay.core.lock import Holder, hold

_SECONDS_TO_WAIT = 10.0


class Tombstones:
    """The ids of deleted documents in a file, and since when; other processes may change it at any time.

    Args:
        file: which need not be there.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        # One value, because several threads ask: what is found is never taken for that of another state.
        self._known: tuple[tuple[int, ...], Mapping[str, datetime]] | None = None

    def find(self) -> Mapping[str, datetime]:
        """Return when documents were deleted, by their ids.

        Raises:
            Fault: the file is broken: what is to be hidden is not known, so nothing can be shown.
        """
        try:
            status = self._file.stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            known = self._known
            if known is None or known[0] != state:
                content = json.loads(self._file.read_bytes())
                found = {name: datetime.fromisoformat(since) for name, since in content.items()}
                self._known = known = state, found
            return known[1]
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            raise Fault(
                f"{self._file} is damaged, so nobody can tell which documents are deleted: bring back a copy "
                "of it, or build again and then remove it."
            ) from error

    def add(self, new: Mapping[str, datetime]) -> None:
        """Hide documents from their deletion on; of one that is hidden already, the later deletion counts.

        Raises:
            Fault: the file is broken, or another process changes it for too long.
            OSError: it cannot be written, and is as it was.
        """
        self._change(lambda found: found | {name: max(at, found.get(name, at)) for name, at in new.items()})

    def prune(self, is_over: Callable[[str, datetime], bool]) -> None:
        """Remove the documents that are published nowhere any more.

        Args:
            is_over: tells of a document and its deletion whether that is so.

        Raises:
            Fault: the file is broken, or another process changes it for too long.
            OSError: it cannot be written, and is as it was.
        """
        if self.find():
            self._change(lambda found: {name: at for name, at in found.items() if not is_over(name, at)})

    def _change(self, change: Callable[[dict[str, datetime]], dict[str, datetime]]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        lock = self._file.with_name(f"{self._file.name}.lock")
        with hold(lock, command="assay documents delete", wait=_SECONDS_TO_WAIT, refuse=_refuse):
            found = dict(self.find())
            changed = change(found)
            if changed != found:
                content = {name: at.isoformat() for name, at in sorted(changed.items())}
                replace_private(self._file, json.dumps(content, indent=1).encode())


def _refuse(holder: Holder | None) -> Fault:
    return Fault(f"Another process deletes documents: {holder}. Wait until it ends.", LOCKED)
