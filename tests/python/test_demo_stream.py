"""What `assay demo --stream` sends, and when."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import example.stream
from example.stream import stream_demo


class Sent:
    """Stands in for a producer of Kafka."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    def produce(self, topic: str, value: bytes, key: str | None) -> None:
        self.messages.append((topic, value))

    def flush(self, seconds: float) -> int:
        return 0


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, bytes]]]:
    """A landing zone, and what was sent of three days of the demo."""
    producer, zone = Sent(), tmp_path_factory.mktemp("zone") / "landing"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(example.stream, "connect_producer", lambda broker: producer)
        patch.setattr(example.stream, "make_topic", lambda broker, topic, partitions: None)
        stream_demo(zone, "nowhere:1", 0, Console(quiet=True), start=date(2025, 1, 1), days=3, events=900)
    return zone, producer.messages


def time_of(value: bytes) -> str | None:
    """When a message of web events or card transactions was sent, to the second."""
    try:
        document: dict[str, Any] = json.loads(value)
        return str(document.get("receivedAt") or document["trans_date_trans_time"])[:19].replace("T", " ")
    except (ValueError, KeyError, AttributeError):
        return None


def test_no_source_waits_for_another(sent: tuple[Path, list[tuple[str, bytes]]]) -> None:
    """A message that is on time for its own source comes behind no later one of another."""
    newest: dict[str, str] = {}
    checked: Counter[str] = Counter()
    for topic, value in sent[1]:
        if (at := time_of(value)) and at[:2] == "20" and at >= newest.get(topic, ""):
            assert at >= max(newest.values(), default="")
            newest[topic] = at
            checked[topic] += 1
    assert len(checked) == 2
    assert min(checked.values()) > 100


def test_what_is_no_stream_lands_as_files(sent: tuple[Path, list[tuple[str, bytes]]]) -> None:
    zone, messages = sent
    landed = {"/".join(path.relative_to(zone).parts[:2]) for path in zone.rglob("*.csv*")}
    assert "erp/order_lines" in landed
    assert not any((zone / topic.replace(".", "/")).exists() for topic in Counter(t for t, _ in messages))
