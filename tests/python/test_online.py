"""What is online is a stretch of history: it answers as the history would, whatever happens to the store."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import redis
from online_stores import ask, contents, parsed, query
from postgres_server import PostgresServer, postgres_server
from redis_server import RedisServer
from warehouse import PROJECT, Warehouse

from assay.core.fault import Fault
from assay.online.answer import NOT_FOUND, NULL_VALUE, OUTSIDE_MAX_AGE, PRESENT
from assay.online.definition import Build, OnlineView
from assay.online.published import open_published
from assay.online.request import Refused
from assay.online.stores.open import open_store
from assay.online.stores.sqlite import SqliteStore
from assay.online.stores.store import Store, StoreUnavailable
from assay.online.sync import sync
from assay.online.types import from_json, to_json_sql
from assay.parity.check import check_parity, joined_rows
from assay.parity.compare import compare
from assay.project.project import Project

pytestmark = pytest.mark.minutes

VELOCITY = "ftr_card__velocity"


@pytest.fixture
def changeable(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(published, tmp_path / "gold.duckdb"))


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'online.sqlite'}"
    if request.param == "postgres":
        database: PostgresServer = request.getfixturevalue("postgres")
        database.run("set client_min_messages = error", "drop schema if exists assay_online cascade")
        return database.store_url
    server: RedisServer = request.getfixturevalue("redis_server")
    redis.Redis.from_url(server.url).flushall()
    return server.url


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


@pytest.fixture
def filled(store: Store, published: Path) -> Store:
    sync(published, store)
    return store


def known_until(published: Path, view: str = VELOCITY) -> datetime:
    [(moment,)] = query(published, "select known_until from gold.srv_catalog where feature_view = ?", [view])
    assert isinstance(moment, datetime)
    return moment


# --- what is published to go online -------------------------------------------------------------------------


def test_a_view_online_has_the_columns_of_its_history(published: Path) -> None:
    for (view,) in query(published, "select feature_view from gold.srv_catalog"):
        history = [row[:2] for row in query(published, f"describe gold.{view}")]
        online = [row[:2] for row in query(published, f"describe gold.srv_{view}")]
        assert online == [row for row in history if row[0] != "confirmed_at"] + [("version", "BIGINT")]


def test_what_is_online_is_what_holds_from_the_last_knowledge_on(published: Path) -> None:
    for view, known in query(published, "select feature_view, known_until from gold.srv_catalog"):
        arrived = "coalesce(list_last(confirmed_at), updated_at)"
        [(last,)] = query(published, f"select max({arrived}) from gold.{view}")
        assert last == known
        expected = f"select * exclude (confirmed_at) replace ({arrived} as updated_at) from gold.{view}"
        expected += f" where valid_to > timestamp '{known}'" if known else ""
        online = f"select * exclude (version) from gold.srv_{view}"
        assert query(published, f"({expected}) except all ({online})") == []
        assert query(published, f"({online}) except all ({expected})") == []
        assert query(published, f"select count(*) > 0 from gold.srv_{view}") == [(known is not None,)]


# --- sync ---------------------------------------------------------------------------------------------------


def test_sync_writes_all_and_then_nothing(store: Store, published: Path) -> None:
    first = sync(published, store)
    before = list(contents(store))
    assert [each.written for each in first] == [each.entities for each in first]
    assert [each.entities for each in first] == [store.entities(each.view) for each in first]
    # A month is too short for affinities, which are fitted at the start of the next.
    assert [each.view for each in first if not each.entities] == ["ftr_customer__affinity"]
    assert [(each.written, each.removed) for each in sync(published, store)] == [(0, 0)] * len(first)
    assert list(contents(store)) == before


def test_sync_writes_what_changed_and_takes_out_what_is_gone(store: Store, changeable: Path) -> None:
    sync(changeable, store)
    table = f"gold.srv_{VELOCITY}"
    (changed,), (gone,) = query(changeable, f"select distinct card_id from {table} order by all limit 2")
    query(
        changeable,
        f"update {table} set transaction_count_all = 77, version = version + 1 where card_id = ?",
        [changed],
    )
    query(changeable, f"delete from {table} where card_id = ?", [gone])
    done = {each.view: (each.written, each.removed) for each in sync(changeable, store)}
    assert done.pop(VELOCITY) == (1, 1)
    assert set(done.values()) == {(0, 0)}
    answer = ask(store, VELOCITY, ["transaction_count_all"], known_until(changeable), card_id=[changed, gone])
    assert answer.values == [[77], [0]]
    assert answer.statuses == [[PRESENT], [NOT_FOUND]]


def test_what_passes_with_time_is_not_written_again(store: Store, changeable: Path) -> None:
    """Windows that have expired since are in the stretch already."""
    sync(changeable, store)
    table = f"gold.srv_{VELOCITY}"
    passed = f"delete from {table} where valid_to <= (select median(valid_to) from {table}) and valid_from < "
    last = f"(select max(t.valid_from) from {table} as t where t.card_id = {table}.card_id)"
    query(changeable, passed + last)
    assert [(each.written, each.removed) for each in sync(changeable, store, view=VELOCITY)] == [(0, 0)]


def test_another_definition_is_written_whole(store: Store, changeable: Path) -> None:
    sync(changeable, store)
    query(
        changeable,
        "update gold.srv_catalog set definition = replace(definition, 'risk', 'fraud') "
        "where feature_view = ?",
        [VELOCITY],
    )
    [velocity] = sync(changeable, store, view=VELOCITY)
    assert velocity.written == velocity.entities
    assert store.catalog()[VELOCITY].declared["owner"] == "fraud"


def test_a_view_that_is_no_longer_online_goes(store: Store, changeable: Path) -> None:
    sync(changeable, store)
    query(changeable, "delete from gold.srv_catalog where feature_view = ?", [VELOCITY])
    sync(changeable, store)
    assert VELOCITY not in store.catalog()
    with pytest.raises(Refused, match="no feature view ftr_card__velocity online"):
        ask(store, VELOCITY, None, datetime(2030, 1, 1), card_id=["1"])


def test_a_sync_that_was_overtaken_changes_nothing(store: Store, published: Path) -> None:
    sync(published, store)
    held = store.catalog()[VELOCITY]
    before = list(contents(store))
    with pytest.raises(StoreUnavailable, match="Another sync"):
        store.write(held, [], [key for key, _ in store.versions(VELOCITY)], instead_of=None)
    assert list(contents(store)) == before


_SLOW_SYNC = """
import sys, time
from pathlib import Path
from assay.online.stores.open import open_store
from assay.online.sync import sync
from assay.online import published
published._ENTITIES_AT_A_TIME = 5

