"""The lake that a warehouse can be, and published tables for tools that know nothing of Assay."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.printed import Found
from assay.api.published import find_published
from assay.core.places import BUCKETS

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.build.from_lake import FromLake
    from assay.lake.catalog import Compacted, Expired, LakeState, Snapshot
    from assay.lake.export import Exported


class Lake:
    """A lake, where the warehouse is one, and tables in open formats.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def export(
        self, table: str, place: str | Path, *, format: str, run: str | None = None
    ) -> Found[Exported]:
        """Export a published table to a folder or bucket, as one new version of the table there.

        Args:
            table: its name.
            place: a folder for tables, or `s3://bucket/prefix`; the table's own folder in it has its name.
            format: `iceberg` or `delta`.
            run: whose publication, or the beginning of its id; what readers have now without it.

        Raises:
            Fault: there is no such table, format or publication, the format lacks a type of a column, the
                place holds something else or cannot be reached, or extra `lake`, or `s3`, is not installed.
        """
        from assay.lake.display import print_exported
        from assay.lake.export import export_table
        from assay.lake.place import open_place
        from assay.ledger.exports import note_export

        is_bucket = str(place).startswith(BUCKETS)
        to = str(place) if is_bucket else self._project.as_given(place)
        with self._project.places() as places, self._project.display() as display:
            file = find_published(places, run)
            target = open_place(to, table, places.exporting)
            exported = export_table(
                file,
                target,
                format,
                display,
                begin=lambda: note_export(places.ledger, table, format, target.root),
            )
            return Found(exported, print_exported, self._project.root)

    def status(self) -> Found[LakeState]:
        """Return what the lake is made of now.

        Raises:
            Fault: the warehouse is no lake, or it cannot be opened.
        """
        from assay.lake.catalog import read_state_of_lake
        from assay.lake.display import print_state

        with self._project.places() as places:
            return Found(read_state_of_lake(places), print_state, self._project.root)

    def snapshots(self) -> Found[list[Snapshot]]:
        """Return the snapshots that are kept, newest first.

        Raises:
            Fault: the warehouse is no lake, or it cannot be opened.
        """
        from assay.lake.catalog import read_snapshots
        from assay.lake.display import print_snapshots

        with self._project.places() as places:
            return Found(read_snapshots(places), print_snapshots, self._project.root)

    def tag(self, name: str, *, snapshot: int | None = None, wait: float = 0) -> Found[Snapshot]:
        """Give a snapshot a name, so that it is kept.

        Args:
            name: the name.
            snapshot: the snapshot's number; None for the newest.
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: the warehouse is no lake, a build is under way, the name is empty, a number or taken, or
                there is no such snapshot.
        """
        from assay.build.state import state_kept
        from assay.lake.catalog import tag_snapshot
        from assay.lake.display import print_tagged

        with self._project.places() as places:
            return Found(
                tag_snapshot(places, name, snapshot, wait=wait, keeping=state_kept),
                print_tagged,
                self._project.root,
            )

    def publish(self, *, wait: float = 0) -> Found[FromLake]:
        """Publish in this folder what the newest build that passed has left in the lake, from any folder.

        Args:
            wait: how long to wait for a build in this folder to end, in seconds.

        Raises:
            Fault: the warehouse is no lake, no build that passed has left anything there, or it cannot be
                read.
        """
        from assay.build.from_lake import publish_from_lake
        from assay.build.published_display import print_from_lake

        with self._project.places() as places, self._project.display() as display:
            return Found(publish_from_lake(places, display, wait=wait), print_from_lake, self._project.root)

    def compact(self, *, wait: float = 0) -> Found[Compacted]:
        """Merge small files of the lake's tables; no value changes.

        Args:
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: the warehouse is no lake, or a build is under way.
        """
        from assay.build.state import state_kept
        from assay.lake.catalog import compact
        from assay.lake.display import print_compacted

        with self._project.places() as places:
            return Found(compact(places, wait=wait, keeping=state_kept), print_compacted, self._project.root)

    def expire(self, older_than: str | timedelta, *, wait: float = 0) -> Found[Expired]:
        """Remove old snapshots and their files; the newest stays, and those with a name.

        Args:
            older_than: how old a snapshot is at least that is removed, such as `7d` or `12h`.
            wait: how long to wait for a build to end, in seconds.

        Raises:
            Fault: the warehouse is no lake, the age is none, or a build is under way.
        """
        from assay.build.state import state_kept
        from assay.lake.catalog import expire, read_age
        from assay.lake.display import print_expired

        age = read_age(older_than)
        with self._project.places() as places:
            return Found(
                expire(places, age, wait=wait, keeping=state_kept), print_expired, self._project.root
            )
