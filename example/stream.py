"""`assay demo --stream`: send what shop, card processor and databases tell, as time passes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from assay.core.fault import INTERRUPTED, MISUSED, Fault, extra_needed
from assay.core.words import counted
from assay.stream.kafka import connect_producer, make_topic, read_settings
from assay.stream.source import StreamSource, find_stream_sources
from example.generator import MANIFEST, generate

_PARTITIONS = 3
_SECONDS_BETWEEN_LOOKS = 0.05
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class _Told:
    """A message, and when it is sent (seconds since 1970)."""

    source: StreamSource
    at: float
    key: str | None
    value: bytes


def stream_demo(out: Path, broker: str, speed: float, console: Console, **parameters: Any) -> None:
    """Send the demo's streamed tables to a broker, and land its other tables where nothing has landed yet.

    Args:
        out: the landing zone for the tables that do not come as streams.
        broker: HOST:PORT.
        speed: how many seconds of the demo pass in a second; 0 sends all at once.
        console: where progress is shown.
        parameters: those of `generate`.

    Raises:
        Fault: the broker cannot be reached, or a number makes no sense; or somebody interrupted.
    """
    if speed < 0:
        raise Fault(
            f"--speed {speed:g} is less than 0: 0 sends all at once, 60 a minute in a second.", MISUSED
        )
    make_topics(broker)
    sources = {f"{each.table.source}/{each.table.name}": each for each in find_stream_sources()}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "landing"
        try:
            manifest = generate(made, **parameters)
        except ValueError as error:
            raise Fault(str(error), MISUSED) from error
        files = _files(made, sources)
        total = sum(manifest["rows"][table] for table in sources)
        try:
            is_live = speed == 1 and parameters["start"] == datetime.now(UTC).date()
            sent = _send(files, broker, _clock(parameters["start"], speed), total, console, goes_on=is_live)
        except KeyboardInterrupt as error:
            raise Fault("Interrupted: the messages so far are sent.", INTERRUPTED) from error
        _land_others(made, out, sources, console)
    console.print(f"Sent to {broker}: {counted(sent, 'message')}.", highlight=False)
    console.print("Next: assay stream run", highlight=False)


def make_topics(broker: str) -> None:
    """Make the topics of the demo that the broker does not have.

    Raises:
        Fault: the broker cannot be reached, or extra `stream` is not installed.
    """
    with extra_needed("stream", "The demo's stream"):
        for topic in dict.fromkeys(source.topic for source in find_stream_sources()):
            make_topic(broker, topic, _PARTITIONS)


def _files(made: Path, sources: dict[str, StreamSource]) -> list[tuple[StreamSource, list[list[Path]]]]:
    """Return the files of each source in the order in which they landed; those of one moment are one list."""
    found = []
    for table, source in sources.items():
        paths = sorted(path for path in (made / table).rglob("*") if path.is_file())
        found.append((source, [list(several) for _, several in groupby(paths, lambda path: path.parent)]))
    return found


def _clock(start: date, speed: float) -> Iterator[float]:
    """Yield what time it is in the demo: from its first day on, or from now if that is today."""
    if not speed:
        while True:
            yield float("inf")
    midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
    now = datetime.now(UTC)
    begin = (now if start == now.date() else midnight).timestamp()
    started = time.monotonic()
    while True:
        yield begin + (time.monotonic() - started) * speed


def _send(
    files: Sequence[tuple[StreamSource, list[list[Path]]]],
    broker: str,
    clock: Iterator[float],
    total: int,
    console: Console,
    *,
    goes_on: bool,
) -> int:
    """Send messages as time passes; where that `goes_on`, those that topics have already are passed over."""
    producer = connect_producer(broker)
    sent_until = _newest(broker, [source.topic for source, _ in files]) if goes_on else {}
    sent = 0
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("messages", total=total)
        for told in _in_order(files):
            if told.at <= sent_until.get(told.source.topic, 0.0):
                continue
            while told.at > next(clock):
                producer.poll(_SECONDS_BETWEEN_LOOKS)
            while True:
                try:
                    producer.produce(told.source.topic, told.value, told.key)
                    break
                except BufferError:
                    producer.poll(_SECONDS_BETWEEN_LOOKS)
            sent += 1
            progress.advance(task)
        if left := producer.flush(30):
            raise Fault(f"The broker {broker} has not taken {counted(left, 'message')}: is it still there?")
    return sent


def _newest(broker: str, topics: Sequence[str]) -> dict[str, float]:
    """Return when the newest message of each topic was sent (seconds since 1970)."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

    settings = {name: value for name, value in read_settings().items() if name != "bootstrap.servers"}
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0, **settings})
    latest = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, number): latest for topic in topics for number in range(_PARTITIONS)}
    newest: dict[str, float] = {}
    for place, answer in admin.list_offsets(asked).items():
        found = answer.result()
        if found.offset >= 0:
            newest[place.topic] = max(found.timestamp / 1000, newest.get(place.topic, 0.0))
    return newest


