"""The part of a project that removes people from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder
from assay.api.printed import Found

if TYPE_CHECKING:
    from assay.erasure.find import Traces
    from assay.erasure.forget import Forgotten


class Erasure(ProjectFolder):
    """Finds everything that is kept of a person, and removes it."""

    def find_person(self, person: str) -> Found[Traces]:
        """Find everything that is kept of a person, and change nothing.

        Args:
            person: the entity and its key, as `ENTITY=KEY`.

        Raises:
            Fault: nothing is built, there is no such entity, or nothing is kept under the key.
        """
        from assay.erasure.display import print_traces
        from assay.erasure.forget import look

        with self.places() as places:
            return Found(look(places, person), print_traces, self.root)

    def forget(self, person: str, *, reason: str = "", wait: float = 0) -> Found[Forgotten]:
        """Remove a person from everything that is kept, and build what rests on it anew.

        Args:
            person: the entity and its key, as `ENTITY=KEY`.
            reason: why, for the run ledger.
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: nothing is kept of such a person, a build is under way, or something cannot be removed.
        """
        from assay.erasure.display import print_forgotten
        from assay.erasure.forget import forget

        with self.places() as places, self.display() as display:
            done = forget(places, person, reason=reason, wait=wait, display=display)
        return Found(done, print_forgotten, self.root)
