"""What a project has published until now, and the way back to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.printed import Found

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.build.rollback import Publications, RolledBack
    from assay.core.places import Places


def find_published(places: Places, run: str | None) -> Path:
    """Return the published file: what readers have now, or what a run published.

    Args:
        places: of the project.
        run: the run, or the beginning of its id; None for now.

    Raises:
        Fault: no such publication is kept.
    """
    if run is None:
        return places.published
    # Imports what writes online stores, for which nobody should wait who names no run.
    from assay.build.rollback import find_publication

    return find_publication(places, run).published


class Published:
    """The last publications of gold.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def list(self) -> Found[Publications]:
        """Return the publications that are kept, newest first, and which of them readers have.

        Raises:
            Fault: another program keeps the run ledger open.
        """
        from assay.build.published_display import print_publications
        from assay.build.rollback import list_publications

        with self._project.places() as places:
            return Found(list_publications(places), print_publications, self._project.root)

    def rollback(self, run_id: str, *, reason: str = "", wait: float = 0) -> Found[RolledBack]:
        """Let readers and the online store have what an earlier run published, until a build publishes again.

        Args:
            run_id: the run, or the beginning of its id.
            reason: why, for the ledger.
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: there is no such publication, a build is under way, or the online store cannot be written.
        """
        from assay.build.published_display import print_rolled_back
        from assay.build.rollback import roll_back

        with self._project.places() as places, self._project.display() as display:
            done = roll_back(places, run_id, reason=reason, wait=wait, tell=display.say)
        return Found(done, print_rolled_back, self._project.root)
