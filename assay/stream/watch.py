"""Tell Prometheus and the alert channels how streams are: behind, silent, or with offsets that are lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from assay.alerts.channels import Channel, send_all
from assay.alerts.states import Alert
from assay.core.words import counted, duration
from assay.stream.land import Progress
from assay.stream.run import Landed
from assay.stream.source import StreamSource

FILE = "stream.prom"
#: How long messages may wait at the broker before somebody is told, in seconds.
BEHIND = 300.0
_SECONDS_BETWEEN_LOOKS = 5.0
_LABELS = ("source", "topic", "partition")


class StreamWatch:
    """Writes the figures of streams to a file, and sends an alert when something breaks or recovers.

    Args:
        folder: where the file for Prometheus is written.
        sources: the streams.
        channels: where alerts go.
        tell: called with messages for people.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sequence[StreamSource],
        channels: Sequence[Channel],
        tell: Callable[[str], None],
    ) -> None:
        self._folder, self._channels, self._tell = folder, channels, tell
        self._sources = {each.name: each for each in sources}
        self._broken: set[tuple[str, str]] = set()
        self._gaps: set[tuple[str, int, int]] = set()
        self._looked = 0.0

    def look(self, landed: Sequence[Landed]) -> None:
        """Write the figures and send what has changed, every few seconds."""
        if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        try:
            write_figures(self._folder / FILE, landed)
        except OSError as error:
            self._tell(f"{self._folder / FILE} cannot be written ({error.strerror}).")
        alerts = list(self._find_alerts(landed))
        for problem in send_all(alerts, self._channels) if alerts and self._channels else ():
            self._tell(problem)

    def _find_alerts(self, landed: Sequence[Landed]) -> Iterator[Alert]:
        for source in landed:
            for each in source.partitions:
                where = f"{source.source} {each.partition.topic}/{each.partition.partition}"
                for first, last in each.gaps:
                    if (where, first, last) not in self._gaps:
                        self._gaps.add((where, first, last))
                        lost = counted(last - first + 1, "offset")
                        yield self._alert(
                            "broken", where, source.source, f"{lost} lost at the broker, from {first}"
                        )
                behind = each.behind_seconds
                yield from self._change(
                    "behind", where, source.source, behind > BEHIND, f"messages wait for {duration(behind)}"
                )
            limit = self._sources[source.source].silent_after
            silent = min((each.silent_seconds for each in source.partitions), default=0.0)
            yield from self._change(
                "silent",
                source.source,
                source.source,
                limit is not None and silent > limit,
                f"no message for {duration(silent)}",
            )

    def _change(self, what: str, where: str, source: str, is_broken: bool, message: str) -> Iterator[Alert]:
        state = (what, where)
        if is_broken != (state in self._broken):
            self._broken ^= {state}
            yield self._alert("broken" if is_broken else "recovered", where, source, message)

    def _alert(self, change: str, where: str, source: str, message: str) -> Alert:
        severity = "error" if change == "broken" else ""
        owner = self._sources[source].table.owner
        return Alert(change, where, "stream", source, owner, severity, 1, message, "")  # type: ignore[arg-type]


def write_figures(file: Path, landed: Sequence[Landed]) -> None:
    """Write how far streams are for Prometheus (node_exporter's textfile collector), in one step.

    Raises:
        OSError: the file cannot be written.
    """
    registry = CollectorRegistry()

    def gauge(name: str, said: str) -> Gauge:
        return Gauge(f"assay_stream_{name}", said, _LABELS, registry=registry)

    figures: list[tuple[Gauge, Callable[[Progress], float]]] = [
        (gauge("messages", "Messages that this process has landed."), lambda each: each.messages),
        (gauge("next_offset", "The offset of the next message to land."), lambda each: each.position),
        (gauge("lag_messages", "Messages at the broker that have not landed."), lambda each: each.lag),
        (
            gauge("behind_seconds", "How long the oldest of them has waited, at most."),
            lambda each: each.behind_seconds,
        ),
        (
            gauge("lost_offsets", "Offsets that the broker no longer had."),
            lambda each: sum(last - first + 1 for first, last in each.gaps),
        ),
        (gauge("silent_seconds", "Time since the last message."), lambda each: each.silent_seconds),
    ]
    for source in landed:
        for each in source.partitions:
            labels = (source.source, each.partition.topic, str(each.partition.partition))
            for figure, measure in figures:
                figure.labels(*labels).set(measure(each))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(file), registry)
    # Readable by all: the file holds only figures, and the collector usually runs as another user.
    file.chmod(0o644)
