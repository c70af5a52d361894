"""Turn the values of messages into JSON: Avro is decoded by the schema registry, JSON stays as it came."""

from __future__ import annotations

import base64
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
# Codes of the registry's own: no such subject, version or schema. Another server would answer 404 alone.
_UNKNOWN = range(40401, 40404)


class UnknownSchema(Exception):
    """The registry does not know a schema, or the bytes do not fit it: the message lands as it came."""


class RegistryAway(Exception):
    """The registry cannot be asked: messages that it alone can decode must wait, not land undecoded."""


def is_avro(value: bytes) -> bool:
    """Tell whether a value is in Confluent's wire format, which begins with the id of a schema."""
    return len(value) > _PREFIX_BYTES and value[0] == _MAGIC


def decoder_of(format: str) -> Decode:
    """Return what turns a message's value (or key) into the text that lands; it may raise `RegistryAway`.

    Args:
        format: of the messages: json, avro or debezium.

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
        schemas = _Schemas(SchemaRegistryClient(settings))
    except (TypeError, ValueError) as error:
        raise Fault(f"A variable ASSAY_KAFKA_SCHEMA_REGISTRY_* is wrong: {error}.", MISUSED) from error

    def decode(value: bytes | None) -> bytes | None:
        if value is None or not is_avro(value):
            # A text stays what it is, and silver judges it.
            return value
        try:
            return schemas.read(value)
        except UnknownSchema:
            return value

    return decode


class _Schemas:
    """The registry's schemas by their ids, each parsed once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._parsed: dict[int, Any] = {}

    def read(self, value: bytes) -> bytes:
        """Decode a value by the schema whose id it begins with, and return it as JSON.

        Raises:
            UnknownSchema: the registry has no such schema, or the value is not of it.
            RegistryAway: the registry cannot be asked.
        """
        from io import BytesIO

        from fastavro import schemaless_reader

        number = int.from_bytes(value[1:_PREFIX_BYTES], "big")
        if number not in self._parsed:
            self._parsed[number] = self._schema(number)
        try:
            document = schemaless_reader(BytesIO(value[_PREFIX_BYTES:]), self._parsed[number], None)
            return orjson.dumps(document, default=_as_json)
        except Exception as error:  # fastavro raises what its parts raise
            raise UnknownSchema from error

    def _schema(self, number: int) -> Any:
        schema = self._ask(self._client.get_schema, number)
        named: dict[str, Any] = {}
        try:
            return self._parse(schema, named)
        except RegistryAway:
            raise
        except Exception as error:  # of Protobuf, or another text that is no schema of Avro
            raise UnknownSchema from error

    def _parse(self, schema: Any, named: dict[str, Any]) -> Any:
        """Parse a schema after those that it refers to, whose types are collected in `named`."""
        from fastavro.schema import parse_schema

        for each in schema.references or ():
            if each.name not in named:
                self._parse(self._ask(self._client.get_version, each.subject, each.version).schema, named)
        return parse_schema(orjson.loads(schema.schema_str), named)

    @staticmethod
    def _ask(question: Callable[..., Any], *of: Any) -> Any:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            return question(*of)
        except SchemaRegistryError as error:
            if error.error_code in _UNKNOWN:
                raise UnknownSchema from error
            raise RegistryAway(str(error)) from error
        except Exception as error:  # what its client's library of HTTP raises
            raise RegistryAway(str(error) or type(error).__name__) from error


def _as_json(value: Any) -> Any:
    """Write the values that JSON does not know: numbers stay exact, times are ISO 8601, bytes are Base64."""
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}".encode())
    if isinstance(value, datetime | date | time_of_day):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)
