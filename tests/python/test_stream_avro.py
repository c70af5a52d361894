"""Messages in Avro land as the JSON that they mean, by the schema registry's schemas."""

from __future__ import annotations

import io
import json
import os
import signal
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
from streamed_topic import Stream

from assay.core.fault import Fault
from assay.stream import land
from assay.stream.decode import RegistryAway, decoder_of
from assay.stream.run import StreamOptions, run_streams
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
# A type that both fields of an order are of stands in a schema of its own.
PLACE = {"type": "record", "name": "shop.Place", "fields": [{"name": "city", "type": "string"}]}
ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": name, "type": "shop.Place"} for name in ("sender", "receiver")],
}
TREE = {
    "type": "record",
    "name": "Tree",
    "fields": [{"name": "below", "type": ["null", "Tree"], "default": None}],
}
PROTOBUF = 'syntax = "proto3"; message Sale { int64 id = 1; }'
SCHEMAS: dict[int, Any] = {1: SALE, 2: SALE_WITH_NOTE, 3: ORDER, 4: TREE, 5: PROTOBUF}


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
        path, _, number = self.path.partition("?")[0].rpartition("/")
        if self.server.fails:
            self.server.fails -= 1
            self._answer(503, {"error_code": 50003, "message": "busy"})
        elif path == "/subjects/place/versions":
            self._answer(200, {"subject": "place", "version": 7, "id": 9, "schema": json.dumps(PLACE)})
        elif path != "/schemas/ids":
            self._answer(404, {"error_code": 404, "message": "HTTP 404 Not Found"})
        elif schema := SCHEMAS.get(int(number)):
            named = {"name": "shop.Place", "subject": "place", "version": 7}
            self._answer(
                200,
                {
                    "schema": schema if isinstance(schema, str) else json.dumps(schema),
                    "schemaType": "PROTOBUF" if isinstance(schema, str) else "AVRO",
                    "references": [named] if schema is ORDER else [],
                },
            )
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
    landed = decoder_of("avro")(encoded(1, VALUE))
    assert landed is not None
    assert b'"amount":123456789012345678.90' in landed
    assert b'"id":9007199254740993' in landed
    document = json.loads(landed)
    assert document["at"] == "2025-01-02T03:04:05.678000+00:00"
    assert document["on"] == "2025-01-02"
    assert document["raw"] == "/wA="
    assert (document["name"], document["tags"]) == (None, ["a", "b"])


def test_a_new_field_lands_with_the_schema_that_has_it(registry: Registry) -> None:
    landed = decoder_of("avro")(encoded(2, {**VALUE, "note": "new"}))
    assert landed is not None
    assert json.loads(landed)["note"] == "new"


def test_the_latest_messages_of_a_topic_in_avro_are_a_sample(
    registry: Registry, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = broker.create_topic(f"avro-{time.time_ns()}")
    broker.produce(topic, [encoded(1, VALUE), '{"id": 1}', encoded(2, {**VALUE, "note": "new"})])
    place = f"{broker.address}/{topic}"
    file, written = read_topic_sample("shop.sales", place, tmp_path)
    assert written == "avro"
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [VALUE["id"], 1, VALUE["id"]]
    monkeypatch.delenv("ASSAY_KAFKA_SCHEMA_REGISTRY_URL")
    with pytest.raises(Fault, match="set ASSAY_KAFKA_SCHEMA_REGISTRY_URL"):
        read_topic_sample("shop.sales", place, tmp_path)


def test_a_schema_is_asked_for_once(registry: Registry) -> None:
    read = decoder_of("avro")
    for _ in range(3):
        read(encoded(1, VALUE))
    assert len(registry.asked) == 1


def test_a_type_that_stands_in_a_schema_of_its_own_is_known(registry: Registry) -> None:
    out = io.BytesIO()
    order = {"sender": {"city": "Bonn"}, "receiver": {"city": "Ulm"}}
    named: dict[str, Any] = {}
    parse_schema(PLACE, named)
    schemaless_writer(out, parse_schema(ORDER, named), order)
    landed = decoder_of("avro")(b"\0\0\0\0\3" + out.getvalue())
    assert landed is not None
    assert json.loads(landed) == order
    assert len(registry.asked) == 2


def grown(levels: int) -> dict[str, Any]:
    tree: dict[str, Any] = {"below": None}
    for _ in range(levels):
        tree = {"below": tree}
    return tree


# The last ones are deeper than JSON is written, and of Protobuf.
@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b'{"id": 1}',
        b"\0\0\0\0\x63broken",
        encoded(1, VALUE)[:8],
        b"\0\0\0",
        encoded(4, grown(300)),
        b"\0\0\0\0\5\0\x08\x01",
    ],
)
def test_what_cannot_be_decoded_lands_as_it_came(registry: Registry, value: bytes | None) -> None:
    assert decoder_of("avro")(value) == value


@pytest.mark.parametrize("answer", ["busy", "gone", "no registry"])
def test_a_registry_that_is_away_is_told_from_a_schema_that_it_does_not_have(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    if answer == "busy":
        registry.fails = 1
    else:
        url = "http://127.0.0.1:1" if answer == "gone" else f"{registry.url}/elsewhere"
        monkeypatch.setenv("ASSAY_KAFKA_SCHEMA_REGISTRY_URL", url)
    with pytest.raises(RegistryAway):
        decoder_of("avro")(encoded(1, VALUE))


def test_a_registry_that_is_away_is_waited_for(
    registry: Registry, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(land, "_SECONDS_WITHOUT_REGISTRY", 0.05)
    monkeypatch.setattr(land, "_MESSAGES_A_BATCH", 3)
    topic = broker.create_topic(f"avro-{time.time_ns()}", 2)
    stream = Stream(broker, topic, tmp_path, format="avro")
    stream.broker.produce(stream.topic, ['{"id": 1}', encoded(1, VALUE), '{"id": 3}'], partition=0)
    stream.broker.produce(stream.topic, ['{"id": 4}'] * 9, partition=1)
    registry.fails = 9
    stream.run()
    assert [document["id"] for document in stream.documents(0)] == [1, VALUE["id"], 3]
    assert stream.offsets(1) == list(range(9))
    # It is told once, also where the other partition lands between two tries.
    [told] = stream.told
    assert "the schema registry cannot be asked (busy" in told


def test_a_run_can_be_stopped_while_the_registry_is_away(
    registry: Registry, broker: Broker, tmp_path: Path
) -> None:
    stream = Stream(broker, broker.create_topic(f"avro-{time.time_ns()}"), tmp_path, format="avro")
    stream.broker.produce(stream.topic, [encoded(1, VALUE)])
    registry.fails = 1000
    asked = False

    def show(_: object) -> None:
        nonlocal asked
        if registry.asked and not asked:
            asked = True
            os.kill(os.getpid(), signal.SIGTERM)

    run_streams(
        [stream.source], stream.landing, StreamOptions(), command="a test", tell=stream.told.append, show=show
    )
    assert stream.documents() == []


def test_avro_without_a_registry_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_KAFKA_SCHEMA_REGISTRY_URL", raising=False)
    with pytest.raises(Fault, match="set ASSAY_KAFKA_SCHEMA_REGISTRY_URL"):
        decoder_of("avro")
