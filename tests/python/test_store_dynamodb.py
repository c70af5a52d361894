"""The online store in DynamoDB: one build or another for readers, syncs that end early, limits, refusals."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from dynamodb_server import dynamodb_server
from moto import settings
from online_stores import ask, contents, query
from published_by_hand import KNOWN_UNTIL, ONE, PAIR, make_published, publish_view
from redis_server import free_port

from assay.core.fault import Fault
from assay.online.ahead import Ahead
from assay.online.answer import NOT_FOUND, PRESENT
from assay.online.definition import OnlineView
from assay.online.held import read_held
from assay.online.published import open_published
from assay.online.stores import dynamodb
from assay.online.stores.dynamodb import DynamoStore
from assay.online.stores.dynamodb_items import Value, packed
from assay.online.stores.open import open_store
from assay.online.stores.sealed import SealedStore
from assay.online.stores.store import Entity, Store, StoreUnavailable
from assay.online.sync import sync

pytestmark = pytest.mark.usefixtures("builds")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with dynamodb_server() as address:
        yield address


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_published(tmp_path_factory.mktemp("published") / "gold.duckdb")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the next build published: other values, and an entity less."""
    return make_published(tmp_path_factory.mktemp("newer") / "gold.duckdb", run_id="newer", entities=19)


@pytest.fixture
def url(server: str) -> str:
    """The URL of a store that is not made yet."""
    return f"dynamodb://features-{uuid4().hex}?region=eu-central-1&endpoint={server}"


@pytest.fixture
def store(url: str, published: Path) -> Store:
    store = open_store(url)
    sync(published, store)
    return store


@pytest.fixture
def view(published: Path) -> OnlineView:
    """A view as a sync writes it."""
    with open_published(published) as source:
        return source.measure(source.views()[ONE])


def totals(store: Store, *things: str) -> list[Any]:
    return [value for [value] in ask(store, ONE, ["total"], KNOWN_UNTIL, thing_id=list(things)).values]


def total_of(number: int) -> str:
    return f"[1735689600000000]\n[253402214400000000,1735689600000000,{number}]"


def of_dynamodb(store: Store) -> DynamoStore:
    """Return the store that one keeps its entities in which encrypts them where there is a key."""
    assert isinstance(store, SealedStore)
    assert isinstance(store._store, DynamoStore)
    return store._store


def items_of(store: Store) -> list[dict[str, Any]]:
    inner = of_dynamodb(store)
    found: list[dict[str, Any]] = inner._writer.scan(TableName=inner._table)["Items"]
    return [item for item in found if "#" in item["place"]["S"]]


def test_sync_writes_all_and_then_nothing(url: str, published: Path, newer: Path) -> None:
    store = open_store(url)
    assert store.catalog() == {}
    with pytest.raises(StoreUnavailable, match="holds no feature views"):
        totals(store, "t3")
    first = sync(published, store)
    assert [(each.written, each.removed) for each in first] == [(20, 0), (20, 0)]
    assert [(each.view, each.entities) for each in read_held(store)] == [(PAIR, 20), (ONE, 20)]
    before = list(contents(store))
    assert len(before) == 40
    assert [(each.written, each.removed) for each in sync(published, store)] == [(0, 0)] * 2
    assert [(each.written, each.removed) for each in sync(newer, store)] == [(19, 1)] * 2
    assert totals(store, "t3", "t19", "t3") == [8, 0, 8]
    assert len(items_of(store)) == 38
    sync(published, store)
    assert list(contents(store)) == before
    assert asyncio.run(store.sample(ONE)) in {key for _, key, _ in before}


def test_requests_that_are_larger_than_a_batch_are_answered(url: str, tmp_path: Path) -> None:
    store = open_store(url)
    sync(make_published(tmp_path / "gold.duckdb", entities=230), store, view=ONE)
    things = [f"t{number}" for number in random.Random(1).choices(range(300), k=500)]
    expected = [int(each[1:]) + 3 if int(each[1:]) < 230 else 0 for each in things]
    assert totals(store, *things) == expected


