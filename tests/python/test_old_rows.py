"""Landed rows are judged by a time of their own: which are too old, which stay, and what rests on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landing_zone import Zone

from assay.contracts.contract import Contract
from assay.contracts.document import Document
from assay.contracts.retention import RowRetention, read_retentions, read_row_retentions
from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.structure import bring_up_to_date
from assay.erasure.elsewhere import count_samples, remove_samples
from assay.erasure.journal import Journal, journal_file, read_journal
from assay.erasure.old_rows import (
    ChangeLog,
    Kept,
    OldRows,
    OldTable,
    count_kept,
    find_old_lines,
    time_of,
)
from assay.erasure.removal import TooOld
from assay.erasure.retain_rows import find_old_rows
from assay.erasure.versions import erase_from_versions
from assay.landing.declared import declared_tables
from assay.ledger.nodes import NODES
from assay.project.graph import Manifest
from assay.training.store import InputFile, VersionManifest, VersionStore, write_version
from assay.training.verify import verify

LIMIT = datetime(2025, 3, 1, 12)
DECLARED = """
sources:
  - name: shop
    tables:
      - name: sales
        config: {meta: {landing: {format: csv, types: {id: string, at: timestamp}}}}
        columns: [{name: id}, {name: at}]
      - name: clicks
        config: {meta: {landing: {format: jsonl, keys: {id: string, seen: object, seen.at: timestamp}}}}
      - name: guests
        config: {meta: {landing: {format: jsonl, keys: {
            op: string, ts_ms: integer, before: object, after: object, after.guest_id: string}}}}
