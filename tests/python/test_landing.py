"""Files become rows once each, every line is accounted for, and what cannot be read says so."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landing_zone import BOM, Zone
from rendered_macros import Macros
from warehouse import PROJECT

from assay.landing import load, read
from assay.landing.declared import DeclarationError, LandingTable, declared_tables
from assay.landing.discover import LandingFile, LandingFolderMissing, discover
from assay.landing.formats import delimited, json_lines
from assay.landing.load import load_new_files

DECLARED = """
sources:
  - name: shop
    tables:
      - name: sales
        config: {meta: {landing: {format: csv, optional: [note]}}}
        columns: [{name: id}, {name: name}, {name: amount}, {name: note}]
      - name: prices
        config: {meta: {landing: {format: csv}}}
        columns: [{name: id}, {name: region}, {name: amount}]
      - name: clicks
        config: {meta: {landing: {format: jsonl}}}
"""
HEADER = "id,name,amount\n"
FOLDER = "landed_at=2025-03-01T04-05-06"


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    zone = Zone(tmp_path, DECLARED)
    yield zone
    zone.connection.close()


# Once each


def test_a_file_loads_once_whatever_its_time_stamp(zone: Zone) -> None:
    path = zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.load()
    before = zone.files()
    path.touch()
    zone.load()
    path.unlink()
    zone.load()
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    os.utime(path, (0, 0))
    zone.load()
    assert zone.files() == before
    assert zone.sales() == {2: ("1", "ann", "2")}


def test_a_file_known_by_its_signature_is_not_read_again(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.load()
    path.touch()
    zone.load()
    monkeypatch.setattr(load, "_sha256", lambda path: pytest.fail(f"{path} is read again"))
    zone.load()


def test_other_content_under_an_old_name_is_a_new_version(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.load()
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,3\n2,bob,4\n")
    zone.load()
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.load()
    assert [(file["file_version"], file["row_count"], file["run_id"]) for file in zone.files()] == [
        (1, 1, "run 1"),
        (2, 2, "run 2"),
    ]
    assert zone.query(
        "select file_version, id, amount from landing.shop__sales inner join landing.files using (file_id) "
        "order by all"
    ) == [(1, "1", "2"), (2, "1", "3"), (2, "2", "4")]


def test_the_same_content_under_another_name_is_another_file(zone: Zone) -> None:
    for name in ("a.csv", "b.csv", f"{FOLDER}/a.csv"):
        zone.drop(f"shop/sales/{name}", HEADER + "1,ann,2\n")
    zone.load()
    assert [file["file_version"] for file in zone.files()] == [1, 1, 1]
    assert zone.query("select count(*), count(distinct file_id) from landing.shop__sales") == [(3, 3)]


def test_a_file_has_the_same_number_in_every_warehouse(zone: Zone, tmp_path: Path) -> None:
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.load()
    zone.drop("shop/sales/b.csv", HEADER + "2,bob,3\n")
    zone.load()
    (tmp_path / "other").mkdir()
    other = Zone(tmp_path / "other", DECLARED)
    shutil.copytree(zone.landing, other.landing, dirs_exist_ok=True)
    other.load()
    numbers = {file["source_file"]: file["file_id"] for file in other.files()}
    assert numbers == {file["source_file"]: file["file_id"] for file in zone.files()}
    assert len(set(numbers.values())) == 2


def test_markers_of_other_tools_are_passed_over(zone: Zone) -> None:
    for name in ("_SUCCESS", ".a.csv.swp", "_temporary/a.csv", ".part/a.csv"):
        zone.drop(f"shop/sales/{name}", HEADER + "1,ann,2\n")
    zone.load()
    assert zone.files() == []


# When it landed


def test_landed_at_is_the_folders_time(zone: Zone) -> None:
    zone.drop(f"shop/sales/{FOLDER}/batch=7/a.csv", HEADER + "1,ann,2\n")
    zone.load()
    assert zone.file()["landed_at"] == datetime(2025, 3, 1, 4, 5, 6)


def test_landed_at_is_else_the_time_of_modification_in_utc(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2025, 7, 1, 12, 30, 15, 250000, tzinfo=UTC)
    path = zone.drop("shop/sales/a.csv", HEADER)
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        zone.load()
    time.tzset()
    assert zone.file()["landed_at"] == moment.replace(tzinfo=None)


def test_a_folder_serves_as_a_column_that_the_file_lacks(zone: Zone) -> None:
    zone.drop("shop/prices/region=eu/a.csv", "id,amount\n1,2\nshort\n")
    zone.drop("shop/prices/region=us/b.csv", "id,amount,region\n1,2,mars\n")
    zone.load()
    assert zone.query("select id, region, amount from landing.shop__prices order by all") == [
        ("1", "eu", "2"),
        ("1", "mars", "2"),
        (None, None, None),
    ]
    assert [file["unexpected_columns"] for file in zone.files()] == [[], []]


# Formats


def test_csv_json_lines_and_parquet_land_plain_and_packed(zone: Zone) -> None:
    text, lines = HEADER + "1,ann,2\n", '{"id": 1}\n{"id": 2}\n'
    zone.drop("shop/sales/a.csv", text)
    zone.drop("shop/sales/b.csv.gz", gzip.compress(text.encode()))
    # Several members, as `cat a.gz b.gz` makes them.
    zone.drop("shop/sales/c.2025.CSV.GZ", gzip.compress(HEADER.encode()) + gzip.compress(b"1,ann,2\n"))
    zone.drop("shop/sales/d.parquet", parquet(id=["1"], name=["ann"], amount=["2"]))
    zone.drop("shop/sales/e.parquet.gz", gzip.compress(parquet(id=["1"], name=["ann"], amount=["2"])))
    for name in ("a.jsonl", "b.ndjson", "c.json"):
        zone.drop(f"shop/clicks/{name}", lines)
        zone.drop(f"shop/clicks/{name}.gz", gzip.compress(lines.encode()))
    zone.drop("shop/clicks/d.parquet", parquet(id=[1, 2]))
    zone.load()
    assert {file["status"] for file in zone.files()} == {"loaded"}
    assert zone.query("select id, name, amount, note, count(*) from landing.shop__sales group by all") == [
        ("1", "ann", "2", None, 5)
    ]
    assert zone.query(
        "select row_number, line, count(*) from landing.shop__clicks group by all order by 1"
    ) == [
        (1, '{"id": 1}', 7),
        (2, '{"id": 2}', 7),
    ]
    assert zone.file("shop/sales/d.parquet")["header_line_count"] == 0


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_values_of_parquet_become_text_as_duckdb_writes_them(zone: Zone) -> None:
    instant = datetime(2025, 1, 2, 3, 4, 5)
    values: dict[str, Any] = {
        "a_boolean": [True, False, None],
        "a_day": [date(2025, 1, 2), None, date(1970, 1, 1)],
        "a_decimal": [Decimal("12345678901234567.10"), Decimal("0.00"), None],
        "a_float": [0.1, 1e20, float("nan")],
        "a_time": [instant, instant + timedelta(microseconds=500000), None],
        "a_zoned_time": pa.array([instant, None, None], pa.timestamp("us", tz="Asia/Tokyo")),
        "an_exact_time": pa.array([1735689600123456789, None, 0], pa.timestamp("ns")),
        "bytes": [b"\x00caf\xe9", b"", None],
        "categories": pa.array(["x", "y", "x"]).dictionary_encode(),
        "numbers": [[1, 2], [], None],
        "struct": [{"a": 1}, None, {"a": None}],
        "words": [" spaced ", "", None],
    }
    path = zone.drop(
        "shop/sales/a.parquet", parquet(id=[1, 2, 3], name=["x"] * 3, amount=["1"] * 3, **values)
    )
    zone.load()
    (expected,) = zone.query(
        "select list({"
        + ", ".join(
            f"{name}: {f'to_json({name})' if name in ('numbers', 'struct') else name}::varchar"
            for name in values
        )
        + f"}}) from (select * from '{path}' order by id)"
    )
    landed = [json.loads(others) for (others,) in zone.sales("other_values").values()]
    assert landed == expected[0]
    assert landed[0]["a_boolean"] == "true"
    assert landed[0]["a_decimal"] == "12345678901234567.10"
    assert landed[0]["an_exact_time"] == "2025-01-01 00:00:00.123456789"
    assert landed[0]["numbers"] == "[1,2]"
    assert landed[1]["words"] == ""
    assert zone.sales() == {number: (str(number), "x", "1") for number in (1, 2, 3)}


# Every line


@pytest.mark.parametrize(
    ("content", "rows", "malformed", "blank_lines"),
    [
        pytest.param("", {}, {}, 0, id="empty file"),
        pytest.param("id,name,amount", {}, {}, 0, id="header alone, no line end"),
        pytest.param(HEADER, {}, {}, 0, id="header alone"),
        pytest.param("\n\r\n", {}, {}, 2, id="blank lines alone"),
        pytest.param("\n\n" + HEADER + "1,a,2\n", {4: ("1", "a", "2")}, {}, 2, id="blank lines first"),
        pytest.param(
            HEADER + "1,a,2\n\n\r\n3,b,4\n\n", {2: ("1", "a", "2"), 5: ("3", "b", "4")}, {}, 3, id="blank"
        ),
        pytest.param(HEADER + "1,a,2", {2: ("1", "a", "2")}, {}, 0, id="no line end"),
        pytest.param("id,name,amount\r\n1,a,2\r\n", {2: ("1", "a", "2")}, {}, 0, id="CRLF"),
        pytest.param("\ufeff" + HEADER + "1,a,2\n", {2: ("1", "a", "2")}, {}, 0, id="byte order mark"),
        pytest.param(
            '\ufeff"id","name","amount"\n1,a,2\n', {2: ("1", "a", "2")}, {}, 0, id="mark before quote"
        ),
        pytest.param("\ufeff", {}, {}, 0, id="byte order mark alone"),
        pytest.param(" id , name,amount \n1,a,2\n", {2: ("1", "a", "2")}, {}, 0, id="spaces in header"),
        pytest.param("amount,id,name\n2,1,a\n", {2: ("1", "a", "2")}, {}, 0, id="reordered"),
        pytest.param(
            HEADER + '1,"two\nlines",2\n3,"three\r\n\r\nlines",4\n5,b,6\n',
            {2: ("1", "two\nlines", "2"), 4: ("3", "three\r\n\r\nlines", "4"), 7: ("5", "b", "6")},
            {},
            0,
            id="line ends in quotes",
        ),
        pytest.param(
            HEADER + ' 1 ,"",\n"2","say ""hi"", you",  \n',
            {2: (" 1 ", "", ""), 3: ("2", 'say "hi", you', "  ")},
            {},
            0,
            id="verbatim",
        ),
        pytest.param(
            HEADER + "1,a\r\n2,b,3\n4,c,5,6\n  \n",
            {3: ("2", "b", "3")},
            {2: ("1,a", "2 fields"), 4: ("4,c,5,6", "4 fields"), 5: ("  ", "1 fields")},
            0,
            id="too few and too many fields",
        ),
        pytest.param(
            HEADER + '1,"lost,2\n3,b,4\n\n5,c,6\r\n',
            {3: ("3", "b", "4"), 5: ("5", "c", "6")},
            {2: ('1,"lost,2', "not CSV")},
            1,
            id="stray quote swallows to the end",
        ),
        pytest.param(
            HEADER + '1,"lost,2\n3,b,4\n5,"c",6\n7,d,8\n',
            {3: ("3", "b", "4"), 4: ("5", "c", "6"), 5: ("7", "d", "8")},
            {2: ('1,"lost,2', "not CSV")},
            0,
            id="stray quote swallows to the next quote",
        ),
        pytest.param(
            HEADER + '1,"lost\n2,b,3\n4,c",5,6\n7,d,8\n',
            {3: ("2", "b", "3"), 5: ("7", "d", "8")},
            {2: ('1,"lost', "4 fields"), 4: ('4,c",5,6', "4 fields")},
            0,
            id="quotes over lines that make too many fields",
        ),
        pytest.param(
            HEADER + '1,"a"b,2\n3,b,4\n', {3: ("3", "b", "4")}, {2: ('1,"a"b,2', "not CSV")}, 0, id="quote"
        ),
        pytest.param(HEADER + "1,a\0b,2\n", {2: ("1", "a\0b", "2")}, {}, 0, id="NUL"),
        pytest.param(
            HEADER + "1,a\rb,2\n3,b,4\n", {3: ("3", "b", "4")}, {2: ("1,a\rb,2", "not CSV")}, 0, id="bare CR"
        ),
        pytest.param(
            HEADER.encode() + b"1,caf\xe9,2\n3,caf\xc3\xa9,4\n",
            {3: ("3", "caf\u00e9", "4")},
            {2: ("1,caf\\xe9,2", "not UTF-8")},
            0,
            id="not UTF-8",
        ),
        pytest.param(
            HEADER.encode() + b'1,"two\nlin\xe9s",2\n3,b,4\n',
            {4: ("3", "b", "4")},
            {2: ('1,"two', "not UTF-8"), 3: ('lin\\xe9s",2', "not UTF-8")},
            0,
            id="not UTF-8 in quotes",
        ),
        pytest.param(
            HEADER + f"1,{'x' * 200_000},2\n3,{'y' * 3_000_000},4\n5,b,6\n",
            {2: ("1", "x" * 200_000, "2"), 3: ("3", "y" * 3_000_000, "4"), 4: ("5", "b", "6")},
            {},
            0,
            id="long values",
        ),
        pytest.param(
            '"id","na\nme","name","amount"\n1,x,a,2\n', {3: ("1", "a", "2")}, {}, 0, id="header of two lines"
        ),
    ],
)
def test_every_line_of_a_csv_file_is_accounted_for(
    zone: Zone,
    content: str | bytes,
    rows: dict[int, tuple[str, ...]],
    malformed: dict[int, tuple[str, str]],
    blank_lines: int,
) -> None:
    zone.drop("shop/sales/a.csv", content)
    zone.load()
    file = zone.file()
    assert (file["status"], file["blank_line_count"]) == ("loaded", blank_lines)
    assert zone.sales() == rows
    found = zone.malformed()
    assert {number: line for number, (line, _) in found.items()} == {
        n: line for n, (line, _) in malformed.items()
    }
    for number, (_, reason) in malformed.items():
        assert found[number][1].startswith(reason)


def test_a_quote_that_stays_open_costs_one_line(zone: Zone) -> None:
    """However long the file, and although what it swallows could be a value."""
    lines = [f"{number},{'x' * 1000},1\n" for number in range(3000)]
    zone.drop("shop/sales/a.csv", HEADER + '0,"open,1\n' + "".join(lines) + '7,closed",1\n')
    zone.load()
    assert [line for line, _ in zone.malformed().values()] == ['0,"open,1']
    assert zone.malformed()[2][1] == "not CSV (a quote is not closed)"
    assert len(zone.sales()) == 3001


def test_long_rows_are_held_few_at_a_time(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_CHARACTERS_A_BATCH", 2500)
    zone.drop("shop/sales/a.csv", HEADER + f"1,{'x' * 1000},2\n" * 10)
    (file,) = discover(zone.landing)
    table = declared_tables(zone.models)["shop", "sales"]
    batches = [batch.num_rows for batch in read.read_file(file, table, 1, read.Tally())]
    assert sum(batches) == 10
    assert max(batches) == 3


@pytest.mark.parametrize(
    ("content", "lines", "blank_lines"),
    [
        pytest.param(b"", {}, 0, id="empty file"),
        pytest.param(b"\n\r\n", {}, 2, id="blank lines alone"),
        pytest.param(b'{"a": 1}\n\n{"b": 2}', {1: '{"a": 1}', 3: '{"b": 2}'}, 1, id="no line end"),
        pytest.param(b'{"a": 1}\r\n\r\n{"b": 2}\r\n', {1: '{"a": 1}', 3: '{"b": 2}'}, 1, id="CRLF"),
        pytest.param(
            b'{"a": 1}\n\r\n{"b": 2}\r\n', {1: '{"a": 1}', 3: '{"b": 2}'}, 1, id="CRLF further down"
        ),
        pytest.param(BOM + b'{"a": 1}\n', {1: '{"a": 1}'}, 0, id="byte order mark"),
        pytest.param(
            b' {"a": 1} \n  \nno JSON\n', {1: ' {"a": 1} ', 2: "  ", 3: "no JSON"}, 0, id="verbatim"
        ),
        pytest.param(
            b'{"a": "\x00\x1c\xc2\x85\xe2\x80\xa8"}\n', {1: '{"a": "\0\x1c\x85\u2028"}'}, 0, id="no line ends"
        ),
    ],
)
def test_every_line_of_a_json_lines_file_is_accounted_for(
    zone: Zone, content: bytes, lines: dict[int, str], blank_lines: int
) -> None:
    zone.drop("shop/clicks/a.jsonl", content)
    zone.load()
    assert zone.clicks() == {number: (line, None) for number, line in lines.items()}
    assert zone.file()["blank_line_count"] == blank_lines


def test_lines_that_are_not_utf8_are_kept_with_escapes(zone: Zone) -> None:
    zone.drop("shop/clicks/a.jsonl", b'{"a": 1}\n\n{"b": "caf\xe9"}\r\n{"c": "\xc3\xa9"}\n')
    zone.load()
    assert zone.clicks() == {
        1: ('{"a": 1}', None),
        3: ('{"b": "caf\\xe9"}', "not UTF-8: send the file again in UTF-8"),
        4: ('{"c": "\u00e9"}', None),
    }


def test_lines_longer_than_a_chunk_stay_whole(zone: Zone) -> None:
    chunk = json_lines._BYTES_A_CHUNK
    lines = ["x" * (chunk - 1), "y" * (3 * chunk + 5), "\u00e9" * chunk, "", "z" * chunk, "end"]
    zone.drop("shop/clicks/a.jsonl", "\n".join(lines))
    zone.drop("shop/clicks/a.jsonl.gz", gzip.compress("\n".join(lines).encode(), 1))
    zone.load()
    for file in zone.files():
        landed = zone.query(
            f"select row_number, line from landing.shop__clicks where file_id = {file['file_id']} order by 1"
        )
        assert landed == [(number, line) for number, line in enumerate(lines, 1) if line]


# Whatever is in them

TEXT = 'ab \u00e9\u2028;\t|,"\n\r\0'


@pytest.mark.parametrize("seed", range(15))
def test_what_a_csv_writer_wrote_comes_back(zone: Zone, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Forty files for each seed: any text in any quoting, blank lines and nonsense between the records."""
    chance = random.Random(seed)
    monkeypatch.setattr(delimited, "ROWS_A_BATCH", chance.choice([1, 2, 5, 50_000]))
    monkeypatch.setattr(delimited, "_CHARACTERS_A_BATCH", chance.choice([1, 100, 1 << 20]))
    # Quotes left open would close where a value starts with a comma or a line end: then text stays plain.
    strays = seed % 3 == 0
    written: dict[str, dict[int, tuple[str, ...]]] = {}
    for index in range(40):
        name = f"shop/sales/{index}.csv"
        content, records = _random_csv(chance, strays)
        written[name] = records
        zone.drop(name, content)
    zone.load()
    landed: dict[str, dict[int, tuple[str, ...]]] = {name: {} for name in written}
    for name, number, *values in zone.query(
        "select source_file, row_number, id, name, amount from landing.shop__sales "
        "inner join landing.files using (file_id) where malformed_reason is null"
    ):
        landed[name][number] = tuple(values)
    assert landed == written