def test_keys_and_stretches_of_all_kinds_are_kept_apart(url: str, tmp_path: Path) -> None:
    keys = ["a", "A", "a ", "", "a\0b", "é", "e\u0301", "x" * 1023, "x" * 1024, "x" * 5000, "=", "#"]
    file = tmp_path / "gold.duckdb"
    rows = "select '' as thing_id, [0] as total where false"
    publish_view(file, ONE, {"thing_id": "varchar"}, {"total": "integer[]"}, rows)
    columns = "(?, range(?), timestamp '2025-01-01', timestamp '9999-12-31', timestamp '2025-01-01', 1)"
    for number, key in enumerate(keys):
        query(file, f"insert into gold.srv_{ONE} values {columns}", [key, 300 * number])
    store = open_store(url)
    sync(file, store)
    assert totals(store, *keys) == [list(range(300 * number)) for number in range(len(keys))]
    assert sorted(key for key, _ in store.versions(ONE)) == sorted(keys)


@pytest.mark.parametrize("stretch", ["x", "xZJpMlCYS+EOX0TL=", "x" * 5000, "[1]\n[2]", "[1]" * 5000])
def test_a_text_is_told_from_what_is_compressed(stretch: str) -> None:
    """An encrypted text begins with any letter or digit."""
    assert Value(1, 1, packed(stretch)).text == stretch.encode()


def test_what_a_stream_has_brought_stays_until_a_build_has_it(
    store: Store, published: Path, newer: Path, tmp_path: Path
) -> None:
    ahead, place = Ahead(tmp_path / "stream.sqlite"), {("app.things", "things", 0): 7}
    held = store.catalog()[ONE]
    ahead.note(ONE, ["fresh", "t5"], place)
    build = replace(held.build, digest=None, entities=None)
    store.write(replace(held, build=build), [[Entity("fresh", 5, total_of(9))]], ["t5"], instead_of=held)
    assert store.entities(ONE) == 20
    ahead.begin({})
    ahead.wrote(place)
    for file in (newer, newer, published):
        sync(file, store, ahead=ahead)
        assert totals(store, "fresh", "t5", "t19") == [9, 0, 0 if file == newer else 22]


def test_a_sync_that_was_overtaken_changes_nothing(store: Store, view: OnlineView) -> None:
    before = list(contents(store))
    with pytest.raises(StoreUnavailable, match="Another sync wrote ftr_thing__figures meanwhile"):
        store.write(view, [], [key for key, _ in store.versions(ONE)], instead_of=None)
    assert list(contents(store)) == before


def test_of_syncs_at_once_the_one_that_began_last_wins_whole(store: Store, url: str) -> None:
    """The earlier one has written an entity of the later one, and one that the later one does not write."""
    held = store.catalog()[ONE]

    def written_by(name: str, changed: Iterator[list[Entity]]) -> None:
        build = replace(held.build, run_id=name)
        open_store(url).write(replace(held, build=build), changed, [], instead_of=held)

    def of_the_earlier() -> Iterator[list[Entity]]:
        yield [Entity("t1", 1, total_of(100)), Entity("t2", 1, total_of(100))]
        written_by("later", iter([[Entity("t2", 2, total_of(200)), Entity("t4", 2, total_of(200))]]))
        yield [Entity("t3", 1, total_of(100)), Entity("t4", 1, total_of(100))]

    with pytest.raises(StoreUnavailable, match="Another sync"):
        written_by("earlier", of_the_earlier())
    assert totals(store, "t1", "t2", "t3", "t4") == [4, 200, 6, 200]
    now = store.catalog()[ONE]
    assert now.build.run_id == "later"
    # What the earlier one has left is in force never, nor is it in the way.
    newest = replace(now, build=replace(now.build, run_id="newest"))
    store.write(newest, [[Entity("t3", 3, total_of(300))]], [], instead_of=now)
    assert totals(store, "t1", "t2", "t3", "t4") == [4, 200, 300, 200]


