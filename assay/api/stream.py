"""The streams of a project: what lands from Kafka and from databases' logs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.printed import Found, PrintedList

if TYPE_CHECKING:
    from assay.api.folder import ProjectFolder
    from assay.online.ahead import StreamParity
    from assay.stream.compact import Merged
    from assay.stream.run import Landed
    from assay.stream.status import StreamStatus


class Streams:
    """What a project's contracts say comes as a stream.

    Args:
        project: the project's folder.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def run(
        self,
        sources: Sequence[str] = (),
        *,
        start: int | datetime | str = "earliest",
        partitions: Sequence[int] | None = None,
        until_drained: bool = False,
        segment_seconds: float = 60.0,
        segment_mb: int = 128,
        online: bool = True,
        store: str | None = None,
    ) -> PrintedList[Landed]:
        """Land what comes, each message once, until the process is told to stop.

        Args:
            sources: the landing tables as `source.table`; all that are streamed without any.
            start: where to begin a partition of which nothing has landed: earliest, latest, an offset or a
                time (UTC).
            partitions: the partitions to land; all without it.
            until_drained: whether to end when all that the brokers had has landed.
            segment_seconds: after how long a segment is closed.
            segment_mb: at which size a segment is closed, in megabytes.
            online: whether features that the messages change are brought online as they come.
            store: the URL of another online store.

        Raises:
            Fault: nothing is streamed, a broker or topic cannot be read, or another process lands the same.
        """
        from assay.alerts.availability_alerts import AvailabilityWatch
        from assay.alerts.config import read_config
        from assay.online.stores.open import open_store, store_url
        from assay.stream.display import print_landed, shown_streams
        from assay.stream.hot.keeper import HotPathKeeper
        from assay.stream.land import Limits
        from assay.stream.run import StreamOptions, run_streams
        from assay.stream.source import find_stream_sources
        from assay.stream.watch import StreamWatch

        limits = Limits(segment_seconds, segment_mb << 20)
        with self._project.places() as places, shown_streams(self._project.console) as (tell, show):
            streams = find_stream_sources(sources)
            watch = StreamWatch(places, streams, read_config(), tell)
            products = AvailabilityWatch(places, tell)

            def look(landed: list[Landed]) -> None:
                show(landed)
                watch.look(landed)
                products.look()

            with ExitStack() as opened:
                keeper = None
                if online:
                    keeper = HotPathKeeper(places, streams, open_store(store_url(store, places)), tell)
                    opened.enter_context(closing(keeper))
                landed = run_streams(
                    streams,
                    places.landing,
                    StreamOptions(partitions, start, until_drained, limits, online=keeper),
                    command="assay stream run",
                    tell=tell,
                    show=look,
                )
            watch.look(landed, is_last=True)
        return PrintedList(landed, print_landed, self._project.root)

    def replay(self, source: str, into: Path | str) -> PrintedList[Landed]:
        """Land a topic anew from its first offset into another landing zone.

        Messages that this project's landing zone has keep the time when they landed there. So a build of the
        new zone gives the same tables.

        Args:
            source: the landing table as `source.table`.
            into: the folder of the other landing zone; what it has of the topic is gone on with.

        Raises:
            Fault: the folder is this project's landing zone, or what `run` raises.
        """
        from assay.core.fault import MISUSED, Fault
        from assay.stream.display import print_landed, shown_streams
        from assay.stream.run import StreamOptions, run_streams
        from assay.stream.source import find_stream_sources

        target = Path(into).absolute()
        with self._project.places() as places, shown_streams(self._project.console) as (tell, show):
            if target.resolve() == places.landing.resolve():
                raise Fault(f"{into} is this project's own landing zone: name another folder.", MISUSED)
            landed = run_streams(
                find_stream_sources([source]),
                target,
                StreamOptions(until_drained=True, known=places.landing),
                command="assay stream replay",
                tell=tell,
                show=show,
            )
        return PrintedList(landed, print_landed, self._project.root)

    def compact(
        self, sources: Sequence[str] = (), *, least_mb: int = 128, most_mb: int = 1024
    ) -> PrintedList[Merged]:
        """Merge segments that the warehouse has loaded into large ones.

        Args:
            sources: the landing tables as `source.table`; all that are streamed without any.
            least_mb: the size from which on a group of segments is merged, in megabytes.
            most_mb: the size that a merged segment has at most, in megabytes.

        Raises:
            Fault: a build is under way, another process merges the same, or the bucket of the landing zone
                cannot be read or written.
        """
        from assay.bucket.bucket import Bucket
        from assay.core.places import landing_url
        from assay.stream.compact import MergeLimits, merge_segments
        from assay.stream.compact_bucket import merge_in_bucket
        from assay.stream.display import print_merged
        from assay.stream.loaded import read_loaded_files
        from assay.stream.source import find_stream_sources

        with self._project.places() as places, self._project.display() as display:
            found, loaded = find_stream_sources(sources), read_loaded_files(places)
            limits = MergeLimits(least_mb << 20, most_mb << 20)
            if url := landing_url():
                merged = merge_in_bucket(found, Bucket(url), places.landing, loaded, limits, display.say)
            else:
                merged = merge_segments(found, places.landing, loaded, limits)
        return PrintedList(merged, print_merged, self._project.root)

    def status(self, sources: Sequence[str] = ()) -> Found[StreamStatus]:
        """Tell how far each partition has come, and up to which event its source is complete.

        Args:
            sources: the landing tables as `source.table`; all that are streamed without any.

        Raises:
            Fault: nothing is streamed, or a name is of no streamed table.
        """
        from assay.stream.display import print_stream_status
        from assay.stream.source import find_stream_sources
        from assay.stream.status import read_stream_status

        with self._project.places() as places:
            status = read_stream_status(find_stream_sources(sources), places)
        return Found(status, print_stream_status, self._project.root)

    def parity(self) -> PrintedList[StreamParity]:
        """Tell whether streams brought online what the builds after them would have written.

        Each sync compares the entities that a stream has brought online once the build has their messages.

        Raises:
            Fault: no build has caught up with a stream yet.
        """
        from assay.core.fault import Fault
        from assay.online.ahead import Ahead
        from assay.parity.display import print_stream_parity

        with self._project.places() as places:
            found = Ahead(places.ahead).parity()
        if not found:
            raise Fault(
                "No build has caught up with what streams brought online: assay stream run, then assay "
                "build. A stream that runs lands messages when a segment is closed, by default after 60 s."
            )
        return PrintedList(found, print_stream_parity, self._project.root)
