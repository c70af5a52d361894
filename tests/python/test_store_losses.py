"""A store that has lost a part gives no answer, and the next sync mends it."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import redis
from online_stores import ask, contents, query
from published_by_hand import KNOWN_UNTIL, ONE, PAIR, make_published, publish_view
from redis_server import RedisServer
from rich.console import Console

from assay.core.fault import Fault
from assay.online.ahead import Ahead
from assay.online.answer import NOT_FOUND, PRESENT
from assay.online.definition import OnlineView
from assay.online.held import read_held
from assay.online.published import Published, open_published
from assay.online.request import Refused
from assay.online.stores.open import open_store
from assay.online.stores.redis import RedisStore
from assay.online.stores.shown_url import shown_url
from assay.online.stores.sqlite import SqliteStore
from assay.online.stores.store import Entity, Store, StoreUnavailable
from assay.online.sync import sync
from assay.parity.display import print_stream_parity

NINE = "[1735689600000000]\n[253402214400000000,1735689600000000,9]"
STRETCHES, VERSIONS, CATALOG = f"assay:stretches:{ONE}", f"assay:versions:{ONE}", "assay:catalog"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_published(tmp_path_factory.mktemp("published") / "gold.duckdb")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the next build published: other values, and an entity more."""
    return make_published(tmp_path_factory.mktemp("newer") / "gold.duckdb", run_id="newer", entities=21)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database(server: RedisServer) -> redis.Redis:
    database = redis.Redis.from_url(server.url)
    database.flushall()
    return database


@pytest.fixture
def store(server: RedisServer, database: redis.Redis, published: Path) -> Store:
    store = open_store(server.url)
    sync(published, store)
    return store


def totals(store: Store, *things: str) -> list[Any]:
    return [value for [value] in ask(store, ONE, ["total"], KNOWN_UNTIL, thing_id=list(things)).values]


# --- Redis --------------------------------------------------------------------------------------------------


def swapped(database: redis.Redis, name: str) -> None:
    """One entity goes, and one that nobody knows comes."""
    database.hdel(name, "t3")
    database.hset(name, "nobody", b"[0]\n[1,1,1]")


LOSSES: dict[str, Callable[[redis.Redis], Any]] = {
    "stretches": lambda database: database.delete(STRETCHES),
    "versions": lambda database: database.delete(VERSIONS),
    "catalog": lambda database: database.delete(CATALOG),
    "entry": lambda database: database.hdel(CATALOG, ONE),
    "one stretch": lambda database: database.hdel(STRETCHES, "t3"),
    "one version": lambda database: database.hdel(VERSIONS, "t3"),
    "a stretch for another": lambda database: swapped(database, STRETCHES),
    "a version for another": lambda database: swapped(database, VERSIONS),
    "an entity of both": lambda database: [database.hdel(name, "t3") for name in (STRETCHES, VERSIONS)],
    "all but a stranger": lambda database: [
        database.delete(STRETCHES), database.hset(STRETCHES, "t3", b"[0]\n[1,1,1]")
    ],
    "stretches expire": lambda database: database.pexpire(STRETCHES, 0),
    "stretches are a text": lambda database: database.set(STRETCHES, "text"),
    "an entry is cut short": lambda database: database.hset(
        CATALOG, ONE, database.hget(CATALOG, ONE)[:40]
    ),
    "the list of views": lambda database: database.hdel(CATALOG, b"\xffviews"),
    "everything": lambda database: database.flushdb(),
}  # fmt: skip


