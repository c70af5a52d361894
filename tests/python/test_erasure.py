"""`assay forget` removes a person from everything that is kept: proved by the bytes of all files."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import urllib.parse
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dying import Steps
from small_project import HEADER, SmallProject

from assay.core.fault import Fault
from assay.core.places import Places, find_places
from assay.core.structure import bring_up_to_date
from assay.erasure.elsewhere import count_of_streams, forget_in_ledger, forget_of_streams
from assay.erasure.find import FileLines, count_doubtful, count_rows, find_lines
from assay.erasure.forgotten import find_returned, note_forgotten
from assay.erasure.journal import Journal, read_journal
from assay.erasure.lines import Emptied, empty_lines, hash_of
from assay.erasure.look import find_traces
from assay.erasure.mentions import Mentions
from assay.erasure.person import Person, find_people, find_person, put_together
from assay.erasure.removal import People
from assay.erasure.unloaded import empty_unloaded, find_unloaded
from assay.erasure.versions import erase_from_versions
from assay.erasure.warehouse import rewrite_warehouse
from assay.init.project import init_project
from assay.landing.declared import LandingTable
from assay.landing.dialect import Dialect
from assay.landing.discover import LandingFile, discover, file_at
from assay.landing.formats.messages import Message, line_of, read_segment
from assay.landing.formats.rows import Tally
from assay.landing.load import SCHEMA
from assay.landing.segments import segment_of
from assay.ledger.retentions import RETAINED_FILES, RETENTIONS
from assay.online.ahead import Ahead
from assay.pii.forgotten import ForgottenPeople, read_forgotten
from assay.pii.key import PiiKey
from assay.project.conventions import STAMP
from assay.project.graph import Manifest
from assay.project.warehouse import connect
from assay.server.audit import Audit
from assay.training.store import VersionManifest, VersionStore, write_version
from assay.training.verify import verify

KEPT = """
select order_id, quantity, row_number from silver.slv_order_lines__checked where rule_ids is null order by all
"""
EXPORTED = "select count(*) from read_parquet('{}/fct_lines/data/**/*.parquet')"
PERSON, OTHER = "C90210417", "C55501234"


def land_people(project: SmallProject, day: int = 5) -> Path:
    """Land lines of two people, one of them over two lines, with a blank line between."""
    path = project.landing / "erp" / "order_lines" / f"landed_at=2025-01-{day:02}T02-00-00" / "people.csv"
    path.parent.mkdir(parents=True)
    path.write_text(
        HEADER
        + f"1001,P1,a thing,1,2025-01-04 08:00:00,1.50,{PERSON},France\n"
        + f'1002,P2,"two\nlines",2,2025-01-04 09:00:00,1.50,{PERSON}.0,France\n'
        + "\n"
        + f"1003,P3,a thing,3,2025-01-04 10:00:00,1.50,{OTHER},France\n"
    )
    return path


def files_with(folder: Path, text: str) -> list[str]:
    """Return the files under a folder in which a text stands, in any of their bytes."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def land_malformed(project: SmallProject) -> Path:
    """Land a file with two lines that cannot be read, of which one names the person."""
    path = project.landing / "erp" / "order_lines" / "landed_at=2025-01-05T03-00-00" / "broken.csv"
    path.parent.mkdir(parents=True)
    path.write_text(f"{HEADER}1008,P8,{OTHER}\n1009,P9,{PERSON}\n")
    return path


def person_named(key: str) -> Person:
    return Person("customer", key, ("customer_id",), (key,))


def removal_for(key: str) -> People:
    return People(person_named(key), Manifest({"nodes": {}, "macros": {}}))


def files_in(folder: Path, content: bytes, name: str = "a.csv") -> LandingFile:
    (folder / name).write_bytes(content)
    return file_at(folder / name)


SALES = LandingTable("shop", "sales", "csv", ("id", "who"))


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (b"id,who\n1,x\n2,y\n3,z\n", b"id,who\n1,x\n\n3,z\n"),
        (b"id,who\r\n1,x\r\n2,y\r\n3,z", b"id,who\r\n1,x\r\n\r\n3,z"),
    ],
)
def test_a_line_is_emptied_and_all_others_keep_their_numbers(
    content: bytes, left: bytes, tmp_path: Path
) -> None:
    file = files_in(tmp_path, content)
    announced: list[str] = []
    emptied = empty_lines(file, SALES, [(3, 4)], announced.append)
    assert file.path.read_bytes() == left
    assert announced == [emptied.sha256] == [hashlib.sha256(left).hexdigest()]
    assert (emptied.tally.rows, emptied.tally.row_lines, emptied.tally.blank_lines) == (2, 2, 1)
    assert file.path.stat().st_mtime_ns == int(file.signature.split(":")[1])


def test_packed_files_and_those_in_other_encodings_are_rewritten(tmp_path: Path) -> None:
    packed = files_in(tmp_path, gzip.compress(b"id,who\n1,x\n2,y\n"), "a.csv.gz")
    empty_lines(packed, SALES, [(2, 3)], lambda sha256: None)
    assert gzip.decompress(packed.path.read_bytes()) == b"id,who\n\n2,y\n"
    wide = LandingTable("shop", "sales", "csv", ("id", "who"), dialect=Dialect(encoding="utf-16"))
    file = files_in(tmp_path, "id,who\n1,xö\n2,yö\n".encode("utf-16"))
    empty_lines(file, wide, [(3, 4)], lambda sha256: None)
    assert file.path.read_bytes().decode("utf-16") == "id,who\n1,xö\n\n"


def test_rows_of_parquet_go_and_a_document_may_be_the_only_one(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["1", "2", "3"], "who": ["x", "y", "z"]}), path)
    emptied = empty_lines(file_at(path), SALES, [(2, 3)], lambda sha256: None)
    assert pq.read_table(path).to_pydict() == {"id": ["1", "3"], "who": ["x", "z"]}
    assert not emptied.keeps_numbers
    clicks = LandingTable("web", "clicks", "jsonl")
    file = files_in(tmp_path, b'{"who": "x"}', "a.jsonl")
    assert empty_lines(file, clicks, [(1, 2)], lambda sha256: None).tally.rows == 0


