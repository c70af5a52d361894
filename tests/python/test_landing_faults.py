"""Whatever is wrong with a file, it alone is not loaded, its message says why, and no line of it is lost."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landing_zone import Zone

DECLARED = """
sources:
  - name: shop
    tables:
      - name: sales
        config: {meta: {landing: {format: csv, optional: [note]}}}
        columns: [{name: id}, {name: name}, {name: amount}, {name: note}]
      - name: clicks
        config: {meta: {landing: {format: jsonl}}}
"""
HEADER = "id,name,amount\n"
SALE = HEADER + "1,ann,2\n"
CLICK = '{"id": 1, "at": "2025-01-01", "by": {"name": "ann"}}\n'


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    zone = Zone(tmp_path, DECLARED)
    yield zone
    zone.connection.close()


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


# Any bytes under any ending

CSV_ENDINGS = (".csv", ".csv.gz", ".parquet", ".parquet.gz", ".CSV")
JSON_ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson", ".json", ".json.gz", ".parquet")
TABLE_OF = {**dict.fromkeys(CSV_ENDINGS, "sales"), **dict.fromkeys(JSON_ENDINGS, "clicks")}
GOOD_PARQUET = parquet(id=[1, 2], name=["ann", None], amount=[1.5, 2.5])
PIECES = [
    *(b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"\\", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"id"),
    *(b"{", b"}", b"[", b"]", b":", b'"a":', b'"\\ud800"', b'"a\\u0000b":1,', b"NaN", b"-Infinity", b"1e999"),
    *(b"99999999999999999999.99", b"null", b"true", b'{"a":1,"a":2}\n', b"id,name,amount\n", b"1,ann,2\n", b"\x1f\x8b"),
    *(b"PAR1", b"PK\x03\x04", CLICK.encode(), b'{"":{"":[{"":1}]}}\n', b'{"a.b":{"\'":1,"\\"":2}}\n'),
]
GOOD = [SALE.encode(), CLICK.encode() * 3, gzip.compress(SALE.encode()), gzip.compress(CLICK.encode()), GOOD_PARQUET]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good file of which something is cut out, replaced or repeated."""
    content = draw(st.sampled_from(GOOD))
    first = draw(st.integers(0, len(content)))
    last = draw(st.integers(first, min(len(content), first + 20)))
    return content[:first] + draw(st.binary(max_size=8) | st.sampled_from([b"", *PIECES])) + content[last:]


CONTENT = (
    st.binary(max_size=400)
    | st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join)
    | mutated()
    | (st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join) | mutated()).map(gzip.compress)
)
FILES = st.lists(st.tuples(st.sampled_from([*TABLE_OF]), CONTENT), min_size=4, max_size=12)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    zone = Zone(tmp_path_factory.mktemp("fuzzed"), DECLARED)
    zone.connection.close()
    zone.connection = duckdb.connect()
    yield zone
    zone.connection.close()


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
@given(files=FILES)
def test_whatever_bytes_a_file_has_the_others_load_and_every_line_is_accounted_for(
    fuzzed: Zone, files: list[tuple[str, bytes]]
) -> None:
    shutil.rmtree(fuzzed.landing)
    fuzzed.connection.execute("drop schema if exists landing cascade")
    fuzzed.runs = 0
    for number, (ending, content) in enumerate(files):
        fuzzed.drop(f"shop/{TABLE_OF[ending]}/{number}{ending}", content)
    for name in ("early", "late"):
        fuzzed.drop(f"shop/sales/{name}.csv", SALE)
        fuzzed.drop(f"shop/clicks/{name}.jsonl", CLICK)
        # Which balances the books of every file that is loaded.
        fuzzed.load()
        assert {file["status"] for file in fuzzed.files(f"%/{name}.%")} == {"loaded"}
    assert len({file["source_file"] for file in fuzzed.files()}) == len(files) + 4
