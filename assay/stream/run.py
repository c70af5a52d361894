"""Run streams until they are told to stop: land what comes, from several topics at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from assay.core.fault import FAILED, MISUSED, Fault
from assay.landing.formats.messages import Message
from assay.stream.database import DatabaseLanding, find_databases
from assay.stream.debezium import DatabaseAway
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
    """What a run has landed of a source.

    `is_up` says whether its broker or database can be reached. `fault` is why the source is not landed any
    more; None while it is.
    """

    source: str
    partitions: list[Progress]
    is_up: bool = True
    fault: Fault | None = None

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
        show: called after each round with what has landed so far, and why sources have stopped.

    Returns:
        What has landed, by source.

    Raises:
        Fault: none of the sources can be landed, or one of several could not; the others were landed.
    """
    done: dict[str, Landed] = {}

    def fail(names: Sequence[str], fault: Fault) -> None:
        """Remember why some sources stopped; one that is alone ends the run."""
        is_up = not isinstance(fault, BrokerAway | DatabaseAway)
        for name in names:
            done[name] = replace(done.get(name, Landed(name, [])), is_up=is_up, fault=fault)
        if len(sources) == 1:
            show(list(done.values()))
            raise fault
        tell(str(fault))

    with ExitStack() as open_landings, _stop_on_signal() as stop:
        running: dict[tuple[str, ...], TopicLanding | DatabaseLanding] = {}
        opened: dict[tuple[str, ...], ExitStack] = {}
        hosts = {source.name: source.server["host"] for source in sources if source.kind == "kafka"}
        # No other topic of a broker that cannot be reached is tried.
        away: dict[str, BrokerAway] = {}
        for names, begin in _landings(sources, landing, options, command, tell):
            host = hosts.get(names[0])
            if host is not None and host in away:
                done[names[0]] = Landed(names[0], [], is_up=False, fault=away[host])
                continue
            try:
                opened[names] = open_landings.enter_context(ExitStack())
                running[names] = opened[names].enter_context(begin())
            except Fault as fault:
                fail(names, fault)
                if isinstance(fault, BrokerAway) and host is not None:
                    away[host] = fault
        if not running:
            show(list(done.values()))
        while running and not stop.is_set():
            for names, each in list(running.items()):
                try:
                    landed = each.poll(_SECONDS_A_POLL / len(running))
                    if options.online:
                        for source, messages in landed:
                            options.online.apply(source, messages)
                    done |= {found.source: found for found in _landed(each)}
                except Fault as fault:
                    del running[names]
                    # What it has read lands now, and others may land the rest.
                    try:
                        opened[names].close()
                    except OSError as error:
                        tell(f"{', '.join(names)}: the last messages cannot be written ({error.strerror}).")
                    done |= {found.source: found for found in _landed(each)}
                    fail(names, fault)
            if options.online:
                options.online.refresh()
            show(list(done.values()))
            if options.until_drained and all(each.is_drained for each in running.values()):
                break
    if faults := {name: each.fault for name, each in done.items() if each.fault}:
        codes = {fault.exit_code for fault in faults.values()}
        raise Fault(
            f"Not landed: {', '.join(sorted(faults))}. {' '.join(dict.fromkeys(map(str, faults.values())))}",
            codes.pop() if len(codes) == 1 else FAILED,
        )
    return list(done.values())


def _landed(landing: TopicLanding | DatabaseLanding) -> list[Landed]:
    if isinstance(landing, TopicLanding):
        return [Landed(landing.source.name, landing.progress, landing.is_up)]
    return [Landed(source, [progress], landing.is_up) for source, progress in landing.progress.items()]


def _landings(
    sources: Sequence[StreamSource],
    landing: Path,
    options: StreamOptions,
    command: str,
    tell: Callable[[str], None],
) -> Iterator[tuple[tuple[str, ...], Callable[[], AbstractContextManager[TopicLanding | DatabaseLanding]]]]:
    """Yield what lands some sources: their names, and how it is begun."""
    for source in sources:
        if source.kind == "kafka":
            yield (
                (source.name,),
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
    for place, position, tables in find_databases(followed, landing, tell):
        yield (
            tuple(table.name for table in tables),
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