def test_a_segment_of_a_stream_keeps_its_offsets_without_the_person(tmp_path: Path) -> None:
    path = tmp_path / "web" / "clicks" / "topic=clicks" / "partition=0" / f"{7:020}-{9:020}.jsonl.gz"
    path.parent.mkdir(parents=True)
    messages = [Message(each, 1, 1, None, [], b'{"who": "%d"}' % each) for each in (7, 8, 9)]
    path.write_bytes(gzip.compress(b"".join(map(line_of, messages))))
    clicks = LandingTable("web", "clicks", "jsonl", is_streamed=True)
    [file] = discover(tmp_path)
    assert segment_of(file.name)
    emptied = empty_lines(file, clicks, [(2, 3)], lambda sha256: None)
    assert (emptied.tally.rows, emptied.tally.malformed_rows) == (2, 0)
    assert list(read_segment(path)) == [[messages[0], messages[2]]]


def test_row_groups_and_packing_of_parquet_stay(tmp_path: Path) -> None:
    plain = tmp_path / "plain.parquet"
    rows = pa.table({"id": [str(each) for each in range(10)], "who": ["x"] * 10})
    pq.write_table(rows, plain, row_group_size=4, compression="zstd")
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    empty_lines(file_at(path), SALES, [(5, 6), (2, 3), (10, 11)], lambda sha256: None)
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    left = pq.ParquetFile(plain)
    assert left.read()["id"].to_pylist() == ["0", "2", "3", "5", "6", "7", "8"]
    assert left.metadata.num_row_groups == 3
    assert left.metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_large_file_is_compared_row_by_row_over_all_batches(tmp_path: Path) -> None:
    lines = [b"%d,%d\n" % (each, each % 7) for each in range(30_000)]
    file = files_in(tmp_path, b"id,who\n" + b"".join(lines))
    emptied = empty_lines(file, SALES, [(3, 4), (20_000, 20_001)], lambda sha256: None)
    assert emptied.tally.rows == 29_998
    lines[1] = lines[19_998] = b"\n"
    assert file.path.read_bytes() == b"id,who\n" + b"".join(lines)


def test_a_file_that_would_read_differently_stays_as_it_was(tmp_path: Path) -> None:
    content = b'id,who\n1,x\n2,"y\nz"\n3,z\n'
    file = files_in(tmp_path, content)
    with pytest.raises(Fault, match="would read differently"):
        # The span ends within the row.
        empty_lines(file, SALES, [(3, 4)], lambda sha256: None)
    assert file.path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


def test_the_ledger_forgets_a_person(tmp_path: Path) -> None:
    ledger = tmp_path / "ops.duckdb"
    rows = [{"customer_id": PERSON, "n": 1}, {"customer_id": OTHER, "n": 2}]
    with duckdb.connect(str(ledger)) as connection:
        connection.execute("create table nodes (name varchar primary key, message varchar, sample json)")
        message = f"n is 1, customer_id is {PERSON}, customer_id is {PERSON}9"
        connection.execute("insert into nodes values ('a', $1, $2)", [message, json.dumps(rows)])
    assert forget_in_ledger(ledger, person_named(PERSON)) == 2
    assert f"{PERSON}9".encode() in ledger.read_bytes()
    assert ledger.read_bytes().replace(f"{PERSON}9".encode(), b"").count(PERSON.encode()) == 0
    with duckdb.connect(str(ledger)) as connection:
        [(message, sample)] = connection.execute("select message, sample from nodes").fetchall()
    assert message == f"n is 1, customer_id is (forgotten), customer_id is {PERSON}9"
    assert json.loads(sample) == rows[1:]
    assert forget_in_ledger(ledger, person_named(PERSON)) == 0


def test_a_person_is_found_by_entity_and_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    view = {
        "resource_type": "model",
        "config": {"meta": {"feature_view": {"entity": "card", "keys": ["card_id"]}}},
    }
    manifest = Manifest({"nodes": {"v": view}, "macros": {}})
    monkeypatch.setenv("ASSAY_PII_KEY", "k" * 32)
    with duckdb.connect() as connection:
        connection.execute(
            "create table t as select 'x' as card_id, '[]' as served, 1 as file_id, 'r' as run_id"
        )
        person = find_person("card=4111", manifest, connection)
        assert person.values == ("4111", PiiKey(b"k" * 32).hashed("4111"))
        for wrong in ("card", "card=", "=4111", "ghost=1", "file=1", "run=r"):
            with pytest.raises(Fault):
                find_person(wrong, manifest, connection)
        # As Python gives bytes that are no UTF-8, in which no text of the warehouse can be.
        assert find_person("card=4\udcff", manifest, connection).key == "4\\xff"
        for served, found in (
            ('[{"keys": {"card_id": "4111"}}]', 1),
            ('[{"keys": {"card_id": "1"}}]', 0),
            ("no", 0),
        ):
            connection.execute("update t set served = $1", [served])
            condition = person.condition(["card_id", "served"])
            assert connection.execute(f"select count(*) from t where {condition}").fetchall() == [(found,)]
        keys = ['{"card_id": "4111", "day": "1"}', '{"card_id": "1"}', '{"day": "4111"}', "no", None]
        connection.execute("create table k as select unnest($1) as entity_keys", [keys])
        condition = person.condition(["entity_keys"])
        assert connection.execute(f"from k where {condition}").fetchall() == [(keys[0],)]


