"""Whatever is wrong with a file, it alone is not loaded, its message says why, and no line of it is lost."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landing_zone import Zone

from assay.landing import load, read
from assay.landing.declared import DeclarationError, declared_tables
from assay.landing.discover import LandingFile, UnreadableFile
from assay.landing.formats import delimited
from assay.landing.load import load_new_files

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
    *(
        b"99999999999999999999.99",
        b"null",
        b"true",
        b'{"a":1,"a":2}\n',
        b"id,name,amount\n",
        b"1,ann,2\n",
        b"\x1f\x8b",
    ),
    *(b"PAR1", b"PK\x03\x04", CLICK.encode(), b'{"":{"":[{"":1}]}}\n', b'{"a.b":{"\'":1,"\\"":2}}\n'),
]
GOOD = [
    SALE.encode(),
    CLICK.encode() * 3,
    gzip.compress(SALE.encode()),
    gzip.compress(CLICK.encode()),
    GOOD_PARQUET,
]


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


@pytest.mark.usefixtures("builds")
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
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


# Faults that were found in use

PACKED_SALE = gzip.compress(SALE.encode())
HTML = "<!DOCTYPE html>\n<html>\r<body>amount, 2</body></html>\n"
FAULTS: list[tuple[str, str | bytes, str]] = [
    (
        "sales/cr.csv",
        "id,name,amount\r1,ann,2\r",
        "The header is not CSV (it has a carriage return in it): send",
    ),
    (
        "sales/cr_in_quotes.csv",
        'id;"na\rme\n',
        "The header is not CSV (it has a carriage return in it): send",
    ),
    (
        "sales/zip.csv",
        b"PK\x03\x04\x14\x00\x06\x00\x08\x00\r!\x00\xdf\xa4\xd2\n\r\xff",
        "The file is an Excel workbook or another ZIP archive, whatever its name ends in: export",
    ),
    (
        "sales/page.csv",
        HTML,
        "The file is an HTML page, whatever its name ends in: send the data",
    ),
    (
        "sales/secret.csv",
        "4000123412341234,ann\n",
        "The header has none of the columns declared: send the file",
    ),
    (
        "sales/latin.csv",
        "identité\n".encode("latin-1"),
        "The file is text in WINDOWS-1252, where UTF-8 is declared: declare it: - {property: dialect, ",
    ),
    ("sales/utf16.csv", SALE.encode("utf-16"), "The file is text in UTF-16, where UTF-8 is declared"),
    ("sales/plain.csv.gz", "secret,ann\n", "The .gz is damaged (Not a gzipped file): send the file again."),
    (
        "sales/tail.csv.gz",
        PACKED_SALE + b"secret",
        "The .gz is damaged (Not a gzipped file): send the file again.",
    ),
    ("clicks/plain.json.gz", "{}\n", "The .gz is damaged (Not a gzipped file): send the file again."),
    ("clicks/plain.parquet.gz", "{}\n", "The .gz is damaged (Not a gzipped file): send the file again."),
    ("clicks/empty.parquet", b"", "Not Parquet that can be read (ArrowInvalid): send the file again, or in"),
    (
        "clicks/twice.parquet",
        b"",
        "The column a of type map<int64, int64 ('a')> cannot be read exactly (Inval",
    ),
    (
        "clicks/wide.parquet",
        b"",
        "The column a of type list<element: decimal256(70, 0)> cannot be read exactly (No",
    ),
    (
        "clicks/fine.parquet",
        b"",
        "The column a of type duration[ns] cannot be read exactly (ArrowInvalid): send it",
    ),
    (
        "clicks/case.parquet",
        b"",
        "The column a of type struct<b: int64, B: int64> cannot be read exactly (Binder",
    ),
    (
        "sales/landed_at=9999-12-31T00-00-00/a.csv",
        SALE,
        "It says that it landed at 9999-12-31 00:00:00, which is yet",
    ),
    (
        "sales/landed_at=0000-01-01T00-00-00/a.csv",
        SALE,
        "The folder's landed_at is no time: name it landed_at=",
    ),
    (
        "sales/landed_at=10000-01-01T00-00-00/a.csv",
        SALE,
        "The folder's landed_at is no time: name it landed_at=",
    ),
]
# What Parquet can hold and a document cannot: a key twice, decimals of 70 digits in lists, nanoseconds.
TWICE = pa.array([[(1, 2), (1, 3)]], pa.map_(pa.int64(), pa.int64()))
WIDE = pa.array([[Decimal("1" * 60)]], pa.list_(pa.decimal256(70, 0)))
CASE = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["b", "B"])
FINE = pa.array([5], pa.duration("ns"))


def test_a_file_with_a_fault_says_which_and_all_others_load(zone: Zone) -> None:
    columns = {"twice": TWICE, "wide": WIDE, "fine": FINE, "case": CASE}
    content = {name: parquet(id=[1], a=column) for name, column in columns.items()}
    for name, text, _ in FAULTS:
        zone.drop(f"shop/{name}", content.get(Path(name).stem, text))
    for name in ("0", "z"):
        zone.drop(f"shop/sales/{name}.csv", SALE)
        zone.drop(f"shop/clicks/{name}.jsonl", CLICK)
    zone.load()
    errors = {file["source_file"].removeprefix("shop/"): file["error"] for file in zone.files()}
    for name, _, words in FAULTS:
        assert errors.pop(name).startswith(words), name
    assert errors == dict.fromkeys(("sales/0.csv", "sales/z.csv", "clicks/0.jsonl", "clicks/z.jsonl"))
    assert not any(
        "secret" in file["error"] or "4000" in file["error"] for file in zone.files() if file["error"]
    )


def test_names_from_data_may_have_any_character(zone: Zone) -> None:
    """A NUL would end the query that the name stands in."""
    key = "a\0'\"\n b"
    zone.drop("shop/clicks/a.jsonl", CLICK)
    zone.load()
    zone.drop("shop/clicks/b.jsonl", f"{json.dumps({'id': 1, key: 1, 'by': {key: 'x'}})}\n" * 5)
    zone.drop("shop/sales/a.csv", 'id,name,amount,"x\0\'""y"\n1,ann,2,5\n')
    zone.load()
    assert {file["status"] for file in zone.files()} == {"loaded"}
    changes = zone.query("select column_name from landing.schema_changes where kind = 'new'")
    assert {name for (name,) in changes} == {key, f"by.{key}", "x\0'\"y"}


def test_parquet_becomes_documents_exactly(zone: Zone) -> None:
    money = Decimal("99999999999999.99")
    values = {
        "day": pa.array([-800_000, None], pa.date32()),
        "at": pa.array([569_000_000_000_000_000, None], pa.timestamp("us")),
        "bytes": [b"\x00\xffa\\", None],
        "prices": pa.array([[("a", money)], []], pa.map_(pa.string(), pa.decimal128(38, 2))),
        "by_number": pa.array([[(1, 2)], None], pa.map_(pa.int64(), pa.int64())),
        "nested": [{"Price": money, "list": [money], "no": float("nan")}, None],
        "ratio": [float("-inf"), 0.1],
        "count": [2**63 - 1, -(2**63)],
        "unsigned": pa.array([2**64 - 1, 0], pa.uint64()),
        "took": pa.array([5000, None], pa.duration("ns")),
        "wide": pa.array([Decimal("-" + "1" * 60 + ".10"), None], pa.decimal256(62, 2)),
        "half": pa.array([0.099975586, None], pa.float16()),
        "text": ["a\n\0\u2028", ""],
    }
    zone.drop("shop/clicks/a.parquet", parquet(**values))
    zone.drop("shop/clicks/b.parquet.gz", gzip.compress(parquet(**values)))
    zone.load()
    lines = [
        line for (line,) in zone.query("select line from landing.shop__clicks order by file_id, row_number")
    ]
    assert lines[:2] == lines[2:]
    assert [json.loads(line, parse_constant=pytest.fail) for line in lines[:2]] == [
        {
            "day": "0222-09-04 (BC)",
            "at": "20000-11-22 03:33:20",
            "bytes": "\\x00\\xFFa\\x5C",
            "prices": {"a": "99999999999999.99"},
            "by_number": {"1": 2},
            "nested": {"Price": "99999999999999.99", "list": ["99999999999999.99"], "no": "nan"},
            "ratio": "-inf",
            "count": 2**63 - 1,
            "unsigned": 2**64 - 1,
            "took": "00:00:00.000005",
            "wide": "-" + "1" * 60 + ".10",
            "half": 0.0999755859375,
            "text": "a\n\0\u2028",
        },
        {
            **dict.fromkeys(values),
            "prices": {},
            "ratio": 0.1,
            "count": -(2**63),
            "unsigned": 0,
            "text": "",
        },
    ]


# Whatever a reader raises


@pytest.mark.parametrize(
    "error",
    [
        *(
            MemoryError(),
            OverflowError("secret"),
            RecursionError(),
            KeyError("secret"),
            RuntimeError("secret"),
        ),
        *(
            UnicodeDecodeError("utf-8", b"secret", 0, 1, "secret"),
            OSError(5, "Input/output error"),
            OSError("secret"),
        ),
        *(
            pa.ArrowInvalid("secret"),
            duckdb.OutOfMemoryException("secret"),
            AssertionError(),
            StopIteration(),
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_reader_raises_fails_its_file_alone(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*arguments: Any) -> Iterator[pa.RecordBatch]:
        yield from delimited.read_csv(*arguments)
        raise error

    monkeypatch.setitem(read._READERS, ("csv", ".csv"), fails)
    zone.drop("shop/sales/a.csv", SALE)
    zone.drop("shop/sales/b.csv.gz", PACKED_SALE)
    zone.drop("shop/sales/c.parquet", parquet(id=[1], name=["ann"], amount=[2]))
    monkeypatch.setitem(read._READERS, ("csv", ".gz"), delimited.read_csv)
    zone.load()
    assert [file["status"] for file in zone.files()] == ["failed", "failed", "loaded"]
    assert zone.file("%a.csv")["error"].startswith("Cannot be read (")
    assert "secret" not in zone.file("%a.csv")["error"]
    monkeypatch.undo()
    zone.load()
    assert {file["status"] for file in zone.files()} == {"loaded"}


def test_a_person_who_stops_the_load_stops_it(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(*arguments: Any) -> Iterator[pa.RecordBatch]:
        yield from delimited.read_csv(*arguments)
        raise KeyboardInterrupt

    zone.drop("shop/sales/a.csv", SALE)
    with monkeypatch.context() as patch:
        patch.setitem(read._READERS, ("csv", ".csv"), stops)
        with pytest.raises(KeyboardInterrupt):
            zone.load()
    assert zone.files() == []
    zone.load()
    assert zone.file()["status"] == "loaded"


@pytest.mark.parametrize("step", ["find_changes", "set_aside", "keep_sightings"])
def test_a_fault_after_the_rows_of_a_file_were_read_fails_it_alone(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever of the files that are loaded together it lies in; and what they taught is not forgotten."""
    for number in range(9):
        zone.drop(f"shop/sales/{number}.csv", HEADER + "1,ann,2\n" * 5)
    happens = getattr(load, step)

    def fails(connection: duckdb.DuckDBPyConnection, *arguments: Any) -> Any:
        done = happens(connection, *arguments)
        connection.execute(
            "select error('secret') from landing.shop__sales where file_id = any($1)",
            [
                [
                    load._file_id(file.name, load._sha256(file))
                    for file in load.discover(zone.landing)
                    if "5" in file.name
                ]
            ],
        )
        return done

    monkeypatch.setattr(load, step, fails)
    zone.load()
    broken = zone.file("%5.csv")
    assert broken["error"] == "Cannot be loaded (InvalidInputException): send the file again."
    assert [file["status"] for file in zone.files()].count("loaded") == 8
    assert zone.query("select count(*) from landing.shop__sales") == [(40,)]
    assert zone.query("select count(*) from landing.schema_learnt") == [(3,)]
    monkeypatch.undo()
    zone.load()
    assert zone.file("%5.csv")["status"] == "loaded"


