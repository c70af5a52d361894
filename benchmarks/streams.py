"""Landing a topic of Kafka beside a bare consumer, from the broker to silver, and to the online store."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path

from benchmarks import hot_path, landing
from benchmarks.build import Warehouse
from benchmarks.events import SELECTION
from benchmarks.measure import Cost, run_assay, run_module
from benchmarks.settings import SMALL_EVENTS, Settings
from benchmarks.table import Report, Row, row_of, within
from example.broker import LocalBroker, start_broker

_TOPIC, _SOURCE = "web.events", "web.events"
_CPU_LIMIT, _A_SECOND, _DRAIN_LIMIT = 3.0, 20_000, 1.3
_LEVEL = 3


def run(settings: Settings) -> Report:
    files = landing.web_events(settings.data, SMALL_EVENTS)
    folder = settings.scratch / "streams"
    folder.mkdir(parents=True)
    broker = start_broker(folder / "broker")
    try:
        messages = _send(files, broker)
        bare = run_module("benchmarks.streams", broker.address, str(folder / "bare.gz"))
        zone = folder / "landing"
        landed = _land(broker, zone)
        idle = _land(broker, zone)
    finally:
        broker.stop()
    by_file, by_message = (_build(settings, each) for each in (files, zone))
    said = f"CPU at most {_CPU_LIMIT:g} times the baseline"
    rate = messages / landed.cpu
    drained = (landed.cpu + by_message.cpu) / by_file.cpu
    online, remarks = hot_path.rows(settings)
    return Report(
        "streams",
        f"{messages:,} web events from {type(broker).__name__}",
        [
            row_of("bare consumer", [bare]),
            row_of(
                "assay stream run --until-drained --no-online",
                [landed],
                baseline="bare consumer",
                **within(landed.cpu / bare.cpu, _CPU_LIMIT, said),
            ),
            Row(
                "... messages per second of CPU",
                ratio=rate,
                limit=f"at least {_A_SECOND:,}",
                met=rate >= _A_SECOND,
            ),
            row_of("... with nothing new", [idle]),
            row_of("bronze and silver from files", [by_file]),
            row_of("bronze and silver from segments", [by_message]),
            Row(
                "landed and built from the broker",
                cpu=landed.cpu + by_message.cpu,
                baseline="from files",
                **within(drained, _DRAIN_LIMIT, f"CPU at most {_DRAIN_LIMIT:g} times the baseline"),
            ),
            *online,
        ],
        [
            "Bare consumer: confluent-kafka, which writes the values as lines to one .gz of that level.",
            "The broker's own CPU is not counted, nor that of sending.",
            *remarks,
        ],
    )


def _send(files: Path, broker: LocalBroker) -> int:
    from confluent_kafka import Producer

    from assay.stream.kafka import make_topic

    make_topic(broker.address, _TOPIC, 1)
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 20})
    sent = 0
    for path in sorted(files.rglob("*.jsonl*")):
        content = path.read_bytes()
        for line in (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines():
            while True:
                try:
                    producer.produce(_TOPIC, line)
                    break
                except BufferError:
                    producer.poll(0.1)
            sent += 1
    producer.flush(60)
    return sent


def _land(broker: LocalBroker, zone: Path) -> Cost:
    environment = {"ASSAY_KAFKA_BOOTSTRAP_SERVERS": broker.address, "ASSAY_LANDING": str(zone)}
    alone = ("--until-drained", "--no-online")
    return run_assay("stream", "run", "--source", _SOURCE, *alone, environment=environment)


def _build(settings: Settings, zone: Path) -> Cost:
    warehouse = Warehouse(settings.scratch / f"streams-{zone.name}", zone)
    try:
        warehouse.build_of_nothing(*SELECTION)
        return warehouse.build(*SELECTION).cost
    finally:
        warehouse.remove()


def consume_bare(broker: str, target: str) -> None:
    """Write the values of the topic's messages to a .gz, as one would without Assay."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "bare",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
    )
    consumer.assign([TopicPartition(_TOPIC, 0, 0)])
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    with Path(target).open("wb") as file:
        is_at_end = False
        while not is_at_end:
            for message in consumer.consume(10_000, timeout=0.2):
                if (error := message.error()) is None:
                    file.write(packer.compress((message.value() or b"") + b"\n"))
                elif error.code() == KafkaError._PARTITION_EOF:
                    is_at_end = True
        file.write(packer.flush())
    consumer.close()


if __name__ == "__main__":
    consume_bare(*sys.argv[1:])
