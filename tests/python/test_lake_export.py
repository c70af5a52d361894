"""Published tables go to Iceberg and Delta, version by version, and readers find what is published."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import duckdb
import polars
import pyarrow.parquet as pq
import pytest
from bucket_server import ENVIRONMENT, served_apart
from deltalake import DeltaTable, write_deltalake
from online_stores import query
from pyiceberg.catalog.sql import SqlCatalog
from small_project import SmallProject

import assay
from assay.bucket.bucket import Bucket
from assay.bucket.secret import open_bucket
from assay.core.extensions import load_extension
from assay.core.lock import hold
from assay.core.places import Places
from assay.erasure.exports import find_exports, find_gone, write_exports_anew
from assay.lake import export as exports
from assay.lake.export import Exported, export_table
from assay.lake.place import BucketPlace, open_place
from assay.ledger.exports import note_export, read_exports

pytestmark = [pytest.mark.minutes, pytest.mark.usefixtures("builds")]

FORMATS = ("iceberg", "delta")
HISTORY = """
    select
        's' || n % 50 as store_id, timestamp '2025-01-01' + to_hours(n::int) as valid_from,
        timestamp '9999-12-31' as valid_to, n::hugeint as total, (n / 7)::decimal(12, 4) as mean,
        if(n % 3 = 0, null, n * 0.1) as ratio
    from range(2000) as numbers (n)
"""
KINDS = {
    "yes": "true",
    "small": "255::utinyint",
    "negative": "(-128)::tinyint",
    "middle": "4294967295::uinteger",
    "large": "18446744073709551615::ubigint",
    "total": "-99999999999999999999999999999999999999::hugeint",
    "price": "12.34::decimal(18, 2)",
    "ratio": "0.1::double",
    "weight": "'nan'::float",
    "day": "date '1969-02-28'",
    "at": "timestamp '2024-01-01 01:02:03.123456'",
    "open_until": "timestamp '9999-12-31'",
    "second": "'2024-01-01 01:02:03'::timestamp_s",
    "in_utc": "timestamptz '2024-01-01 01:02:03+02'",
    "id": "'11111111-2222-3333-4444-555555555555'::uuid",
    "bytes": "'\\xAA\\x00'::blob",
    'odd "name"': "'ä \"x\"'",
    "written": """'{"a": [1]}'::json""",
    "kind": "'b'::enum('a', 'b')",
    "numbers": "[1, 2, null]",
    "both": """[{'a': 1.5::decimal(9, 2), 'b c': ['x', null]}]""",
    "vector": "[1, 2]::float[2]",
    "map": "map {'k': {'x': 1::utinyint}}",
}


class Silent:
    """Is told what goes on."""

    def say(self, message: str) -> None:
        pass


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return publish(tmp_path / "assay.duckdb", HISTORY)


def publish(file: Path, rows: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    query(file, "create schema gold; create schema published")
    query(file, "create table published.publication as select 'run' as run_id")
    query(file, f"create table gold.things as {rows}")
    return file


def export(published: Path, place: Path | str, format: str, name: str = "things") -> Exported:
    to = open_place(place, name, published.with_name("exporting"))
    return export_table(published, to, format, Silent())  # type: ignore[arg-type]


def files_of(place: Path) -> dict[Path, int]:
    return {
        file: file.stat().st_mtime_ns
        for file in place.rglob("*")
        if file.is_file() and file.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def reader() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the extensions by which it reads open formats."""
    with duckdb.connect() as connection:
        for extension in ("avro", "iceberg", "delta"):
            load_extension(connection, extension, extra="dev", by="A test")
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def read_with_duckdb(reader: duckdb.DuckDBPyConnection, place: Path, format: str) -> str:
    return f"{format}_scan('{place / 'things'}')"


def load_iceberg(place: Path) -> Any:
    return SqlCatalog("assay", uri=f"sqlite:///{place / 'catalog.sqlite'}").load_table("gold.things")


def read_with_polars(place: Path, format: str, version: str) -> polars.DataFrame:
    if format == "delta":
        return polars.scan_delta(str(place / "things"), version=int(version)).collect()
    return polars.scan_iceberg(load_iceberg(place), snapshot_id=int(version)).collect()