"""


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    zone = Zone(tmp_path, DECLARED)
    zone.connection.execute("set TimeZone = 'UTC'")
    yield zone
    zone.connection.close()


def table(name: str, column: str, time_format: str | None = None, log: ChangeLog | None = None) -> OldTable:
    return OldTable("shop", name, column, time_format, LIMIT, "1 y, shop.odcs.yaml:9", log)


def found(zone: Zone, old: OldTable) -> dict[str, list[tuple[int, int]]]:
    declared = declared_tables(zone.models)["shop", old.name]
    return {each.source_file: each.spans for each in find_old_lines(zone.connection, old, declared)}


def kept(zone: Zone, old: OldTable) -> Kept:
    return count_kept(zone.connection, old, declared_tables(zone.models)["shop", old.name])


@pytest.mark.parametrize(
    ("told", "time_format", "instant"),
    [
        ("2025-01-04 08:00:00", None, datetime(2025, 1, 4, 8)),
        ("2025-01-19", None, datetime(2025, 1, 19)),
        ("2025-01-04T08:00Z", None, datetime(2025, 1, 4, 8)),
        ("2025-01-04T08:00:00.25+02:00", None, datetime(2025, 1, 4, 6, 0, 0, 250_000)),
        (" 2025-01-04 ", "%d.%m.%Y", datetime(2025, 1, 4)),
        ("04.01.2025", "%d.%m.%Y", datetime(2025, 1, 4)),
        ("1735977600000", "epoch_milliseconds", datetime(2025, 1, 4, 8)),
        ("04/01/2025", None, None),
        ("2025-01-04T08:00:00-19:00", None, None),
        ("2025-13-01", None, None),
        ("0001-01-01", None, None),
        ("infinity", None, None),
        ("1735977600000", None, None),
        ("", "%d.%m.%Y", None),
        (None, None, None),
    ],
)
def test_a_time_is_read_in_utc_or_not_at_all(
    told: str | None, time_format: str | None, instant: datetime | None
) -> None:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        sql = f"select {time_of('told', time_format)} from (select $1::varchar as told)"
        assert connection.execute(sql, [told]).fetchall() == [(instant,)]


def test_rows_before_the_limit_go_and_one_at_the_limit_stays(zone: Zone) -> None:
    name = "shop/sales/landed_at=2025-03-04T00-00-00/a.csv"
    zone.drop(
        name,
        "id,at\n1,2025-03-01 11:59:59.999999\n2,2025-03-01 12:00:00\n"
        '"3\nof two lines",2024-01-01\n4,2025-03-01T13:00:00+02:00\n5,soon\n6,\n7\n8,2099-01-01\n',
    )
    zone.load()
    assert found(zone, table("sales", "at")) == {name: [(2, 3), (4, 6), (6, 7)]}
    # Without a time: soon, an empty one, and a malformed row.
    assert kept(zone, table("sales", "at")) == Kept(3, 0)


def test_a_row_is_no_younger_than_its_file(zone: Zone) -> None:
    old, young = (f"shop/sales/landed_at=2025-0{month}-04T00-00-00/a.csv" for month in (2, 3))
    for name in (old, young):
        zone.drop(name, "id,at\n1,2099-01-01\n2,\n")
    zone.load()
    assert found(zone, table("sales", "at")) == {old: [(2, 3)]}


def test_keys_of_documents_have_times_too(zone: Zone) -> None:
    name = "shop/clicks/landed_at=2025-03-04T00-00-00/a.jsonl"
    rows = [{"seen": {"at": "2025-02-01T00:00:00Z"}}, {"seen": {"at": "2025-03-02"}}, {"seen": None}, {}]
    zone.drop(name, "".join(json.dumps(each) + "\n" for each in rows))
    zone.load()
    assert found(zone, table("clicks", "seen.at")) == {name: [(1, 2)]}
    assert kept(zone, table("clicks", "seen.at")) == Kept(2, 0)


LOG = ChangeLog('"main"."checked"', '"main"."changes"', "guest_id")
# Key, second of January at which it arrived, op, attributes that the log did not repeat, whether it never was
# the state, and whether it goes.
CHANGES: list[tuple[str | None, int, str, list[str] | None, bool, bool]] = [
    ("a", 1, "c", None, False, True),
    ("a", 2, "u", None, False, False),
    ("b", 1, "c", None, False, True),
    ("b", 2, "u", None, False, False),
    ("b", 3, "u", ["name"], False, False),
    ("c", 1, "c", None, False, True),
    ("c", 4, "d", None, False, False),
    ("d", 2, "c", None, False, False),
    ("d", 2, "u", None, True, True),
    ("e", 1, "u", ["name"], False, False),
    (None, 1, "t", None, False, False),
]


def test_of_change_data_the_state_of_each_key_stays(zone: Zone) -> None:
    name = "shop/guests/landed_at=2025-03-04T00-00-00/a.jsonl"
    events = [
        {"op": op, "ts_ms": 1735689600000 + second * 1000, "after": {"guest_id": key}, "before": None}
        for key, second, op, *_ in CHANGES
    ]
    # One that silver rejects, one that it has not read, and one without a time.
    events += [{"op": "u", "ts_ms": 1735689600000}, {"op": "u", "ts_ms": 1735689600001}, {"op": "u"}]
    zone.drop(name, "".join(json.dumps(each) + "\n" for each in events))
    zone.load()
    [(file_id,)] = zone.query("select file_id from landing.files")
    zone.connection.execute(
        "create table changes (guest_id varchar, available_at timestamp, unavailable_attributes varchar[], "
        "is_superseded boolean, source_file varchar, file_version bigint, row_number bigint)"
    )
    zone.connection.execute(
        "create table checked as select 1::bigint as file_id, null::varchar[] as rule_ids, "
        "* exclude (is_superseded) from changes"
    )
    for number, (key, second, _, unavailable, is_superseded, _) in enumerate(CHANGES, 1):
        values = [key, datetime(2025, 1, 1, 0, 0, second), unavailable]
        place = [name, 1, number]
        zone.connection.execute(
            "insert into changes values (?, ?, ?, ?, ?, ?, ?)", [*values, is_superseded, *place]
        )
        zone.connection.execute(
            "insert into checked values (?, null, ?, ?, ?, ?, ?, ?)", [file_id, *values, *place]
        )
    zone.connection.execute(
        "insert into checked values (?, ['invalid'], 'a', '2025-01-09', null, ?, 1, ?)",
        [file_id, name, len(CHANGES) + 1],
    )
    old = table("guests", "ts_ms", "epoch_milliseconds", LOG)
    goes = [number for number, change in enumerate(CHANGES, 1) if change[-1]] + [len(CHANGES) + 1]
    assert found(zone, old) == {name: [(each, each + 1) for each in goes]}
    assert kept(zone, old) == Kept(1, len(CHANGES) + 2 - len(goes))
    # The warehouse of an erasure that was killed has no silver, and no rows that are too old.
    zone.connection.execute("drop table changes")
    assert found(zone, old) == {}


def contract_of(element: str, **column: Any) -> Contract:
    raw: dict[str, Any] = {
        "name": "sales",
        "physicalName": "landing.shop__sales",
        "properties": [{"name": "id", "logicalType": "string"}, {"name": "at", **column}],
    }
    levels = [
        {"property": "retention", "value": 1, "unit": "y", "element": element},
        {"property": "retention", "value": 9, "unit": "y"},
    ]
    return Contract(Document("shop.odcs.yaml", {"id": "shop", "schema": [raw], "slaProperties": levels}))


def test_a_retention_of_a_column_stands_beside_that_of_files() -> None:
    options = {"format": "dd.MM.yyyy"}
    contract = contract_of("sales.at", logicalType="date", logicalTypeOptions=options)
    files, problems = read_retentions([contract])
    assert not problems
    assert files["landing.shop__sales"].months == 108
    rows = read_row_retentions([contract])["landing.shop__sales"]
    assert (rows.months, rows.column, rows.time_format, rows.is_date) == (12, "at", "%d.%m.%Y", True)
    # A day is too old once all of it is.
    assert rows.cutoff(datetime(2026, 3, 1, 15)) == datetime(2025, 3, 1)


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (contract_of("sales.on", logicalType="date"), "sales.on, which is no column there. There is at."),
        (contract_of("sales.at", logicalType="integer"), "its values land as integer: name a column of"),
    ],
)
def test_a_column_without_times_is_refused(contract: Contract, said: str) -> None:
    _, problems = read_retentions([contract])
    assert said in problems[0]
    assert read_row_retentions([contract]) == {}


def test_the_time_of_a_change_event_counts_milliseconds() -> None:
    names = ("op", "before", "after")
    properties = [{"name": name, "logicalType": "object"} for name in names]
    properties += [{"name": "ts_ms", "logicalType": "integer"}]
    raw = {"name": "guests", "physicalName": "landing.crm__guests", "properties": properties}
    raw |= {"customProperties": [{"property": "format", "value": "jsonl"}]}
    levels = [{"property": "retention", "value": 1, "unit": "y", "element": "guests.ts_ms"}]
    contract = Contract(Document("crm.odcs.yaml", {"id": "crm", "schema": [raw], "slaProperties": levels}))
    found = read_row_retentions([contract])["landing.crm__guests"]
    assert (found.column, found.time_format) == ("ts_ms", "epoch_milliseconds")


SOURCE = {"source_name": "shop", "name": "sales"}
NODES_OF_PROJECT: dict[str, dict[str, Any]] = {
    "model.checked": {"name": "slv_sales__checked", "depends_on": {"nodes": ["source.sales"]}},
    "snapshot.states": {
        "name": "snp_states",
        "schema": "snapshots",
        "resource_type": "snapshot",
        "config": {"snapshot_meta_column_names": {"dbt_valid_to": "ended_at"}},
        "depends_on": {"nodes": ["model.checked"]},
    },
    "model.trained": {"name": "trn_sales", "depends_on": {"nodes": ["snapshot.states"]}},
    "model.apart": {"name": "trn_apart", "depends_on": {"nodes": []}},
    "test.claim": {"name": "claim", "resource_type": "test", "depends_on": {"nodes": ["model.checked"]}},
    "test.other": {"name": "other", "resource_type": "test", "depends_on": {"nodes": []}},
}


def removal(*file_ids: int) -> TooOld:
    nodes = {id_: {"resource_type": "model"} | node for id_, node in NODES_OF_PROJECT.items()}
    manifest = Manifest({"nodes": nodes, "sources": {"source.sales": SOURCE}, "macros": {}})
    return TooOld(OldRows((table("sales", "at"),), file_ids), manifest)


def test_ended_states_of_a_snapshot_go_and_those_that_stand_stay() -> None:
    columns = ["dbt_valid_from", "ended_at"]
    condition = removal().condition_in("snapshots", "snp_states", columns)
    with duckdb.connect() as connection:
        connection.execute(
            "create table states as from (values "
            "(1, timestamp '2025-01-01', timestamp '2025-02-01'), "
            "(2, timestamp '2025-02-01', timestamp '2025-04-01'), "
            "(3, timestamp '2025-03-01 12:00', timestamp '2025-04-01'), "
            "(4, timestamp '2025-01-01', null), "
            "(5, timestamp '2025-01-01', timestamp '9999-12-31')) as states(id, dbt_valid_from, ended_at)"
        )
        goes = connection.execute(f"select id from states where {condition} order by id").fetchall()
    assert goes == [(1,), (2,)]
    assert removal().condition_in("snapshots", "snp_others", columns) is None


def test_a_version_loses_old_rows_or_says_that_what_made_it_is_gone(tmp_path: Path) -> None:
    places = Places(tmp_path / "landing", tmp_path / "assay.duckdb")
    at = [datetime(2025, 1, 1), LIMIT]
    moment = datetime(2025, 1, 1)
    versions = {}
    # Of the second there is no model any more; the last reads no sales.
    for name, file_id in (("trn_sales", 7), ("trn_others", 7), ("trn_more", 8), ("trn_apart", 7)):
        folder = VersionStore(places).folder / f"{name}@1"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"prediction_at": at, "outcome": [1, 0]}), folder / "data.parquet")
        manifest = VersionManifest(
            *(f"{name}@1", name, "1" * 64, 2, ["outcome"], [], [], [], moment, False, {}, None, "duckdb"),
            *("run", 0, 0, "0" * 64, moment),
        )
        versions[name] = write_version(folder, manifest, [InputFile(file_id, "a.csv", "0" * 64, 2)])
    display = mock.Mock()
    erased = erase_from_versions(places, removal(7), display)
    assert sorted(erased) == ["trn_others@1", "trn_sales@1"]
    assert pq.read_table(versions["trn_sales"].data)["outcome"].to_pylist() == [0]
    assert pq.read_table(versions["trn_others"].data)["outcome"].to_pylist() == [1, 0]
    told = [verify(versions[name], places, display).findings[0].message for name in versions]
    assert "1 row of it is removed" in told[0]
    assert "rows that it was made of are removed" in told[1]
    assert "no longer whole" not in told[2] + told[3]
    assert erase_from_versions(places, removal(7), display) == []


def test_rows_of_failed_tests_go_but_those_of_the_last_run(tmp_path: Path) -> None:
    ledger = tmp_path / "ops.duckdb"
    with duckdb.connect(str(ledger)) as connection:
        bring_up_to_date(connection, NODES.script)
        for run, test in (("old", "test.claim"), ("new", "test.claim"), ("old", "test.other")):
            connection.execute(
                "insert into nodes by name select $1 as run_id, $2 as unique_id, $2 as name, 'test' as kind, "
                "'' as relation, 'fail' as status, 1 as seconds, '[{\"id\": \"C90210417\"}]' as sample",
                [run, test],
            )
    assert count_samples(ledger, ["test.claim"]) == 2
    remove_samples(ledger, ["test.claim"], but_of="new")
    with duckdb.connect(str(ledger)) as connection:
        assert connection.execute(
            "select run_id, unique_id from nodes where sample <> '[]' order by all"
        ).fetchall() == [("new", "test.claim"), ("old", "test.other")]
    assert ledger.read_bytes().count(b"C90210417") == 2
    assert count_samples(tmp_path / "none.duckdb", ["test.claim"]) == 0


def test_what_is_begun_is_written_down(tmp_path: Path) -> None:
    warehouse = tmp_path / "assay.duckdb"
    rows = OldRows((table("sales", "at"), table("guests", "ts_ms", "epoch_milliseconds", LOG)), (7, 8))
    assert rows.subject == "landing.shop__sales, landing.shop__guests"
    journal = Journal("1", rows, "me", "1 y", LIMIT, rows=2)
    journal.keep(warehouse)
    assert read_journal(warehouse) == journal
    values = json.loads(journal_file(warehouse).read_text())
    del values["old_rows"]["file_ids"]
    journal_file(warehouse).write_text(json.dumps(values))
    with pytest.raises(Fault, match="is damaged"):
        read_journal(warehouse)


def test_change_data_needs_silver_that_tells_the_state_of_a_key(zone: Zone) -> None:
    places = Places(zone.landing, zone.warehouse)
    retention = RowRetention("landing.shop__guests", "shop.odcs.yaml:9", "1 y", 0, 12, "ts_ms")
    manifest = Manifest({"nodes": {}, "sources": {}, "macros": {}})
    where = "assay.erasure.retain_rows"
    with (
        mock.patch(f"{where}.all_model_paths", return_value=[zone.models]),
        mock.patch(f"{where}.parsed", return_value=manifest),
        pytest.raises(Fault, match=r"landing\.shop__guests is change data, of which the newest change"),
    ):
        find_old_rows(places, {"landing.shop__guests": retention}, LIMIT)
