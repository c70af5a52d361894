"""No clock leaks or freezes: the times of landed rows, and the order of changes.

dbt compiles the models below once, in a project that has Assay as a package. DuckDB then runs what it made of
them, on other rows and in other time zones.
"""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from package_project import PROJECT, PackageProject, make_package_project
from ruamel.yaml.comments import CommentedMap

from assay.contracts.contract import read_contracts
from assay.contracts.source_side import bring_about
from assay.core.moment import instant

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata")
FILED = "select *, id as source_file from events"
MODELS = {
    "told": "select text, {{ assay.utc_timestamp('text') }} as at from texts",
    "formatted": """
        select text, {{ assay.utc_timestamp('text', ['%m/%d/%Y %H:%M', '%m/%d/%Y %H:%M %z']) }} as at
        from texts""",
    "decoded": "select text, type, {{ assay.debezium_value('text', 'type') }} as decoded from typed_texts",
    "timed": "{{ assay.with_times('(" + FILED + ")', 'shop', 'events', received_at='received_at') }}",
    "lagged": "{{ assay.with_times('(" + FILED + ")', 'shop', 'lagging') }}",
    "brz_things": "select * from {{ source('shop', 'things') }}",
    "read": "{{ assay.debezium_rows(ref('brz_things'), ['thing_id', 'made_at', 'cost', 'note']) }}",
    "changes": "{{ assay.effective_changes('checked', 'thing_id', {'size': 'size', 'order': 'colour'}) }}",
    "standing": "{{ assay.standing_changes('changes', 'thing_id') }}",
}
TABLES = """
    create table texts (text varchar);
    create table typed_texts (text varchar, type varchar);
    create table events (id varchar, written_at timestamp, received_at timestamp, landed_at timestamp);
    create table checked (
        thing_id varchar, op varchar, is_deleted boolean, size integer, "order" varchar,
        unavailable_attributes varchar[], log_name varchar, log_position bigint[], claimed_at timestamp,
        available_at timestamp, claimed_available_at timestamp, landed_at timestamp, rule_ids varchar[],
        file_id bigint, source_file varchar, file_version integer, row_number bigint
    );
"""
SOURCES = """
sources:
  - name: shop
    schema: landing
    tables:
      - name: things
        config:
          meta:
            landing:
              format: jsonl
              physical_types:
                after.made_at: io.debezium.time.MicroTimestamp
                after.cost: org.apache.kafka.connect.data.Decimal(2)
      - {name: events, config: {meta: {availability: {at: column}}}}
      - {name: lagging, config: {meta: {availability: {at: lag, lag: 2 seconds}}}}
"""
VARIABLES = """
vars:
  workshop:
    earliest_event_at: "1990-01-01"
    latest_event_at: "2100-01-01"
"""