@pytest.mark.parametrize(
    ("key", "found", "doubtful"), [("10028", [3, 4, 5], 0), ("1002", [], 0), ("17", [], 2), ("A1 b", [8], 0)]
)
def test_a_malformed_line_with_the_key_as_a_field_is_the_persons(
    key: str, found: list[int], doubtful: int
) -> None:
    lines = {
        3: '5,"Bench, Set of 2",10028,web,,,',
        4: "5;10028;17",
        5: "5\t10028.0\t17",
        6: "5,100281,10028-1",
        7: "5,110028",
        8: "5, 'A1 b' |x",
    }
    with duckdb.connect() as connection:
        connection.execute(
            "create schema silver; create schema landing; "
            "create table silver.slv_lines__checked as "
            "select 1 as file_id, 1 as row_number, 'x' as customer_id;"
            "create table landing.files as from (values (1, 'f', 1, 'erp', 'lines', 's', 9), "
            "(2, 'g', 1, 'erp', 'others', 's', 9)) "
            "as f(file_id, source_file, file_version, source_name, table_name, content_sha256, line_count)"
        )
        for name, file_id in (("lines", 1), ("others", 2)):
            connection.execute(
                f"create table landing.erp__{name} as select {file_id} as file_id, unnest($1) as row_number, "
                "'other number of fields' as malformed_reason, unnest($2) as malformed_line",
                [[*lines], [*lines.values()]],
            )
        person = person_named(key)
        # Nobody tells that the other table has keys of customers.
        [*files] = find_lines(connection, person)
        assert [row for file in files for row, _ in file.spans] == found
        assert {file.table for file in files} <= {"lines"}
        assert count_doubtful(connection, person) == doubtful


def test_a_prediction_that_tells_nothing_but_its_label_is_found(tmp_path: Path) -> None:
    kinds = {"kinds": ["labels"]}
    labels: dict[str, dict[str, Any]] = {
        name: {"resource_type": "model", "name": name, "schema": "gold", "config": {"meta": {STAMP: kinds}}}
        for name in ("lbl_churn", "lbl_fraud")
    }
    with duckdb.connect() as connection:
        connection.execute(
            "create schema gold; create table gold.lbl_churn as select '17' as customer_id;"
            "create table gold.lbl_fraud as select '17' as card_id; create table predictions as from (values "
            "(1, 'lbl_churn', '17@2025-12-01'), (2, 'lbl_churn', '18@2025-12-17'), (3, 'lbl_fraud', '17@x'), "
            "(4, 'lbl_churn', '17'), (5, 'lbl_churn', null), (6, null, '17')) as p(id, label_name, label_id)"
        )
        person = find_person("customer=17", Manifest({"nodes": labels, "macros": {}}), connection)
        assert person.labels == ("lbl_churn",)
        condition = person.condition(["id", "label_name", "label_id"])
        found = connection.execute(f"select id from predictions where {condition} order by id").fetchall()
    assert found == [(1,), (4,)]
    journal = Journal("e", person, "me", "asked", datetime(2026, 1, 1))
    journal.keep(tmp_path / "a.duckdb")
    assert read_journal(tmp_path / "a.duckdb") == journal


def test_a_person_is_found_under_each_name_that_views_give_the_key(tmp_path: Path) -> None:
    views = {
        name: {
            "resource_type": "model",
            "config": {"meta": {"feature_view": {"entity": "patient", "keys": keys}}},
        }
        for name, keys in {"a": ["patient"], "b": ["patient_id"], "c": ["patient_id", "ward"]}.items()
    }
    with duckdb.connect() as connection:
        for column in ("patient", "patient_id"):
            connection.execute(f"create table of_{column} as select unnest(['P1', 'P2']) as {column}")
        person = find_person("patient=P1", Manifest({"nodes": views, "macros": {}}), connection)
        assert person.columns == ("patient", "patient_id")
        assert [rows for *_, rows in count_rows(connection, person)] == [1, 1]
        condition = person.condition(["served"])
        for keys, found in (
            ({"patient": "P1"}, True),
            ({"patient_id": "P1"}, True),
            ({"patient": "P2"}, False),
        ):
            served = json.dumps([{"keys": keys}])
            [(is_found,)] = connection.execute(
                f"select {condition} from (select $1 as served)", [served]
            ).fetchall()
            assert is_found is found
        views.pop("a")
        views.pop("b")
        with pytest.raises(Fault, match="a key of several columns, patient_id, ward"):
            find_person("patient=P1", Manifest({"nodes": views, "macros": {}}), connection)
    mentions = Mentions(person)
    assert [mentions.count(f"{name}=P1") for name in ("patient", "patient_id", "ward")] == [1, 1, 0]
    journal = Journal("1", person, "me", "asked", datetime(2026, 1, 1), rows=2)
    journal.keep(tmp_path / "assay.duckdb")
    assert read_journal(tmp_path / "assay.duckdb") == journal
    note_forgotten(tmp_path / "assay.duckdb", person)
    listed = read_forgotten(tmp_path / "assay.duckdb")
    assert listed is not None
    assert list(listed.hashes) == [("patient", "patient"), ("patient", "patient_id")]


