"""The drills of streams' runbooks, with a broker."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka_broker import Broker, StartedBroker
from runbook_drill import Drill, drill
from small_project import PROJECT, SmallProject
from training_project import succeed

from assay.alerts.runbooks import Runbook

SOURCE = "erp.order_lines"
TOPIC = "TOPIC"
LONG_AGO = 10 * 86_400
_SECONDS_TO_WAIT = 90.0


@pytest.fixture(scope="module")
def streamed(built_project: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project, whose source comes from a topic; to copy, not to change."""
    root = tmp_path_factory.mktemp("streamed") / "project"
    project = SmallProject(Path(shutil.copytree(built_project.root, root)))
    contract = (PROJECT / "contracts" / "example" / "erp.odcs.yaml").read_text()
    server = f"servers:\n  - {{server: order_lines, type: kafka, host: HOST, format: json, topic: {TOPIC}}}\n"
    (root / "contracts").mkdir()
    (root / "contracts" / "erp.odcs.yaml").write_text(contract.replace("schema:\n", f"{server}schema:\n", 1))
    succeed(project, "contracts", "sync")
    return project


def drill_in(streamed: SmallProject, folder: Path, broker: Broker, runbook: Runbook) -> tuple[Drill, str]:
    """Copy the project for a drill, with a topic of its own, which is not made yet."""
    project = SmallProject(Path(shutil.copytree(streamed.root, folder / "project")))
    topic = f"{runbook}-{time.time_ns()}"
    contract = project.root / "contracts" / "erp.odcs.yaml"
    contract.write_text(contract.read_text().replace("HOST", f"'{broker.address}'").replace(TOPIC, topic))
    return Drill(project, runbook), topic


def send(broker: Broker, topic: str, *numbers: int, ago: float = 0) -> None:
    """Send order lines, as if some seconds ago."""
    lines = [
        {"InvoiceNo": f"9{number}", "StockCode": "P1", "Description": "a thing", "Quantity": "1"}
        | {"InvoiceDate": "2025-01-03 08:00:00", "UnitPrice": "1.50", "CustomerID": "7", "Country": "France"}
        for number in numbers
    ]
    broker.produce(topic, map(json.dumps, lines), timestamp=int((time.time() - ago) * 1000))


def drain(project: SmallProject) -> int:
    return project.assay("stream", "run", "--source", SOURCE, "--no-online", "--until-drained").exit_code


@contextmanager
def running(project: SmallProject) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Run the stream in a process; gives what waits for a condition meanwhile."""
    process = project.start("stream", "run", "--source", SOURCE, "--no-online", "--segment-seconds", "1")

    def wait_for(is_so: Callable[[], object]) -> None:
        deadline = time.monotonic() + _SECONDS_TO_WAIT
        while not is_so():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    try:
        yield wait_for
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def figures(project: SmallProject) -> str:
    file = project.root / "data" / "stream.prom"
    return file.read_text() if file.exists() else ""


@drill(Runbook.STREAM_STOPPED)
def test_stream_stopped(streamed: SmallProject, broker: Broker, tmp_path: Path) -> None:
    it, topic = drill_in(streamed, tmp_path, broker, Runbook.STREAM_STOPPED)
    assert drain(it.project) == drain(it.project) == 1
    assert f"The broker has no topic {topic}" in it.alert()["message"]
    assert f"The broker has no topic {topic}" in " ".join(it.follow("See more").split())
    broker.create_topic(topic)
    send(broker, topic, 1)
    it.follow("What to do")
    it.verify()


@drill(Runbook.STREAM_SILENT)
def test_stream_silent(streamed: SmallProject, broker: Broker, tmp_path: Path) -> None:
    it, topic = drill_in(streamed, tmp_path, broker, Runbook.STREAM_SILENT)
    broker.create_topic(topic)
    send(broker, topic, 1, ago=LONG_AGO)
    # The second run has no message, and knows nothing new.
    assert drain(it.project) == drain(it.project) == 0
    assert "no message for 10" in it.alert()["message"]
    it.follow("See more")
    send(broker, topic, 2)
    it.follow("What to do")
    it.verify()


@drill(Runbook.STREAM_OFFSETS_LOST)
def test_stream_offsets_lost(streamed: SmallProject, kafka: Broker, tmp_path: Path) -> None:
    it, topic = drill_in(streamed, tmp_path, kafka, Runbook.STREAM_OFFSETS_LOST)
    kafka.create_topic(topic)
    send(kafka, topic, 1, 2)
    assert drain(it.project) == 0
    send(kafka, topic, *range(3, 9))
    kafka.expire(topic, 0, 5)
    assert drain(it.project) == drain(it.project) == 0
    alert = it.alert()
    assert (alert["name"], alert["message"]) == (f"{SOURCE} {topic}/0 2-4", "3 offsets lost at the broker")
    it.follow("See more")
    it.follow("What to do")
    # It stays closed, although the gap is found again.
    assert drain(it.project) == 0
    it.verify(is_closed=True)


@drill(Runbook.STREAM_BEHIND)
def test_stream_behind(streamed: SmallProject, broker: Broker, tmp_path: Path) -> None:
    it, topic = drill_in(streamed, tmp_path, broker, Runbook.STREAM_BEHIND)
    broker.create_topic(topic)
    send(broker, topic, 1, ago=600)
    with running(it.project) as wait_for:
        folder = it.project.landing / "erp" / "order_lines"
        wait_for(lambda: list(folder.rglob("*-*.jsonl.gz")))
        [partition] = folder.rglob("partition=0")
        partition.rename(tmp_path / "partition")
        partition.write_text("Nobody can write here.")
        send(broker, topic, 2)
        wait_for(it.sent)
        assert "messages wait for 1" in it.alert()["message"]
        it.follow("See more")
        assert "assay_stream_lag_messages{" in figures(it.project)
        partition.unlink()
        (tmp_path / "partition").rename(partition)
        wait_for(lambda: it.sent("recovered"))
    it.follow("What to do")
    it.verify()


@drill(Runbook.STREAM_BROKER_AWAY)
def test_stream_broker_away(streamed: SmallProject, own_kafka: StartedBroker, tmp_path: Path) -> None:
    it, topic = drill_in(streamed, tmp_path, own_kafka, Runbook.STREAM_BROKER_AWAY)
    own_kafka.create_topic(topic)
    send(own_kafka, topic, 1)
    up = f'assay_stream_broker_up{{source="{SOURCE}"}}'
    with running(it.project) as wait_for:
        wait_for(lambda: f"{up} 1.0" in figures(it.project))
        own_kafka.stop()
        wait_for(it.sent)
        assert it.alert()["owner"] == "order management"
        wait_for(lambda: f"{up} 0.0" in figures(it.project))
        # Nobody knows how much waits there.
        assert "assay_stream_lag_messages{" not in figures(it.project)
        assert "cannot be reached" in it.follow("See more")
        own_kafka.start()
        wait_for(lambda: it.sent("recovered"))
        it.follow("What to do")
    it.verify()