# Lines and memory


def test_a_line_has_a_limit_that_is_told(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_LANDING_LINE_MB", "1")
    most = 1 << 20
    for name, length in (("fits", most), ("long", most + 1)):
        zone.drop(f"shop/clicks/{name}.jsonl", b"\n" * 3 + b"x" * length)
        zone.drop(f"shop/clicks/{name}_ended.jsonl", b"\n" * 3 + b"x" * length + b"\n{}\n")
        zone.drop(f"shop/clicks/{name}.jsonl.gz", gzip.compress(b"x" * length + b"\n", 1))
        zone.drop(f"shop/sales/{name}.csv", HEADER.encode() + b"x" * length + b"\n")
        zone.drop(f"shop/clicks/{name}.parquet", parquet(a=["x" * (length - 9)]))
    zone.load()
    assert {file["source_file"]: file["error"] for file in zone.files() if file["error"]} == {
        f"shop/{name}": f"Line {number} is longer than 1 MB: send the file in shorter lines, "
        "or allow longer ones with ASSAY_LANDING_LINE_MB."
        for name, number in {
            "clicks/long.jsonl": 4,
            "clicks/long_ended.jsonl": 4,
            "clicks/long.jsonl.gz": 1,
            "sales/long.csv": 2,
            "clicks/long.parquet": 1,
        }.items()
    }
    monkeypatch.setenv("ASSAY_LANDING_LINE_MB", "2")
    zone.load()
    assert {file["status"] for file in zone.files()} == {"loaded"}


@pytest.mark.usefixtures("builds")
def test_a_line_of_600_mb_in_a_small_gz_takes_no_more_memory_than_lines_may(zone: Zone) -> None:
    zone.drop("shop/clicks/a.jsonl.gz", gzip.compress(b"x" * (6 << 20)) * 100)
    zone.drop("shop/clicks/b.jsonl", CLICK)
    zone.drop("shop/sales/a.csv.gz", gzip.compress(b"x" * (6 << 20)) * 100)
    zone.connection.close()
    script = f"""
import resource
from datetime import datetime
from pathlib import Path
import duckdb
from assay.landing.load import load_new_files
def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def run(landing):
    load_new_files(connection, landing=landing, models=[models], run_id="r", loaded_at=datetime.now())
models = Path({str(zone.models)!r})
connection = duckdb.connect({str(zone.warehouse)!r})
run(models)
before = most()
run(Path({str(zone.landing)!r}))
print(most() - before)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    zone.connection = duckdb.connect(zone.warehouse)
    assert [file["status"] for file in zone.files("shop%")] == ["failed", "loaded", "failed"]
    assert "Line 1 is longer than 64 MB" in zone.file("%a.jsonl.gz")["error"]
    # Of text, Python holds the bytes and what was read last.
    assert int(run.stdout) < 200


def test_what_is_looked_at_of_long_rows_is_not_held_in_memory(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_BYTES_LOOKED_AT", 0)
    zone.drop("shop/clicks/a.jsonl", CLICK * 5)
    zone.drop("shop/clicks/b.jsonl", '{"id": "x", "at": "2025-01-01", "by": {"name": "ann"}}\n' * 5)
    zone.load()
    assert zone.query("select column_name, kind from landing.schema_changes") == [("id", "type")]


def test_lines_that_each_open_quotes_anew_do_not_take_for_ever(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_CHARACTERS_AGAIN", 4 << 20)
    zone.drop("shop/sales/a.csv", HEADER + 'x",",\n' * 200_000)
    zone.drop("shop/sales/b.csv", SALE)
    zone.load()
    assert (
        zone.file("%a.csv")["error"] == "Too many lines have a quote that is not closed: send the file again."
    )
    assert zone.file("%b.csv")["status"] == "loaded"


def test_documents_nested_too_deep_are_malformed(zone: Zone) -> None:
    """DuckDB's functions of JSON end the process where they meet one, such as those of discard_value."""
    zone.declare(
        DECLARED.replace("{format: jsonl}", "{format: jsonl, schema_mode: discard_value, keys: {id: number}}")
    )
    deep = '{"id": "text", "a": ' + "[" * 100_000 + "]" * 100_000 + "}"
    in_text = json.dumps({"id": "text", "a": "[" * 300})
    wide = json.dumps({"id": "text", "a": [[1]] * 300})
    zone.drop("shop/clicks/a.jsonl", "\n".join([deep, in_text, wide, '{"id": "x"}']))
    zone.load()
    assert zone.file()["malformed_row_count"] == 1
    reasons = {number: reason for number, (_, reason) in zone.clicks().items()}
    assert reasons == {
        1: "nested more than 256 levels deep: send flatter documents",
        2: None,
        3: None,
        4: None,
    }


def test_names_without_end_fail_their_file_and_take_no_time(zone: Zone) -> None:
    """To count the values of a name takes milliseconds: a line of a map's entries would end no load."""
    entries = json.dumps({"id": 1, "by": {"name": "ann"}} | {f"card {n}": n for n in range(20_000)})
    zone.drop("shop/clicks/a.jsonl", entries)
    zone.drop("shop/clicks/b.jsonl", json.dumps({"id": 1, "by": {f"card {n}": n for n in range(20_000)}}))
    zone.drop("shop/clicks/c.jsonl", CLICK * 3)
    zone.load()
    zone.drop("shop/clicks/d.jsonl", entries)
    zone.drop("shop/clicks/e.jsonl", CLICK)
    names = ",".join(f"card {n}" for n in range(2_000))
    zone.drop("shop/sales/a.csv", f"id,name,amount,{names}\n1,ann,2{',x' * 2_000}\n")
    zone.drop("shop/sales/b.csv", SALE)
    zone.load()
    errors = {file["source_file"]: file["error"] for file in zone.files() if file["error"]}
    assert errors == {
        "shop/clicks/a.jsonl": "It has 20,000 keys that nobody declared, where 1,000 are the most: "
        "if their names are data, send them as values, as in an array.",
        "shop/clicks/d.jsonl": "It has 20,000 keys that nobody declared, where 1,000 are the most: "
        "if their names are data, send them as values, as in an array.",
        "shop/sales/a.csv": "It has 2,000 columns that nobody declared, where 1,000 are the most: "
        "if their names are data, send them as rows.",
    }
    assert zone.query("select column_name from landing.schema_learnt where column_name like '%card%'") == []


# Where files lie


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04\x14\x00", "an Excel workbook or another ZIP archive"),
        # Its time is part of the name of a case, which is to be the same in all processes.
        (gzip.compress(SALE.encode(), mtime=0), "packed with gzip"),
        (HEADER.encode("utf-16"), "text in UTF-16"),
        (b"\xfe\xff" + HEADER.encode("utf-16-be"), "text in UTF-16"),
        (HEADER.encode("utf-32"), "text in UTF-32"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\n <!DOCTYPE html><html>", "an HTML page"),
        (parquet(id=[1]), "Parquet"),
    ],
)
def test_a_file_that_is_no_text_is_called_what_it_is(zone: Zone, content: bytes, what: str) -> None:
    zone.drop("shop/sales/a.csv", content)
    zone.drop("shop/sales/b.csv.gz", gzip.compress(content))
    zone.drop("shop/clicks/a.jsonl", content)
    zone.drop("shop/sales/c.csv", SALE)
    zone.load()
    failed = [file["error"] for file in zone.files() if file["status"] == "failed"]
    assert len(failed) == 3
    assert all(error.startswith(f"The file is {what}, w") for error in failed)
    assert zone.file("%c.csv")["status"] == "loaded"