@pytest.mark.parametrize(
    ("key", "value", "rows"),
    [
        ("17", "17::double", 1),
        ("17", "17::float", 1),
        ("17", "17::decimal(9, 2)", 1),
        ("17.0", "17::double", 1),
        ("17", "17.5::double", 0),
        ("17", "170::double", 0),
        ("17", "'17.0'", 0),
        ("17", "17::bigint", 1),
        ("3F2504E0-4F89-11D3-9A0C-0305E82C3301", "'3f2504e0-4f89-11d3-9a0c-0305e82c3301'::uuid", 1),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "'3F2504E0-4F89-11D3-9A0C-0305E82C3301'", 1),
    ],
)
def test_a_key_is_found_in_columns_of_each_type(
    key: str, value: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_PII_KEY", raising=False)
    with duckdb.connect() as connection:
        connection.execute(f"create table t as select {value} as customer_id")
        person = find_person(f"customer={key}", Manifest({"nodes": {}, "macros": {}}), connection)
        assert sum(count for *_, count in count_rows(connection, person)) == rows
        note_forgotten(tmp_path / "a.duckdb", person)
        listed = read_forgotten(tmp_path / "a.duckdb")
        assert listed is not None
        listed.set_variables(connection)
        [(_, _, keys)] = listed.keys_sql("t", ["customer_id"])
        assert len(connection.execute(keys).fetchall()) == rows


def test_nobody_is_looked_for_with_another_key_than_silver_has(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest({"nodes": {}, "macros": {}})
    key = PiiKey(b"k" * 32)
    with duckdb.connect() as connection:
        connection.execute("create schema landing; create table t as select '1' as customer_id")
        connection.execute("create table landing.pii_key as select $1 as fingerprint", [key.fingerprint])
        monkeypatch.delenv("ASSAY_PII_KEY", raising=False)
        with pytest.raises(Fault, match="ASSAY_PII_KEY is not set"):
            find_person("customer=1", manifest, connection)
        monkeypatch.setenv("ASSAY_PII_KEY", "o" * 32)
        with pytest.raises(Fault, match="ASSAY_PII_KEY is another"):
            find_person("customer=1", manifest, connection)
        monkeypatch.setenv("ASSAY_PII_KEY", "k" * 32)
        assert find_person("customer=1", manifest, connection).values == ("1", key.hashed("1"))


def test_what_landed_is_told_once_and_other_warehouses_of_the_project_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the source calls the key as silver does, its landing table has the key's column as well."""
    monkeypatch.chdir(tmp_path)
    for name in ("ASSAY_TARGET", "ASSAY_WAREHOUSE", "ASSAY_LAKE_CATALOG", "DBT_PROFILES_DIR", "DBT_TARGET"):
        monkeypatch.delenv(name, raising=False)
    init_project(tmp_path)
    places = find_places()
    lake = Path("data/lake/assay.sqlite")
    lake.parent.mkdir(parents=True)
    with connect(places.warehouse, read_only=False) as connection:
        bring_up_to_date(connection, SCHEMA)
        connection.execute(
            "insert into landing.files values (1, 'shop', 'sales', 'shop/sales/a.csv', 1, 30, null, now(), "
            "'loaded', null, 3, 1, 0, 2, 2, 0, [], now(), 'run', 0, 0)"
        )
        connection.execute("create schema silver")
        for table in ("landing.shop__sales", "silver.slv_sales__checked"):
            connection.execute(
                f"create table {table} as select 1::bigint as file_id, unnest([2, 3])::bigint as row_number, "
                f"unnest(['{PERSON}', '{OTHER}']) as customer_id"
            )
        found = find_traces(places, connection, person_named(PERSON))
        assert [(each.place, each.rows) for each in found.traces if "sales" in each.place] == [
            ("landed file shop/sales/a.csv", 1),
            ("landing.shop__sales", 1),
            ("silver.slv_sales__checked", 1),
        ]
        assert found.unseen == ["other files that people have exported, and backups"]
        lake.touch()
        (told, _) = find_traces(places, connection, person_named(PERSON)).unseen
        assert told.startswith(f"{lake}, another warehouse of this project")
        assert "ASSAY_TARGET=lake" in told


def test_people_of_one_entity_are_found_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_PII_KEY", raising=False)
    manifest = Manifest({"nodes": {}, "macros": {}})
    with duckdb.connect() as connection:
        connection.execute("create table t as select '1' as customer_id, '2' as card_id")
        people = find_people(["customer=1", "customer=2", "customer=1"], manifest, connection)
        assert put_together(people) == Person("customer", "1, 2", ("customer_id",), ("1", "2"))
        with pytest.raises(Fault, match="card and customer are forgotten one after the other"):
            find_people(["customer=1", "card=2"], manifest, connection)


@pytest.mark.parametrize(
    ("key", "told", "left"),
    [
        ("17", "17 rows, customer_id is 17, n is 17", "17 rows, customer_id is (forgotten), n is 17"),
        (
            "17",
            "customer=17 customer_id = '17', customer=171",
            "customer=(forgotten) customer_id = '(forgotten)', customer=171",
        ),
        ("17", '{"CustomerID":17.0,"n":17}', '{"CustomerID":(forgotten),"n":17}'),
        ("17", "customer_id: 17.5", "customer_id: 17.5"),
        ("C90210417", "C90210417,xC90210417,C90210417", "(forgotten),xC90210417,(forgotten)"),
        ("4111111111111111", "4111111111111111 0.4111111111111111", "(forgotten) 0.4111111111111111"),
    ],
)
def test_a_key_is_taken_out_of_texts_where_it_is_one(key: str, told: str, left: str) -> None:
    assert Mentions(person_named(key)).take_out(told)[0] == left


@pytest.mark.parametrize("is_ascii", [False, True])
def test_a_key_is_found_as_each_writer_spells_it(is_ascii: bool, tmp_path: Path) -> None:
    key = 'José "Joe" O\'Brien'
    mentions = Mentions(person_named(key))
    for told in (
        json.dumps({"customer_id": key}, ensure_ascii=is_ascii),
        f"<td>{html.escape(key)}</td>",
        f"<td>{html.escape(key, quote=False)}</td>",
        "where customer_id = '" + key.replace("'", "''") + "'",
        '1,"' + key.replace('"', '""') + '"',
        f"GET /online/customers/{urllib.parse.quote(key)}?id={urllib.parse.quote_plus(key)}",
    ):
        assert mentions.count(told) > 0, told
        assert "Brien" not in mentions.take_out(told)[0]
    ledger = tmp_path / "ops.duckdb"
    with duckdb.connect(str(ledger)) as connection:
        connection.execute("create table nodes (sample json)")
        sample = json.dumps([{"customer_id": key}, {"customer_id": "Jo"}], ensure_ascii=is_ascii)
        connection.execute("insert into nodes values ($1)", [sample])
    assert forget_in_ledger(ledger, person_named(key)) == 1
    assert b"Brien" not in ledger.read_bytes()
    assert not person_named(key).is_in_key("[x")
    assert person_named(key).is_in_key(json.dumps(["P1", key], ensure_ascii=is_ascii))


def test_logs_stay_readable_without_the_person(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"customer_id": 17, "n": 17}\n{"customer_id": "17"}\n')
    lines.chmod(0o640)
    mentions = Mentions(person_named("17"))
    assert mentions.count_in(lines) == mentions.take_out_of(lines) == 2
    assert [json.loads(line) for line in lines.read_text().splitlines()] == [
        {"customer_id": None, "n": 17},
        {"customer_id": "(forgotten)"},
    ]
    assert lines.stat().st_mode & 0o777 == 0o640
    assert mentions.take_out_of(lines) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_server_goes_on_with_its_log_after_the_person_is_taken_out(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    request = {"reader": "anna", "request_id": "r", "method": "GET", "path": f"/entities/{PERSON}"}
    audit.note("read", request)
    Mentions(person_named(PERSON)).take_out_of(tmp_path / "audit.jsonl")
    audit.note("read", request | {"path": "/other"})
    audit.close()
    told = [json.loads(line)["path"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert told == ["/entities/(forgotten)", "/other"]


def test_streams_forget_whom_they_have_brought_online(tmp_path: Path) -> None:
    places = Places(tmp_path / "landing", tmp_path / "assay.duckdb")
    ahead = Ahead(places.ahead)
    ahead.note("v", [PERSON, OTHER, f'["{PERSON}","x"]'], {("s.t", "topic", 0): 5})
    ahead.wrote({("s.t", "topic", 0): 5})
    person = person_named(PERSON)
    assert list(count_of_streams(places, person)) == [(places.ahead, 2)]
    forget_of_streams(places, person)
    assert list(count_of_streams(places, person)) == []
    assert [key for _, key, _ in ahead.newest(9)] == [OTHER]
    assert files_with(tmp_path, PERSON) == []


class Killed(BaseException):
    """What nothing in the code catches, as a kill."""


@pytest.fixture
def people(project_as_built: SmallProject) -> SmallProject:
    land_people(project_as_built)
    land_malformed(project_as_built)
    build = project_as_built.assay("build")
    assert build.exit_code == 0, build.output
    return project_as_built


def test_a_person_is_forgotten_everywhere(people: SmallProject) -> None:
    before = people.query(KEPT)
    # As products write them whose contract asks for it.
    people.published.with_name("people.csv").write_text(f"customer_id\n{PERSON}\n")
    [path] = people.landing.rglob("people.csv")
    for text in ("logs/dbt.log.1", "target/run_results.json", "data/serving/audit.1.jsonl"):
        (people.root / text).parent.mkdir(exist_ok=True)
        (people.root / text).write_text(f'{{"args": "dbt forget customer={PERSON}"}}')
    Ahead(people.root / "data" / "stream.sqlite").note("v", [PERSON], {("erp.x", "topic", 0): 1})
    unknown = people.landing / "nobody" / "knows" / "this.txt"
    unknown.parent.mkdir(parents=True)
    unknown.write_text(f"{OTHER}\n{PERSON}\n")
    assert people.assay("build").exit_code == 0
    assert files_with(people.root, PERSON)
    # As `assay retain` does.
    cold = people.root / "cold"
    [broken] = people.landing.rglob("broken.csv")
    moved = cold / broken.relative_to(people.landing)
    moved.parent.mkdir(parents=True)
    sha256 = hash_of(broken)
    broken.replace(moved)
    ledger = people.root / "data" / "ops.duckdb"
    at = datetime(2025, 1, 6)
    RETENTIONS.write(
        ledger,
        [
            {"retention_id": "r", "warehouse": "w", "who": "me", "cold": str(cold), "started_at": at}
            | {"file_count": 1, "size_bytes": 1}
        ],
    )
    RETAINED_FILES.write(
        ledger,
        [
            {"retention_id": "r", "source_file": str(broken.relative_to(people.landing)), "size_bytes": 1}
            | {"content_sha256": sha256, "landed_at": at, "reason": "old", "moved_to": str(moved)}
        ],
    )
    cold.rename(people.root / "away")
    away = people.assay("forget", f"customer={PERSON}")
    assert away.exit_code != 0
    assert "mount its disk" in away.output
    (people.root / "away").rename(cold)
    export = people.root / "exports"
    for format in ("delta", "iceberg"):
        made = people.assay(
            *("lake", "export", "--table", "fct_lines", "--format", format, "--to", f"exports/{format}")
        )
        assert made.exit_code == 0, made.output
    rows_before = people.query(EXPORTED.format(export / "delta"))
    wide = replace(people, settings={"COLUMNS": "300"})
    dry = wide.assay("forget", f"customer={PERSON}", "--dry-run")
    assert dry.exit_code == 0, dry.output
    for place in (
        *(
            "people.csv",
            "cold/erp/order_lines",
            "landing.erp__order_lines",
            "silver.slv_order_lines__checked",
        ),
        *("publication", "dbt.log.1", "run_results.json", "audit.1.jsonl"),
        *(
            "nobody/knows/this.txt",
            "stream.sqlite",
            "published/people.csv",
            "exports/delta/fct_lines",
            "exports/iceberg/fct_lines",
        ),
    ):
        assert place in dry.output, place
    # It has moved, so it is in the landing zone no more.
    assert f"landed file {broken.relative_to(people.landing)}" not in dry.output
    assert people.query(KEPT) == before

    # A kill after the landed files are rewritten; the next build ends what was begun.
    killed = mock.patch("assay.erasure.carry_out.rewrite_warehouse", side_effect=Killed)
    with killed, pytest.raises(Killed):
        people.assay("forget", f"customer={PERSON}", "--reason", "asked for it")
    assert PERSON not in path.read_text()
    done = people.assay("build")
    assert done.exit_code == 0, done.output
    assert files_with(people.root, PERSON) == []
    assert len(files_with(people.root, OTHER)) >= 2
    # What was published until then is rewritten, and a rollback to it is not offered all the same.
    assert [each.name for each in (people.published.parent / "kept").iterdir()] == [
        run_id
        for (run_id,) in people.query("from published.publication select run_id", file=people.published)
    ]
    for folder in (export / "delta", export / "iceberg"):
        assert people.query(EXPORTED.format(folder)) == [(rows_before[0][0] - 2,)]
        assert [each.name for each in folder.iterdir() if each.is_dir()] == ["fct_lines"]
    after = people.query(KEPT)
    assert after == [row for row in before if row[0] not in ("1001", "1002")]
    counts = people.query(
        "select line_count, header_line_count, blank_line_count, row_line_count, erased_line_count, "
        "row_count, erased_row_count from bronze.brz_files where source_file like '%people.csv'"
    )
    assert counts == [(6, 1, 1, 1, 3, 1, 2)]
    assert people.query(
        "select row_line_count, erased_line_count, row_count, malformed_row_count from bronze.brz_files "
        "where source_file like '%broken.csv'"
    ) == [(1, 1, 1, 1)]
    assert people.query("select count(*) from gold.fct_lines", file=people.published) == [(len(after),)]
    assert unknown.read_text() == f"{OTHER}\n\n"
    assert moved.read_text().splitlines()[1:] == [f"1008,P8,{OTHER}", ""]
    assert people.query("select content_sha256 from retained_files", file=ledger) == [(hash_of(moved),)]
    assert people.query("select entity, reason, file_count from erasures", file=ledger) == [
        ("customer", "asked for it", 3)
    ]
    # Nothing is left to do, and the rewritten file is not taken for a new one.
    again = people.assay("build")
    assert again.exit_code == 0, again.output
    assert people.query("select count(*) from bronze.brz_files where source_file like '%people.csv'") == [
        (1,)
    ]
    assert people.assay("forget", f"customer={PERSON}").exit_code != 0

    # The person comes back in another file.
    land_people(people, day=6)
    # A watch looks for who comes back, as each build does.
    with mock.patch("assay.build.watch.time.sleep", side_effect=KeyboardInterrupt):
        back = people.assay("build", "--watch")
    assert back.exit_code == 130, back.output
    assert "came back" in back.output
    assert files_with(people.root, PERSON) == []
    assert people.query(
        "select row_count, erased_row_count from bronze.brz_files where source_file like '%people.csv'"
    ) == [(1, 2), (1, 2)]


def test_several_people_are_forgotten_with_one_build(people: SmallProject) -> None:
    both = (f"customer={PERSON}", f"customer={OTHER}")
    refused = people.assay("forget", *both, "customer=C10000001")
    assert "Nothing is kept of customer=C10000001" in refused.output
    log = people.root / "logs" / "dbt.log.1"
    log.write_text("-- as nobody knows\n")
    unknown = people.assay("forget", "customer=nobody")
    assert (unknown.exit_code, log.read_text()) == (1, "-- as nobody knows\n")
    assert "Nothing is kept of customer=nobody" in unknown.output
    assert f"texts, such as {log.parent}" in unknown.output
    assert files_with(people.root, PERSON)
    with mock.patch("assay.erasure.carry_out._build", return_value="run") as build:
        done = people.assay("forget", *both)
    assert done.exit_code == 0, done.output
    assert build.call_count == 1
    assert files_with(people.root, PERSON) == files_with(people.root, OTHER) == []
    counts = people.query(
        "select row_count, erased_row_count from landing.files where source_file like '%people.csv'"
    )
    assert counts == [(0, 3)]


@pytest.mark.parametrize("name", ["assay.duckdb", "assay.sqlite"])
def test_rows_are_rejected_by_each_way_in_which_they_name_a_person(name: str, tmp_path: Path) -> None:
    warehouse = tmp_path / name
    people = ForgottenPeople().with_keys("customer", "customer_id", [PERSON])
    served = json.dumps([{"keys": {"customer_id": OTHER}}, {"keys": {"customer_id": PERSON}}])
    keys = json.dumps({"customer_id": PERSON})
    with connect(warehouse, read_only=False) as connection:
        people.set_variables(connection)
        for columns in (
            f"select unnest(['{PERSON}', '{OTHER}', null]) as customer_id",
            "select unnest(['customer', 'card', 'customer']) as entity, "
            f"unnest(['{PERSON}', '{PERSON}', 'x']) as entity_id",
            f"select unnest(['{served}', 'no', null]) as served",
            f"select unnest(['{keys}', 'no', null]) as entity_keys",
        ):
            connection.execute(
                "create or replace table checked as "
                "select 1 as file_id, *, row_number() over () as row_number, "
                f"case when row_number = 1 then ['other'] end as rule_ids from ({columns})"
            )
            names = [row[0] for row in connection.execute("describe checked").fetchall()]
            for _ in range(2):
                connection.execute(people.set_aside_sql("checked", names))
            assert connection.execute("select rule_ids from checked order by row_number").fetchall() == [
                (["other", "forgotten"],),
                (None,),
                (None,),
            ]
    assert people.set_aside_sql("checked", ["customer_id"]) == ""
    assert people.set_aside_sql("checked", ["rule_ids", "file_id", "row_number"]) == ""


def test_rows_of_who_comes_back_never_reach_gold(project_as_built: SmallProject) -> None:
    before = project_as_built.query("select count(*) from gold.fct_lines")
    note_forgotten(project_as_built.warehouse, person_named(PERSON))
    land_people(project_as_built)
    with mock.patch("assay.erasure.resume.erase_returned"):
        built = project_as_built.assay("build")
    assert built.exit_code == 0, built.output
    assert project_as_built.query(
        "select order_id, rule_ids from silver.slv_order_lines__checked "
        "where source_file like '%people.csv' order by all"
    ) == [("1001", ["forgotten"]), ("1002", ["forgotten"]), ("1003", None)]
    after = [(before[0][0] + 1,)]
    assert project_as_built.query("select count(*) from gold.fct_lines") == after
    assert find_returned(project_as_built.warehouse) == [f"customer={PERSON}"]


def test_what_has_landed_since_the_last_build_goes_as_well(people: SmallProject) -> None:
    late = land_people(people, 6)
    late.with_name("cut.csv").write_text(f"{HEADER}1010,P9,{PERSON}\n")
    done = people.assay("forget", f"customer={PERSON}")
    assert done.exit_code == 0, done.output
    assert files_with(people.root, PERSON) == []
    assert OTHER in late.read_text()
    assert people.query("select sum(erased_row_count) from bronze.brz_files") == [(6,)]


def test_a_file_with_several_names_is_emptied_once(project_as_built: SmallProject) -> None:
    file = land_people(project_as_built)
    file.with_name("link.csv").symlink_to(file.name)
    file.with_name("copy.csv").hardlink_to(file)
    built = project_as_built.assay("build")
    assert built.exit_code == 0, built.output
    with mock.patch("assay.erasure.carry_out._build", return_value="run"):
        done = project_as_built.assay("forget", f"customer={PERSON}")
    assert done.exit_code == 0, done.output
    assert files_with(project_as_built.landing, PERSON) == []
    hashes = {hash_of(each) for each in file.parent.iterdir()}
    assert len(hashes) == 1
    assert {
        (sha256, rows)
        for sha256, rows in project_as_built.query(
            "select content_sha256, erased_row_count from landing.files where contains(source_file, '01-05')"
        )
    } == {(*hashes, 2)}


def test_files_that_could_not_be_loaded_are_emptied_of_the_person(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "assay.duckdb")
    lines = f"{OTHER}\n{PERSON},x\r\n\n{PERSON}".encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "elsewhere.txt").write_bytes(lines)
    (tmp_path / "elsewhere.txt").chmod(0o640)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(lines)[:-4])
    (tmp_path / "a.parquet").write_bytes(b"PAR1\0" + lines)
    (tmp_path / "wide.csv").write_bytes(lines.decode().encode("utf-16"))
    packed = pa.compress(lines * 9, codec="zstd", asbytes=True)
    assert PERSON.encode() * 2 not in packed
    (tmp_path / "a.csv.zst").write_bytes(packed)
    (tmp_path / "latin.csv").write_bytes("ö".encode("latin-1"))
    for name in ("mended.csv", "other.csv"):
        (tmp_path / name).write_text(PERSON if name == "mended.csv" else OTHER)
    with duckdb.connect() as connection:
        connection.execute(
            "create schema landing; create table landing.files as from (values ('a.csv.gz', 1, 'loaded'), "
            "('a.csv.gz', 2, 'failed'), ('mended.csv', 1, 'failed'), ('mended.csv', 2, 'loaded'), "
            "('other.csv', 1, 'failed'), ('gone.csv', 1, 'failed'), ('elsewhere.txt', 1, 'unknown_table'), "
            "('cut.csv.gz', 1, 'failed'), ('a.parquet', 1, 'failed'), "
            "('wide.csv', 1, 'failed'), ('a.csv.zst', 1, 'failed'), ('latin.csv', 1, 'failed')) "
            "as v(source_file, file_version, status)"
        )
        found = {
            each.name: each for each in find_unloaded(places, connection, Mentions(person_named(PERSON)))
        }
    assert {name: (each.lines, each.is_text) for name, each in found.items()} == {
        "a.csv.gz": ([2, 4], True),
        "a.parquet": ([2, 4], False),
        "cut.csv.gz": ([2, 4], False),
        "elsewhere.txt": ([2, 4], True),
        # In these, nobody can look.
        "wide.csv": ([], False),
        "a.csv.zst": (found["a.csv.zst"].lines, False),
    }
    announced: list[str] = []
    for name in ("a.csv.gz", "elsewhere.txt"):
        empty_unloaded(found[name], announced.append)
    left = f"{OTHER}\n\r\n\n".encode()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == left
    assert (tmp_path / "elsewhere.txt").read_bytes() == left
    assert (tmp_path / "elsewhere.txt").stat().st_mode & 0o777 == 0o640
    assert announced == [hash_of(tmp_path / name) for name in ("a.csv.gz", "elsewhere.txt")]
    assert not list(tmp_path.glob(".*"))


def test_who_comes_back_is_known_by_each_way_in_which_a_row_names_a_person(tmp_path: Path) -> None:
    warehouse = tmp_path / "assay.duckdb"
    note_forgotten(warehouse, person_named(PERSON))
    with duckdb.connect(str(warehouse)) as connection:
        served = json.dumps([{"keys": {"customer_id": OTHER}}])
        connection.execute(
            f"create table slv_lines__checked as select '{OTHER}' as customer_id; "
            f"create table slv_exposures__checked as select 'customer' as entity, '{OTHER}' as entity_id; "
            f"create table slv_predictions__checked as select 'no' as served union all select '{served}'"
        )
    assert find_returned(warehouse) == []
    for statement in (
        "update slv_lines__checked set customer_id = $1",
        "update slv_exposures__checked set entity_id = $1",
        'update slv_predictions__checked set served = \'[{"keys": {"customer_id": "\' || $1 || \'"}}]\'',
    ):
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(statement, [PERSON])
        assert find_returned(warehouse) == [f"customer={PERSON}"]
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(statement, [OTHER])
        assert find_returned(warehouse) == []


def test_a_version_of_a_training_set_is_no_longer_whole(tmp_path: Path) -> None:
    places = Places(tmp_path / "landing", tmp_path / "assay.duckdb")
    folder = VersionStore(places).folder / "trn_x@1"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"customer_id": [PERSON, OTHER], "outcome": [1, 0]}), folder / "data.parquet")
    pq.write_table(pa.table({"customer_id": [PERSON, PERSON, OTHER]}), folder / "documents.parquet")
    moment = datetime(2025, 1, 1)
    manifest = VersionManifest(
        *("trn_x@1", "trn_x", "1" * 64, 2, ["customer_id"], [], [], [], moment, False, {}, None, "duckdb"),
        *("run", 0, 0, "0" * 64, moment),
    )
    version = write_version(folder, manifest, [])
    display = mock.Mock()
    assert erase_from_versions(places, removal_for(PERSON), display) == ["trn_x@1"]
    assert pq.read_table(folder / "data.parquet").to_pydict() == {"customer_id": [OTHER], "outcome": [0]}
    found = verify(version, places, display)
    assert found.has_failed
    assert pq.read_table(folder / "documents.parquet").to_pydict() == {"customer_id": [OTHER]}
    assert "3 rows of it are removed, of people who were forgotten" in found.findings[0].message
    assert erase_from_versions(places, removal_for(PERSON), display) == []
    assert files_with(tmp_path, PERSON) == []