@pytest.mark.parametrize("seed", range(2))
def test_whatever_syncs_do_a_reader_sees_what_one_of_them_put_in_force(
    url: str, view: OnlineView, seed: int
) -> None:
    """Syncs end early at any point, as if killed; what readers hold is of any time before."""
    chance = random.Random(seed)
    keys = [f"t{number}" for number in range(6)]
    truth: dict[str, int] = {}
    writer, readers = open_store(url), [open_store(url) for _ in range(3)]
    in_force: OnlineView | None = None

    class Killed(Exception):
        pass

    for number in range(12):
        changed = {key: number for key in keys if chance.random() < 0.5}
        removed = [key for key in keys if key not in changed and chance.random() < 0.3]
        is_killed = chance.random() < 0.4

        def batches(changed: dict[str, int] = changed, is_killed: bool = is_killed) -> Iterator[list[Entity]]:
            for key, value in changed.items():
                yield [Entity(key, value, total_of(value))]
            if is_killed:
                raise Killed

        build = replace(view.build, run_id=str(number), digest=None, entities=None)
        after = replace(view, build=build)
        try:
            writer.write(after, batches(), removed, instead_of=in_force)
        except Killed:
            pass
        else:
            in_force = after
            truth |= changed
            truth = {key: value for key, value in truth.items() if key not in removed}
        if in_force:
            for reader in readers[: chance.randint(1, 3)]:
                assert totals(reader, *keys) == [truth.get(key, 0) for key in keys]
    assert {key: version for key, version in writer.versions(ONE) if version >= 0} == truth


@pytest.mark.parametrize("changes", [1, 2])
@pytest.mark.parametrize("between", ["catalog", "stamp", "items"])
def test_an_answer_is_of_one_build_where_syncs_come_between_its_parts(
    store: Store, url: str, published: Path, newer: Path, monkeypatch: pytest.MonkeyPatch, between: str,
    changes: int,
) -> None:  # fmt: skip
    """They come after the catalog is read, between the stamp and the items of one request, or after these."""
    reader = open_store(url)
    inner = of_dynamodb(reader)
    asked = inner._reader.batch_get_item
    done: list[str] = []

    def come(at: str) -> None:
        if at == between and not done:
            done.append(between)
            for file in (newer, published)[:changes]:
                sync(file, store)

    def by_parts(RequestItems: Any) -> Any:
        come("catalog")
        [(table, wanted)] = RequestItems.items()
        stamp, *keys = wanted["Keys"]
        found = [asked(RequestItems={table: wanted | {"Keys": [stamp]}})]
        come("stamp")
        found += [asked(RequestItems={table: wanted | {"Keys": keys}})] if keys else []
        come("items")
        return {"Responses": {table: [item for each in found for item in each["Responses"][table]]}}

    monkeypatch.setattr(inner._reader, "batch_get_item", by_parts)
    for keys in (["t19"], ["t3", "t19"]):
        reading = asyncio.run(reader.read([(ONE, keys)]))
        values = [each and bytes(each).decode().rpartition(",")[2] for each in reading.stretches[0]]
        build = reading.catalog[ONE].build.run_id
        expected = {"run": ["6]", "22]"], "newer": ["8]", None]}[build]
        assert values == expected[-len(keys) :]
    assert build == ("newer" if changes == 1 else "run")


def test_a_view_that_goes_and_comes_back_is_as_new(store: Store, url: str, published: Path) -> None:
    sync(published, store)
    store.remove(ONE)
    assert store.names() == {PAIR}
    assert len(items_of(store)) == 20
    assert asyncio.run(store.read([(ONE, ["t3"])])).stretches == [[None]]
    sync(published, store)
    assert totals(open_store(url), "t3", "nobody") == [6, 0]