def brought(store: Store, tmp_path: Path) -> Ahead:
    """What a stream has brought of messages that no build has: one entity more, and one less."""
    ahead, place = Ahead(tmp_path / "stream.sqlite"), {("app.things", "things", 0): 7}
    held = store.catalog()[ONE]
    build = replace(held.build, digest=None, entities=None)
    ahead.note(ONE, ["fresh", "t5"], place)
    store.write(replace(held, build=build), [[Entity("fresh", 5, NINE)]], ["t5"], instead_of=held)
    ahead.begin({})
    ahead.wrote(place)
    return ahead


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize("in_redis", [True, False])
def test_what_a_stream_has_brought_stays_until_a_build_has_it(
    server: RedisServer, database: redis.Redis, published: Path, newer: Path, tmp_path: Path, in_redis: bool
) -> None:
    url = server.url if in_redis else f"sqlite:{tmp_path / 'online.sqlite'}"
    store = open_store(url)
    sync(published, store)
    ahead = brought(store, tmp_path)
    assert totals(store, "fresh", "t5", "t20") == [9, 0, 0]
    for build in (newer, newer, published):
        sync(build, store, ahead=ahead)
        assert totals(store, "fresh", "t5", "t20") == [9, 0, 25 if build == newer else 0]
    with mock.patch.object(Published, "positions", return_value={("app.things", "things", 0): 7}):
        sync(newer, store, ahead=ahead)
    assert totals(store, "fresh", "t5") == [0, 10]
    assert [(each.compared, each.differing, each.skipped) for each in ahead.parity()] == [(2, 2, 0)]


@pytest.mark.usefixtures("builds")
def test_what_a_build_has_before_a_stream_comes_to_it_is_not_compared(
    published: Path, tmp_path: Path
) -> None:
    store = open_store(f"sqlite:{tmp_path / 'online.sqlite'}")
    sync(published, store)
    ahead = brought(store, tmp_path)
    with mock.patch.object(Published, "positions", return_value={("app.things", "things", 0): 8}):
        sync(published, store, ahead=ahead)
    assert totals(store, "fresh", "t5") == [0, 8]
    found = ahead.parity()
    assert [(each.compared, each.differing, each.skipped) for each in found] == [(0, 0, 2)]
    told = StringIO()
    print_stream_parity(found, Console(file=told, width=100))
    assert "Not compared: the build had messages" in told.getvalue()


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize("lost", LOSSES)
def test_a_sync_mends_a_redis_that_lost_a_part_of_what_a_stream_has_brought(
    store: Store, database: redis.Redis, published: Path, tmp_path: Path, lost: str
) -> None:
    ahead = brought(store, tmp_path)
    LOSSES[lost](database)
    sync(published, store, ahead=ahead)
    assert totals(store, "t3", "t5", "fresh", "nobody") in ([6, 8, 0, 0], [6, 0, 9, 0])


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize("lost", LOSSES)
def test_a_redis_that_lost_a_part_gives_no_answer_and_sync_mends_it(
    store: Store, server: RedisServer, database: redis.Redis, published: Path, lost: str
) -> None:
    before = list(contents(store))
    assert totals(store, "t3", "nobody") == [6, 0]
    LOSSES[lost](database)
    # One that has read the list of views needs it no more, and has the right values.
    asked = [open_store(server.url), *([store] if lost != "the list of views" else [])]
    for each in asked:
        with pytest.raises(StoreUnavailable, match=r"assay online sync|cannot be read"):
            totals(each, "t3", "nobody")
    sync(published, store)
    assert totals(store, "t3", "nobody") == [6, 0]
    assert list(contents(store)) == before
    assert {each.written for each in sync(published, store)} == {0}
    # What it wrote is all that there is.
    assert sorted(database.hkeys(STRETCHES)) == sorted(database.hkeys(VERSIONS))


@pytest.mark.parametrize("name", [STRETCHES, VERSIONS, CATALOG])
def test_a_part_that_comes_from_an_older_dump_is_no_part(
    store: Store, database: redis.Redis, newer: Path, name: str
) -> None:
    """Restored by itself, it is whole, and of another build than the rest."""
    dump = database.dump(name)
    sync(newer, store)
    assert totals(store, "t3") == [8]
    database.restore(name, 0, dump, replace=True)
    with pytest.raises(StoreUnavailable, match="assay online sync"):
        totals(store, "t3")
    sync(newer, store)
    assert totals(store, "t3", "t20") == [8, 25]


