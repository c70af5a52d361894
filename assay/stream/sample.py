"""Read the latest messages of a topic as a sample, from which a source's contract and models are written."""

from __future__ import annotations

import time
from pathlib import Path

from assay.contracts.servers import make_kafka_server
from assay.core.fault import MISUSED, Fault
from assay.landing.declared import LandingTable
from assay.stream.decode import RegistryAway, decoder_of, is_avro
from assay.stream.kafka import Troubles, connect, find_bounds, find_partitions
from assay.stream.source import StreamSource

_MOST_MESSAGES = 20_000
_MOST_SECONDS = 30.0


def read_topic_sample(name: str, place: str, folder: Path) -> tuple[Path, str]:
    """Write the values of a topic's latest messages to a file, one a line.

    Args:
        name: what the table is to be called, `source.table`.
        place: the brokers and the topic, as `host:9092/topic`.
        folder: where the file is written.

    Returns:
        The file, and how the messages are written: json or avro.

    Raises:
        Fault: the topic cannot be read, has no messages, or needs a schema registry that cannot be asked.
    """
    from confluent_kafka import KafkaError, TopicPartition

    source_name, _, table = name.partition(".")
    try:
        server = make_kafka_server(place, table, "json")
    except ValueError as error:
        raise Fault(f"--kafka {error}", MISUSED) from error
    source = StreamSource(LandingTable(source_name, table, "jsonl", (), frozenset(), {}, {}), server)
    troubles, file = Troubles(), folder / f"{table}.jsonl"
    consumer = connect(source, troubles)
    try:
        numbers = find_partitions(consumer, source, troubles)
        bounds = {number: find_bounds(consumer, source.topic, number) for number in numbers}
        unread = {number for number, (low, high) in bounds.items() if high > low}
        most = _MOST_MESSAGES // max(len(unread), 1)
        consumer.assign(
            [
                TopicPartition(source.topic, number, max(bounds[number][0], bounds[number][1] - most))
                for number in unread
            ]
        )
        lines, deadline = 0, time.monotonic() + _MOST_SECONDS
        decode = None
        with file.open("wb") as output:
            while unread and lines < _MOST_MESSAGES and time.monotonic() < deadline:
                for message in consumer.consume(1000, timeout=0.5):
                    trouble = message.error()
                    if trouble is None:
                        lines += 1
                        value = message.value() or b""
                        if is_avro(value):
                            decode = decode or decoder_of("avro")
                            value = decode(value) or b""
                        # Within texts, JSON has no line breaks.
                        output.write(value.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
                    elif trouble.code() == KafkaError._PARTITION_EOF:
                        unread.discard(message.partition() or 0)
    except RegistryAway as away:
        raise Fault(f"The schema registry of {source.topic} cannot be asked: {away}.") from away
    finally:
        consumer.close()
    if not lines:
        raise Fault(
            f"The topic {source.topic} has no messages to learn from: name a file with some as a sample.",
            MISUSED,
        )
    return file, "avro" if decode else "json"