def test_nothing_of_a_person_is_left_in_a_lake(tmp_path: Path) -> None:
    catalog = tmp_path / "assay.sqlite"
    with connect(catalog, read_only=False) as connection:
        bring_up_to_date(connection, SCHEMA)
        connection.execute(
            "create schema snapshots; create table snapshots.snp_guests as "
            "select 'guest ' || range as customer_id, range as stays from range(1000); "
            "comment on table snapshots.snp_guests is 'Who was here.'; "
            # A few rows lie in the catalog.
            "create table snapshots.snp_few as select unnest(['guest 999', 'guest 7']) as customer_id; "
            "create schema gold; create table gold.dim_guests as from snapshots.snp_guests"
        )
    node = {"resource_type": "model", "schema": "gold", "name": "dim_guests"}
    manifest = Manifest({"nodes": {"dim_guests": node}, "macros": {}})
    old = {*tmp_path.rglob("*.parquet")}
    assert b"guest 999" in catalog.read_bytes()
    for _ in range(2):
        rewrite_warehouse(catalog, manifest, removal_for("guest 999"), [], {})
        assert files_with(tmp_path, "guest 999") == []
    with connect(catalog) as connection:
        assert connection.execute(
            "select count(*), sum(stays), max(stays) from snapshots.snp_guests"
        ).fetchall() == [(999, sum(range(999)), 998)]
        assert connection.execute("from snapshots.snp_few").fetchall() == [("guest 7",)]
        assert connection.execute(
            "select schema_name || '.' || table_name, comment from duckdb_tables() "
            "where database_name = current_database() and schema_name <> 'landing' order by all"
        ).fetchall() == [("snapshots.snp_few", None), ("snapshots.snp_guests", "Who was here.")]
    # No Parquet file is left that another lake had: what is in them is packed, and no search finds it.
    assert old
    assert not old & {*tmp_path.rglob("*.parquet")}
    assert {each.name for each in tmp_path.iterdir() if each.is_file()} <= {
        "assay.sqlite",
        "assay.sqlite-shm",
        "assay.sqlite-wal",
    }