def _random_csv(chance: random.Random, strays: bool) -> tuple[bytes, dict[int, tuple[str, ...]]]:
    out = io.StringIO(newline="")
    end = chance.choice(["\n", "\r\n"])
    quoting = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    alphabet = "ab \u00e9;" if strays else TEXT
    if quoting == csv.QUOTE_MINIMAL and end == "\n":
        # The writer leaves it bare, where it could as well end the line.
        alphabet = alphabet.replace("\r", "")
    writer.writerow(["id", "name", "amount"])
    records = {}
    for _ in range(chance.randrange(12)):
        number = out.getvalue().count("\n") + 1
        kind = chance.random()
        if kind < 0.1:
            out.write(end)
        elif kind < 0.2:
            out.write(f"a,b{end}")
        elif kind < 0.3 and strays:
            out.write(chance.choice(['"a', 'x,"y', 'x,"y,z', '"a"b,c,d', "a,b,c,d"]) + end)
        else:
            values = ["".join(chance.choices(alphabet, k=chance.randrange(5))) for _ in range(3)]
            records[number] = tuple(values)
            writer.writerow(values)
    text = out.getvalue()
    if chance.random() < 0.3:
        text = text.removesuffix(end)
    return (BOM if chance.random() < 0.2 else b"") + text.encode(), records


