"""Run streams until they are told to stop: land what comes, from several topics at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from assay.core.fault import MISUSED, Fault
from assay.landing.formats.messages import Message
from assay.stream.database import DatabaseLanding, find_databases
from assay.stream.kafka import BrokerAway
from assay.stream.land import Limits, Progress, Start, TopicLanding
from assay.stream.source import StreamSource

_SECONDS_A_POLL = 0.1


class OnlinePath(Protocol):
    """Brings messages online before a build has them."""

    def apply(self, source: StreamSource, messages: Mapping[int, Sequence[Message]]) -> None:
        """Bring new messages of a source online, by partition."""

    def refresh(self) -> None:
        """Go on from the last build, if there has been one."""


@dataclass(frozen=True)
class StreamOptions:
    """What `assay stream run` is to do.

    `partitions` are the ones to land, of each source; all if None. `start` is where to begin partitions of
    which nothing has landed. `until_drained` ends the run when all that the brokers had has landed.
    `known` is another landing zone with messages that keep the time when they landed there. `online` brings
    messages online as they come; without it, builds do.
    """

    partitions: Sequence[int] | None = None
    start: Start = "earliest"
    until_drained: bool = False
    limits: Limits = field(default_factory=Limits)
    known: Path | None = None
    online: OnlinePath | None = None


@dataclass(frozen=True)
class Landed:
    """What a run has landed of a source."""

    source: str
    partitions: list[Progress]

    @property
    def messages(self) -> int:
        """The number of messages."""
        return sum(each.messages for each in self.partitions)


def run_streams(
    sources: Sequence[StreamSource],
    landing: Path,
    options: StreamOptions,
    *,
    command: str,
    tell: Callable[[str], None],
    show: Callable[[list[Landed]], None],
) -> list[Landed]:
    """Land the messages of some sources until the process is told to stop, or the brokers have no more.

    A source whose broker or topic fails does not stop the others.

    Args:
        sources: the landing tables and their servers.
        landing: the landing zone's folder.
        options: what to do.
        command: what other processes are told holds the partitions.
        tell: called with messages for people.
        show: called after each round with what has landed so far.

    Returns:
        What has landed, by source.

    Raises:
        Fault: none of the sources can be landed, or one of several could not; the others were landed.
    """
    faults: dict[str, Fault] = {}
    done: dict[str, Landed] = {}
    with ExitStack() as open_landings, _stop_on_signal() as stop:
        running: dict[str, TopicLanding | DatabaseLanding] = {}
        hosts = {source.name: source.server["host"] for source in sources if source.kind == "kafka"}
        # No other topic of a broker that cannot be reached is tried.
        away: dict[str, BrokerAway] = {}
        for name, begin in _landings(sources, landing, options, command, tell):
            host = hosts.get(name)
            if host is not None and host in away:
                faults[name] = away[host]
                continue
            try:
                running[name] = open_landings.enter_context(begin())
            except Fault as fault:
                _keep_on(fault, name, faults, sources, tell)
                if isinstance(fault, BrokerAway) and host is not None:
                    away[host] = fault
        while running and not stop.is_set():
            for name, each in list(running.items()):
                try:
                    landed = each.poll(_SECONDS_A_POLL / len(running))
                    if options.online:
                        for source, messages in landed:
                            options.online.apply(source, messages)
                except Fault as fault:
                    _keep_on(fault, name, faults, sources, tell)
                    del running[name]
                done |= {found.source: found for found in _landed(each)}
            if options.online:
                options.online.refresh()
            show(list(done.values()))
            if options.until_drained and all(each.is_drained for each in running.values()):
                break
    if faults:
        raise Fault(
            f"Not landed: {', '.join(sorted(faults))}. {' '.join(dict.fromkeys(map(str, faults.values())))}"
        )
    return list(done.values())


def _landed(landing: TopicLanding | DatabaseLanding) -> list[Landed]:
    if isinstance(landing, TopicLanding):
        return [Landed(landing.source.name, landing.progress)]
    return [Landed(source, [progress]) for source, progress in landing.progress.items()]


def _landings(
    sources: Sequence[StreamSource],
    landing: Path,
    options: StreamOptions,
    command: str,
    tell: Callable[[str], None],
) -> Iterator[tuple[str, Callable[[], AbstractContextManager[TopicLanding | DatabaseLanding]]]]:
    """Yield what lands some sources, by the name of the first source it lands, and how it is begun."""
    for source in sources:
        if source.kind == "kafka":
            yield (
                source.name,
                partial(
                    TopicLanding,
                    source,
                    landing,
                    command=command,
                    partitions=options.partitions,
                    start=options.start,
                    limits=options.limits,
                    known=options.known,
                    tell=tell,
                ),
            )
    followed = [source for source in sources if source.kind == "postgres"]
    if followed and options.known is not None:
        raise Fault(
            f"{followed[0].name} comes from a database, whose log does not keep the past: its segments do. "
            "Copy their folder to the other landing zone.",
            MISUSED,
        )
    if followed and (options.start != "earliest" or options.partitions is not None):
        tell(
            f"{followed[0].name} comes from a database: where to begin, and partitions, are of topics alone."
        )
    for place, position, tables in find_databases(followed, landing):
        yield (
            tables[0].name,
            partial(
                DatabaseLanding,
                place,
                position,
                tables,
                landing,
                command=command,
                limits=options.limits,
                until_drained=options.until_drained,
                tell=tell,
            ),
        )


def _keep_on(
    fault: Fault,
    name: str,
    faults: dict[str, Fault],
    sources: Sequence[StreamSource],
    tell: Callable[[str], None],
) -> None:
    """Remember why a source stopped; one that is alone ends the run."""
    if len(sources) == 1:
        raise fault
    faults[name] = fault
    tell(str(fault))


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Give an event that is set when the process is told to stop: open segments are closed then."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
