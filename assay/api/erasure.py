"""The part of a project that removes people, and landed files that are too old, and merges others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder
from assay.api.printed import Found

if TYPE_CHECKING:
    from assay.erasure.carry_out import Erased
    from assay.erasure.compact import CompactedLanding
    from assay.erasure.look import Traces
    from assay.erasure.retain import Retained


class Erasure(ProjectFolder):
    """Finds everything that is kept of a person or for too long, and removes it; merges landed files."""

    def find_person(self, *people: str) -> Found[Traces]:
        """Find everything that is kept of a person, or of several, and change nothing.

        Args:
            people: entity and key of each, as `ENTITY=KEY`, all of one entity.

        Raises:
            Fault: nothing is built, there is no such entity, or nothing is kept under one of the keys.
        """
        from assay.erasure.display import print_traces
        from assay.erasure.forget import look

        with self.places() as places:
            return Found(look(places, people), print_traces, self.root)

    def forget(self, *people: str, reason: str = "", wait: float = 0) -> Found[Erased]:
        """Remove a person, or several, from everything that is kept, and build what rests on it anew, once.

        Args:
            people: entity and key of each, as `ENTITY=KEY`, all of one entity.
            reason: why, for the run ledger.
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: nothing is kept of one of them, a build is under way, or something cannot be removed.
        """
        from assay.erasure.display import print_forgotten
        from assay.erasure.forget import forget

        with self.places() as places, self.display() as display:
            done = forget(places, people, reason=reason, wait=wait, display=display)
        return Found(done, print_forgotten, self.root)

    def retain(self, *, dry_run: bool = False, wait: float = 0) -> Found[Retained]:
        """Remove landed rows that are older than contracts keep them, and move or remove such files.

        Args:
            dry_run: whether files and rows are only listed.
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: a build is under way, a contract cannot be read, the cold folder is wrong, files would
                go from a landing zone in a bucket, or something cannot be moved or removed.
        """
        from assay.core.moment import now
        from assay.erasure.retain import find_old, retain
        from assay.erasure.retained_display import print_retained

        with self.places() as places, self.display() as display:
            if dry_run:
                return Found(find_old(places, now()), print_retained, self.root)
            done = retain(places, wait=wait, display=display)
        return Found(done, print_retained, self.root)

    def compact_landing(
        self, *, dry_run: bool = False, least_mb: int = 128, most_mb: int = 1024, wait: float = 0
    ) -> Found[CompactedLanding]:
        """Merge landed files that are loaded into large ones, by the days on which they landed.

        Args:
            dry_run: whether files are only counted.
            least_mb: a merged file is ended once it has this size.
            most_mb: larger landed files stay as they are.
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: a build is under way, nothing is built, the landing zone lies in a bucket, a file changes
                meanwhile, or the disk is full.
        """
        from assay.core.moment import now
        from assay.erasure.compact import Sizes, compact_landing, plan_compaction
        from assay.erasure.compacted_display import print_compacted_landing

        sizes = Sizes(least_mb << 20, most_mb << 20)
        with self.places() as places, self.display() as display:
            if dry_run:
                done = plan_compaction(places, sizes, now())
            else:
                done = compact_landing(places, sizes, wait=wait, display=display)
        return Found(done, print_compacted_landing, self.root)