@pytest.mark.parametrize("seed", range(5))
def test_lines_stay_what_they_are_wherever_chunks_end(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(json_lines, "_BYTES_A_CHUNK", chance.choice([1, 2, 3, 7, 64]))
    expected = {}
    for index in range(20):
        raw = b"".join(
            chance.choices([b"\n", b"\r\n", b"a", b"{}", b"\xc3\xa9", b"\xff"], k=chance.randrange(30))
        )
        zone.drop(f"shop/clicks/{index}.jsonl", raw)
        lines = [line.removesuffix(b"\r") for line in raw.split(b"\n")]
        expected[f"shop/clicks/{index}.jsonl"] = {
            number: line.decode(errors="backslashreplace") for number, line in enumerate(lines, 1) if line
        }
    zone.load()
    landed: dict[str, dict[int, str]] = {name: {} for name in expected}
    for name, number, line in zone.query(
        "select source_file, row_number, line from landing.shop__clicks "
        "inner join landing.files using (file_id)"
    ):
        landed[name][number] = line
    assert landed == expected


# Columns


def test_columns_nobody_declared_are_kept_and_reported(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", 'id,shade,name,amount,Size,\n1,"deep ""red""",a,2,,x\nshort\n')
    zone.load()
    assert zone.file()["unexpected_columns"] == ["shade", "Size", ""]
    ((others, note),) = zone.sales("other_values, note").values()
    assert json.loads(others) == {"shade": 'deep "red"', "Size": "", "": "x"}
    assert note is None
    assert zone.query("select other_values from landing.shop__sales where malformed_reason is not null") == [
        (None,)
    ]


def test_a_column_that_is_declared_later_is_filled_from_what_was_kept(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", 'id,name,amount,shade,size\n1,a,2,"r""d",9\nshort\n')
    zone.drop("shop/sales/b.csv", HEADER + "2,b,3\n")
    zone.load()
    zone.declare(DECLARED.replace("{name: note}", "{name: shade}, {name: note}"))
    zone.drop("shop/sales/c.csv", "id,name,amount,shade\n3,c,4,blue\n")
    zone.drop("shop/sales/d.csv", HEADER + "4,d,5\n")
    zone.load()
    zone.load()
    assert zone.query("select id, shade from landing.shop__sales order by id nulls last") == [
        ("1", 'r"d'),
        ("2", None),
        ("3", "blue"),
        (None, None),
    ]
    assert zone.file("%c.csv")["unexpected_columns"] == []
    assert "lacks shade" in zone.file("%d.csv")["error"]


@pytest.mark.usefixtures("builds")
def test_the_hash_of_a_row_depends_on_names_and_values_alone(zone: Zone, tmp_path: Path) -> None:
    """Not on the order of columns, on line ends, on empty optional columns, nor on what is declared when."""
    zone.drop("shop/sales/a.csv", "id,name,amount,shade,Size\n1,a,2,red,9\n2,b,,red,9\n3,c,4,,\n")
    zone.drop("shop/sales/b.csv", "Size,shade,name,id,amount\r\n9,red,a,1,2\r\n")
    zone.drop("shop/sales/c.csv", HEADER + "1,a,2\n2,,b\n3,c,4\n3,c,4\n")
    zone.drop("shop/sales/d.parquet", parquet(id=["3"], name=["c"], amount=["4"], shade=[None], note=[None]))
    zone.load()
    before = _content_hashes(zone, tmp_path)
    assert before["a.csv", 2] == before["b.csv", 2]
    assert before["c.csv", 4] == before["c.csv", 5] == before["d.parquet", 1]
    assert len(set(before.values())) == 6
    zone.declare(
        DECLARED.replace("[{name: id}, ", "[{name: shade}, {name: id}, ").replace("[note]", "[note, shade]")
    )
    zone.drop("shop/sales/e.csv", "id,shade,name,amount,Size\n1,red,a,2,9\n")
    zone.load()
    after = _content_hashes(zone, tmp_path)
    assert after.pop(("e.csv", 2)) == before["a.csv", 2]
    assert after == before


def _content_hashes(zone: Zone, tmp_path: Path) -> dict[tuple[str, int], str]:
    project = tmp_path / "hashes"
    (project / "models").mkdir(parents=True, exist_ok=True)
    (project / "macros").mkdir(exist_ok=True)
    for macro in ("bronze/content_hash.sql", "shared/quoted.sql"):
        shutil.copy(PROJECT / "macros" / macro, project / "macros")
    shutil.copy(zone.models / "sources.yml", project / "models")
    (project / "dbt_project.yml").write_text("{name: assay, version: 0.1.0, profile: test}")
    target = {"type": "duckdb", "path": str(zone.warehouse)}
    (project / "profiles.yml").write_text(json.dumps({"test": {"target": "a", "outputs": {"a": target}}}))
    (project / "models" / "hashes.sql").write_text(
        "select split_part(source_file, '/', 3), row_number, {{ content_hash('shop', 'sales') }} as hash\n"
        "from landing.shop__sales as landed inner join landing.files using (file_id)"
    )
    zone.connection.close()
    run = subprocess.run(
        [Path(sys.executable).with_name("dbt"), "run", "--profiles-dir", "."],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    zone.connection = duckdb.connect(zone.warehouse)
    assert run.returncode == 0, run.stdout
    return {row[:2]: row[2] for row in zone.query("from hashes")}


# What cannot be read


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


PACKED = gzip.compress(("id,name,amount\n" + "".join(f"{i},{i * i},1\n" for i in range(20_000))).encode())


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        (
            "shop/sales/a.csv.gz",
            truncated(PACKED),
            "failed",
            "The .gz ends before its data does: send the file",
        ),
        ("shop/sales/a.csv.gz", b"id,name,amount\n", "failed", "The .gz is damaged (Not a gzipped file"),
        ("shop/sales/a.csv.gz", PACKED[:40] + b"\0\0\0\0" + PACKED[44:], "failed", "The .gz is damaged ("),
        ("shop/sales/a.csv.gz", PACKED[:-8] + b"\0" * 8, "failed", "The .gz is damaged (CRC check failed"),
        (
            "shop/clicks/a.jsonl.gz",
            truncated(PACKED),
            "failed",
            "The .gz ends before its data does: send the file",
        ),
        (
            "shop/sales/a.csv",
            "id;name;amount\n1;a;2\n",
            "failed",
            "delimited by semicolons: send it again delimited",
        ),
        (
            "shop/sales/a.csv",
            '"id";"name, full";"amount"\n',
            "failed",
            "delimited by semicolons: send it again",
        ),
        (
            "shop/sales/a.csv",
            "id\tname\tamount\n",
            "failed",
            "delimited by tabs: send it again delimited by commas",
        ),
        (
            "shop/sales/a.csv",
            "id|name|amount\n",
            "failed",
            "delimited by bars: send it again delimited by commas",
        ),
        (
            "shop/sales/a.csv",
            "Id;Name\n",
            "failed",
            "delimited by semicolons: send it again delimited by commas",
        ),
        (
            "shop/sales/a.csv",
            "name,x;y\n",
            "failed",
            "The file has x;y, which nobody declared; lacks id; lacks amount: send it as",
        ),
        (
            "shop/sales/a.csv",
            "1,a,2\n",
            "failed",
            "The header has none of the columns declared: send the file with id, name, amount.",
        ),
        (
            "shop/sales/a.csv",
            "id,name,amount,id\n",
            "failed",
            "The header names id twice: send the file with each",
        ),
        ("shop/sales/a.csv", "id,name,amount,,\n", "failed", "The header names an empty name twice: send"),
        (
            "shop/sales/a.csv",
            '"id,name,amount\n',
            "failed",
            "The header is not CSV (unexpected end of data): send",
        ),
        (
            "shop/sales/a.csv",
            HEADER.encode("utf-16"),
            "failed",
            "The file is text in UTF-16, where UTF-8 is declared",
        ),
        (
            "shop/sales/a.txt",
            HEADER,
            "failed",
            "ends in .txt, but shop/sales takes .csv, .parquet, .tsv (or the same with",
        ),
        (
            "shop/sales/a.csv",
            b'id,name,amount,"n\no\xe9"\n',
            "failed",
            "The header is not UTF-8: send the file",
        ),
        ("shop/sales/a", HEADER, "failed", "ends in nothing, but shop/sales takes .csv, .parquet, .tsv"),
        ("shop/sales/a.gz", HEADER, "failed", "ends in .gz, but shop/sales takes .csv, .parquet, .tsv"),
        ("shop/sales/a.jsonl", "{}\n", "failed", "ends in .jsonl, but shop/sales takes .csv, .parquet, .tsv"),
        (
            "shop/clicks/a.csv",
            HEADER,
            "failed",
            "ends in .csv, but shop/clicks takes .json, .jsonl, .ndjson, .parquet",
        ),
        ("shop/sales/a.parquet", b"PAR1 and so on", "failed", "Not Parquet that can be read ("),
        (
            "shop/sales/a.parquet",
            truncated(parquet(id=[1], name=[2], amount=[3])),
            "failed",
            "Not Parquet that can",
        ),
        ("shop/sales/a.parquet", b"", "failed", "Not Parquet that can be read ("),
        (
            "shop/sales/a.parquet",
            parquet(id=["1"]),
            "failed",
            "The file lacks name; lacks amount: send it as shop.sales",
        ),
        ("shop/clicks/a.parquet", b"{}", "failed", "Not Parquet that can be read ("),
        ("shop/sales/landed_at=yesterday/a.csv", HEADER, "failed", "name it landed_at=YYYY-MM-DDTHH-MM-SS"),
        (
            "shop/returns/a.csv",
            HEADER,
            "unknown_table",
            "No landing table shop/returns is declared: declare it under",
        ),
        ("a.csv", HEADER, "unknown_table", "Lies outside any <source>/<table>/ folder: move it into one."),
        (
            "shop/a.csv",
            HEADER,
            "unknown_table",
            "Lies outside any <source>/<table>/ folder: move it into one.",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_spoils_nothing(
    zone: Zone, name: str, content: str | bytes, status: str, words: str
) -> None:
    zone.drop(name, content)
    for other in ("0.csv", "z.csv"):
        zone.drop(f"shop/sales/{other}", HEADER + "1,ann,2\n")
    zone.drop("shop/clicks/z.jsonl", "{}\n")
    zone.load()
    before = zone.file(name)
    assert before["status"] == status
    assert words in before["error"]
    assert zone.query("select count(*) from landing.shop__sales") == [(2,)]
    assert zone.query("select count(*) from landing.shop__clicks") == [(1,)]
    zone.load()
    assert zone.file(name) == before


def test_nanoseconds_of_parquet_are_kept_with_pandas_or_without(zone: Zone) -> None:
    times = {
        "at": pa.array([1735689600123456789, None], pa.timestamp("ns")),
        "daily": pa.array([123456789, None], pa.time64("ns")),
    }
    zone.drop("shop/clicks/a.parquet", parquet(**times))
    zone.load()
    assert [json.loads(line) for line, _ in zone.clicks().values()] == [
        {"at": "2025-01-01 00:00:00.123456789", "daily": "00:00:00.123456789"},
        {"at": None, "daily": None},
    ]


def test_damage_of_parquet_that_shows_while_rows_are_read_is_no_end(zone: Zone) -> None:
    broken = parquet(id=[str(i) for i in range(5000)], name=["x"] * 5000, amount=["1"] * 5000)
    zone.drop("shop/sales/b.parquet", broken[:200] + b"\xff" * 400 + broken[600:])
    zone.drop("shop/sales/c.csv", HEADER + "1,ann,2\n")
    zone.load()
    assert [(file["status"], (file["error"] or "")[:28]) for file in zone.files()] == [
        ("failed", zone.file("%b.parquet")["error"][:28]),
        ("loaded", ""),
    ]


def test_a_file_that_fails_halfway_leaves_no_rows(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "ROWS_A_BATCH", 100)
    zone.drop("shop/sales/a.csv.gz", truncated(PACKED))
    zone.load()
    assert zone.query("select count(*) from landing.shop__sales") == [(0,)]


def test_a_mended_file_loads_and_leaves_nothing_behind(zone: Zone) -> None:
    path = zone.drop("shop/sales/a.csv.gz", truncated(PACKED))
    renamed = zone.drop("shop/sales/b.txt", HEADER + "1,ann,2\n")
    zone.load()
    path.write_bytes(PACKED)
    renamed.rename(renamed.with_suffix(".csv"))
    zone.load()
    assert [(file["file_version"], file["status"]) for file in zone.files("%a.csv.gz")] == [
        (1, "withdrawn"),
        (2, "loaded"),
    ]
    assert zone.file("%b.csv")["status"] == "loaded"
    assert zone.query("select count(*) from landing.shop__sales") == [(20_001,)]


def test_a_folder_that_is_declared_later_loads(zone: Zone) -> None:
    zone.declare(DECLARED.replace("name: sales", "name: sold"))
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    load_new_files(
        zone.connection,
        landing=zone.landing,
        models=[zone.models],
        run_id="early",
        loaded_at=datetime(2025, 1, 1),
    )
    assert zone.file()["status"] == "unknown_table"
    zone.declare(DECLARED)
    zone.load()
    file = zone.file()
    assert (file["status"], file["file_version"], file["error"]) == ("loaded", 1, None)
    assert (file["run_id"], file["loaded_at"]) == ("run 1", datetime(2025, 6, 1))


def test_a_missing_column_that_becomes_optional_lets_the_file_in(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", "id,name\n1,ann\n")
    zone.load()
    assert "or accept the change: assay schema accept shop.sales" in zone.file()["error"]
    zone.declare(DECLARED.replace("[note]", "[note, amount]"))
    zone.load()
    assert (zone.file()["status"], zone.file()["file_version"]) == ("loaded", 1)
    assert zone.sales() == {2: ("1", "ann", None)}


def test_what_was_broken_is_withdrawn_once_it_is_mended_or_gone(zone: Zone) -> None:
    good = HEADER + "1,ann,2\n"
    zone.drop("shop/sales/a.csv", good)
    zone.drop("shop/sales/b.csv", "id;name;amount\n")
    zone.drop("shop/unheard/c.csv", good)
    zone.load()
    zone.drop("shop/sales/a.csv", "id;name;amount\n")
    zone.load()
    assert [file["status"] for file in zone.files()] == ["loaded", "failed", "failed", "unknown_table"]
    # The first is replaced by what it was before, the second is mended, the third is moved away.
    zone.drop("shop/sales/a.csv", good)
    zone.drop("shop/sales/b.csv", HEADER + "2,bob,3\n")
    (zone.landing / "shop/unheard/c.csv").unlink()
    zone.load()
    states = [(file["source_file"][-5:], file["file_version"], file["status"]) for file in zone.files()]
    assert states == [
        ("a.csv", 1, "loaded"),
        ("a.csv", 2, "withdrawn"),
        ("b.csv", 1, "withdrawn"),
        ("b.csv", 2, "loaded"),
        ("c.csv", 1, "withdrawn"),
    ]
    assert zone.files("%c.csv")[0]["error"]
    zone.drop("shop/unheard/c.csv", good)
    zone.load()
    assert zone.file("%c.csv")["status"] == "unknown_table"


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of files that may not be opened; root may open anything, so permissions alone do not tell."""
    names: set[str] = set()
    opened = LandingFile.open

    def guarded(self: LandingFile) -> Any:
        if self.path.name in names:
            raise PermissionError(13, "Permission denied", str(self.path))
        return opened(self)

    monkeypatch.setattr(LandingFile, "open", guarded)
    return names


def test_a_file_nobody_may_open_loads_once_it_may_be(zone: Zone, locked: set[str]) -> None:
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.drop("shop/sales/b.csv", HEADER + "2,bob,3\n")
    locked.add("a.csv")
    zone.load()
    before = zone.file("%a.csv")
    assert (before["status"], before["file_version"], before["content_sha256"]) == ("failed", 1, None)
    assert before["error"] == "Cannot be read (Permission denied): check its permissions and the disk."
    assert zone.file("%b.csv")["status"] == "loaded"
    zone.load()
    assert zone.file("%a.csv") == before
    locked.clear()
    zone.load()
    mended = zone.file("%a.csv")
    assert (mended["status"], mended["file_version"], mended["run_id"]) == ("loaded", 1, "run 3")
    assert zone.query("select id from landing.shop__sales order by id") == [("1",), ("2",)]


def test_a_loaded_file_that_is_locked_for_a_while_is_as_before(zone: Zone, locked: set[str]) -> None:
    path = zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.load()
    before = zone.files()
    path.touch()
    locked.add("a.csv")
    zone.load()
    assert [file["status"] for file in zone.files()] == ["loaded", "failed"]
    locked.clear()
    zone.load()
    assert zone.files() == before


def test_an_error_that_changes_is_told_anew(zone: Zone, locked: set[str]) -> None:
    zone.drop("shop/sales/a.csv", "id;name;amount\n")
    zone.load()
    zone.declare(DECLARED.replace("name: sales", "name: sold"))
    load_new_files(
        zone.connection,
        landing=zone.landing,
        models=[zone.models],
        run_id="b",
        loaded_at=datetime(2025, 7, 1),
    )
    file = zone.file()
    assert (file["status"], file["run_id"], file["file_version"]) == ("unknown_table", "b", 1)


def test_links_pipes_and_strange_names(zone: Zone) -> None:
    sales = zone.landing / "shop" / "sales"
    kept = zone.landing / "shop" / ".kept"
    zone.drop("shop/.kept/a.csv", HEADER + "1,ann,2\n")
    sales.mkdir()
    (sales / "linked").symlink_to(kept)
    (sales / "link.csv").symlink_to(kept / "a.csv")
    (sales / "dangling.csv").symlink_to(kept / "gone.csv")
    (sales / "round").symlink_to(zone.landing)
    (sales / "circle.csv").symlink_to(sales / "circle.csv")
    os.mkfifo(sales / "pipe.csv")
    Path(os.fsdecode(os.fsencode(sales) + b"/caf\xe9.csv")).write_text(HEADER + "1,ann,2\n")
    zone.load()
    cannot_be_read = "Cannot be read ({}): check its permissions and the disk."
    assert {file["source_file"]: file["error"] for file in zone.files()} == {
        "shop/sales/linked/a.csv": None,
        "shop/sales/link.csv": None,
        "shop/sales/circle.csv": cannot_be_read.format("Too many levels of symbolic links"),
        "shop/sales/dangling.csv": cannot_be_read.format("No such file or directory"),
        "shop/sales/pipe.csv": cannot_be_read.format("not a regular file"),
        "shop/sales/caf\\xe9.csv": None,
    }
    (kept / "gone.csv").write_text(HEADER + "3,cid,4\n")
    zone.load()
    assert zone.file("%dangling.csv")["status"] == "loaded"
    assert zone.file("%linked/gone.csv")["status"] == "loaded"
    assert zone.query("select count(*) from landing.shop__sales") == [(5,)]


# What happens meanwhile

Meddling = Callable[[Path], None]


def meddle(monkeypatch: pytest.MonkeyPatch, name: str, change: Meddling) -> None:
    """Have `change` done to the file of that name when its last row has been read."""
    read_file = read.read_file

    def meddled(file: Any, *arguments: Any) -> Iterator[pa.RecordBatch]:
        yield from read_file(file, *arguments)
        if file.path.name == name:
            change(file.path)

    monkeypatch.setattr(load, "read_file", meddled)


def test_a_file_that_grows_while_it_is_read_waits_for_the_next_run(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.drop("shop/sales/b.csv", HEADER + "2,bob,3\n")
    with monkeypatch.context() as patch:
        meddle(patch, "a.csv", lambda path: path.write_text(HEADER + "1,ann,2\n3,cid,4\n"))
        zone.load()
    assert zone.file("%a.csv")["error"] == "The file changed while it was being read: the next run loads it."
    assert zone.query("select id from landing.shop__sales") == [("2",)]
    zone.load()
    assert zone.files("%a.csv")[-1]["status"] == "loaded"
    assert zone.query("select id from landing.shop__sales order by id") == [("1",), ("2",), ("3",)]


def test_a_file_that_is_removed_while_it_is_read_does_not_stop_the_rest(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.drop("shop/sales/b.csv", HEADER + "2,bob,3\n")
    meddle(monkeypatch, "a.csv", Path.unlink)
    zone.load()
    assert [file["status"] for file in zone.files()] == ["failed", "loaded"]
    assert zone.query("select id from landing.shop__sales") == [("2",)]


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_run_that_ends_in_a_transaction_leaves_whole_files_only(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_BYTES_A_TRANSACTION", 1)
    for name in ("a.csv", "b.csv", "c.csv"):
        zone.drop(f"shop/sales/{name}", HEADER + "1,ann,2\n")
    record = load._Loader._record
    recorded = []

    def dies(self: Any, versions: Any) -> None:
        record(self, versions)
        recorded.append(versions)
        if len(recorded) == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(load._Loader, "_record", dies)
        with pytest.raises(Killed):
            zone.load()
    zone.balance()
    assert [file["source_file"] for file in zone.files()] == ["shop/sales/a.csv"]
    zone.load()
    assert [file["run_id"] for file in zone.files()] == ["run 1", "run 2", "run 2"]
    assert zone.query("select count(*), count(distinct file_id) from landing.shop__sales") == [(3, 3)]


def test_progress_is_told_after_every_transaction(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", HEADER + "1,ann,2\n")
    zone.drop("shop/clicks/a.jsonl", "{}\n{}\n")
    zone.drop("a.csv", "")
    told: list[str] = []
    load_new_files(
        zone.connection,
        landing=zone.landing,
        models=[zone.models],
        run_id="r",
        loaded_at=datetime(2025, 1, 1),
        progress=told.append,
    )
    assert told == [
        "elsewhere: 0 files, 0 rows; 1 not loaded",
        "shop/clicks: 1 file, 2 rows",
        "shop/sales: 1 file, 1 row",
    ]


# What is declared


def test_the_projects_own_sources_are_declared() -> None:
    tables = declared_tables(PROJECT / "models")
    assert {f"{source}/{name}": table.format for (source, name), table in tables.items()} == {
        "docs/documents": "jsonl",
        "erp/order_lines": "csv",
        "payments/card_transactions": "csv",
        "web/events": "jsonl",
        "serving/exposures": "jsonl",
        "serving/predictions": "jsonl",
        "crm/customers": "jsonl",
        "catalog/products": "jsonl",
        "catalog/price_list": "csv",
    }
    assert tables["catalog", "price_list"].columns == ("product_id", "unit_price", "currency", "exported_at")
    assert tables["web", "events"].relation == "web__events"


def test_declarations_that_cannot_be_followed_say_where(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(DECLARED.replace("format: jsonl", "format: xml"))
    with pytest.raises(
        DeclarationError, match=r"shop\.clicks: landing\.format is 'xml'; it must be csv or jsonl"
    ):
        declared_tables(tmp_path)
    path.write_text(DECLARED.replace("format: jsonl", "format: csv"))
    with pytest.raises(DeclarationError, match=r"shop\.clicks: a CSV landing table needs its columns listed"):
        declared_tables(tmp_path)
    path.write_text(DECLARED)
    assert declared_tables(tmp_path)["shop", "sales"] == LandingTable(
        "shop", "sales", "csv", ("id", "name", "amount", "note"), frozenset({"note"})
    )


def test_a_landing_folder_that_is_not_there_says_what_to_do(zone: Zone) -> None:
    zone.landing.rmdir()
    with pytest.raises(LandingFolderMissing, match=r"does not exist\. Set ASSAY_LANDING .* assay demo --out"):
        zone.load()


def test_an_empty_landing_folder_is_no_fault(zone: Zone) -> None:
    (zone.landing / "shop" / "sales" / FOLDER).mkdir(parents=True)
    zone.load()
    assert zone.files() == []
    assert zone.sales() == {}


def test_a_source_was_last_heard_of_when_its_newest_file_landed_that_loads(zone: Zone) -> None:
    for name, content in (
        ("sales/landed_at=2025-03-01T04-05-06/a.csv", HEADER + "1,ann,2\n"),
        ("sales/landed_at=2025-03-03T00-00-00/a.csv", HEADER + "2,bob,2\n"),
        ("sales/landed_at=2025-03-02T00-00-00/a.csv", HEADER + "3,eve,2\n"),
        ("sales/landed_at=2025-03-08T00-00-00/bad.csv", "no,such,columns\n1,2,3\n"),
        ("clicks/landed_at=2025-03-09T00-00-00/a.jsonl", "{}\n"),
    ):
        zone.drop(f"shop/{name}", content)
    zone.load()

    def last_landed(table: str) -> datetime | None:
        node = SimpleNamespace(database="warehouse", source_name="shop", name=table)
        adapter = SimpleNamespace(quote=lambda name: f'"{name}"')
        [(found,)] = zone.query(Macros(adapter=adapter).last_landed(node))
        return found

    assert {name: last_landed(name) for name in ("sales", "clicks", "prices", "it's")} == {
        "sales": datetime(2025, 3, 3),
        "clicks": datetime(2025, 3, 9),
        "prices": None,
        "it's": None,
    }