def told(view, total, done):
    if view == "ftr_card__velocity" and done:
        print("writing", flush=True)
        time.sleep(60)

sync(Path(sys.argv[1]), open_store(sys.argv[2]), told)
"""


def test_a_sync_that_is_killed_leaves_what_was_there_and_the_next_one_mends_it(
    store: Store, url: str, changeable: Path
) -> None:
    sync(changeable, store)
    held = [row for row in contents(store) if row[0] == VELOCITY]
    at = known_until(changeable)
    card = held[0][1]
    before = ask(store, VELOCITY, ["transaction_count_all"], at, card_id=[card]).values
    query(
        changeable,
        f"update gold.srv_{VELOCITY} set "
        "transaction_count_all = 1000 + transaction_count_all, version = version + 1",
    )
    command = [sys.executable, "-c", _SLOW_SYNC, str(changeable), url]
    writer = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    # Serving goes on while it is written.
    assert ask(store, VELOCITY, ["transaction_count_all"], at, card_id=[card]).values == before
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert [row for row in contents(store) if row[0] == VELOCITY] == held
    assert ask(store, VELOCITY, ["transaction_count_all"], at, card_id=[card]).values == before
    [velocity] = sync(changeable, store, view=VELOCITY)
    assert velocity.written == len(held)
    after = ask(store, VELOCITY, ["transaction_count_all"], at, card_id=[card]).values
    assert after == [[1000 + before[0][0]]]


# --- answers ------------------------------------------------------------------------------------------------


def test_counts_decay_without_another_build(filled: Store, published: Path) -> None:
    at = known_until(published)
    [(card, last)] = query(
        published,
        f"select card_id, transacted_at_last_all from gold.srv_{VELOCITY} where updated_at = ? limit 1",
        [at],
    )
    counts = {
        moment: ask(
            filled, VELOCITY, ["transaction_count_1h", "amount_sum_1h"], moment, card_id=[card]
        ).values[0]
        for moment in (at, last + timedelta(hours=1, microseconds=-1), last + timedelta(hours=1))
    }
    assert [count for count, _ in counts.values()][1:] == [1, 0]
    assert [type(amount) for _, amount in counts.values()] == [Decimal] * 3
    assert counts[at][0] >= 1


def test_statuses_tell_how_a_value_came_about(filled: Store, published: Path) -> None:
    at = known_until(published)
    [(card,)] = query(
        published,
        f"select card_id from gold.srv_{VELOCITY} where valid_from <= ? and amount_max_5m is null limit 1",
        [at],
    )
    features = ["transaction_count_5m", "amount_max_5m"]
    answer = ask(filled, VELOCITY, features, at, card_id=[card, "nobody"])
    assert answer.values == [[0, None], [0, None]]
    assert answer.statuses == [[PRESENT, NULL_VALUE], [NOT_FOUND, NOT_FOUND]]
    assert answer.is_default == [[False, False], [True, False]]
    assert answer.updated_at[0] is not None
    assert answer.updated_at[0] <= at
    assert answer.updated_at[1] is None


def test_values_older_than_they_may_be_are_not_given(filled: Store, published: Path) -> None:
    view = "ftr_merchant__activity"
    [(merchant, updated_at)] = query(
        published,
        f"select merchant_id, updated_at from gold.srv_{view} "
        "where valid_to > updated_at + interval '366 days' limit 1",
    )
    features = ["transaction_count_1h", "outcome_count_all"]
    for late, status in ((0, PRESENT), (1, OUTSIDE_MAX_AGE)):
        at = updated_at + timedelta(days=365, microseconds=late)
        answer = ask(filled, view, features, at, merchant_id=[merchant])
        assert answer.statuses == [[status, status]]
    assert answer.is_default == [[True, True]]


def test_an_entity_asked_for_twice_is_answered_twice(filled: Store, published: Path) -> None:
    at = known_until(published)
    [(card,)] = query(published, f"select any_value(card_id) from gold.srv_{VELOCITY}")
    answer = ask(filled, VELOCITY, ["transaction_count_all"], at, card_id=[card, "nobody", card])
    assert answer.values[0] == answer.values[2] != answer.values[1]


@pytest.mark.parametrize(
    ("features", "entities", "message"),
    [
        (["transaction_count_2h"], {"card_id": ["1"]}, "has no feature transaction_count_2h: did you mean"),
        (None, {}, "needs card_id: card_id is missing"),
        (["amount_to_average_30d"], {"card_id": ["1"]}, "need amount with the request: amount is missing"),
        (None, {"card_id": [1.5]}, "card_id must be a text or a whole number, not '[*]{4}'"),
        (None, {"card_id": [None]}, "card_id must be a text or a whole number, not None"),
        (["amount_to_average_30d"], {"card_id": ["1"], "amount": ["much"]}, "amount must be of type decimal"),
        (["amount_to_average_30d"], {"card_id": ["1"], "amount": [True]}, "which True is not"),
        (["amount_to_average_30d"], {"card_id": ["1", "2"], "amount": [1]}, "as many values as each other"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    published: Path,
    tmp_path: Path,
    features: list[str] | None,
    entities: dict[str, list[object]],
    message: str,
) -> None:
    store = SqliteStore(tmp_path / "online.sqlite")
    sync(published, store, view=VELOCITY)
    with pytest.raises(Refused, match=message):
        ask(store, VELOCITY, features, known_until(published), **entities)


def test_a_vector_comes_with_a_request_as_a_list_of_numbers(filled: Store, published: Path) -> None:
    view = "ftr_customer__taste"
    [(customer, taste)] = query(
        published,
        f"select customer_id, taste_vector::double[] from gold.srv_{view} order by all desc limit 1",
    )
    [(product,)] = query(
        published,
        "select description_vector::double[] from gold.srv_ftr_product__description order by all limit 1",
    )
    at = known_until(published, view)

    def similarity(vector: object) -> list[object]:
        asked = {"customer_id": [customer], "product_vector": [vector]}
        return ask(filled, view, ["taste_similarity"], at, **asked).values[0]

    expected = sum(one * other for one, other in zip(taste, product, strict=True))
    assert similarity(product) == [pytest.approx(expected, abs=1e-6)]
    # Bodies of requests are read with all digits of their numbers.
    assert similarity([Decimal(each) for each in product]) == similarity(product)
    assert similarity(None) == [None]
    for other in ([1.0, 2.0], 3, True, "much"):
        with pytest.raises(Refused, match=r"product_vector must be of type float\[256\]"):
            similarity(other)


def test_an_instant_before_the_last_knowledge_is_refused(filled: Store, published: Path) -> None:
    with pytest.raises(Refused, match=r"is online from .* lies before"):
        ask(filled, VELOCITY, None, known_until(published) - timedelta(microseconds=1), card_id=["1"])


# --- parity -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(built_demo: Warehouse) -> Iterator[Project]:
    with parsed(built_demo) as project:
        yield project


def test_online_equals_offline_in_every_value(filled: Store, project: Project, published: Path) -> None:
    found = check_parity(filled, project, published, samples=60)
    assert [each for each in found if each.differs] == []
    assert {each.view for each in found} == set(filled.catalog())
    assert {each.compared for each in found if each.view != "ftr_customer__affinity"} == {60}
    velocity = {each.feature for each in found if each.view == VELOCITY}
    assert {"transaction_count_1h", "kilometres_per_hour", "amount_to_average_30d"} <= velocity
    assert any(each.smape == 0 for each in found)


def test_parity_finds_a_value_that_differs(published: Path, project: Project, tmp_path: Path) -> None:
    path = tmp_path / "online.sqlite"
    sync(published, SqliteStore(path))
    with sqlite3.connect(path) as connection:
        for key, stretch in connection.execute(
            "select key, stretch from entities inner join catalog on id = view where feature_view = ?",
            [VELOCITY],
        ).fetchall():
            instants, *rows = map(json.loads, stretch.split("\n"))
            position = 2 + list(SqliteStore(path).catalog()[VELOCITY].columns).index("transaction_count_all")
            for row in rows:
                row[position] += 1
            wrong = "\n".join(map(json.dumps, [instants, *rows]))
            connection.execute("update entities set stretch = ? where key = ?", [wrong, key])
    found = check_parity(SqliteStore(path), project, published, view=VELOCITY, samples=60)
    [differing] = [each for each in found if each.differs]
    assert differing.feature == "transaction_count_all"
    # One in twenty is unknown on both sides.
    assert 40 < differing.mismatched <= 60
    assert differing.smape
    assert "online" in differing.examples[0]


def test_parity_refuses_a_store_of_another_build(
    published: Path, project: Project, changeable: Path, tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "online.sqlite")
    sync(published, store)
    query(changeable, "update gold.srv_catalog set run_id = 'another'")
    with pytest.raises(Fault, match="of another build"):
        check_parity(store, project, changeable)


def test_rates_of_parity() -> None:
    found = compare(
        "view",
        "feature",
        list("abcdef"),
        [1, 2, None, 4, None, float("nan")],
        [1, 1, 3, None, None, float("nan")],
    )
    assert (found.compared, found.mismatched, found.missing, found.extra) == (6, 1, 1, 1)
    assert found.smape == pytest.approx((0 + 2 * 1 / 3) / 2)


@pytest.mark.parametrize(
    ("kind", "finite"),
    [
        ("timestamp", "2025-01-02 03:04:05.5"),
        ("date", "2025-01-02"),
        ("timestamp[]", "[2025-01-02 03:04:05.5]"),
        ("struct(date timestamp, d date[])", "{'date': 2025-01-02 03:04:05.5, 'd': [2025-01-02]}"),
    ],
)
def test_infinite_times_are_compared_as_other_values_are(kind: str, finite: str) -> None:
    texts = [finite, finite.replace("2025-01-02 03:04:05.5", "infinity").replace("2025-01-02", "-infinity")]
    with duckdb.connect() as connection:
        connection.execute(f"create table t as select unnest($1::varchar[])::{kind} as v, 'x' as w", [texts])
        told = connection.execute(f"select to_json({to_json_sql('v', kind)})::varchar from t").fetchall()
        joined = [row["v"] for row in joined_rows(connection, "select * from t")]
    served = [from_json(json.loads(each), kind) for (each,) in told]
    for answers, mismatched in ((served, 0), (served[::-1], 2)):
        assert compare("view", "feature", ["finite", "infinite"], answers, joined).mismatched == mismatched


def test_what_lists_structs_and_maps_hold_is_compared_as_other_values_are() -> None:
    nan = float("nan")
    same = [
        ([nan, None, 1.5], [nan, None, 1.5]),
        ({"x": Decimal("1.10")}, {"x": Decimal("1.1")}),
        ({"5": nan}, [(5, nan)]),
        (["2025-01-02 03:04:05.5"], [datetime(2025, 1, 2, 3, 4, 5, 500_000)]),
    ]
    other = [
        ([nan], [1.0]),
        ([1], [1, 2]),
        ({"x": 1}, {"y": 1}),
        ([True], [1]),
        (["2025"], [datetime(2025, 1, 1)]),
    ]
    served, joined = zip(*same, *other, strict=True)
    found = compare("view", "feature", [str(number) for number in range(len(served))], served, joined)
    assert found.mismatched == len(other)
    assert [example.partition(":")[0] for example in found.examples] == ["4", "5", "6"]


# --- faults -------------------------------------------------------------------------------------------------


def test_an_empty_store_says_how_to_fill_it(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="assay online sync"):
        ask(store, VELOCITY, None, datetime(2030, 1, 1), card_id=["1"])


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to stop and to slow down."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


def test_redis_may_go_and_come_back_empty(published: Path, own_redis: RedisServer) -> None:
    store = open_store(own_redis.url)
    sync(published, store, view=VELOCITY)
    at, features = known_until(published), ["transaction_count_all"]
    before = ask(store, VELOCITY, features, at, card_id=["nobody"])
    own_redis.stop()
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        ask(store, VELOCITY, features, at, card_id=["nobody"])
    own_redis.start()
    with pytest.raises(StoreUnavailable, match="assay online sync"):
        ask(store, VELOCITY, features, at, card_id=["nobody"])
    sync(published, store, view=VELOCITY)
    assert ask(store, VELOCITY, features, at, card_id=["nobody"]).values == before.values


def test_a_redis_that_is_slow_gives_no_value_and_comes_back(published: Path, own_redis: RedisServer) -> None:
    store = open_store(own_redis.url)
    sync(published, store, view=VELOCITY)
    at, features = known_until(published), ["transaction_count_all"]
    before = ask(store, VELOCITY, features, at, card_id=["nobody"])
    with redis.Redis.from_url(own_redis.url) as other:
        other.client_pause(4000, all=True)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            ask(store, VELOCITY, features, at, card_id=["nobody"])
        # Nobody waits until it is quick again.
        assert time.monotonic() - started < 3.5
        other.ping()
    assert ask(store, VELOCITY, features, at, card_id=["nobody"]).values == before.values


def test_a_password_is_told_to_nobody() -> None:
    store = open_store("redis://user:secret@127.0.0.1:1/0")
    assert store.url == "redis://127.0.0.1:1/0"
    with pytest.raises(StoreUnavailable) as unavailable:
        ask(store, VELOCITY, None, datetime(2030, 1, 1), card_id=["1"])
    assert "secret" not in str(unavailable.value)
    with pytest.raises(Fault) as refused:
        open_store("redis://user:secret@127.0.0.1:port/0")
    assert "secret" not in str(refused.value)


def test_a_broken_file_is_no_store_until_it_is_replaced(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "online.sqlite"
    store = SqliteStore(path)
    path.write_bytes(b"half of a file" * 1000)
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        ask(store, VELOCITY, None, datetime(2030, 1, 1), card_id=["1"])
    with pytest.raises(StoreUnavailable, match="remove"):
        sync(published, store, view=VELOCITY)
    path.unlink()
    sync(published, store, view=VELOCITY)
    assert ask(store, VELOCITY, None, known_until(published), card_id=["1"]).statuses[0][0] == NOT_FOUND


def test_a_store_that_is_written_to_is_read_meanwhile(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "online.sqlite"
    sync(published, SqliteStore(path), view=VELOCITY)
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("begin immediate")
        writer.execute("delete from entities")
        started = time.monotonic()
        answer = ask(
            SqliteStore(path), VELOCITY, ["transaction_count_all"], known_until(published), card_id=["1"]
        )
        assert answer.statuses == [[NOT_FOUND]]
        assert SqliteStore(path).entities(VELOCITY) > 0
        assert time.monotonic() - started < 5
        writer.execute("rollback")


def test_a_url_that_is_no_store_is_refused() -> None:
    with pytest.raises(Fault, match="sqlite:PATH, redis"):
        open_store("mysql://somewhere")


def test_types_of_all_kinds_travel_there_and_back(tmp_path: Path) -> None:
    """Values are those of the table, to the bit, and those that derived features compute with."""
    types = {
        "whole": ("bigint", "-9223372036854775808"),
        "huge": ("hugeint", "170141183460469231731687303715884105727"),
        "money": ("decimal(38, 2)", "123456789012345678901234567890123456.78"),
        "ratio": ("double", "0.1 + 0.2"),
        "none": ("double", "'nan'"),
        "endless": ("double", "'-infinity'"),
        "yes": ("boolean", "true"),
        "words": ("varchar", "'it''s \"quoted\" ü'"),
        "day": ("date", "'2024-02-29'"),
        "moment": ("timestamp", "'2024-02-29 12:34:56.789012'"),
        "things": ("integer[]", "[1, null, 3]"),
    }
    columns = [{"name": name, "type": kind, "default": None} for name, (kind, _) in types.items()]
    derived = [
        {"name": f"{name}_again", "type": kind, "expression": name} for name, (kind, _) in types.items()
    ]
    definition = {
        "name": "things", "keys": [{"name": "id", "type": "bigint"}], "columns": columns, "derived": derived,
        "inputs": [], "max_age": None, "owner": None, "entity": "thing", "description": "", "unique_id": "",
    }  # fmt: skip
    view = OnlineView.of(json.dumps(definition), Build("run", datetime(2025, 1, 1)))
    file = tmp_path / "gold.duckdb"
    query(file, "create schema gold")
    values = ", ".join(f"({sql})::{kind} as {name}" for name, (kind, sql) in types.items())
    query(
        file,
        f"create table gold.srv_things as select 7::bigint as id, {values}, "
        "timestamp '2025-01-01' as valid_from, "
        "timestamp '9999-12-31' as valid_to, timestamp '2025-01-01' as updated_at, 1::bigint as version",
    )
    query(
        file,
        "create table gold.srv_catalog as select 'things' as feature_view, ? as definition, "
        "timestamp '2025-01-01' as known_until, 'run' as run_id",
        [view.text],
    )
    store = SqliteStore(tmp_path / "online.sqlite")
    sync(file, store)
    answer = ask(store, "things", None, datetime(2025, 1, 1), id=["7"])
    [expected] = query(file, f"select {', '.join(types)} from gold.srv_things")
    got = dict(zip(answer.features, answer.values[0], strict=True))
    assert repr([got[name] for name in types]) == repr(list(expected))
    assert repr([got[f"{name}_again"] for name in types]) == repr(list(expected))
    with open_published(file) as source:
        assert source.views()["things"].build.known_until == datetime(2025, 1, 1)
