"""The online store in Postgres: changes by hand, servers that are away or refuse, readers meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from online_stores import ask, contents, query
from postgres_server import PostgresServer, postgres_server
from published_by_hand import KNOWN_UNTIL, ONE, PAIR, make_published, publish_view
from redis_server import free_port

from assay.core.fault import Fault
from assay.online.ahead import Ahead
from assay.online.answer import NOT_FOUND, PRESENT
from assay.online.held import read_held
from assay.online.published import open_published
from assay.online.stores import postgres
from assay.online.stores.open import open_store
from assay.online.stores.store import Entity, Store, StoreUnavailable
from assay.online.sync import sync

pytestmark = pytest.mark.usefixtures("builds")

NINE = "[1735689600000000]\n[253402214400000000,1735689600000000,9]"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_published(tmp_path_factory.mktemp("published") / "gold.duckdb")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the next build published: other values, and an entity more."""
    return make_published(tmp_path_factory.mktemp("newer") / "gold.duckdb", run_id="newer", entities=21)


@pytest.fixture
def database(server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody else to the database, which is empty."""
    with psycopg.connect(server.store_url, autocommit=True) as connection:
        connection.execute("set client_min_messages = error")
        connection.execute("drop schema if exists assay_online cascade")
        connection.execute("set search_path = assay_online")
        yield connection


@pytest.fixture
def store(server: PostgresServer, database: psycopg.Connection[Any], published: Path) -> Store:
    store = open_store(server.store_url)
    sync(published, store)
    return store


def totals(store: Store, *things: str) -> list[Any]:
    return [value for [value] in ask(store, ONE, ["total"], KNOWN_UNTIL, thing_id=list(things)).values]


def test_several_views_and_no_entity_are_read_at_once(store: Store) -> None:
    async def read() -> list[list[bytes | str | None]]:
        reading = await store.read(
            [(PAIR, ["nobody"]), (ONE, ["t3", "nobody", "t3"]), (ONE, []), ("no", ["t3"])]
        )
        assert list(reading.catalog) == [PAIR, ONE]
        assert (await store.read([])).catalog is reading.catalog
        await store.close()
        return reading.stretches

    nobody, [three, stranger, again], none, unknown = asyncio.run(read())
    assert (nobody, stranger, none, unknown) == ([None], None, [], [None])
    assert three == again
    assert three is not None


def test_keys_of_all_kinds_are_kept_apart(server: PostgresServer, store: Store, tmp_path: Path) -> None:
    """With bytes that are no text of Postgres, and spaces and accents that its comparisons might ignore."""
    keys = ["a", "A", "a ", "", "a\0b", "\0", "é", "e\u0301", "'; drop table x", "x" * 3000, "%s", "\\x61"]
    file = tmp_path / "gold.duckdb"
    publish_view(
        file,
        ONE,
        {"thing_id": "varchar"},
        {"total": "bigint"},
        "select '' as thing_id, 1 as total where false",
    )
    columns = "(?, ?, timestamp '2025-01-01', timestamp '9999-12-31', timestamp '2025-01-01', 1)"
    for number, key in enumerate(keys):
        query(file, f"insert into gold.srv_{ONE} values {columns}", [key, number])
    sync(file, store)
    assert totals(store, *keys) == list(range(len(keys)))
    assert sorted(key for key, _ in store.versions(ONE)) == sorted(keys)
    assert [each.written for each in sync(file, store)] == [0]


TAMPERED = {
    "an entity is gone": "delete from entities where key = 't3'",
    "all are gone": "delete from entities",
    "the table is emptied": "truncate entities",
    "a version is another": "update entities set version = version + 1 where key = 't3'",
    "a key is another": "update entities set key = 't3x' where key = 't3'",
    "one came": "insert into entities select view, 'nobody', version, stretch from entities where key = 't3'",
    "it went to another view": "update entities set view = 9 where key = 't3'",
    "a view is gone": f"delete from catalog where feature_view = '{ONE}'",
}


@pytest.mark.parametrize("tampered", TAMPERED)
def test_what_is_changed_without_a_sync_is_found_and_mended(
    store: Store, database: psycopg.Connection[Any], published: Path, tampered: str
) -> None:
    before = list(contents(store))
    assert {each.written for each in sync(published, store)} == {0}
    database.execute(TAMPERED[tampered])
    assert sum(each.written + each.removed for each in sync(published, store)) > 0
    assert list(contents(store)) == before
    assert totals(store, "t3", "nobody") == [6, 0]
    assert {each.written for each in sync(published, store)} == {0}


def test_what_a_stream_has_brought_stays_until_a_build_has_it(
    store: Store, published: Path, newer: Path, tmp_path: Path
) -> None:
    ahead, place = Ahead(tmp_path / "stream.sqlite"), {("app.things", "things", 0): 7}
    held = store.catalog()[ONE]
    ahead.note(ONE, ["fresh", "t5"], place)
    build = replace(held.build, digest=None, entities=None)
    store.write(replace(held, build=build), [[Entity("fresh", 5, NINE)]], ["t5"], instead_of=held)
    ahead.begin({})
    ahead.wrote(place)
    for file in (newer, newer, published):
        sync(file, store, ahead=ahead)
        assert totals(store, "fresh", "t5", "t20") == [9, 0, 25 if file == newer else 0]


@pytest.mark.parametrize("after", ["_READ", "_CATALOG"])
def test_an_answer_is_of_one_build_where_a_sync_comes_between_its_statements(
    server: PostgresServer, store: Store, newer: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    statements: list[str] = []
    rows = postgres._rows

    async def synced_after(connection: Any, sql: str, arguments: Any) -> list[Any]:
        found = await rows(connection, sql, arguments)
        statements.append(sql)
        if statements.count(sql) == 1 and sql == getattr(postgres, after):
            sync(newer, open_store(server.store_url))
        return found

    async def read() -> tuple[str, list[str | None]]:
        reading = await store.read([(ONE, ["t3", "t20"])])
        await store.close()
        values = [each and bytes(each).decode().rpartition(",")[2] for each in reading.stretches[0]]
        return reading.catalog[ONE].build.run_id, values

    monkeypatch.setattr(postgres, "_rows", synced_after)
    assert asyncio.run(read()) == (("newer", ["8]", "25]"]) if after == "_READ" else ("run", ["6]", None]))
    assert asyncio.run(read()) == ("newer", ["8]", "25]"])


def test_two_first_syncs_at_once_both_end_well(
    server: PostgresServer, database: psycopg.Connection[Any], published: Path
) -> None:
    """One writes, and the other has nothing to write, or is told that it was overtaken."""
    with open_published(published) as source:
        view = source.measure(source.views()[ONE])
    begun = threading.Barrier(4)
    told: list[str] = []

    def write(number: int) -> None:
        begun.wait()
        try:
            batch = [Entity(f"t{number}", 1, NINE)]
            open_store(server.store_url).write(view, [batch], [], instead_of=None)
            told.append("written")
        except StoreUnavailable as unavailable:
            told.append(str(unavailable))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert sorted(each.partition(" sync wrote")[0] for each in told) == ["Another"] * 3 + ["written"], told
    assert open_store(server.store_url).entities(ONE) == 1


def test_a_view_that_is_no_longer_online_leaves_nothing(
    store: Store, database: psycopg.Connection[Any]
) -> None:
    store.remove(ONE)
    assert store.names() == {PAIR}
    assert database.execute("select count(*) from entities").fetchall() == [(20,)]
    assert [each.view for each in read_held(store)] == [PAIR]


def test_a_schema_made_by_an_administrator_is_enough(
    server: PostgresServer, database: psycopg.Connection[Any], published: Path
) -> None:
    """The one who syncs needs no right on the database, and the one who serves only that to read."""
    for role in ("syncer", "reader"):
        database.execute(f"create role {role} login password 's3cret'")
    database.execute("create schema assay_online authorization syncer")
    place = f"127.0.0.1:{server.port}/postgres"
    reader = open_store(f"postgresql://reader:s3cret@{place}")
    with pytest.raises(StoreUnavailable, match="cannot be read: permission denied for schema assay_online"):
        totals(reader, "t3")
    sync(published, open_store(f"postgresql://syncer:s3cret@{place}"))
    database.execute("grant usage on schema assay_online to reader")
    database.execute("grant select on all tables in schema assay_online to reader")
    assert totals(reader, "t3", "t4") == [6, 7]
    with pytest.raises(
        StoreUnavailable, match=r"cannot be written: permission denied .* It holds what it did"
    ):
        reader.remove(ONE)


def test_refused_credentials_are_told_without_the_password(server: PostgresServer) -> None:
    store = open_store(f"postgresql://clerk:s3cret@127.0.0.1:{server.port}/postgres")
    for act in (store.catalog, lambda: totals(store, "t3"), lambda: store.remove(ONE)):
        with pytest.raises(StoreUnavailable, match='password authentication failed for user "clerk"') as told:
            act()
        assert "s3cret" not in str(told.value)
        assert f"postgresql://127.0.0.1:{server.port}/postgres cannot be" in str(told.value)
    assert "clerk" not in told.value.for_callers


@pytest.mark.parametrize("url", ["postgresql://clerk:s3cret@[h/d", "postgres://clerk:s3cret@h/d?nothing=1"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Fault, match="is no URL of Postgres: write postgresql://HOST:PORT/DATABASE") as told:
        open_store(url)
    assert "s3cret" not in str(told.value)


def test_a_server_that_is_away_is_told() -> None:
    store = open_store(f"postgresql://127.0.0.1:{free_port()}/postgres")
    with pytest.raises(StoreUnavailable, match=r"cannot be read: connection failed.*refused"):
        totals(store, "t3")


def test_a_server_that_was_restarted_is_read_again(store: Store, server: PostgresServer) -> None:
    """Connections of before are not used, nor is the reader told of them."""

    async def read() -> None:
        await store.read([(ONE, ["t3"])])
        server.stop("fast")
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            await store.read([(ONE, ["t3"])])
        server.start()
        [[three]] = (await store.read([(ONE, ["t3"])])).stretches
        assert three is not None
        server.stop()
        server.start()
        assert (await store.read([(ONE, ["t3"])])).stretches == [[three]]
        await store.close()

    asyncio.run(read())


def test_a_table_that_somebody_locks_gives_no_value_and_holds_up_nobody(
    store: Store, database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_SECONDS_TO_WAIT", 0.3)
    with database.transaction():
        database.execute("lock table entities")
        with pytest.raises(StoreUnavailable, match="it gave no answer within"):
            totals(store, "t3")
    assert totals(store, "t3") == [6]


def test_more_callers_than_connections_are_all_answered(
    store: Store, database: psycopg.Connection[Any]
) -> None:
    async def read() -> int:
        readings = await asyncio.gather(*(store.read([(ONE, [f"t{number % 20}"])]) for number in range(200)))
        assert all(reading.stretches[0][0] for reading in readings)
        [(connections,)] = database.execute(
            "select count(*) from pg_stat_activity where application_name = 'assay'"
        ).fetchall()
        await store.close()
        return int(connections)

    assert 1 < asyncio.run(read()) <= 8


def test_a_range_ends_before_its_end(server: PostgresServer, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "gold.duckdb"
    publish_view(
        file, ONE, {"thing_id": "varchar"}, {"total": "bigint"}, "select 'gone' as thing_id, 5 as total"
    )
    query(file, f"update gold.srv_{ONE} set valid_to = timestamp '2025-01-02'")
    sync(file, store)
    for at, status in ((datetime(2025, 1, 1), PRESENT), (datetime(2025, 1, 2), NOT_FOUND)):
        assert ask(store, ONE, ["total"], at, thing_id=["gone"]).statuses == [[status]]
