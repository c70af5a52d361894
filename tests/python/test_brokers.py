"""What tests of streams rest on: the brokers and the database that they start."""

from __future__ import annotations

import signal
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgres
import pytest
from confluent_kafka import Consumer
from kafka_broker import Broker, StartedBroker
from postgres_server import PASSWORD, postgres_server

from example.broker import Kafka


def test_messages_come_back_with_key_headers_and_time(broker: Broker) -> None:
    topic = broker.create_topic("brokers-plain", 2)
    broker.produce(topic, ["one", b"\xff", None], key="k", partition=1, headers=[("h", b"v")], timestamp=1000)
    messages = broker.consume(topic, 1)
    assert [message.value() for message in messages] == [b"one", b"\xff", None]
    assert [message.offset() for message in messages] == [0, 1, 2]
    assert (messages[0].key(), messages[0].headers()) == (b"k", [("h", b"v")])
    assert messages[0].timestamp()[1] == 1000
    assert broker.consume(topic, 0) == []


def test_an_aborted_transaction_is_not_seen_by_read_committed(kafka: Broker) -> None:
    topic = kafka.create_topic("brokers-transactions")
    kafka.produce(topic, ["aborted"], commit=False)
    kafka.produce(topic, ["committed"], commit=True)
    assert [message.value() for message in kafka.consume(topic)] == [b"committed"]
    seen = kafka.consume(topic, isolation="read_uncommitted")
    # Each transaction ends with a marker, which has an offset and is no message.
    assert [(message.offset(), message.value()) for message in seen] == [(0, b"aborted"), (2, b"committed")]


def test_offsets_expire(kafka: Broker) -> None:
    topic = kafka.create_topic("brokers-expired", config={"message.timestamp.type": "LogAppendTime"})
    kafka.produce(topic, map(str, range(10)), timestamp=1000)
    kafka.expire(topic, 0, 7)
    messages = kafka.consume(topic)
    assert [message.offset() for message in messages] == [7, 8, 9]
    assert messages[0].timestamp()[1] > 1000


def test_a_group_remembers_where_it_was(kafka: Broker) -> None:
    topic = kafka.create_topic("brokers-groups")
    kafka.produce(topic, ["one", "two"])
    config = {
        "bootstrap.servers": kafka.address,
        "group.id": "brokers",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    for value in (b"one", b"two"):
        reader = Consumer(config)
        reader.subscribe([topic])
        message = reader.poll(30)
        assert message is not None
        assert message.value() == value
        reader.commit(message, asynchronous=False)
        reader.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_that_is_started_again_has_what_it_had(
    own_kafka: StartedBroker, how: signal.Signals
) -> None:
    topic = own_kafka.create_topic(f"brokers-restarted-{how}")
    own_kafka.produce(topic, ["before"])
    own_kafka.stop(how)
    own_kafka.start()
    own_kafka.produce(topic, ["after"])
    assert [message.value() for message in own_kafka.consume(topic)] == [b"before", b"after"]


def test_postgres_keeps_a_log_that_readers_decode(builds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres_server(log_for_readers=True) as server:
        server.run("create table public.t (id int primary key)")
        server.run("select pg_create_logical_replication_slot('s', 'pgoutput')")
        server.stop()
        server.start()
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        with postgres.connect(server.address) as connection, connection.cursor() as cursor:
            cursor.execute("select slot_name, plugin from pg_replication_slots")
            assert cursor.fetchall() == [("s", "pgoutput")]


def test_the_folder_of_a_broker_may_be_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    broker = Kafka("127.0.0.1:1", Path("data/broker"), jars=tmp_path)
    assert broker.folder == tmp_path / "data" / "broker"
