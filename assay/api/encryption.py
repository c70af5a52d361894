"""The encryption of a project's files at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.api.printed import Found

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.build.encryption import EncryptionState, Rotated


class Encryption:
    """Which files are encrypted, and the way to a new key.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def status(self) -> Found[EncryptionState]:
        """Return of each file whether it is encrypted, and with which key.

        Raises:
            Fault: a key is too short, or its command fails.
        """
        from assay.build.encryption import find_states
        from assay.build.encryption_display import print_states

        with self._project.places() as places:
            return Found(find_states(places), print_states, self._project.root)

    def rotate(self, *, wait: float = 0) -> Found[Rotated]:
        """Write all files anew with the key that is set; readers read on meanwhile.

        Args:
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: no key is set, a file is of a key that nobody knows, a build is under way, or the disk is
                full.
        """
        from assay.build.encryption import rotate
        from assay.build.encryption_display import print_rotated

        with self._project.places() as places, self._project.display() as display:
            done = rotate(places, wait=wait, display=display)
        return Found(done, print_rotated, self._project.root)