def test_rows_of_parquet_move_up_behind_those_that_go(tmp_path: Path) -> None:
    warehouse = tmp_path / "assay.duckdb"
    rows, gone = 50_000, range(1, 50_000, 3)
    with duckdb.connect(str(warehouse)) as connection:
        bring_up_to_date(connection, SCHEMA)
        connection.execute(
            "create table landing.shop__sales as select unnest([1, 2]) as file_id, row_number, "
            "row_number as id, case when row_number = 4 then 'broken' end as malformed_reason "
            "from range(1, $1 + 1) as numbered(row_number)",
            [rows],
        )
        connection.execute(
            "insert into landing.files by name select file_id, 'shop' as source_name, 'sales' as table_name, "
            "'a.parquet' as source_file, file_id as file_version, 9 as size_bytes, "
            "'before' as content_sha256, now()::timestamp as landed_at, 'loaded' as status, "
            "$1 as line_count, 0 as header_line_count, 0 as blank_line_count, $1 as row_line_count, "
            "$1 as row_count, 1 as malformed_row_count, [] as unexpected_columns, "
            "now()::timestamp as loaded_at, 'run' as run_id from (select unnest([1, 2]) as file_id)",
            [rows],
        )
    lines = FileLines(1, "a.parquet", "shop", "sales", "before", [(each, each + 1) for each in gone])
    left = rows - len(gone)
    emptied = Emptied("after", 7, Tally(rows=left, row_lines=left), keeps_numbers=False)
    manifest = Manifest({"nodes": {}, "macros": {}})
    rewrite_warehouse(warehouse, manifest, removal_for(PERSON), [lines], {1: emptied})
    with duckdb.connect(str(warehouse)) as connection:
        moved = connection.execute(
            "select row_number, id from landing.shop__sales where file_id = 1 order by all"
        ).fetchall()
        assert moved == [*enumerate((each for each in range(1, rows + 1) if each % 3 != 1), 1)]
        assert connection.execute(
            "select row_count, erased_row_count, malformed_row_count, content_sha256, "
            "(select count(*) from landing.shop__sales as landed "
            "where landed.file_id = files.file_id and id = row_number) "
            "from landing.files order by file_id"
        ).fetchall() == [(left, len(gone), 0, "after", 0), (rows, 0, 1, "before", rows)]