def are_equal(connection: duckdb.DuckDBPyConnection, found: str, published: Path, columns: str) -> None:
    """Check by count and hash, and row by row, that rows are those of the published table."""
    connection.execute(f"attach or replace '{published}' as assay (read_only)")
    types = connection.sql(f"select {columns} from {found}").types
    same = ", ".join(
        f"{column}::{kind} as {column}" for column, kind in zip(columns.split(", "), types, strict=True)
    )
    both = (f"(select {columns} from {found})", f"(select {same} from assay.gold.things)")
    rows = [connection.sql(f"from {each} order by all").fetchall() for each in both]
    assert rows[0] == rows[1]
    hashes = f"select count(*), bit_xor(hash({columns})), sum(hash({columns})::hugeint) from "
    assert connection.sql(hashes + both[0]).fetchall() == connection.sql(hashes + both[1]).fetchall()
    connection.execute("detach assay")


COLUMNS = "store_id, valid_from, valid_to, total, mean, ratio"


@pytest.mark.parametrize("format", FORMATS)
def test_each_export_of_a_history_is_a_version_that_readers_find(
    published: Path, tmp_path: Path, format: str, reader: duckdb.DuckDBPyConnection
) -> None:
    place = tmp_path / "lake"
    first = export(published, place, format)
    assert (first.rows, first.added, first.removed, first.is_new) == (2000, 2000, 0, True)
    before = read_with_polars(place, format, first.version)
    are_equal(reader, read_with_duckdb(reader, place, format), published, COLUMNS)

    # A history grows: a new state closes the one before.
    query(published, "update gold.things set valid_to = timestamp '2026-01-01' where total >= 1995")
    query(
        published,
        "insert into gold.things select * replace (timestamp '2026-01-01' as valid_from, "
        "timestamp '9999-12-31' as valid_to, total + 1 as total) from gold.things where total >= 1995",
    )
    second = export(published, place, format)
    assert (second.rows, second.added, second.removed) == (2005, 10, 5)
    assert second.version != first.version
    are_equal(reader, read_with_duckdb(reader, place, format), published, COLUMNS)
    found = read_with_polars(place, format, second.version)
    reader.register("found", found)
    are_equal(reader, "found", published, COLUMNS)
    # The version before is still what it was.
    assert read_with_polars(place, format, first.version).equals(before)
    assert len(before) == 2000

    # Another place gets it whole, and is the same.
    third = export(published, tmp_path / "another", format)
    assert (third.rows, third.added) == (2005, 2005)


@pytest.mark.parametrize("format", FORMATS)
def test_a_table_that_has_not_changed_is_not_written(published: Path, tmp_path: Path, format: str) -> None:
    place = tmp_path / "lake"
    first = export(published, place, format)
    before = files_of(place)
    again = export(published, place, format)
    assert (again.is_new, again.version, again.rows, again.added) == (False, first.version, 2000, 0)
    # Nor is it where another publication holds the same rows in another order.
    again = export(publish(published, f"from ({HISTORY}) order by random()"), place, format)
    assert not again.is_new
    assert files_of(place) == before