def test_a_removal_that_was_killed_is_done_by_the_next_sync(
    store: Store, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DynamoStore, "_entities", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.remove(ONE)
    monkeypatch.undo()
    assert ONE not in store.catalog()
    assert store.names() == {ONE, PAIR}
    store.remove(ONE)
    assert store.names() == {PAIR}
    assert len(items_of(store)) == 20


def test_an_entity_that_is_too_large_is_named_and_nothing_changes(store: Store, view: OnlineView) -> None:
    held = store.catalog()[ONE]
    noise = random.Random(1).randbytes(450_000).hex()
    large = [Entity("t1", 9, total_of(1)), Entity("t3", 9, noise)]
    with pytest.raises(StoreUnavailable, match=r"what is online of t3 takes [0-9,]+ bytes .* 409,600"):
        store.write(view, [large], [], instead_of=held)
    assert totals(store, "t1", "t3") == [4, 6]
    assert store.catalog()[ONE] == held


def test_what_dynamodb_puts_off_is_asked_again(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb, "_FIRST_PAUSE", 0.0)
    reader = open_store(url)
    inner = of_dynamodb(reader)
    asked = inner._reader.batch_get_item

    def some_of(most: int) -> Callable[..., Any]:
        def answer(RequestItems: Any) -> Any:
            [(table, wanted)] = RequestItems.items()
            now, later = wanted["Keys"][:most], wanted["Keys"][most:]
            found = asked(RequestItems={table: wanted | {"Keys": now}}) if now else {"Responses": {}}
            return found | {"UnprocessedKeys": {table: wanted | {"Keys": later}} if later else {}}

        return answer

    monkeypatch.setattr(inner._reader, "batch_get_item", some_of(2))
    assert totals(reader, "t1", "t2", "t3", "t4", "t5") == [4, 5, 6, 7, 8]
    monkeypatch.setattr(inner._reader, "batch_get_item", some_of(0))
    with pytest.raises(StoreUnavailable, match="puts off what it is asked"):
        totals(reader, "t1")


def test_a_range_ends_before_its_end(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "gold.duckdb"
    rows = "select 'gone' as thing_id, 5 as total"
    publish_view(file, ONE, {"thing_id": "varchar"}, {"total": "bigint"}, rows)
    query(file, f"update gold.srv_{ONE} set valid_to = timestamp '2025-01-02'")
    sync(file, store)
    for day, status in ((1, PRESENT), (2, NOT_FOUND)):
        at = KNOWN_UNTIL.replace(day=day)
        assert ask(store, ONE, ["total"], at, thing_id=["gone"]).statuses == [[status]]


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "dynamodb://a b",
        "dynamodb://",
        "dynamodb:features",
        "dynamodb://user:s3cret@features?region=eu-central-1",
        "dynamodb://features/more?region=eu-central-1",
        "dynamodb://features?regoin=eu-central-1",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Fault, match="is no URL of DynamoDB: write dynamodb://TABLE") as told:
        open_store(url)
    assert "s3cret" not in str(told.value)


def test_a_region_that_nobody_names_is_asked_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(Fault, match="dynamodb://features cannot be asked: You must specify a region"):
        open_store(f"dynamodb://features?endpoint={server}")


def test_a_server_that_is_away_and_credentials_that_are_missing_are_told(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = open_store(f"dynamodb://features?region=eu-central-1&endpoint=http://127.0.0.1:{free_port()}")
    for act in (away.catalog, lambda: totals(away, "t3")):
        with pytest.raises(StoreUnavailable, match="cannot be read: Could not connect to the endpoint"):
            act()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    store = open_store(f"dynamodb://features?region=eu-central-1&endpoint={server}")
    with pytest.raises(StoreUnavailable, match="cannot be read: Unable to locate credentials"):
        totals(store, "t3")


def test_credentials_that_are_refused_are_told(
    url: str, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url)
    # From now on, the server asks for keys that it has given out.
    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
    with pytest.raises(StoreUnavailable, match=r"dynamodb://features-\w+ cannot be .*invalid") as told:
        sync(published, store)
    assert "s3cret" not in str(told.value)