def test_a_kill_at_any_step_of_forgetting_in_a_lake_is_mended(tmp_path: Path) -> None:
    catalog = tmp_path / "assay.sqlite"
    with connect(catalog, read_only=False) as connection:
        bring_up_to_date(connection, SCHEMA)
        connection.execute(
            "create schema snapshots; create table snapshots.snp_guests as "
            "select 'guest ' || range as customer_id from range(1000)"
        )
    # What a process left that was killed in the middle, where nothing could be tidied up.
    for name in ("assay@anew.sqlite", "assay@anew.sqlite-wal"):
        (tmp_path / name).write_text("guest 998")
    steps, kills = Steps(), 0
    manifest = Manifest({"nodes": {}, "macros": {}})
    where = {"assay.erasure.warehouse": ("_copy_tables",)}
    where |= {"assay.project.lake_copies": ("replace_catalog", "sync", "put_in_place")}
    with ExitStack() as patched:
        for module, names in where.items():
            for name in names:
                function = getattr(import_module(module), name)
                patched.enter_context(mock.patch(f"{module}.{name}", steps.counting(function)))
        while True:
            steps.left = kills
            try:
                rewrite_warehouse(catalog, manifest, removal_for("guest 999"), [], {})
                break
            except KeyboardInterrupt:
                kills += 1
            steps.left = 99
            with connect(catalog) as connection:
                [(count,)] = connection.execute("select count(*) from snapshots.snp_guests").fetchall()
                assert count in (999, 1000)
    assert kills >= 5
    with connect(catalog) as connection:
        assert connection.execute("select count(*) from snapshots.snp_guests").fetchall() == [(999,)]
        [(listed,)] = connection.execute(
            "select count(*) from ducklake_list_files('assay', 'snp_guests', schema => 'snapshots')"
        ).fetchall()
    assert len([*tmp_path.rglob("*.parquet")]) == listed
    assert not [*tmp_path.glob("assay@*")]
    assert files_with(tmp_path, "guest 999") == []
