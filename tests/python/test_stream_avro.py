"""Messages in Avro land as the JSON that they mean, by the schema registry's schemas."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from kafka_broker import Broker

from assay.core.fault import Fault
from assay.stream import decode
from assay.stream.decode import decoder_of
from assay.stream.sample import read_topic_sample

SALE = {
    "type": "record",
    "name": "Sale",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "on", "type": {"type": "int", "logicalType": "date"}},
        {"name": "raw", "type": "bytes"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}
# A field more, as a sender adds one.
SALE_WITH_NOTE = {**SALE, "fields": [*SALE["fields"], {"name": "note", "type": "string"}]}  # type: ignore[misc]
VALUE = {
    "id": 9_007_199_254_740_993,
    "name": None,
    "amount": Decimal("123456789012345678.90"),
    "at": datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    "on": date(2025, 1, 2),
    "raw": b"\xff\x00",
    "tags": ["a", "b"],
}
SCHEMAS: dict[int, dict[str, Any]] = {1: SALE, 2: SALE_WITH_NOTE}


class Registry(ThreadingHTTPServer):
    """A schema registry with the schemas above, which answers as Confluent's; it counts what it is asked."""

    asked: list[str]
    fails: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        number = int(self.path.partition("?")[0].rpartition("/")[2])
        if self.server.fails:
            self.server.fails -= 1
            self._answer(503, {"error_code": 50003, "message": "busy"})
        elif number in SCHEMAS:
            self._answer(200, {"schema": json.dumps(SCHEMAS[number])})
        else:
            self._answer(404, {"error_code": 40403, "message": "Schema not found"})

    def _answer(self, code: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    server = Registry(("127.0.0.1", 0), Handler)
    server.asked, server.fails = [], 0
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("ASSAY_KAFKA_SCHEMA_REGISTRY_URL", server.url)
    monkeypatch.setenv("ASSAY_KAFKA_SCHEMA_REGISTRY_MAX_RETRIES", "0")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def encoded(number: int, value: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(SCHEMAS[number]), value)
    return b"\0" + number.to_bytes(4, "big") + out.getvalue()


def test_values_keep_their_meaning_and_numbers_are_exact(registry: Registry) -> None:
    landed = decoder_of("avro", print)(encoded(1, VALUE))
    assert landed is not None
    assert b'"amount":123456789012345678.90' in landed
    assert b'"id":9007199254740993' in landed
    document = json.loads(landed)
    assert document["at"] == "2025-01-02T03:04:05.678000+00:00"
    assert document["on"] == "2025-01-02"
    assert document["raw"] == "/wA="
    assert (document["name"], document["tags"]) == (None, ["a", "b"])


def test_a_new_field_lands_with_the_schema_that_has_it(registry: Registry) -> None:
    landed = decoder_of("avro", print)(encoded(2, {**VALUE, "note": "new"}))
    assert landed is not None
    assert json.loads(landed)["note"] == "new"


def test_the_latest_messages_of_a_topic_in_avro_are_a_sample(
    registry: Registry, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = broker.create_topic(f"avro-{time.time_ns()}")
    broker.produce(topic, [encoded(1, VALUE), '{"id": 1}', encoded(2, {**VALUE, "note": "new"})])
    place = f"{broker.address}/{topic}"
    file, written = read_topic_sample("shop.sales", place, tmp_path, print)
    assert written == "avro"
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [VALUE["id"], 1, VALUE["id"]]
    monkeypatch.delenv("ASSAY_KAFKA_SCHEMA_REGISTRY_URL")
    with pytest.raises(Fault, match="set ASSAY_KAFKA_SCHEMA_REGISTRY_URL"):
        read_topic_sample("shop.sales", place, tmp_path, print)


def test_a_schema_is_asked_for_once(registry: Registry) -> None:
    read = decoder_of("avro", print)
    for _ in range(3):
        read(encoded(1, VALUE))
    assert len(registry.asked) == 1


@pytest.mark.parametrize(
    "value", [None, b"", b'{"id": 1}', b"\0\0\0\0\x63broken", encoded(1, VALUE)[:8], b"\0\0\0"]
)
def test_what_cannot_be_decoded_lands_as_it_came(registry: Registry, value: bytes | None) -> None:
    assert decoder_of("avro", print)(value) == value


def test_a_registry_that_is_away_is_waited_for(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_SECONDS_BETWEEN_TRIES", 0.01)
    registry.fails = 3
    told: list[str] = []
    landed = decoder_of("avro", told.append)(encoded(1, VALUE))
    assert landed is not None
    assert json.loads(landed)["id"] == VALUE["id"]
    assert told
    assert "The schema registry cannot be asked" in told[0]


def test_avro_without_a_registry_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_KAFKA_SCHEMA_REGISTRY_URL", raising=False)
    with pytest.raises(Fault, match="set ASSAY_KAFKA_SCHEMA_REGISTRY_URL"):
        decoder_of("avro", print)
