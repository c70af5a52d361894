"""Reads TFRecord files of tf.train.Example by their definitions alone: TensorFlow is too big to test with."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def crc32c(data: bytes) -> int:
    """Bit by bit, as the polynomial is defined."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def unframe(data: bytes) -> Iterator[bytes]:
    """Take the records of a TFRecord file apart, and check both checksums of each."""
    position = 0
    while position < len(data):
        head = data[position : position + 8]
        (length,) = struct.unpack("<Q", head)
        message = data[position + 12 : position + 12 + length]
        assert struct.unpack_from("<I", data, position + 8) == (masked(head),)
        assert struct.unpack_from("<I", data, position + 12 + length) == (masked(message),)
        yield message
        position += length + 16


def example_class() -> Any:
    """Message tf.train.Example, declared here as TensorFlow's example.proto and feature.proto have it."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tf", syntax="proto3")
    kind = descriptor_pb2.FieldDescriptorProto

    def message(parent: Any, name: str, *fields: tuple[str, int, int, str, bool]) -> Any:
        added = parent.add(name=name)
        for field_name, number, field_type, type_name, is_repeated in fields:
            label = kind.LABEL_REPEATED if is_repeated else kind.LABEL_OPTIONAL
            field = added.field.add(name=field_name, number=number, type=field_type, label=label)
            if type_name:
                field.type_name = type_name
        return added

    message(file.message_type, "BytesList", ("value", 1, kind.TYPE_BYTES, "", True))
    message(file.message_type, "FloatList", ("value", 1, kind.TYPE_FLOAT, "", True))
    message(file.message_type, "Int64List", ("value", 1, kind.TYPE_INT64, "", True))
    lists = ["bytes_list", "float_list", "int64_list"]
    types = [".tf.BytesList", ".tf.FloatList", ".tf.Int64List"]
    feature = message(
        file.message_type,
        "Feature",
        *((name, n + 1, kind.TYPE_MESSAGE, types[n], False) for n, name in enumerate(lists)),
    )
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = message(
        file.message_type,
        "Features",
        ("feature", 1, kind.TYPE_MESSAGE, ".tf.Features.FeatureEntry", True),
    )
    entry = message(
        features.nested_type,
        "FeatureEntry",
        ("key", 1, kind.TYPE_STRING, "", False),
        ("value", 2, kind.TYPE_MESSAGE, ".tf.Feature", False),
    )
    entry.options.map_entry = True
    message(file.message_type, "Example", ("features", 1, kind.TYPE_MESSAGE, ".tf.Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tf.Example"))


EXAMPLE = example_class()


def decode_example(message: bytes) -> dict[str, Any]:
    features = EXAMPLE.FromString(message).features.feature
    return {name: list(getattr(each, each.WhichOneof("kind")).value) for name, each in features.items()}
