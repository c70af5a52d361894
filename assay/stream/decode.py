"""Turn the values of messages into JSON: Avro is decoded by the schema registry, JSON stays as it came."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any

import orjson

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.stream.kafka import read_registry_settings

Decode = Callable[[bytes | None], bytes | None]
_MAGIC = 0
_PREFIX_BYTES = 5
_SECONDS_BETWEEN_TRIES = 2.0


class UnknownSchema(Exception):
    """The registry does not know a schema, or the bytes do not fit it: the message lands as it came."""


def is_avro(value: bytes) -> bool:
    """Tell whether a value is in Confluent's wire format, which begins with the id of a schema."""
    return len(value) > _PREFIX_BYTES and value[0] == _MAGIC


def decoder_of(format: str, tell: Callable[[str], None]) -> Decode:
    """Return what turns a message's value (or key) into the text that lands.

    Args:
        format: of the messages: json, avro or debezium.
        tell: called with a message for people when the registry cannot be asked.

    Raises:
        Fault: Avro needs the registry's address, or a package that is missing.
    """
    if format != "avro":
        return lambda value: value
    settings = read_registry_settings()
    if "url" not in settings:
        raise Fault(
            "Messages in Avro need the schema registry: set ASSAY_KAFKA_SCHEMA_REGISTRY_URL "
            "(and ASSAY_KAFKA_SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO=user:password, if it asks).",
            MISUSED,
        )
    with extra_needed("stream", "A stream of Avro"):
        from confluent_kafka.schema_registry import SchemaRegistryClient
    try:
        schemas = _Schemas(SchemaRegistryClient(settings), tell)
    except (TypeError, ValueError) as error:
        raise Fault(f"A variable ASSAY_KAFKA_SCHEMA_REGISTRY_* is wrong: {error}.", MISUSED) from error

    def decode(value: bytes | None) -> bytes | None:
        if value is None or not is_avro(value):
            # A text stays what it is, and silver judges it.
            return value
        try:
            return orjson.dumps(schemas.read(value), default=_as_json)
        except UnknownSchema:
            return value

    return decode


class _Schemas:
    """The registry's schemas by their ids, each parsed once."""

    def __init__(self, client: Any, tell: Callable[[str], None]) -> None:
        self._client, self._tell = client, tell
        self._parsed: dict[int, Any] = {}

    def read(self, value: bytes) -> Any:
        """Decode a value by the schema whose id it begins with."""
        from io import BytesIO

        from fastavro import schemaless_reader

        number = int.from_bytes(value[1:_PREFIX_BYTES], "big")
        schema = self._schema(number)
        try:
            return schemaless_reader(BytesIO(value[_PREFIX_BYTES:]), schema, None)
        except Exception as error:  # fastavro raises what its parts raise
            raise UnknownSchema from error

    def _schema(self, number: int) -> Any:
        from confluent_kafka.schema_registry.error import SchemaRegistryError
        from fastavro.schema import parse_schema

        while number not in self._parsed:
            try:
                self._parsed[number] = parse_schema(orjson.loads(self._client.get_schema(number).schema_str))
            except SchemaRegistryError as error:
                if error.http_status_code == 404:
                    raise UnknownSchema from error
                self._wait(str(error))
            except (OSError, ConnectionError) as error:
                self._wait(str(error))
        return self._parsed[number]

    def _wait(self, why: str) -> None:
        """Wait for the registry: messages that it alone can decode must not land undecoded."""
        self._tell(f"The schema registry cannot be asked ({why}): trying again.")
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _as_json(value: Any) -> Any:
    """Write the values that JSON does not know: numbers stay exact, times are ISO 8601, bytes are Base64."""
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}".encode())
    if isinstance(value, datetime | date | time_of_day):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)
