"""TFRecord files hold what they should, to the bit."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from tfrecord_reader import crc32c, decode_example, unframe

from assay.training.tfrecord import records


def test_the_checksum_is_the_standard_one() -> None:
    # RFC 3720, B.4: 32 bytes of zeros, and 32 ascending bytes.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_examples_hold_extremes_and_lists() -> None:
    table = pa.table(
        {
            "number": pa.array([-(2**63), 2**63 - 1, None, -1], pa.int64()),
            "small": pa.array([0, 127, 128, 300], pa.int16()),
            "float": pa.array([1e300, float("-inf"), 0.1, None], pa.float64()),
            "zoned": pa.array(
                [datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)] * 4, pa.timestamp("us", "UTC")
            ),
            "list": pa.array([[1, -2], [], None, [3]], pa.list_(pa.int64())),
            "texts": pa.array([["a", "ü"], [""], None, []], pa.list_(pa.string())),
            "long": pa.array(["x" * 300, "", None, "y"]),
        }
    )
    rows = [decode_example(message) for message in unframe(records(table))]
    assert rows == [
        {
            "number": [-(2**63)],
            "small": [0],
            "float": [float("inf")],
            "zoned": [-1_000_000],
            "list": [1, -2],
            "texts": [b"a", "ü".encode()],
            "long": [b"x" * 300],
        },
        {
            "number": [2**63 - 1],
            "small": [127],
            "float": [float("-inf")],
            "zoned": [-1_000_000],
            "list": [],
            "texts": [b""],
            "long": [b""],
        },
        {"small": [128], "float": [float(np.float32(0.1))], "zoned": [-1_000_000]},
        {"number": [-1], "small": [300], "zoned": [-1_000_000], "list": [3], "texts": [], "long": [b"y"]},
    ]
    assert records(table.slice(0, 0)) == b""