def _in_order(files: Sequence[tuple[StreamSource, list[list[Path]]]]) -> Iterator[_Told]:
    """Yield the messages of all sources by their times; what a source landed late comes behind its others."""
    return merge(*(_of_source(*each) for each in files), key=_time_told)


def _of_source(source: StreamSource, landed: Sequence[Sequence[Path]]) -> Iterator[_Told]:
    for paths in landed:
        yield from sorted((told for path in paths for told in _messages(source, path)), key=_time_told)


def _time_told(told: _Told) -> float:
    return told.at


def _messages(source: StreamSource, path: Path) -> Iterator[_Told]:
    content = path.read_bytes()
    try:
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode(
            "utf-8", "surrogateescape"
        )
    except (EOFError, gzip.BadGzipFile):
        # A transfer that broke off: a stream has no such thing.
        return
    at = 0.0
    lines = _rows_as_json(text) if source.table.format == "csv" else text.splitlines()
    for line in lines:
        document = _document(line)
        at = _time(document) or at
        yield _Told(source, at, _key(source, document), line.encode("utf-8", "surrogateescape"))


def _rows_as_json(text: str) -> Iterator[str]:
    """Yield the rows of a CSV as JSON objects, with numbers as they are written; other lines as they are."""
    header: list[str] | None = None
    for line in io.StringIO(text, newline=""):
        try:
            row = next(csv.reader([line], strict=True), [])
        except csv.Error:
            row = []
        if header is None:
            header = row
        elif len(row) == len(header):
            pairs = zip(header, row, strict=True)
            yield "{" + ",".join(f"{json.dumps(name)}:{_literal(value)}" for name, value in pairs) + "}"
        elif line.strip():
            yield line.rstrip("\r\n")


def _literal(value: str) -> str:
    return value if _NUMBER.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _document(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _time(document: dict[str, Any]) -> float | None:
    """Return when a message is sent: as soon as its sender says that it knew of it."""
    if isinstance(document.get("ts_ms"), int):
        return float(document["ts_ms"]) / 1000
    for name in ("receivedAt", "trans_date_trans_time"):
        try:
            return datetime.fromisoformat(str(document[name])).replace(tzinfo=UTC).timestamp()
        except (KeyError, ValueError, OverflowError):
            continue
    return None


def _key(source: StreamSource, document: dict[str, Any]) -> str | None:
    """Return a message's key: all that is told of one visitor, card or row keeps its order."""
    if source.format == "debezium":
        row = document.get("after") or document.get("before") or {}
        names = [name for name in ("customer_id", "product_id") if isinstance(row, dict) and name in row]
        return json.dumps({names[0]: row[names[0]]}) if names else None
    found = document.get("anonymousId") or document.get("cc_num")
    return None if found is None else str(found)


def _land_others(made: Path, out: Path, sources: dict[str, StreamSource], console: Console) -> None:
    """Land the tables that do not come as streams, unless something has landed already."""
    for table in sources:
        shutil.rmtree(made / table)
    (made / MANIFEST).unlink()
    others = [folder for folder in made.glob("*/*") if folder.is_dir()]
    for folder in others:
        target = out / folder.relative_to(made)
        if target.exists():
            console.print(f"{target} holds something already: nothing is added to it.", highlight=False)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, target)
        console.print(f"Landed in {target}: what does not come as a stream.", highlight=False)