@pytest.fixture(scope="module")
def shop(builds: None, tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    """A project of the models."""
    project: PackageProject = make_package_project(
        tmp_path_factory.mktemp("clocks") / "project", models=False
    )
    for name, sql in MODELS.items():
        project.write_model(name, sql)
    (project.root / "models" / "_shop__sources.yml").write_text(SOURCES)
    with (project.root / "dbt_project.yml").open("a") as stream:
        stream.write(VARIABLES)
    return project


@pytest.fixture(scope="module")
def compiled(shop: PackageProject) -> dict[str, str]:
    """Each model as dbt compiled it."""
    run = shop.dbt("compile", "--no-populate-cache")
    assert run.returncode == 0, run.stdout + run.stderr
    folder = shop.root / "target" / "compiled" / "workshop" / "models"
    return {name: (folder / f"{name}.sql").read_text() for name in MODELS}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        yield connection


def fill(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    connection.execute(f"delete from {table}")
    connection.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)


# --- texts --------------------------------------------------------------------------------------------------

TEN, EIGHT = datetime(2025, 3, 1, 10), datetime(2025, 3, 1, 8)
TEXTS: dict[str | None, datetime | None] = {
    "2025-03-01T10:00:00Z": TEN,
    "2025-03-01 10:00:00": TEN,
    "2025-03-01T10:00": TEN,
    "2025-03-01": datetime(2025, 3, 1),
    "2025/3/1 10:00:00": TEN,
    "2025-03-01T10:00:00+02:00": EIGHT,
    "2025-03-01T10:00:00+02:00 ": EIGHT,
    "2025-03-01T10:00:00+02:00:00": EIGHT,
    "2025-03-01T10:00:00+02:00:30": EIGHT - timedelta(seconds=30),
    "2025-03-01T10:00Z": TEN,
    "2025-03-01 10:00:00.0000000 +02:00": EIGHT,
    "2025-03-01 10:00:00 +0200": EIGHT,
    "2025-03-01T10:00+02": EIGHT,
    "2025-03-01t10:00:00z": TEN,
    " \t2025-03-01T10:00:00Z\n": TEN,
    "2025-03-01T10:00:00-0030": TEN + timedelta(minutes=30),
    "2025-03-01 10:00:00 UTC": TEN,
    "2025-03-01 10:00:00 utc ": TEN,
    "2025-03-01 10:00:00 Z": TEN,
    "2025-03-01T10:00:00.123456789Z": TEN + timedelta(microseconds=123456),
    "2025-03-01T10:00:00.123456789+02:00": EIGHT + timedelta(microseconds=123456),
    "2025-03-01T10:00:00.5+05:30": datetime(2025, 3, 1, 4, 30, 0, 500000),
    "2025-03-01T10:00:00+18:00": datetime(2025, 2, 28, 16),
    "2025-03-01T10:00:00-18:00": datetime(2025, 3, 2, 4),
    "2025-03-01T24:00:00Z": datetime(2025, 3, 2),
    "2025-03-01T24:00:00+01:00": datetime(2025, 3, 1, 23),
    "infinity": datetime.max,
    # Half an hour that comes twice is no instant, and neither is what no clock shows.
    "2025-10-26 02:30:00 Europe/Berlin": None,
    "2025-03-01 10:00:00 EST": None,
    "2025-03-01T10:00:00+18:01": None,
    "2025-03-01T10:00:00-18:00:01": None,
    "2025-03-01T10:00:00+99": None,
    "2025-03-01T10:00:00+02:60": None,
    "2025-03-01T10:00:00+2": None,
    "2025-03-01T10:00:00+02:00Z": None,
    "2025-03-01T10:00:00Z+02:00": None,
    "2025-03-01+02:00": None,
    "2016-12-31T23:59:60Z": None,
    "2025-02-30T10:00:00Z": None,
    "25-03-01 10:00:00": None,
    "epoch": None,
    "now": None,
    "20120": None,
    "1735689600123": None,
    # The cast itself would stop the statement.
    "294247-01-10T04:00:54.775806+00:00": None,
    "290309-12-22 (BC) 00:00:00+00": None,
    "": None,
    None: None,
}


@pytest.mark.parametrize("zone", ZONES)
def test_a_text_is_the_same_instant_in_every_session(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection, zone: str
) -> None:
    connection.execute(f"set TimeZone = '{zone}'")
    fill(connection, "texts", [(text,) for text in TEXTS])
    assert dict(connection.execute(compiled["told"]).fetchall()) == TEXTS


@pytest.mark.parametrize("zone", ZONES)
def test_formats_with_and_without_an_offset_do_not_meet(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection, zone: str
) -> None:
    connection.execute(f"set TimeZone = '{zone}'")
    expected = {"03/01/2025 10:00": TEN, "03/01/2025 10:00 +0200": EIGHT, "2025-03-01T10:00:00+02:00": EIGHT}
    fill(connection, "texts", [(text,) for text in expected])
    assert dict(connection.execute(compiled["formatted"]).fetchall()) == expected


def test_python_refuses_the_offsets_that_silver_refuses() -> None:
    assert instant("2025-03-01T10:00:00+18:00") == datetime(2025, 2, 28, 16)
    assert instant("2025-03-01T10:00:00+18:01") is None
    assert instant("2025-03-01T10:00:00-23:59") is None


# --- values of change events --------------------------------------------------------------------------------

CONNECT, TIME = "org.apache.kafka.connect.data.", "io.debezium.time."
VALUES: list[tuple[str | None, str | None, str | None]] = [
    ("20120", TIME + "Date", "2025-02-01"),
    ("-1", CONNECT + "Date", "1969-12-31"),
    ("78710400000000", TIME + "MicroTimestamp", "1972-06-30 00:00:00"),
    ("78710400000", TIME + "Timestamp", "1972-06-30 00:00:00"),
    ("78710400000", CONNECT + "Timestamp", "1972-06-30 00:00:00"),
    ("1735689600123456789", TIME + "NanoTimestamp", "2025-01-01 00:00:00.123456"),
    ("-1", TIME + "NanoTimestamp", "1969-12-31 23:59:59.999999"),
    ("3600001", TIME + "Time", "01:00:00.001"),
    ("3600001", CONNECT + "Time", "01:00:00.001"),
    ("3600000001", TIME + "MicroTime", "01:00:00.000001"),
    ("3600000001999", TIME + "NanoTime", "01:00:00.000001"),
    ("2025-03-01T10:00:00+02:00", TIME + "ZonedTimestamp", "2025-03-01T10:00:00+02:00"),
    # What is none of its type is NULL, which a rule rejects.
    ("2025-02-01", TIME + "Date", None),
    ("20120.5", TIME + "Date", None),
    ("99999999999", TIME + "Date", None),
    ("9223372036854775807", TIME + "Timestamp", None),
    ("86400000000", TIME + "MicroTime", None),
    ("-1", TIME + "Time", None),
    ("12.50", CONNECT + "Decimal(2)", None),
    ("", CONNECT + "Decimal(2)", None),
    ("AQ==", CONNECT + "Decimal", None),
    (base64.b64encode(b"\1" * 17).decode(), CONNECT + "Decimal(0)", None),
    (base64.b64encode((-(2**127)).to_bytes(16, signed=True)).decode(), CONNECT + "Decimal(0)", None),
    ("12.50", "io.debezium.data.VariableScaleDecimal", None),
    # Not known, not touched.
    ("20120", None, "20120"),
    ("20120", "io.debezium.data.Uuid", "20120"),
    (None, TIME + "Date", None),
]


def test_times_are_counted_in_the_unit_of_their_type(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    fill(connection, "typed_texts", [(text, type_) for text, type_, _ in VALUES])
    assert connection.execute(compiled["decoded"]).fetchall() == VALUES


def test_decimals_are_decoded_by_their_scale(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    rng = random.Random(5)
    numbers = [0, 1, -1, 127, 128, -128, -129, 2**127 - 1, -(2**126), 10**38 - 1, 1 - 10**38]
    numbers += [rng.randrange(-(2**bits), 2**bits) for bits in range(1, 127)]
    expected = {}
    for number in numbers:
        scale = rng.randrange(-3, 40)
        text = base64.b64encode(number.to_bytes((number.bit_length() + 8) // 8, signed=True)).decode()
        for value, type_ in (
            (text, f"{CONNECT}Decimal({scale})"),
            (f'{{"scale":{scale},"value":"{text}"}}', "io.debezium.data.VariableScaleDecimal"),
        ):
            expected[value, type_] = (number, scale)
    fill(connection, "typed_texts", list(expected))
    for text, type_, decoded in connection.execute(compiled["decoded"]).fetchall():
        number, scale = expected[text, type_]
        assert re.fullmatch(r"-?\d+(\.\d+)?", decoded)
        assert (
            Decimal(decoded).as_tuple()
            == (Decimal(f"{number}e{-scale}") if scale >= 0 else Decimal(number * 10**-scale)).as_tuple()
        )


# --- change events ------------------------------------------------------------------------------------------


def read(compiled: dict[str, str], lines: list[Any]) -> list[dict[str, Any]]:
    """What is read of the lines of a file, in their order; what is no text is written as JSON."""
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as workshop; use workshop")
        connection.execute("""
            create table brz_things (
                line varchar, line_as_declared varchar, malformed_reason varchar, schema_conflict varchar,
                file_id bigint, row_number bigint, source_file varchar, file_version integer,
                landed_at timestamp, loaded_at timestamp, run_id varchar
            )""")
        connection.executemany(
            "insert into brz_things (line, file_id, row_number) values (?, 1, ?)",
            [
                (line if isinstance(line, str) else json.dumps(line), number)
                for number, line in enumerate(lines, 1)
            ],
        )
        relation = connection.sql(f"from ({compiled['read']}) order by row_number")
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def event(
    op: str = "u", *, before: Any = None, source: dict[str, Any] | None = None, **after: Any
) -> dict[str, Any]:
    return {
        "op": op,
        "before": before,
        "after": after or None,
        "source": source or {},
        "ts_ms": 1_740_823_200_500,
    }


def with_types(change: dict[str, Any], *columns: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"fields": [{"field": "after", "fields": list(columns)}]}, "payload": change}


def test_what_an_event_says_of_types_goes_before_what_is_declared(compiled: dict[str, str]) -> None:
    decimal = "org.apache.kafka.connect.data.Decimal"
    cost = {"field": "cost", "type": "bytes", "name": decimal, "parameters": {"scale": "3"}}
    rows = read(
        compiled,
        [
            event(thing_id="declared", made_at=78710400000000, cost="AIY="),
            with_types(event(made_at=20120, cost="AIY="), {"field": "made_at", "name": TIME + "Date"}, cost),
            # Plain columns of the event are what they are.
            with_types(
                event(made_at="2025-01-01T00:00:00Z", cost="1.34"), {"field": "made_at"}, {"field": "cost"}
            ),
            # Converters may write decimals as numbers.
            event(cost=1.34),
            with_types(event(cost=134), cost),
            event(made_at="2025-01-01T00:00:00Z", cost="1.34"),
        ],
    )
    assert [
        (row["attributes"]["made_at"], row["attributes"]["cost"], row["is_undecodable"]) for row in rows
    ] == [
        ("1972-06-30 00:00:00", "1.34", False),
        ("2025-02-01", "0.134", False),
        ("2025-01-01T00:00:00Z", "1.34", False),
        (None, "1.34", False),
        (None, "134", False),
        (None, None, True),
    ]


def test_a_change_is_read_in_every_wrapping(compiled: dict[str, str]) -> None:
    change = event("c", thing_id="a", note="n")
    key = {"thing_id": "a"}
    rows = read(
        compiled,
        [
            change,
            {"schema": None, "payload": change},
            {"key": key, "value": change},
            {"key": {"schema": {}, "payload": key}, "value": {"schema": {}, "payload": change}},
            {"topic": "t", "offset": 7, "key": json.dumps(key), "payload": json.dumps(change)},
        ],
    )
    assert {(row["op"], row["attributes"]["thing_id"], row["attributes"]["note"]) for row in rows} == {
        ("c", "a", "n")
    }
    assert all(
        row["is_tombstone"]
        for row in read(
            compiled,
            [None, {"payload": None}, {"key": key, "value": None}, {"key": json.dumps(key), "payload": None}],
        )
    )
    for row in read(
        compiled,
        [
            '{"schema": {"fields": []}, "payload": "x"}',
            '{"key": 1, "value": "{"}',
            '{"key": "k", "value": [1]}',
            "{",
        ],
    ):
        assert not row["is_tombstone"]
        assert not (row["is_json"] and row["is_object"])


def test_a_deletion_takes_its_key_from_the_message_or_the_tombstone(compiled: dict[str, str]) -> None:
    rows = read(
        compiled,
        [
            event("d", before={"thing_id": "before"}),
            {"key": {"thing_id": "of the message"}, "value": event("d")},
            event("d"),
            {"key": {"schema": {}, "payload": {"thing_id": "of the tombstone"}}, "value": None},
            event("d"),
            event("c", thing_id="other"),
            {"key": {"thing_id": "other"}, "value": None},
        ],
    )
    assert [row["attributes"] and row["attributes"]["thing_id"] for row in rows if row["op"]] == [
        "before",
        "of the message",
        "of the tombstone",
        None,
        "other",
    ]
    assert [row["is_deleted"] for row in rows if row["op"]] == [True, True, True, True, False]


UNAVAILABLE = b"__debezium_unavailable_value"


@pytest.mark.parametrize(
    "placeholder",
    [
        UNAVAILABLE.decode(),
        base64.b64encode(UNAVAILABLE).decode(),
        UNAVAILABLE.hex(),
        [UNAVAILABLE.decode()],
        list(UNAVAILABLE),
    ],
)
def test_values_that_are_not_repeated_are_known_in_every_writing(
    compiled: dict[str, str], placeholder: Any
) -> None:
    rows = read(
        compiled,
        [
            event(thing_id="a", note=placeholder, cost=placeholder),
            event(before={"thing_id": "a", "note": "as it was"}, thing_id="a", note=placeholder),
        ],
    )
    assert [
        (row["unavailable_attributes"], row["attributes"]["note"], row["is_undecodable"]) for row in rows
    ] == [
        (["cost", "note"], None, False),
        (None, "as it was", False),
    ]


def test_every_connectors_position_is_read(compiled: dict[str, str]) -> None:
    hexes = "00000027:00000ac0:0002"
    sources: list[tuple[dict[str, Any], str | None, list[int] | None]] = [
        ({"name": "pg", "lsn": 9007199254740993}, "pg", [9007199254740993]),
        ({"name": "pg", "lsn": "16/B374D848"}, "pg", [0x16B374D848]),
        ({"name": "pg", "lsn": "A/10"}, "pg", [0xA00000010]),
        ({"name": "pg", "sequence": '["24023119","24023128"]'}, "pg", [24023128]),
        ({"name": "pg", "lsn": None, "sequence": "?"}, None, None),
        ({"name": "pg", "lsn": "?"}, None, None),
        ({"name": "my", "file": "binlog.000009", "pos": 4, "row": 1}, "my", [9, 4, 1]),
        ({"name": "my", "file": "binlog.1000000", "pos": 4}, "my", [1000000, 4, 0]),
        ({"name": "my", "file": "binlog.000009", "pos": 4, "server_id": 7}, "my/7", [9, 4, 0]),
        (
            {"name": "my", "file": "b.9", "pos": 4, "gtid": "3E11FA47:23", "server_id": 7},
            "my/3E11FA47",
            [23, 4, 0],
        ),
        ({"name": "maria", "file": "b.9", "pos": 4, "gtid": "0-7-42"}, "maria/0", [42, 4, 0]),
        ({"name": "my", "file": "", "pos": 0}, None, None),
        (
            {"name": "ora", "scn": "18446744", "rs_id": " 0x00002a.0010 ", "ssn": 3},
            "ora",
            [18446744, 0, 0x2A, 0x10, 3],
        ),
        ({"name": "ms", "commit_lsn": hexes, "change_lsn": None}, "ms", [0x27, 0xAC0, 2, 0]),
        (
            {"name": "ms", "commit_lsn": hexes, "change_lsn": hexes, "event_serial_no": 2},
            "ms",
            [0x27, 0xAC0, 2, 0x27, 0xAC0, 2, 2],
        ),
        ({"name": "mongo", "ord": 3}, None, [3]),
        ({"name": "other"}, None, None),
    ]
    rows = read(compiled, [event(source=source, thing_id="a") for source, _, _ in sources])
    assert [(row["log_name"], row["log_position"]) for row in rows] == [tuple(rest) for _, *rest in sources]


def test_a_snapshot_that_does_not_say_when_takes_the_connectors_time(compiled: dict[str, str]) -> None:
    rows = read(compiled, [event(op, source={"ts_ms": 0}, thing_id="a") for op in ("r", "u")])
    assert [row["written_at"] for row in rows] == [TEN + timedelta(milliseconds=500), datetime(1970, 1, 1)]


# --- availability -------------------------------------------------------------------------------------------

LANDED = datetime(2025, 3, 2)
MICROSECOND = timedelta(microseconds=1)
#: What is claimed of event and arrival; what becomes of them.
CLOCKS: dict[str, tuple[datetime | None, datetime | None, datetime | None, datetime]] = {
    "right": (TEN, TEN + timedelta(seconds=1), TEN, TEN + timedelta(seconds=1)),
    "same": (TEN, TEN, TEN - MICROSECOND, TEN),
    "arrived in 2099": (TEN, datetime(2099, 1, 1), TEN, LANDED),
    "arrived before it happened": (TEN, TEN - timedelta(hours=5), TEN - MICROSECOND, TEN),
    "happened after it landed": (LANDED + timedelta(days=1), TEN, LANDED - MICROSECOND, LANDED),
    "both in 2099": (datetime(2099, 1, 1), datetime(2099, 1, 1), LANDED - MICROSECOND, LANDED),
    "arrived in 9999": (TEN, datetime(9999, 12, 31), TEN, LANDED),
    "arrived in year 1": (TEN, datetime(1, 1, 1), TEN, LANDED),
    "arrived never": (TEN, datetime.max, TEN, LANDED),
    "arrived unknown": (TEN, None, TEN, LANDED),
    "happened never": (datetime.max, TEN, None, TEN),
    "nothing known": (None, None, None, LANDED),
}


def test_nothing_is_available_before_it_happened_nor_after_it_landed(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    fill(connection, "events", [(name, *claims[:2], LANDED) for name, claims in CLOCKS.items()])
    found = connection.execute(
        f"select id, event_at, available_at, claimed_available_at from ({compiled['timed']})"
    ).fetchall()
    assert {name: tuple(times) for name, *times, _ in found} == {
        name: tuple(times) for name, (_, _, *times) in CLOCKS.items()
    }
    # What was claimed stays beside it.
    claimed = {name: at for name, *_, at in found}
    assert claimed["arrived in 2099"] == datetime(2099, 1, 1)
    assert claimed["arrived before it happened"] == TEN - timedelta(hours=5)


def test_a_declared_lag_is_capped_likewise(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    claims = {"right": TEN, "ahead": LANDED + timedelta(days=9), "at landing": LANDED - timedelta(seconds=1)}
    fill(connection, "events", [(name, at, None, LANDED) for name, at in claims.items()])
    found = connection.execute(f"select id, available_at from ({compiled['lagged']})").fetchall()
    assert dict(found) == {"right": TEN + timedelta(seconds=2), "ahead": LANDED, "at landing": LANDED}


@pytest.mark.parametrize(
    ("sql", "variables", "said"),
    [
        (
            "{{ assay.with_times('events', 'shop', 'things') }}",
            {},
            "source shop.things must say under config.meta.availability one of {at: landed}",
        ),
        (
            MODELS["timed"],
            {"availability": {"shop.events": {"at": "column"}}},
            "asked: the variable availability is read no longer; take it out of dbt_project.yml, and write "
            "with each source that it names, under config: meta: {availability: {at: landed}}. "
            'It says {"shop.events": {"at": "column"}}',
        ),
        (
            "{{ assay.arrival_freshness({'shop.events': 'events'}) }}",
            {"fresh_for": {"shop.events": "4d"}},
            "asked: the variable fresh_for is read no longer; take it out of dbt_project.yml, and write with "
            "each source that it names, under config: freshness: {warn_after: {count: 4, period: day}}. "
            'It says {"shop.events": "4d"}',
        ),
    ],
)
def test_what_a_source_does_not_say_is_asked_for_where_it_stands(
    shop: PackageProject, sql: str, variables: dict[str, Any], said: str
) -> None:
    shop.write_model("asked", sql)
    ran = shop.dbt("compile", "--no-populate-cache", "--select", "asked", "--vars", json.dumps(variables))
    (shop.root / "models" / "asked.sql").unlink()
    assert said in " ".join(ran.stdout.split())


# --- changes ------------------------------------------------------------------------------------------------


@dataclass
class Change:
    """A change as silver checked it; minutes count from ten o'clock."""

    thing: str | None
    name: str | None
    committed: int
    available: int
    position: list[int] | None = None
    log: str | None = "log"
    op: str = "u"
    colour: str | None = None
    unavailable: list[str] | None = None

    def row(self, number: int) -> tuple[Any, ...]:
        committed, available = (
            TEN + timedelta(minutes=self.committed),
            TEN + timedelta(minutes=self.available),
        )
        return (
            *(self.thing, self.op, self.op in "dt", None if self.op in "dt" else number),
            *(self.colour, self.unavailable, self.log if self.position else None, self.position),
            *(committed, available, available, max(committed, available) + timedelta(days=1), None),
            *(1, "file", 1, number),
        )


def judged(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection, changes: list[Change]
) -> dict[int, dict[str, Any]]:
    """What becomes of each change, by its place in the list."""
    fill(connection, "checked", [change.row(number) for number, change in enumerate(changes)])
    connection.execute(f"create or replace table changes as {compiled['changes']}")
    relation = connection.sql("from changes")
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    assert sorted(row["row_number"] for row in rows) == list(range(len(changes))), "each stands there once"
    return {row["row_number"]: row for row in rows}


def standing(found: dict[int, dict[str, Any]], changes: list[Change], thing: str) -> list[str | None]:
    """The names of the changes that once were the known state, as they arrived."""
    rows = [row for row in found.values() if row["thing_id"] == thing and not row["is_superseded"]]
    return [changes[row["row_number"]].name for row in sorted(rows, key=lambda row: row["available_at"])]


def test_the_logs_position_goes_before_its_clock(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    changes = [
        Change("back", "created", 0, 0, [1010], op="c"),
        Change("back", "updated", -1, 10, [1020]),
        Change("early", "created", 0, 1, [1010], op="c"),
        Change("early", "updated", -1, 0, [1020]),
        Change("2096", "created", 0, 0, [1010], op="c"),
        Change("2096", "odd", 37_000_000, 1, [1020]),
        Change("2096", "right", 2, 2, [1030]),
        Change("large", "first", 5, 0, [9_007_199_254_740_992]),
        Change("large", "last", 1, 0, [9_007_199_254_740_993]),
        Change("late", "last", 2, 2, [1020]),
        Change("late", "first", 9, 3, [1010]),
        Change("parts", "second", 0, 0, [10, 4, 0]),
        Change("parts", "third", 0, 1, [10, 4, 1]),
        Change("parts", "first", 9, 2, [9, 900, 7]),
    ]
    found = judged(compiled, connection, changes)
    assert {
        thing: standing(found, changes, thing) for thing in {str(change.thing) for change in changes}
    } == {
        "back": ["created", "updated"],
        "early": ["updated"],
        "2096": ["created", "odd", "right"],
        "large": ["last"],
        "late": ["last"],
        "parts": ["second", "third"],
    }


def test_clocks_order_what_has_no_position_and_several_logs(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    changes = [
        Change("none", "first", 0, 1),
        Change("none", "last", 5, 6),
        Change("none", "late", 3, 7),
        # Committed no later than it arrived: the next one is later, whatever this one says.
        Change("2096", "odd", 37_000_000, 1),
        Change("2096", "right", 2, 3),
        # Restored under another name, its log begins from the start.
        Change("restored", "before", 0, 1, [9000], "old"),
        Change("restored", "after", 5, 6, [10], "new"),
        Change("restored", "late", 3, 7, [9001], "old"),
        # A log's change is as late as those before it.
        Change("mixed", "first", 8, 8, [1]),
        Change("mixed", "second", 2, 9, [2]),
        Change("mixed", "by hand", 5, 10),
        Change("mixed", "by hand again", 11, 12),
        Change("mixed", "third", 13, 14, [3]),
        # Of one second, as MongoDB counts.
        Change("ord", "second", 1, 2, [2], None),
        Change("ord", "first", 1, 3, [1], None),
    ]
    found = judged(compiled, connection, changes)
    assert {
        thing: standing(found, changes, thing) for thing in {str(change.thing) for change in changes}
    } == {
        "none": ["first", "last"],
        "2096": ["odd", "right"],
        "restored": ["before", "after"],
        "mixed": ["first", "second", "by hand again", "third"],
        "ord": ["second"],
    }


@pytest.mark.parametrize("seed", range(3))
def test_whatever_arrives_the_state_is_the_furthest_and_what_was_known_stays(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection, seed: int
) -> None:
    rng = random.Random(seed)
    changes = []
    for number in range(120):
        kind = ("log", "clock", "mixed")[number % 3]
        for position in rng.sample(range(20), rng.randrange(1, 8)):
            has_position = kind == "log" or (kind == "mixed" and rng.random() < 0.6)
            log = rng.choice(("old", "new")) if kind == "mixed" else "log"
            place = [position] if has_position else None
            # As a connector that cannot be early: committed before it arrived.
            arrives = rng.randrange(6)
            changes.append(
                Change(f"{kind} {number}", f"{position}", arrives - rng.randrange(9), arrives, place, log)
            )
    found = judged(compiled, connection, changes)
    for thing in {change.thing for change in changes}:
        of_thing = [number for number, change in enumerate(changes) if change.thing == thing]
        for minute in {changes[number].available for number in of_thing}:
            arrived = [number for number in of_thing if changes[number].available <= minute]
            now = [number for number in arrived if not found[number]["is_superseded"]]
            assert now, "what has arrived is known"
            last = max(now, key=lambda number: changes[number].available)
            if str(thing).startswith("log"):
                assert changes[last].position == max(changes[number].position or [] for number in arrived)
            elif str(thing).startswith("clock"):
                latest = max(changes[number].committed for number in arrived)
                assert changes[last].committed == latest
    # Nothing that arrives later changes what was known.
    early = [change for change in changes if change.available < 3]
    verdicts = judged(compiled, connection, early)
    assert [verdicts[number]["is_superseded"] for number in range(len(early))] == [
        found[number]["is_superseded"] for number, change in enumerate(changes) if change.available < 3
    ]


def test_a_value_that_the_log_does_not_repeat_is_as_it_was(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    missing = ["colour"]
    changes = [
        Change("a", "1", 0, 0, [1], op="c", colour="red"),
        Change("a", "2", 1, 1, [2], unavailable=missing),
        # Overtaken by what arrives with it, and yet what is known of the colour.
        Change("a", "3", 2, 2, [3], colour="blue"),
        Change("a", "4", 2, 2, [4], unavailable=missing),
        Change("a", "5", 3, 3, [5], unavailable=missing),
        Change("a", "6", 4, 4, [6], colour=None),
        Change("a", "7", 5, 5, [7], unavailable=missing),
        Change("b", "1", 0, 0, [1], colour="green"),
        Change("c", "1", 0, 0, [1], unavailable=missing),
    ]
    found = judged(compiled, connection, changes)
    colours = [found[number]["order"] for number in range(len(changes))]
    assert colours == ["red", "red", "blue", "blue", "blue", None, None, "green", None]


def test_a_table_that_is_emptied_ends_what_was_in_it(
    compiled: dict[str, str], connection: duckdb.DuckDBPyConnection
) -> None:
    changes = [
        Change("a", "created", 0, 0, [1], op="c"),
        Change("b", "created", 0, 0, [2], op="c"),
        Change(None, "emptied", 5, 5, [10], op="t"),
        Change("a", "late", 3, 6, [3]),
        Change("a", "again", 7, 7, [11], op="c"),
        Change("c", "created", 8, 8, [12], op="c"),
        Change("d", "new, and known at once", 6, 4, [13], op="c"),
    ]
    found = judged(compiled, connection, changes)
    assert found[2]["ended_keys"] == ["a", "b"]
    assert [found[number]["is_superseded"] for number in range(7)] == [False] * 3 + [True] + [False] * 3
    rows = connection.execute(
        f"select thing_id, is_deleted, minute(available_at) from ({compiled['standing']}) order by all"
    ).fetchall()
    assert rows == [
        ("a", False, 0),
        ("a", False, 7),
        ("a", True, 5),
        ("b", False, 0),
        ("b", True, 5),
        ("c", False, 8),
        ("d", False, 4),
    ]
    # Also where nothing was.
    assert judged(compiled, connection, changes[2:3])[0]["ended_keys"] is None


# --- what contracts say of types ----------------------------------------------------------------------------


def test_a_contract_declares_what_values_of_change_events_are(tmp_path: Path) -> None:
    text = (PROJECT / "contracts" / "example" / "catalog.odcs.yaml").read_text()
    physical = {
        "When it entered the catalogue.": "io.debezium.time.MicroTimestamp",
        "What one piece costs, in pounds, as text.": "org.apache.kafka.connect.data.Decimal(4)",
    }
    for description, type_ in physical.items():
        assert text.count(f"description: {description}") == 1
        text = text.replace(
            f"description: {description}", f"physicalType: {type_}\n            description: {description}"
        )
    (tmp_path / "catalog.odcs.yaml").write_text(text)
    (contract,), faults = read_contracts(tmp_path)
    assert not faults
    (table,) = [table for table in contract.tables if table.name == "products"]
    entry = CommentedMap()
    assert list(bring_about(contract, table, None, entry))
    landing = entry["config"]["meta"]["landing"]
    assert landing["physical_types"] == {
        "after.created_at": "io.debezium.time.MicroTimestamp",
        "after.unit_cost": "org.apache.kafka.connect.data.Decimal(4)",
    }
    # Files are compared with what lands: a count, and a text.
    assert landing["keys"]["after.created_at"] == "integer"
    assert landing["keys"]["after.unit_cost"] == "string"
