"""The API keys of a project's feature server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from assay.api.printed import PrintedList

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.server.keys import Key


class Keys:
    """API keys, each for feature views, predictions of models, documents and experiments.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def create(
        self,
        name: str,
        *,
        views: Sequence[str] | None = None,
        predictions: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        experiments: Sequence[str] | None = None,
        role: str | None = None,
        expires: datetime | str | None = None,
    ) -> str:
        """Make a key and return it: it is told this once, and kept as a hash.

        Args:
            name: whose it is.
            views: the feature views it may read; `*` for all. A key that is for a role and nothing else may
                read all views of the role.
            predictions: the models whose predictions it may log; `*` for all.
            sources: the sources whose documents it may search; `*` for all.
            tags: of which a document must have one; all documents of the sources without it.
            experiments: those it may assign entities to; `*` for all.
            role: whose rights it has, as contracts say; all rights without it.
            expires: from when on it is invalid, UTC where it has no offset; never without it.

        Raises:
            Fault: it would be for nothing or nobody, a view or the role is unknown, it would have expired,
                the name has a valid key, or the keys cannot be written.
        """
        from assay.server.new_key import create_key

        with self._project.places() as places:
            return create_key(
                places,
                name,
                views=views,
                predictions=predictions,
                sources=sources,
                tags=tags,
                experiments=experiments,
                role=role,
                expires=expires,
            )

    def list(self) -> PrintedList[Key]:
        """Return the keys, the oldest first: what they are for, and whether they are valid.

        Raises:
            Fault: the file of keys is broken, or cannot be read.
        """
        from assay.server.key_display import print_keys
        from assay.server.keys import KeyRing

        with self._project.places() as places:
            return PrintedList(KeyRing(places.serving).keys, print_keys, self._project.root)

    def revoke(self, name: str) -> None:
        """Make the key of a name invalid, at once for every server.

        Raises:
            Fault: the name has no valid key, or the keys cannot be written.
        """
        from assay.server.keys import KeyRing

        with self._project.places() as places:
            KeyRing(places.serving).revoke(name)
