"""A topic's latest messages are a sample."""

from __future__ import annotations

import time
from pathlib import Path
from unittest import mock

import pytest
from kafka_broker import Broker

from assay.core.fault import Fault
from assay.stream import sample
from assay.stream.sample import read_topic_sample


def test_the_latest_messages_of_each_partition_are_lines(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic(f"sample-{time.time_ns()}", 3)
    broker.produce(topic, ["old", "1", '{"a":\r\n2}'], partition=0)
    broker.produce(topic, ["old", "3", "4"], partition=2)
    with mock.patch.object(sample, "_MOST_MESSAGES", 4):
        file, written = read_topic_sample("web.visits", f"{broker.address}/{topic}", tmp_path)
    assert (file.name, written) == ("visits.jsonl", "json")
    assert sorted(file.read_text().splitlines()) == ["1", "3", "4", '{"a":  2}']


def test_a_topic_without_messages_and_none_at_all_are_told(broker: Broker, tmp_path: Path) -> None:
    topic = broker.create_topic(f"sample-{time.time_ns()}")
    for place, told in (
        (f"{broker.address}/{topic}", "has no messages to learn from: name a file"),
        (f"{broker.address}/no-such-topic", "The broker has no topic no-such-topic"),
        ("nothing", "--kafka 'nothing' is no topic of Kafka"),
    ):
        with pytest.raises(Fault, match=told):
            read_topic_sample("web.visits", place, tmp_path)