def test_a_redis_that_is_restored_whole_is_the_older_build_until_the_next_sync(
    store: Store, database: redis.Redis, newer: Path
) -> None:
    dumps = {name: database.dump(name) for name in database.scan_iter()}
    sync(newer, store)
    for name, dump in dumps.items():
        database.restore(name, 0, dump, replace=True)
    assert totals(store, "t3", "t20") == [6, 0]
    assert store.catalog()[ONE].build.run_id == "run"
    sync(newer, store)
    assert totals(store, "t3", "t20") == [8, 25]


@pytest.mark.parametrize("at", ["while it is staged", "before it is moved"])
def test_a_redis_that_is_flushed_in_the_middle_of_a_sync_holds_nothing_wrong(
    server: RedisServer, database: redis.Redis, published: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setattr("assay.online.published._ENTITIES_AT_A_TIME", 5)
    store = RedisStore(server.url)
    flushed = []

    def told(view: str, total: int, done: int) -> None:
        if not flushed and done == (5 if at == "while it is staged" else total):
            flushed.append(database.flushdb())

    with pytest.raises(StoreUnavailable):
        sync(published, store, told)
    with pytest.raises(StoreUnavailable):
        totals(store, "t3")
    sync(published, store)
    assert totals(store, "t3") == [6]


def test_status_tells_of_what_is_lost(store: Store, database: redis.Redis) -> None:
    assert [each.view for each in read_held(store)] == [PAIR, ONE]
    database.delete(STRETCHES)
    with pytest.raises(StoreUnavailable, match=f"lost part of {ONE}. To write it again: assay online sync"):
        read_held(store)


def test_a_view_that_is_not_whole_stops_no_other(store: Store, database: redis.Redis) -> None:
    database.delete(STRETCHES)
    assert ask(store, PAIR, ["total"], KNOWN_UNTIL, a=["a1"], b=[1]).values == [[4]]


def test_a_damaged_entry_of_a_view_that_is_gone_goes_too(
    store: Store, database: redis.Redis, published: Path
) -> None:
    database.hset(CATALOG, "ftr_gone", "{")
    sync(published, store)
    assert totals(store, "t3") == [6]
    assert not database.hexists(CATALOG, "ftr_gone")


def test_half_of_a_character_is_no_key(store: Store) -> None:
    with pytest.raises(Refused, match="thing_id holds half of a character"):
        ask(store, ONE, ["total"], KNOWN_UNTIL, thing_id=["\ud800"])


# --- SQLite -------------------------------------------------------------------------------------------------

ENTITIES = [Entity(f"t{number}", 1, "[0]\n[99999999999999999,0,7]") for number in range(300)]


def in_child(act: Callable[[], None]) -> int:
    """Do something in a process of its own, and return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except StoreUnavailable:
            os._exit(3)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def view(published: Path) -> OnlineView:
    """A view as a sync writes it."""
    with open_published(published) as source:
        return source.measure(source.views()[ONE])


def write_to(path: Path, view: OnlineView) -> None:
    SqliteStore(path).write(view, [ENTITIES], [], instead_of=None)


class Ending(sqlite3.Connection):
    """Ends the process, as if it were killed, at the statement whose number is `left`."""

    left = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        Ending.left -= 1
        if Ending.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*arguments)


@pytest.mark.usefixtures("builds")
def test_a_first_sync_that_is_killed_anywhere_is_done_by_the_next(
    published: Path, view: OnlineView, tmp_path: Path
) -> None:
    plain = sqlite3.connect

    def killed_at(statement: int, path: Path) -> None:
        Ending.left = statement
        sqlite3.connect = partial(plain, factory=Ending)  # type: ignore[assignment]
        write_to(path, view)

    for statement in range(40):
        path = tmp_path / f"{statement}.sqlite"
        ended = in_child(partial(killed_at, statement, path))
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        store = SqliteStore(path)
        assert store.catalog() == {}
        with pytest.raises(StoreUnavailable, match="holds no feature views"):
            totals(store, "t3")
        sync(published, store)
        assert totals(store, "t3") == [6]
    assert statement > 8


@pytest.mark.usefixtures("builds")
def test_a_first_sync_that_meets_a_full_disk_is_done_by_the_next(
    published: Path, view: OnlineView, tmp_path: Path
) -> None:

    def with_room_for(size: int, path: Path) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        write_to(path, view)

    failed = 0
    for size in (0, 100, 512, 4096, 5000, 8192, 12288, 20000, 32768, 40000, 1 << 24):
        path = tmp_path / f"{size}.sqlite"
        ended = in_child(partial(with_room_for, size, path))
        assert ended in (0, 3), size
        failed += ended == 3
        store = SqliteStore(path)
        if ended == 3:
            assert store.catalog() == {}
            sync(published, store)
            assert totals(store, "t3") == [6]
    assert failed > 5
    assert ended == 0


TAMPERED = {
    "an entity is gone": "delete from entities where key = 't3'",
    "all are gone": "delete from entities",
    "a version is another": "update entities set version = version + 1 where key = 't3'",
    "a key is another": "update entities set key = 't3x' where key = 't3'",
    "one came": "insert into entities select view, 'nobody', version, stretch from entities where key = 't3'",
    "one was replaced": "insert or replace into entities select view, key, 0, stretch from entities "
    "where key = 't3'",
    "it went to another view": "update entities set view = 9 where key = 't3'",
}  # fmt: skip


@pytest.mark.parametrize("tampered", TAMPERED)
def test_what_is_changed_in_sqlite_without_a_sync_is_found_and_mended(
    published: Path, tmp_path: Path, tampered: str
) -> None:
    """Although its digest, written with its entities, speaks of the same build."""
    path = tmp_path / "online.sqlite"
    store = SqliteStore(path)
    sync(published, store)
    before = list(contents(store))
    assert {each.written for each in sync(published, store)} == {0}
    with sqlite3.connect(path) as connection:
        connection.execute(TAMPERED[tampered])
    connection.close()
    assert sum(each.written + each.removed for each in sync(published, store)) > 0
    assert list(contents(store)) == before
    assert totals(store, "t3", "nobody") == [6, 0]
    assert {each.written for each in sync(published, store)} == {0}


@pytest.mark.parametrize("changed", [False, True])
def test_a_sync_compares_entities_one_by_one_only_where_something_changed(
    published: Path, newer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    store = SqliteStore(tmp_path / "online.sqlite")
    sync(published, store)
    asked: list[str] = []
    versions = SqliteStore.versions

    def told(self: SqliteStore, view: str) -> Iterator[tuple[str, int]]:
        asked.append(view)
        return versions(self, view)

    monkeypatch.setattr(SqliteStore, "versions", told)
    sync(newer if changed else published, store)
    assert asked == ([PAIR, ONE] if changed else [])


def test_a_file_of_an_older_layout_counts_as_empty_and_the_next_sync_fills_it(
    published: Path, tmp_path: Path
) -> None:
    path = tmp_path / "online.sqlite"
    store = SqliteStore(path)
    sync(published, store)
    with sqlite3.connect(path) as connection:
        connection.execute("drop table entities")
        connection.execute("create table entities (feature_view text, key text, version integer)")
        connection.execute("pragma user_version = 0")
    connection.close()
    with pytest.raises(StoreUnavailable, match="holds no feature views"):
        totals(SqliteStore(path), "t3")
    sync(published, store)
    assert totals(SqliteStore(path), "t3") == [6]


def test_a_store_in_sqlite_is_for_its_owner_alone(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "online.sqlite"
    sync(published, SqliteStore(path))
    with sqlite3.connect(path) as connection:
        connection.execute("delete from stamp")
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_store_in_sqlite_that_nobody_uses_keeps_no_file_open(published: Path, tmp_path: Path) -> None:
    file = tmp_path / "online.sqlite"
    gc.disable()
    try:
        sync(published, open_store(f"sqlite:{file}"))
        assert open_store(f"sqlite:{file}").catalog()
    finally:
        gc.enable()
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_a_place_where_no_store_can_be_is_told(published: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SqliteStore(tmp_path / "file" / "online.sqlite")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        sync(published, store)


# --- how stores are called ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0?password=s3cret", "redis://h:1/0"),
        ("redis://h/0?db=1&password=s3cret#s3cret", "redis://h/0"),
        ("redis://user:s3cret@h:1/0", "redis://h:1/0"),
        ("rediss://:s3cret@h/0", "rediss://h/0"),
        ("rediss://:s3/cret@h/0", "rediss://h/0"),
        ("unix:///tmp/redis.sock?password=s3cret&db=0", "unix:///tmp/redis.sock"),
        ("unix://user:s3cret@/tmp/redis.sock", "unix:///tmp/redis.sock"),
        ("redis://user:s3?cret@h/0", "redis://..."),
        ("redis://user:s3#cret@h/0", "redis://..."),
        ("redis://h/0?password=a@s3cret", "redis://..."),
        ("redis:user:s3cret@h", "redis:..."),
        ("redis://127.0.0.1:1/0?no_option=s3cret", "redis://127.0.0.1:1/0"),
        ("redis://:s3cret@h:port/0", "redis://h:port/0"),
        ("mysql://user:s3cret@h/db", "mysql://h/db"),
        ("sqlite:data/online.sqlite", "sqlite:data/online.sqlite"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    said = ""
    try:
        store = open_store(url)
        assert "s3cret" not in store.url
        if not url.startswith("sqlite"):
            store.catalog()
    except Fault as fault:
        said = str(fault)
    assert "s3cret" not in said


def test_what_a_server_repeats_of_a_password_is_not_told(server: RedisServer) -> None:
    """One that knows no users refuses them with what it was sent."""
    store = open_store(server.url.replace("//", "//someone:s3cret@"))
    with pytest.raises(StoreUnavailable) as unavailable:
        store.catalog()
    assert "s3cret" not in str(unavailable.value)


# --- the end of a range -------------------------------------------------------------------------------------

BORN, ENDED = KNOWN_UNTIL, KNOWN_UNTIL + timedelta(days=1)


@pytest.fixture(params=["sqlite", "redis"])
def ending(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store with an entity that was deleted, and one whose rows follow one another."""
    file = tmp_path / "gold.duckdb"
    rows = "select 'gone' as thing_id, 5 as total"
    publish_view(file, ONE, {"thing_id": "varchar"}, {"total": "bigint"}, rows)
    query(file, f"update gold.srv_{ONE} set valid_to = '{ENDED}'")
    query(
        file,
        f"insert into gold.srv_{ONE} select 'stays', total + position, "
        f"if(position = 0, timestamp '{BORN}', '{ENDED}'), "
        f"if(position = 0, '{ENDED}', timestamp '9999-12-31'), "
        f"updated_at, 1 from gold.srv_{ONE}, range(2) as positions (position)",
    )
    if request.param == "redis":
        request.getfixturevalue("database")
        url = request.getfixturevalue("server").url
    else:
        url = f"sqlite:{tmp_path / 'online.sqlite'}"
    store = open_store(url)
    sync(file, store)
    return store


def test_a_range_ends_before_its_end(ending: Store) -> None:
    """A deleted entity has no state that follows: at the instant of its end it is gone."""
    instant = timedelta(microseconds=1)
    for at, values, statuses in (
        (BORN, [5, 5], [PRESENT, PRESENT]),
        (ENDED - instant, [5, 5], [PRESENT, PRESENT]),
        (ENDED, [None, 6], [NOT_FOUND, PRESENT]),
        (ENDED + instant, [None, 6], [NOT_FOUND, PRESENT]),
    ):
        answer = ask(ending, ONE, ["total"], at, thing_id=["gone", "stays"])
        assert [value for [value] in answer.values] == values
        assert [status for [status] in answer.statuses] == statuses


_LOCKED = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    # Where SQLite's connections keep their shared locks.
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
"""


def test_who_writes_gives_up_no_lock_of_readers(tmp_path: Path) -> None:
    """Without it, another process would take itself for the last and remove the log that is still in use."""
    store = SqliteStore(tmp_path / "online.sqlite")
    store.remove("ftr_nothing")
    assert store.catalog() == {}
    store.remove("ftr_nothing")
    command = [sys.executable, "-c", _LOCKED, str(tmp_path / "online.sqlite")]
    locked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "BlockingIOError" in locked.stderr
