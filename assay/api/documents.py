"""What a project does with documents."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder
from assay.api.printed import PrintedList
from assay.core.moment import now

if TYPE_CHECKING:
    from assay.documents.delete import DeletedDocument
    from assay.documents.land import LandedFolder


class Documents(ProjectFolder):
    """Takes documents into a project."""

    def add_documents(self, *, owner: str | None = None) -> PrintedList[Path]:
        """Write the models and contracts that load documents, cut them into chunks and embed them.

        Args:
            owner: who answers for the documents; the current user without it.

        Returns:
            The files that were not there.

        Raises:
            Fault: one of them is there and holds something else; then nothing is written.
        """
        from assay.documents.display import print_written
        from assay.generate.documents import add_documents

        with self.places():
            written = add_documents(owner or getpass.getuser())
        return PrintedList(written, print_written, self.root)

    def land_documents(self, folder: str | Path, *, source: str) -> PrintedList[LandedFolder]:
        """Land a folder of Markdown, text, HTML and PDF: what is new, has changed or is gone.

        Args:
            folder: of the documents, at any depth.
            source: what they are part of, such as `handbook`; their ids begin with it.

        Raises:
            Fault: there is no such folder or no document in it, another process lands it, or the extra
                `documents` is not installed.
        """
        from assay.documents.display import print_landed_folder
        from assay.documents.land import land_folder
        from assay.documents.landed import SOURCE, TABLE
        from assay.landing.declared import declared_tables
        from assay.project.paths import all_model_paths

        given = Path(self.as_given(folder))
        with self.places() as places:
            landed = land_folder(given, source, places.landing, now())
            is_loaded = (SOURCE, TABLE) in declared_tables(*all_model_paths())
        return PrintedList(
            [landed], lambda found, console: print_landed_folder(found[0], is_loaded, console), self.root
        )

    def delete_documents(self, document_ids: Iterable[str]) -> PrintedList[DeletedDocument]:
        """Delete documents: searches hide them at once, and the next build has their deletion.

        Args:
            document_ids: the documents, or one; those that are unknown are told, and stop nothing.

        Raises:
            Fault: another process lands or deletes documents, or a file of what is known of them is damaged.
        """
        from assay.documents.delete import delete_documents
        from assay.documents.display import print_deleted
        from assay.search.tombstones import Tombstones

        # A text is letters to Python, each of which may be a document.
        wanted = [document_ids] if isinstance(document_ids, str) else document_ids
        with self.places() as places:
            tombstones = Tombstones(places.deleted_documents)
            found = delete_documents(
                wanted,
                landing=places.landing,
                published=places.published,
                hidden=tombstones.find,
                hide=tombstones.add,
                deleted_at=now(),
            )
        return PrintedList(found, print_deleted, self.root)
