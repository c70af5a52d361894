"""Each type of DuckDB travels in Parquet and loses nothing, or its column is refused by name."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from assay.core.fault import Fault
from assay.spark.types import columns_as_text

# Values of each type of DuckDB at the ends of what it holds.
VALUES = {
    "BOOLEAN": ["true"],
    "TINYINT": ["'-128'::tinyint"],
    "SMALLINT": ["'-32768'::smallint"],
    "INTEGER": ["'-2147483648'::integer"],
    "BIGINT": ["'-9223372036854775808'::bigint"],
    "UTINYINT": ["255::utinyint"],
    "USMALLINT": ["65535::usmallint"],
    "UINTEGER": ["4294967295::uinteger"],
    "UBIGINT": ["18446744073709551615::ubigint"],
    "HUGEINT": ["'-170141183460469231731687303715884105728'::hugeint"],
    "UHUGEINT": ["340282366920938463463374607431768211455::uhugeint"],
    "BIGNUM": ["'123456789012345678901234567890123456789012345678901234567890'::bignum"],
    "FLOAT": ["'nan'::float", "'-0.0'::float", "'inf'::float", "1.1::float"],
    "DOUBLE": ["'nan'::double", "'-0.0'::double", "'-inf'::double", "1e-310::double"],
    "DECIMAL": ["'-12345678901234567890123456789012345678'::decimal(38, 0)", "0.1::decimal(4, 1)"],
    "DATE": ["date '0001-01-01'", "date 'infinity'", "date '2000-01-01 (BC)'"],
    "TIME": ["time '00:00:00.000001'", "time '24:00:00'"],
    "TIME_NS": ["'10:00:00.123456789'::time_ns"],
    "TIME WITH TIME ZONE": ["'10:00:00.123456+15:59'::timetz"],
    "TIMESTAMP": ["timestamp '2025-01-01 00:00:00.000001'", "timestamp '-infinity'"],
    "TIMESTAMP_S": ["'2025-01-01 00:00:01'::timestamp_s", "'infinity'::timestamp_s"],
    "TIMESTAMP_MS": ["'2025-01-01 00:00:00.001'::timestamp_ms", "'infinity'::timestamp_ms"],
    "TIMESTAMP_NS": ["'2025-01-01 00:00:00.123456789'::timestamp_ns", "'infinity'::timestamp_ns"],
    "TIMESTAMP WITH TIME ZONE": ["'2025-01-01 00:00:00.000001+02'::timestamptz", "'infinity'::timestamptz"],
    "INTERVAL": ["interval '1 month 2 days 3 microseconds'", "to_microseconds(-1)"],
    "VARCHAR": ["''", "'a' || chr(0) || 'ü\"'"],
    "BLOB": ["'\\xAA\\x00'::blob", "''::blob"],
    "BIT": ["'0101'::bit"],
    "UUID": ["uuid 'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "ENUM": ["'it''s'::enum('it''s', 'HUGEINT')"],
    "LIST": ["[1, null]", "[]::varchar[]"],
    "ARRAY": ["[1, 2]::integer[2]", "[[1.5], [2]]::float[1][2]"],
    "STRUCT": ["{'a b': 1, 'c': {'d': 'x'}}"],
    "MAP": ["map {'a': 1}"],
    "UNION": ["union_value(a := 1)"],
    "VARIANT": ["1::variant"],
    "GEOMETRY": ["'POINT(1 2)'::geometry"],
}
# DuckDB makes no column of them.
OF_NO_COLUMN = {"NULL", "TYPE"}
AS_TEXT = {
    *("HUGEINT", "UHUGEINT", "BIGNUM", "BIT", "INTERVAL"),
    *("TIME_NS", "TIME WITH TIME ZONE", "TIMESTAMP_S"),
}
REFUSED = {"UNION", "VARIANT", "GEOMETRY"}
WITHIN = ["[{}]", "{{'a': {}, 'b': null}}", "map {{1: {}}}", "[[{{'a': {}}}]]"]


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    return connection


def travelled(connection: duckdb.DuckDBPyConnection, value: str, folder: Path) -> bool:
    """Write a value and NULL, as they go to a task and back; tell whether they went as text."""
    connection.execute(f"create or replace temp table sent as select {value} as x union all select null")
    (_, kind, *_) = connection.execute("describe sent").fetchall()[0]
    is_text = columns_as_text({"x": kind}, "fct_things") == ("x",)
    file = folder / "x.parquet"
    connection.execute(
        f"copy (select {'x::varchar as x' if is_text else 'x'} from sent) to '{file}' (format parquet)"
    )
    connection.execute(
        f"create or replace temp table received as select x::{kind} as x from read_parquet('{file}')"
    )
    rows = [
        connection.execute(
            "select any_value(typeof(x)), count(*), bit_xor(hash(x)), list(x::varchar order by x::varchar) "
            f"from {table}"
        ).fetchone()
        for table in ("sent", "received")
    ]
    assert rows[0] == rows[1], value
    return is_text


def test_the_list_of_types_is_whole(connection: duckdb.DuckDBPyConnection) -> None:
    known = connection.execute("select distinct logical_type from duckdb_types()").fetchall()
    assert {kind for (kind,) in known} - OF_NO_COLUMN == VALUES.keys()


@pytest.mark.parametrize("kind", VALUES)
def test_values_travel_unchanged_or_are_refused(
    kind: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for value in VALUES[kind]:
        if kind in REFUSED:
            with pytest.raises(Fault, match=f"column x is .*{kind}"):
                travelled(connection, value, tmp_path)
        else:
            assert travelled(connection, value, tmp_path) == (kind in AS_TEXT)
        for form in WITHIN:
            if kind in REFUSED or (kind in AS_TEXT and kind != "TIMESTAMP_S"):
                with pytest.raises(Fault, match=f"no file that machines exchange holds {kind} there"):
                    travelled(connection, form.format(value), tmp_path)
            elif value != "'infinity'::timestamp_s":
                assert not travelled(connection, form.format(value), tmp_path)
