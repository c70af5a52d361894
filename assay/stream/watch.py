"""Tell Prometheus and the alert channels how streams are: behind, silent, or with offsets that are lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from assay.alerts.config import Config
from assay.alerts.runbooks import Runbook
from assay.alerts.standing import tell_changes
from assay.alerts.states import Alert
from assay.core.fault import Fault, known_fault
from assay.core.places import Places
from assay.core.words import counted, duration
from assay.stream.land import Progress
from assay.stream.run import Landed
from assay.stream.source import StreamSource

FILE = "stream.prom"
#: How long messages may wait at the broker before somebody is told, in seconds.
BEHIND = 300.0
_SECONDS_BETWEEN_LOOKS = 5.0
_LABELS = ("source", "topic", "partition")
# An alert, by its kind and name.
_Subject = tuple[str, str]


@dataclass(frozen=True)
class _State:
    """Whether something is broken now, and the alert of that."""

    alert: Alert
    is_broken: bool

    @property
    def subject(self) -> _Subject:
        return self.alert.runbook, self.alert.name


class StreamWatch:
    """Writes the figures of streams to a file, and sends an alert when something breaks or recovers.

    What was broken when another process ended is over when this one finds that it is.

    Args:
        places: of the project; the file for Prometheus lies beside the warehouse.
        sources: the streams.
        config: where alerts go.
        tell: called with messages for people.
    """

    def __init__(
        self,
        places: Places,
        sources: Sequence[StreamSource],
        config: Config,
        tell: Callable[[str], None],
    ) -> None:
        self._places, self._config, self._tell = places, config, tell
        self._file = places.main_warehouse.with_name(FILE)
        self._sources = {each.name: each for each in sources}
        self._looked = 0.0
        self._stopped: set[str] = set()
        # What was found at the last look, of which people have been told.
        self._told: tuple[set[_Subject], set[_Subject]] | None = None
        self._problems: list[str] = []

    def look(self, landed: Sequence[Landed], *, is_last: bool = False) -> None:
        """Write the figures and send what has changed.

        That is every few seconds, and at once if a source stops or this is the last look.
        """
        stopped = {each.source for each in landed if each.fault}
        is_due = time.monotonic() - self._looked >= _SECONDS_BETWEEN_LOOKS
        if not (is_due or is_last or stopped != self._stopped):
            return
        self._looked, self._stopped = time.monotonic(), stopped
        try:
            write_figures(self._file, landed)
        except OSError as error:
            self._tell(f"{self._file} cannot be written ({error.strerror}).")
        self._tell_changes([each for source in landed for each in self._find_states(source)])

    def _tell_changes(self, states: Sequence[_State]) -> None:
        broken = {each.subject for each in states if each.is_broken}
        well = {each.subject for each in states if not each.is_broken}
        if self._told == (broken, well):
            return
        alerts = [each.alert for each in states if each.is_broken]
        try:
            problems = tell_changes(
                self._places, alerts, lambda each: (each.runbook, each.name) in well, self._config
            )
        except (Fault, duckdb.Error, OSError) as error:
            problems = [f"No alerts could be sent: {known_fault(error) or error}"]
        # What somebody could not be told of is tried again at the next look.
        self._told = None if problems else (broken, well)
        for problem in problems:
            if problem not in self._problems:
                self._tell(problem)
        self._problems = problems

    def _find_states(self, landed: Landed) -> Iterator[_State]:
        """Yield all that can be said of a source now; of a broker that is away, only that it is."""
        name, fault = landed.source, landed.fault
        said = f"{fault}" if fault else "it cannot be reached, and messages wait there"
        is_stopped = fault is not None and landed.is_up
        yield self._state(Runbook.STREAM_BROKER_AWAY, name, name, not landed.is_up, said)
        yield self._state(
            Runbook.STREAM_STOPPED, name, name, is_stopped, f"it is not landed any more: {fault}"
        )
        for each in landed.partitions:
            where = f"{name} {each.partition.topic}/{each.partition.partition}"
            for first, last in each.gaps:
                lost = f"{counted(last - first + 1, 'offset')} lost at the broker"
                yield self._state(Runbook.STREAM_OFFSETS_LOST, f"{where} {first}-{last}", name, True, lost)
            behind = each.behind_seconds
            if landed.is_up and not fault and behind is not None:
                message = f"messages wait for {duration(behind)}"
                yield self._state(Runbook.STREAM_BEHIND, where, name, behind > BEHIND, message)
        limit = self._sources[name].silent_after
        if limit is None or not landed.is_up or not landed.partitions or fault:
            return
        silent = min(each.silent_seconds for each in landed.partitions)
        # Before the first message, this process cannot know how long it has been silent.
        if silent > limit or any(each.last_timestamp is not None for each in landed.partitions):
            message = f"no message for {duration(silent)}"
            yield self._state(Runbook.STREAM_SILENT, name, name, silent > limit, message)

    def _state(self, runbook: Runbook, name: str, source: str, is_broken: bool, message: str) -> _State:
        owner = self._sources[source].table.owner
        alert = Alert(runbook, "broken", name, "stream", source, owner, "error", message)
        return _State(alert, is_broken)


def write_figures(file: Path, landed: Sequence[Landed]) -> None:
    """Write how far streams are for Prometheus (node_exporter's textfile collector), in one step.

    Raises:
        OSError: the file cannot be written.
    """
    registry = CollectorRegistry()

    def gauge(name: str, said: str) -> Gauge:
        return Gauge(f"assay_stream_{name}", said, _LABELS, registry=registry)

    up = Gauge(
        "assay_stream_broker_up",
        "Whether the broker or database can be reached.",
        ["source"],
        registry=registry,
    )
    figures: list[tuple[Gauge, Callable[[Progress], float]]] = [
        (gauge("messages", "Messages that this process has landed."), lambda each: each.messages),
        (gauge("next_offset", "The offset of the next message to land."), lambda each: each.position),
        (
            gauge("lost_offsets", "Offsets that the broker no longer had."),
            lambda each: sum(last - first + 1 for first, last in each.gaps),
        ),
        (gauge("silent_seconds", "Time since the last message."), lambda each: each.silent_seconds),
    ]
    # Nobody knows them while the broker is away, nor ever how much follows in the log of a database.
    of_broker: list[tuple[Gauge, Callable[[Progress], float | None]]] = [
        (gauge("lag_messages", "Messages at the broker that have not landed."), lambda each: each.lag),
        (
            gauge("behind_seconds", "How long the oldest of them has waited, at most."),
            lambda each: each.behind_seconds,
        ),
    ]
    for source in landed:
        up.labels(source.source).set(source.is_up)
        for each in source.partitions:
            labels = (source.source, each.partition.topic, str(each.partition.partition))
            for figure, measure in [*figures, *(of_broker if source.is_up else [])]:
                if (found := measure(each)) is not None:
                    figure.labels(*labels).set(found)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(file), registry)
    # Readable by all: the file holds only figures, and the collector usually runs as another user.
    file.chmod(0o644)