def test_the_load_counts_files_and_rows_in_words(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", SALE)
    zone.drop("shop/clicks/a.jsonl", CLICK * 2)
    told: list[str] = []
    load_new_files(
        zone.connection,
        landing=zone.landing,
        models=[zone.models],
        run_id="run",
        loaded_at=datetime(2025, 6, 1),
        progress=told.append,
    )
    assert told == ["shop/clicks: 1 file, 2 rows", "shop/sales: 1 file, 1 row"]


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize("mode", ["evolve", "discard_row", "discard_value"])
def test_files_that_each_have_other_keys_take_time_for_their_own_alone(tmp_path: Path, mode: str) -> None:
    zone = Zone(tmp_path, DECLARED.replace("format: jsonl", f"format: jsonl, schema_mode: {mode}"))
    zone.drop("shop/clicks/0.jsonl", CLICK * 3)
    zone.load()
    for file in range(40):
        new = {f"{file}.{key}": key for key in range(100)} | {"by": {"name": "ann", f"n{file}": None}}
        zone.drop(f"shop/clicks/{file + 1}.jsonl", json.dumps({"id": 1, "at": "2025-01-01"} | new) + "\n")
    began = time.process_time()
    zone.load()
    assert time.process_time() - began < 20
    found = "select count(*), count(distinct column_name), sum(row_count) from landing.schema_changes"
    assert zone.query(found) == [(4040, 4040, 4000)]
    conflicts = zone.query("select schema_conflict from landing.shop__clicks order by file_id, row_number")
    told = [each for (each,) in conflicts if each]
    assert len(told) == (40 if mode == "discard_row" else 0)
    assert all(each.startswith("new ") and each.count(", new ") == 99 for each in told)
    zone.connection.close()


def test_links_that_lead_out_of_the_landing_folder_are_refused(
    zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "shadow").write_text("root:secret:1\n")
    (outside / "a.csv").write_text(SALE)
    zone.drop("shop/sales/a.csv", SALE)
    sales = zone.landing / "shop" / "sales"
    for name, target in {
        "shadow.jsonl": outside / "shadow",
        "shadow.csv": outside / "shadow",
        "chain.csv": sales / "shadow.csv",
        "relative.csv": Path("../../../outside/a.csv"),
        "gone.csv": outside / "gone.csv",
        "folder": outside,
        "up": zone.landing.parent,
        "device.csv": Path("/dev/zero"),
        "inside.csv": sales / "a.csv",
    }.items():
        (sales / name).symlink_to(target)
    (zone.landing / "web").symlink_to(outside)
    zone.load()
    refused = {
        file["source_file"]
        for file in zone.files()
        if (file["error"] or "").startswith("A link that leads out")
    }
    assert refused == {
        "web",
        *(f"shop/sales/{name}.csv" for name in ("shadow", "chain", "relative", "gone", "device")),
        *("shop/sales/shadow.jsonl", "shop/sales/folder", "shop/sales/up"),
    }
    assert [file["source_file"][-10:] for file in zone.files() if file["status"] == "loaded"] == [
        "ales/a.csv",
        "inside.csv",
    ]
    for name in ("up", "device.csv"):
        (sales / name).unlink()
    monkeypatch.setenv("ASSAY_LANDING_LINKS", "follow")
    zone.load()
    assert {file["source_file"] for file in zone.files() if file["status"] == "loaded"} == {
        *(f"shop/sales/{name}.csv" for name in ("a", "inside", "relative", "folder/a")),
    }
    assert not any("root" in (file["error"] or "") for file in zone.files())


def test_links_in_a_circle_are_walked_once(zone: Zone) -> None:
    for name in "abc":
        zone.drop(f"shop/{name}/file.csv", SALE)
    for name in "abc":
        for other in "abc":
            (zone.landing / "shop" / name / f"to_{other}").symlink_to(zone.landing / "shop" / other)
    zone.load()
    assert len(zone.files()) == 3 + 6


def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_loads(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone.drop("shop/sales/a.csv", SALE)
    zone.drop("shop/sales/closed/b.csv", SALE)
    zone.drop("shop/closed/b.csv", SALE)
    listed = os.scandir

    def guarded(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", guarded)
    zone.load()
    told = "Cannot be read (Permission denied): check its permissions and the disk."
    assert {file["source_file"]: file["error"] for file in zone.files()} == {
        "shop/sales/a.csv": None,
        "shop/sales/closed": told,
        "shop/closed": told,
    }


def test_a_file_that_is_replaced_after_it_was_found_is_not_read(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as by a link that leads out of the landing folder."""
    path = zone.drop("shop/sales/a.csv", SALE)
    other = zone.drop("elsewhere.csv", HEADER + "9,eve,9\n")
    hashed = load._sha256

    def replaced(file: LandingFile) -> str:
        found = hashed(file)
        if file.path == path:
            path.unlink()
            path.symlink_to(other)
        return found

    monkeypatch.setattr(load, "_sha256", replaced)
    (found,) = (file for file in load.discover(zone.landing) if file.path == path)
    zone.load()
    assert zone.file("%a.csv")["error"] == "The file changed while it was being read: the next run loads it."
    assert zone.sales() == {}
    with pytest.raises(UnreadableFile, match="changed"):
        found.open()


@pytest.mark.parametrize(
    ("modified", "words"),
    [
        (4e11, "The time of its last change is not in the years 1 to 9999: touch the file."),
        (-1e11, "The time of its last change is not in the years 1 to 9999: touch the file."),
        (1e300, "The time of its last change is not in the years 1 to 9999: touch the file."),
        (2e11, r"It says that it landed at 8307-\d\d-\d\d .*, which is yet to come: touch the file."),
    ],
)
def test_a_time_at_which_no_file_can_have_landed_is_refused(modified: float, words: str) -> None:
    file = LandingFile(Path("a.csv"), "a.csv", "", "", {}, 0, modified, "", None)
    with pytest.raises(UnreadableFile, match=words):
        file.landed_at  # noqa: B018


def test_files_of_any_past_and_of_clocks_a_little_ahead_load(zone: Zone) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=12)
    times = {"old": -5.0, "first": 0.0, "soon": soon.timestamp()}
    for name, modified in times.items():
        os.utime(zone.drop(f"shop/sales/{name}.csv", SALE), (modified, modified))
    far = zone.drop("shop/sales/far.csv", SALE)
    os.utime(far, (253402300900, 253402300900))
    zone.load()
    landed = {
        Path(file["source_file"]).stem: file["landed_at"]
        for file in zone.files()
        if file["status"] == "loaded"
    }
    assert landed == {
        "old": datetime(1969, 12, 31, 23, 59, 55),
        "first": datetime(1970, 1, 1),
        "soon": soon.replace(tzinfo=None),
    }
    assert zone.file("%far.csv")["status"] == "failed"


def test_names_of_files_may_be_any(zone: Zone) -> None:
    names = [
        "a\nb.csv",
        'it\'s "a" [b] $(c).csv',
        "A.csv",
        "a.csv",
        "\u00e9" * 100 + ".csv",
        "%s.csv",
        "\\.csv",
    ]
    for name in names:
        zone.drop(f"shop/sales/{name}", SALE)
    zone.drop("shop/sales/folder.csv/inner.csv", SALE)
    zone.drop("shop/Sales/a.csv", SALE)
    zone.drop("sh'op/sal\"es/a.csv", SALE)
    zone.load()
    loaded = {file["source_file"] for file in zone.files() if file["status"] == "loaded"}
    assert loaded == {f"shop/sales/{name}" for name in [*names, "folder.csv/inner.csv"]}
    assert {file["status"] for file in zone.files("%a.csv") if file["source_file"].startswith("sh")} >= {
        "unknown_table"
    }


# What is declared


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "# sources: none yet\n",
            "- sources\n",
            "sources:\n",
            "sources: text\n",
            "text",
            "models: # no sources:\n",
        ),
        *("sources: [text, null, {name: a}, {name: b, tables: null}, {name: c, tables: [d, null]}]\n",),
        "sources: [{name: a, tables: [{name: b, config: null}, {name: c, config: {meta: null}}]}]\n",
    ],
)
def test_yaml_that_declares_nothing_stops_nothing(zone: Zone, text: str) -> None:
    (zone.models / "other.yml").write_text(text)
    (zone.models / "folder.yml").mkdir()
    (zone.models / ".#lock.yml").symlink_to("nowhere")
    assert sorted(declared_tables(zone.models)) == [("shop", "clicks"), ("shop", "sales")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"sources: [", "other.yml cannot be read as YAML: "),
        (b"sources: \xff", "other.yml cannot be read as YAML: "),
        (
            b"sources: [{name: a, tables: [{name: b, config: {meta: {landing: csv}}}]}]",
            "a.b: landing is 'csv'; it must",
        ),
    ],
)
def test_yaml_that_cannot_be_read_is_named(zone: Zone, content: bytes, words: str) -> None:
    (zone.models / "other.yml").write_bytes(content)
    with pytest.raises(DeclarationError, match=words):
        declared_tables(zone.models)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ASSAY_LANDING_LINE_MB", "0"), ("ASSAY_LANDING_LINE_MB", "many"), ("ASSAY_LANDING_LINKS", "yes")],
)
def test_a_setting_that_is_none_is_refused(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(DeclarationError, match=f"{name} is '{value}'; it must be "):
        zone.load()