@pytest.mark.parametrize("format", FORMATS)
def test_files_without_changed_rows_stay(
    published: Path, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "lake"
    monkeypatch.setattr(exports, "_FILE_SIZE", "2KB")
    wide = "select n, md5(n::varchar) as words from range(400000) as numbers (n)"
    export(publish(published, wide), place, format)
    files = set(place.rglob("*.parquet"))
    assert len(files) > 1
    query(published, "delete from gold.things where n = 5; insert into gold.things values (-1, 'new')")
    with mock.patch.object(
        exports._Export, "_check", autospec=True, side_effect=exports._Export._check
    ) as check:
        done = export(published, place, format)
    assert (done.added, done.removed) == (1, 1)
    [(_, added, rewritten)] = [call.args for call in check.call_args_list]
    assert len(rewritten) == 1
    assert len(added) >= 1
    # All are kept for readers of the version before.
    assert set(place.rglob("*.parquet")) == files | {place / "things" / key for key in added}


DAY = """
    select range as n, timestamp '{}' + to_microseconds(range * 863999999) as event_at,
        event_at::date as event_date, event_at at time zone 'UTC' as in_utc
    from range(101)
"""


@pytest.mark.parametrize("format", FORMATS)
def test_readers_leave_out_files_of_other_days(
    published: Path, tmp_path: Path, format: str, reader: duckdb.DuckDBPyConnection
) -> None:
    publish(published, DAY.format("2025-01-01"))
    for day in ("2025-01-02", "2025-01-03", None):
        export(published, tmp_path, format)
        if day:
            query(published, f"insert into gold.things {DAY.format(day)}")
    found = f"{format}_scan('{tmp_path / 'things'}')"
    # The last instant of a day has microseconds above the milliseconds that Delta keeps.
    for asked, of_iceberg, of_delta in (
        ("event_date = '2025-01-03'", 1, 1),
        ("event_date > '2025-01-01' and n >= 0", 2, 2),
        # DuckDB's reader of Delta does not look at instants.
        ("event_at >= '2025-01-02' and event_at < '2025-01-03'", 1, 3),
        ("event_at >= '2025-01-01 23:59:59.9999'", 3, 3),
        ("in_utc > '2025-01-02 23:59:59.8+00'", 2, 3),
    ):
        reader.execute(f"attach or replace '{published}' as assay (read_only)")
        expected = reader.sql(f"select count(*), sum(n) from assay.gold.things where {asked}").fetchall()
        reader.execute("detach assay")
        sql = f"select count(*), sum(n) from {found} where {asked}"
        assert reader.sql(sql).fetchall() == expected
        assert expected[0][0]
        plan = str(reader.sql(f"explain analyze {sql}").fetchall()[0][1])
        scanned = re.search(r"(?:Scanning|Total) Files[^0-9]*(\d+)", plan)
        assert scanned, plan
        assert int(scanned[1]) == (of_delta if format == "delta" else of_iceberg), (asked, plan)


@pytest.mark.parametrize("format", FORMATS)
def test_many_small_files_become_one(
    published: Path, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_MOST_SMALL", 3)
    publish(published, "select 0 as n")
    for n in range(1, 8):
        export(published, tmp_path / "lake", format)
        query(published, f"insert into gold.things values ({n})")
    done = export(published, tmp_path / "lake", format)
    assert sorted(read_with_polars(tmp_path / "lake", format, done.version)["n"]) == list(range(8))
    with mock.patch.object(exports._Export, "_find_rewritten", autospec=True) as find:
        find.side_effect = lambda export, there: pytest.fail(f"{len(there)} files") if len(there) > 4 else []
        query(published, "insert into gold.things values (8)")
        export(published, tmp_path / "lake", format)


@pytest.mark.parametrize("format", FORMATS)
def test_equal_rows_are_counted(
    published: Path, tmp_path: Path, format: str, reader: duckdb.DuckDBPyConnection
) -> None:
    place = tmp_path / "lake"
    for rows, changed in (
        ("(1), (1), (1), (null), (null)", (5, 0)),
        ("(1), (null), (null), (null)", (1, 2)),
        ("(1), (1), (2)", (2, 3)),
        ("(1) limit 0", (0, 3)),
        ("(3)", (1, 0)),
    ):
        publish(published, f"select * from (values {rows.replace(' limit 0', '')}) as t (n)"
                + (" limit 0" if "limit" in rows else ""))  # fmt: skip
        done = export(published, place, format)
        assert (done.added, done.removed) == changed
        expected = query(published, "select n from gold.things order by all")
        assert sorted(map(str, read_with_polars(place, format, done.version)["n"])) == sorted(
            str(n) for (n,) in expected
        )


@pytest.mark.parametrize("format", FORMATS)
def test_columns_may_change(published: Path, tmp_path: Path, format: str) -> None:
    place = tmp_path / "lake"
    first = export(publish(published, "select 1 as a, 2 as b, {'x': 1} as c"), place, format)
    second = export(
        publish(published, "select timestamp '2025-01-01' as at, 'one' as a, {'x': 1, 'y': 2} as c"),
        place,
        format,
    )
    assert (second.added, second.removed) == (1, 1)
    assert read_with_polars(place, format, first.version).to_dicts() == [{"a": 1, "b": 2, "c": {"x": 1}}]
    [found] = read_with_polars(place, format, second.version).to_dicts()
    assert found.pop("at").year == 2025
    assert found == {"a": "one", "c": {"x": 1, "y": 2}}
    assert not export(published, place, format).is_new


@pytest.mark.parametrize("format", FORMATS)
def test_a_table_without_rows_is_a_table(
    published: Path, tmp_path: Path, format: str, reader: duckdb.DuckDBPyConnection
) -> None:
    done = export(publish(published, f"from ({HISTORY}) limit 0"), tmp_path / "lake", format)
    assert (done.rows, done.is_new) == (0, True)
    assert read_with_polars(tmp_path / "lake", format, done.version).columns == COLUMNS.split(", ")
    assert not export(published, tmp_path / "lake", format).is_new


@pytest.mark.parametrize("format", FORMATS)
def test_values_of_each_type_are_read_back(
    published: Path, tmp_path: Path, format: str, reader: duckdb.DuckDBPyConnection
) -> None:
    kinds = KINDS | ({"hour": "time '23:59:59.999999'"} if format == "iceberg" else {})
    one = ", ".join(f'{value} as "{name.replace(chr(34), chr(34) * 2)}"' for name, value in kinds.items())
    nothing = ", ".join("null" for _ in kinds)
    publish(published, f"select {one} union all select {nothing}")
    place = tmp_path / "lake"
    done = export(published, place, format)
    texts = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"::varchar' for name in kinds)
    reader.execute(f"attach or replace '{published}' as assay (read_only)")
    expected = reader.sql(f"select {texts} from assay.gold.things order by all").fetchall()
    found = read_with_duckdb(reader, place, format)
    assert reader.sql(f"select {texts} from {found} order by all").fetchall() == expected
    reader.execute("detach assay")
    frame = read_with_polars(place, format, done.version)
    assert frame.height == 2
    assert not export(published, place, format).is_new


@pytest.mark.parametrize("place", ["100%20", "a?b", "a#b", "a\\b", "s3://shop/a#b"])
def test_a_place_that_is_no_url_is_refused_before_anything_is_written(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(assay.Fault, match="take for a part of a URL: name another place"):
        export(published, place, "delta")
    assert files_of(tmp_path) == before


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "value",
    ["'infinity'::timestamp", "'-infinity'::timestamptz", "'290000-01-01'::date", "'4000-01-01 (BC)'::date"],
)
def test_days_and_instants_beyond_those_of_python_are_exported(
    reader: duckdb.DuckDBPyConnection, published: Path, tmp_path: Path, format: str, value: str
) -> None:
    publish(published, f"select unnest([1, 2]) as n, {value} as moment, [{value}] as moments")
    place = tmp_path / "lake"
    assert export(published, place, format).is_new
    assert not export(published, place, format).is_new
    found = read_with_duckdb(reader, place, format)
    expected = reader.sql(f"select 2, ({value})::varchar, [{value}]::varchar").fetchall()
    rows = f"select n, moment::varchar, moments::varchar from {found} where n > 1"
    assert reader.sql(rows).fetchall() == expected


@pytest.mark.parametrize(
    ("value", "format"),
    [
        ("interval 1 day", "iceberg"),
        ("[interval 1 day]", "delta"),
        ("'0101'::bit", "iceberg"),
        ("{'a': '2024-01-01'::timestamp_ns}", "delta"),
        ("union_value(n := 1)", "delta"),
        ("time '01:02:03'", "delta"),
        ("timetz '01:02:03+00'", "iceberg"),
    ],
)
def test_types_that_a_format_lacks_are_refused_before_anything_is_written(
    published: Path, tmp_path: Path, value: str, format: str
) -> None:
    publish(published, f"select 1 as n, {value} as odd")
    with pytest.raises(assay.Fault, match=rf"things: the format {format} has no type for odd \(.*Nothing is"):
        export(published, tmp_path / "lake", format)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_numbers_of_39_digits_leave_the_version_before(published: Path, tmp_path: Path, format: str) -> None:
    place = tmp_path / "lake"
    publish(published, "select 1::hugeint as n")
    first = export(published, place, format)
    before = files_of(place)
    query(published, "insert into gold.things values (100000000000000000000000000000000000000::hugeint)")
    with pytest.raises(assay.Fault, match=r"things cannot be exported: .*DECIMAL"):
        export(published, place, format)
    assert files_of(place) == before
    assert read_with_polars(place, format, first.version)["n"].to_list() == [1]


_KILLED = """
import os, signal, sys
from pathlib import Path
from assay.lake import delta, export, iceberg
from assay.lake.export import export_table
from assay.lake.place import open_place
format, when = sys.argv[3:]
kind = {"delta": delta.DeltaLake, "iceberg": iceberg.IcebergTable}[format]
commit = kind.commit
def die(self, change):
    if when == "after":
        commit(self, change)
    os.kill(os.getpid(), signal.SIGKILL)
kind.commit = die
class Silent:
    def say(self, message): pass
place = open_place(sys.argv[2], "things", Path(sys.argv[1]).with_name("exporting"))
export_table(Path(sys.argv[1]), place, format, Silent())
"""


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("when", "is_first"), [("before", True), ("before", False), ("after", False)])
def test_a_kill_leaves_the_last_version_and_the_next_export_mends_it(
    published: Path, tmp_path: Path, format: str, when: str, is_first: bool
) -> None:
    place = tmp_path / "lake"
    first = None if is_first else export(published, place, format)
    there = set(place.rglob("*.parquet"))
    query(published, "delete from gold.things where total < 10")
    ran = subprocess.run(
        [sys.executable, "-c", _KILLED, str(published), str(place), format, when], check=False
    )
    assert ran.returncode == -9
    if first:
        assert read_with_polars(place, format, first.version).height == 2000
    left = set(place.rglob("*.parquet")) - there
    assert left
    done = export(published, place, format)
    assert done.is_new == (when == "before")
    assert read_with_polars(place, format, done.version).height == done.rows == 1990
    # What the killed process wrote is removed unless it is in use.
    assert left.isdisjoint(place.rglob("*.parquet")) == (when == "before")
    assert not list(place.glob(".*.exporting"))


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_read_back_otherwise_makes_no_version(published: Path, tmp_path: Path, format: str) -> None:
    place = tmp_path / "lake"
    first = export(published, place, format)
    before = files_of(place)
    write = exports._Export._write

    def lose(self: Any, rewritten: Any) -> Any:
        files = write(self, rewritten)
        file = self._place.locate(files[0].key)
        self._run(f"copy (from '{file}' limit 3) to '{file}' (format parquet)")
        return files

    query(published, "delete from gold.things where total < 10")
    with (
        mock.patch.object(exports._Export, "_write", lose),
        pytest.raises(assay.Fault, match=r"is not what is published \(3 rows, and not 1990"),
    ):
        export(published, place, format)
    assert files_of(place) == before
    assert read_with_polars(place, format, first.version).height == 2000


def test_what_others_have_is_left_alone(published: Path, tmp_path: Path) -> None:
    place = tmp_path / "lake"
    (place / "things").mkdir(parents=True)
    (place / "things" / "mine.txt").write_text("mine")
    for format in FORMATS:
        with pytest.raises(assay.Fault, match="holds something else"):
            export(published, place, format)
    assert (place / "things" / "mine.txt").read_text() == "mine"
    write_deltalake(str(tmp_path / "theirs" / "things"), polars.DataFrame({"a": [1]}))
    with pytest.raises(assay.Fault, match="another program has made"):
        export(published, tmp_path / "theirs", "delta")
    export(published, tmp_path / "ours", "delta")
    with pytest.raises(assay.Fault, match="something else than a table of iceberg"):
        export(published, tmp_path / "ours", "iceberg")
    with (
        hold(tmp_path / "ours" / ".things.lock", command="x", refuse=lambda holder: assay.Fault("")),
        pytest.raises(assay.Fault, match="Another process exports things"),
    ):
        export(published, tmp_path / "ours", "delta")


def test_what_another_program_does_to_the_table_is_brought_back(published: Path, tmp_path: Path) -> None:
    place = tmp_path / "lake"
    export(published, place, "delta")
    DeltaTable(str(place / "things")).delete("total < 1000")
    done = export(published, place, "delta")
    assert read_with_polars(place, "delta", done.version).height == done.rows == 2000
    load_table = export(published, place / "i", "iceberg") and load_iceberg(place / "i")
    load_table.delete("mean < 100")
    done = export(published, place / "i", "iceberg")
    assert read_with_polars(place / "i", "iceberg", done.version).height == done.rows == 2000


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with served_apart("shop") as address:
        yield address


@pytest.fixture
def place(storage: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place in a bucket, which is empty."""
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": storage}).items():
        monkeypatch.setenv(name, value)
    bucket = Bucket("s3://shop/lake")
    yield bucket.url
    bucket.remove_versions("")


def keys_in(place: str, ending: str = "") -> set[str]:
    return {found.key for found in Bucket(place).list() if found.key.endswith(ending)}


def read_from_bucket(place: str, format: str, version: str, folder: Path) -> polars.DataFrame:
    there = open_place(place, "things", folder)
    assert isinstance(there, BucketPlace)
    if format == "delta":
        frame = polars.scan_delta(there.url, version=int(version), storage_options=there.storage_options())
        return frame.collect()
    folder.mkdir(exist_ok=True)
    (folder / "catalog.sqlite").write_bytes(Bucket(place).read("catalog.sqlite") or b"")
    catalog = SqlCatalog("assay", uri=f"sqlite:///{folder / 'catalog.sqlite'}", **there.io_properties())
    return polars.scan_iceberg(catalog.load_table("gold.things"), snapshot_id=int(version)).collect()


@pytest.mark.parametrize("format", FORMATS)
def test_each_export_to_a_bucket_is_a_version_that_readers_find(
    published: Path, tmp_path: Path, format: str, place: str
) -> None:
    first = export(published, place, format)
    assert (first.place, first.rows, first.added) == (f"{place}/things", 2000, 2000)
    before = read_from_bucket(place, format, first.version, tmp_path / "read")
    files = keys_in(place, ".parquet")
    assert not export(published, place, format).is_new

    query(published, "update gold.things set valid_to = timestamp '2026-01-01' where total >= 1995")
    query(
        published,
        "insert into gold.things select * replace (timestamp '2026-01-01' as valid_from, "
        "timestamp '9999-12-31' as valid_to, total + 1 as total) from gold.things where total >= 1995",
    )
    second = export(published, place, format)
    assert (second.rows, second.added, second.removed) == (2005, 10, 5)
    with duckdb.connect() as reader:
        for extension in ("avro", "iceberg", "delta"):
            load_extension(reader, extension, extra="dev", by="A test")
        open_bucket(reader, place, by="A test")
        are_equal(reader, f"{format}_scan('{place}/things')", published, COLUMNS)
        reader.register("found", read_from_bucket(place, format, second.version, tmp_path / "read"))
        are_equal(reader, "found", published, COLUMNS)
    assert read_from_bucket(place, format, first.version, tmp_path / "read").equals(before)
    # The files of the version before stay. No note of an export does, and nothing on this machine.
    assert files < keys_in(place, ".parquet")
    assert not [key for key in keys_in(place) if key.startswith(".")]
    assert [each.name for each in published.with_name("exporting").iterdir()] == ["things.lock"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_leaves_the_last_version_in_a_bucket_and_later_exports_mend_it(
    published: Path, tmp_path: Path, format: str, when: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = export(published, place, format)
    there = keys_in(place, ".parquet")
    query(published, "delete from gold.things where total < 10")
    command = [sys.executable, "-c", _KILLED, str(published), place, format, when]
    assert subprocess.run(command, check=False).returncode == -9
    assert read_from_bucket(place, format, first.version, tmp_path / "read").height == 2000
    left = keys_in(place, ".parquet") - there
    assert left
    done = export(published, place, format)
    assert done.is_new == (when == "before")
    assert read_from_bucket(place, format, done.version, tmp_path / "read").height == done.rows == 1990
    # Another machine may still be at it, for a day.
    assert left < keys_in(place, ".parquet") if when == "before" else left <= keys_in(place, ".parquet")
    monkeypatch.setattr("assay.lake.place._LONGEST", timedelta(days=-1))
    assert not export(published, place, format).is_new
    assert left.isdisjoint(keys_in(place)) == (when == "before")
    assert not [key for key in keys_in(place) if key.startswith(".")]
    assert read_from_bucket(place, format, done.version, tmp_path / "read").height == 1990


@pytest.mark.parametrize("format", FORMATS)
def test_of_two_exports_to_a_bucket_at_once_one_makes_the_version(
    published: Path, tmp_path: Path, format: str, place: str
) -> None:
    export(published, place, format)
    query(published, "delete from gold.things where total < 10")
    other = publish(tmp_path / "other" / "assay.duckdb", f"from ({HISTORY}) where total < 7")
    made: list[Exported] = []
    check = exports._Export._check

    def be_late(self: Any, *files: Any) -> None:
        check(self, *files)
        if not made:
            made.append(Exported("", "", "", "", 0, 0, 0, True))
            made[0] = export(other, place, format)

    with (
        mock.patch.object(exports._Export, "_check", be_late),
        pytest.raises(assay.Fault, match="another process has written to the table meanwhile"),
    ):
        export(published, place, format)
    assert read_from_bucket(place, format, made[0].version, tmp_path / "read").height == 7
    done = export(published, place, format)
    assert read_from_bucket(place, format, done.version, tmp_path / "read").height == 1990


def test_exports_of_two_tables_of_iceberg_at_once_are_both_in_the_catalog(
    published: Path, tmp_path: Path, place: str
) -> None:
    query(published, "create table gold.others as select 1 as n")
    check = exports._Export._check

    def be_late(self: Any, *files: Any) -> None:
        check(self, *files)
        if self._opened.name == "things":
            export(published, place, "iceberg", "others")

    with mock.patch.object(exports._Export, "_check", be_late):
        done = export(published, place, "iceberg")
    assert read_from_bucket(place, "iceberg", done.version, tmp_path / "read").height == 2000
    assert not export(published, place, "iceberg", "others").is_new


@pytest.mark.parametrize("format", FORMATS)
def test_an_erasure_leaves_nothing_of_earlier_versions_in_a_bucket(
    tmp_path: Path, format: str, place: str
) -> None:
    places = Places(tmp_path, tmp_path / "assay.duckdb")
    places.published.parent.mkdir()
    person = "anna.of.nowhere@example.com"
    publish(places.published, f"select 1 as n, '{person}' as mail union all select 2, 'other'")
    boto3.client("s3").put_bucket_versioning(Bucket="shop", VersioningConfiguration={"Status": "Enabled"})
    note_export(places.ledger, "things", format, place)
    # One that was never made.
    note_export(places.ledger, "things", format, "s3://no-such-bucket/lake")
    to = open_place(place, "things", places.exporting)
    export_table(places.published, to, format, Silent())  # type: ignore[arg-type]
    query(places.published, f"insert into gold.things values (3, '{person}')")
    export_table(places.published, to, format, Silent())  # type: ignore[arg-type]
    assert [(each.url, kind) for each, kind in find_exports(places)] == [(f"{place}/things", format)]
    assert list(find_gone(places)) == ["s3://no-such-bucket/lake/things"]
    assert count_versions_with(place, person) > 1

    query(places.published, f"delete from gold.things where mail = '{person}'")
    (places.exporting / "things").mkdir()
    (places.exporting / "things" / "left.parquet").write_text(person)
    killed = mock.patch("assay.erasure.exports.export_table", side_effect=KeyboardInterrupt)
    with killed, pytest.raises(KeyboardInterrupt):
        write_exports_anew(places, Silent())  # type: ignore[arg-type]
    write_exports_anew(places, Silent())  # type: ignore[arg-type]
    assert count_versions_with(place, person) == 0
    assert not list(places.exporting.rglob("*.parquet"))
    newest = open_place(place, "things", places.exporting)
    done = export_table(places.published, newest, format, Silent())  # type: ignore[arg-type]
    assert (done.is_new, done.rows) == (False, 1)
    assert read_from_bucket(place, format, done.version, tmp_path / "read")["mail"].to_list() == ["other"]
    assert not [key for key in keys_in(place) if key.startswith(".")]


def count_versions_with(place: str, person: str) -> int:
    """Count the versions of all objects of a place that hold a text, also the columns of Parquet files."""
    client = boto3.client("s3")
    found = 0
    for each in client.list_object_versions(Bucket=Bucket(place).name).get("Versions", ()):
        answer = client.get_object(Bucket=Bucket(place).name, Key=each["Key"], VersionId=each["VersionId"])
        content = answer["Body"].read()
        if content.startswith(b"PAR1"):
            content += str(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
        found += person.encode() in content
    return found


def test_a_bucket_that_is_missing_or_holds_something_else_is_told(published: Path, place: str) -> None:
    with pytest.raises(assay.Fault, match="there is no such bucket: create it"):
        export(published, "s3://no-such-bucket/x", "delta")
    Bucket(place).put("things/mine.txt", b"mine")
    with pytest.raises(assay.Fault, match="holds something else than a table of iceberg"):
        export(published, place, "iceberg")
    assert keys_in(place) == {"things/mine.txt"}


def test_a_lost_hint_is_written_again(published: Path, tmp_path: Path) -> None:
    export(published, tmp_path, "iceberg")
    hint = tmp_path / "things" / "metadata" / "version-hint.text"
    expected = hint.read_text()
    assert (hint.with_name(f"v{expected}.metadata.json")).is_file()
    hint.write_text("another")
    assert not export(published, tmp_path, "iceberg").is_new
    assert hint.read_text() == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"format": "hudi"}, "There is no format hudi: there are iceberg, delta"),
        ({"name": "thing"}, "No table thing is published"),
        ({"place": "gs://bucket/lake"}, "gs://bucket/lake is no folder, and no place in a bucket"),
        ({"place": "s3://"}, "'s3://' names no place in a bucket"),
        ({"name": "odd"}, "a column ROWID cannot be exported"),
    ],
)
def test_wrong_arguments_are_told(published: Path, tmp_path: Path, arguments: Any, words: str) -> None:
    query(published, "create table gold.odd as select 1 as n")
    query(published, 'create or replace table gold.odd as select 1 as "ROWID"')
    with pytest.raises(assay.Fault, match=words):
        export(published, **{"place": tmp_path / "lake", "format": "delta"} | arguments)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_is_noted_only_where_it_begins(published: Path, tmp_path: Path, format: str) -> None:
    """`assay forget` names what was noted and is not there: a mistyped table never was."""
    begin = mock.Mock()
    for name, calls in (("thing", 0), ("things", 1)):
        place = open_place(str(tmp_path / "lake"), name, tmp_path / "exporting")
        with suppress(assay.Fault):
            export_table(published, place, format, Silent(), begin=begin)  # type: ignore[arg-type]
        assert begin.call_count == calls


def test_the_interface_notes_an_export_that_begins(opened: assay.Project, tmp_path: Path) -> None:
    with pytest.raises(assay.Fault, match="No table fct_line is published"):
        opened.lake.export("fct_line", tmp_path, format="delta")
    opened.lake.export("fct_lines", tmp_path / "here", format="delta")
    noted = {(each.table, each.place) for each in read_exports(opened.root / "data" / "ops.duckdb")}
    assert ("fct_lines", str(tmp_path / "here")) in noted
    assert "fct_line" not in {table for table, _ in noted}


def test_a_missing_extra_is_named(published: Path, tmp_path: Path) -> None:
    gone = {"deltalake": None, "assay.lake.delta": None}
    imports: Callable[..., Any] = mock.patch.dict
    with imports(sys.modules, gone), pytest.raises(assay.Fault, match=r"pip install 'assay\[lake\]'"):
        export(published, tmp_path / "lake", "delta")


@pytest.fixture
def opened(built_project: SmallProject) -> Iterator[assay.Project]:
    with mock.patch.dict(os.environ, built_project.environment, clear=True):
        yield assay.open(built_project.root)


@pytest.mark.parametrize("format", FORMATS)
def test_the_command_exports_what_is_published(
    built_project: SmallProject, opened: assay.Project, tmp_path: Path, format: str
) -> None:
    arguments = ("lake", "export", "--format", format, "--table", "fct_lines", "--to", str(tmp_path))
    for told in ("fct_lines, 4 rows (4 new, 0 gone), is in", "fct_lines, 4 rows, is unchanged in"):
        ran = built_project.assay(*arguments)
        assert ran.exit_code == 0, ran.stdout + ran.stderr
        assert told in ran.stdout
    newest = opened.published.list().found.found[0].run_id
    again = opened.lake.export("fct_lines", tmp_path, format=format, run=newest[:12]).found
    assert (again.is_new, again.rows) == (False, len(opened.table("fct_lines")))
