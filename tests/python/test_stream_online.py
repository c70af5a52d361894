"""Features are online before a build has their messages, and equal what the build after them writes."""

from __future__ import annotations

import gzip
import json
import os
import signal
import time
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka_broker import Broker
from redis_server import RedisServer
from streamed_project import StreamedProject, make_streamed_project

from assay.build.publications import published_run
from assay.core.fault import Fault
from assay.core.places import find_places
from assay.erasure.forgotten import note_forgotten
from assay.erasure.person import Person
from assay.landing.formats.messages import Message, line_of, read_segment
from assay.landing.segments import Segment
from assay.online.ahead import Ahead
from assay.online.stores.open import open_store
from assay.online.stores.sqlite import SqliteStore
from assay.online.stores.store import StoreUnavailable
from assay.online.sync import sync
from assay.pii.forgotten import forgotten_file
from assay.project.yaml_file import YamlFile
from assay.stream.compact import MergeLimits, merge_segments
from assay.stream.hot import keeper as keeper_module
from assay.stream.hot.base import state_of
from assay.stream.hot.hot import HotPath
from assay.stream.hot.keeper import HotPathKeeper
from assay.stream.partition import END
from assay.stream.source import find_stream_sources

pytestmark = pytest.mark.minutes

VIEW, OF_DEVICES, OF_ACCOUNTS = (
    "ftr_account__usage",
    "ftr_account_device__usage",
    "ftr_account_device__account",
)
# Each device of an account, with all sessions of the account: its slices depend on each other.
SESSIONS_OF_ACCOUNTS = """
select sessions.* exclude (device, available_at), devices.device,
    greatest(sessions.available_at, devices.known_from) as available_at
from {{ ref('fct_sessions') }} as sessions
inner join (
    select account_id, device, min(available_at) as known_from from {{ ref('fct_sessions') }} group by all
) as devices on sessions.account_id = devices.account_id
"""


@pytest.fixture(scope="module")
def project(builds: None, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> StreamedProject:
    """The streamed project, built, published and online."""
    project = make_streamed_project(tmp_path_factory.mktemp("online") / "project", broker)
    features = project.root / "models" / "own" / "gold" / "features"
    sql = (features / f"{VIEW}.sql").read_text().replace("['account_id']", "['account_id', 'device']")
    (features / f"{OF_DEVICES}.sql").write_text(sql)
    (features / f"{OF_ACCOUNTS}.sql").write_text(sql.replace("fct_sessions", "fct_account_sessions"))
    (features.parent / "fct_account_sessions.sql").write_text(SESSIONS_OF_ACCOUNTS)
    yaml = YamlFile(features.parent / "_gold__models.yml")
    [usage] = [model for model in yaml.content["models"] if model["name"] == VIEW]
    for name in (OF_DEVICES, OF_ACCOUNTS):
        of_devices = deepcopy(usage) | {"name": name}
        of_devices["config"]["meta"]["feature_view"] |= {
            "entity": "account_device",
            "keys": ["account_id", "device"],
        }
        of_devices["columns"].append({**usage["columns"][0], "name": "device"})
        yaml.content["models"].append(of_devices)
    [facts] = [model for model in yaml.content["models"] if model["name"] == "fct_sessions"]
    facts = deepcopy(facts) | {"name": "fct_account_sessions"}
    del facts["constraints"]
    yaml.content["models"].append(facts)
    yaml.write()
    project.run("build")
    return project


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


def session(number: str, account: str = "A01", minutes: object = 5, age: float = 1.0) -> str:
    """A session that began so many minutes ago."""
    at = (datetime.now(UTC) - timedelta(minutes=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {"id": number, "account": account, "device": "phone", "minutes": minutes}
    return json.dumps(document | {"began_at": at, "sent_at": at})


def versions(project: StreamedProject) -> dict[str, int]:
    """The version of each account, and of each with a device, in the online store."""
    store = SqliteStore(project.root / "data" / "online.sqlite")
    found = {key: version for view in (VIEW, OF_DEVICES) for key, version in store.versions(view)}
    return found | {f"{OF_ACCOUNTS} {key}": version for key, version in store.versions(OF_ACCOUNTS)}


def sessions_online(project: StreamedProject, account: str) -> int:
    """How many sessions of an account the store knows of."""
    told = project.run("online", "get", "--view", VIEW, "--key", account)
    return int(told.partition("session_count_all ")[2].split()[0])


def parity(project: StreamedProject) -> tuple[int, int, int]:
    """The exit code of `assay parity --stream`, the entities compared in all, and those that differ."""
    result = project.assay("parity", "--stream")
    found = Ahead(project.root / "data" / "stream.sqlite").parity()
    return result.exit_code, sum(each.compared for each in found), sum(each.differing for each in found)


def test_messages_are_online_before_a_build_and_the_build_writes_the_same(
    project: StreamedProject, broker: Broker
) -> None:
    before = sessions_online(project, "A01")
    old = project.query('select line from landing.app__sessions order by "partition", "offset" limit 3')
    values = [
        session("n1"),
        session("n2", "A02"),
        session("n3", "new account"),
        # Not online: a copy, another session of one id, no number, no JSON, a copy of what the warehouse has.
        *(values := [session("n4", "A03", age=9)]) * 2,
        session("n1", "A01", 99, age=0.5),
        session("n5", "A01", "much"),
        "{broken",
        *(line for (line,) in old),
    ]
    broker.produce(project.topics["sessions"], values, partition=0)
    told = project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    assert f"Brought online as messages come: {VIEW}, {OF_ACCOUNTS}, {OF_DEVICES}." in told
    [status] = [each for each in project.status("app.sessions") if each.partition == 0]
    assert status.at_broker == status.online == status.landed
    assert status.loaded == status.online - len(values)
    assert sessions_online(project, "A01") == before + 1
    assert sessions_online(project, "new account") == 1
    online = versions(project)
    built = project.run("build")
    assert "0 new or changed" in built
    assert versions(project) == online
    # Of accounts and of devices: those that sent nothing are computed only where they depend on others.
    assert parity(project) == (0, 4 + 4 + 7, 0)


def test_a_sync_does_not_take_back_what_a_stream_has_brought(
    project: StreamedProject, broker: Broker
) -> None:
    broker.produce(project.topics["sessions"], [session("back1", "A04"), session("back2", "later account")])
    project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    online = versions(project)
    project.run("online", "sync")
    assert versions(project) == online
    project.run("build")
    assert versions(project) == online


def test_a_stream_that_is_killed_brings_the_rest_online_when_it_comes_back(
    project: StreamedProject, broker: Broker
) -> None:
    _, compared, _ = parity(project)
    for run in range(2):
        broker.produce(
            project.topics["sessions"], [session(f"k{run}-{n}", f"K{run}{n % 5}") for n in range(50)]
        )
        process = project.start("stream", "run", "--segment-seconds", "1")
        deadline = time.monotonic() + 60
        while f"K{run}0" not in versions(project) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    broker.produce(project.topics["sessions"], [session("k-last", "K00")])
    project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    assert sessions_online(project, "K00") == 11
    online = versions(project)
    project.run("build")
    assert versions(project) == online
    assert parity(project) == (0, compared + 10 + 10 + 10, 0)


def test_an_entity_whose_rows_all_turn_out_to_be_copies_of_later_ones_leaves_the_store(
    project: StreamedProject, broker: Broker
) -> None:
    topic = project.topics["sessions"]
    broker.produce(topic, [session("claimed", "gone account", age=5)])
    project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    assert "gone account" in versions(project)
    of_device = '["gone account","phone"]'
    assert of_device in versions(project)
    # The same session was sent earlier of another account: the first to be available counts.
    broker.produce(topic, [session("claimed", "first account", age=6)])
    project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    online = versions(project)
    assert "first account" in online
    assert "gone account" not in online
    assert of_device not in online
    assert "0 new or changed" in project.run("build")
    assert versions(project) == online


def test_what_a_sync_at_the_same_time_takes_back_is_brought_again(
    project: StreamedProject, redis_server: RedisServer
) -> None:
    """The store is one of Redis, which counts what it has."""
    project.run("online", "sync", "--store", redis_server.url)
    store = open_store(redis_server.url)
    now = int(time.time() * 1000)
    with project.inside():
        [source] = find_stream_sources(["app.sessions"])
        path = HotPath(find_places(), [source], store, lambda _: None)
        value = session("redis", "R1").encode()
        path.apply(source, {0: [Message(10**6, now, now, None, (), value)]})
        known = dict(store.versions(VIEW))
        # It looked for what is ahead before the stream told of it.
        sync(project.published, store)
        assert "R1" not in dict(store.versions(VIEW))
        path.refresh()
        path.close()
    assert "R1" in known
    assert dict(store.versions(VIEW)) == known
    told = project.run("online", "get", "--view", VIEW, "--key", "R1", "--store", redis_server.url)
    assert "session_count_all 1" in told


def test_what_a_stream_wrote_otherwise_than_a_build_is_told(project: StreamedProject, broker: Broker) -> None:
    broker.produce(project.topics["sessions"], [session("wrong", "A05")])
    project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    store = SqliteStore(project.root / "data" / "online.sqlite")
    with store._writing() as connection:
        connection.execute("update entities set version = 1 where key = 'A05'")
    project.run("build")
    code, _, differing = parity(project)
    assert (code, differing) == (1, 1)
    assert "A05" in project.assay("parity", "--stream").output
    Ahead(project.root / "data" / "stream.sqlite")._path.unlink()


def test_a_store_that_was_away_gets_what_came_meanwhile(
    project: StreamedProject, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, away = SqliteStore.write, iter([True])

    def write_if_there(self: SqliteStore, *arguments: Any, **named: Any) -> None:
        if next(away, False):
            raise StoreUnavailable("The store is away.")
        write(self, *arguments, **named)

    monkeypatch.setattr(SqliteStore, "write", write_if_there)
    broker.produce(project.topics["sessions"], [session("away", "W1")])
    told = project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    assert "The store is away. Messages land on" in told
    assert "W1" in versions(project)


def test_messages_that_cannot_be_computed_land_all_the_same(
    project: StreamedProject, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise ValueError("no such luck")

    monkeypatch.setattr(HotPath, "apply", fail)
    broker.produce(project.topics["sessions"], [session("lands", "L1")])
    told = project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    assert (
        "the next build brings them online: here they cannot be computed (ValueError: no such luck)" in told
    )
    assert "L1" not in versions(project)
    project.run("build")
    assert "L1" in versions(project)


def test_without_online_messages_land_alone(project: StreamedProject, broker: Broker) -> None:
    broker.produce(project.topics["sessions"], [session("alone", "N1")])
    told = project.run("stream", "run", "--until-drained", "--no-online", "--source", "app.sessions")
    assert "Brought online" not in told
    assert "N1" not in versions(project)


def test_messages_of_a_segment_that_is_still_open_are_online_once_that_is_possible(
    project: StreamedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(*_: Any) -> None:
        raise Fault("not yet")

    begin, told = HotPath.__init__, list[str]()
    monkeypatch.setattr(HotPath, "__init__", not_yet)
    with project.inside():
        [source] = find_stream_sources(["app.sessions"])
        keeper = HotPathKeeper(
            find_places(), [source], SqliteStore(project.root / "data" / "online.sqlite"), told.append
        )
        now = int(time.time() * 1000)
        kept, left = (
            Message(10**6, now, now, None, (), session(name, account).encode())
            for name, account in (("open", "O1"), ("open2", "O2"))
        )
        keeper.apply(source, {0: [kept]})
        assert "O1" not in versions(project)
        monkeypatch.setattr(HotPath, "__init__", begin)
        monkeypatch.setattr(keeper_module, "_SECONDS_BETWEEN_LOOKS", 0.0)
        keeper.refresh()
        keeper.close()
        assert "O1" in versions(project), told

        # More than can be kept: it waits until they can be read from a segment.
        monkeypatch.setattr(keeper_module, "_MOST_WAITING", 0)
        keeper.apply(source, {1: [left]})
        keeper.refresh()
        assert "O2" not in versions(project)
        table = find_places().landing / source.table.source / source.table.name
        closed = table / Segment(source.topic, 1, 10**6, 10**6).path
        closed.parent.mkdir(parents=True, exist_ok=True)
        closed.write_bytes(gzip.compress(line_of(left)) + END)
        keeper.refresh()
        keeper.close()
        closed.unlink()
    assert "O2" in versions(project), told


def test_segments_that_are_merged_while_they_are_caught_up_with_are_online_all_the_same(
    project: StreamedProject, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("Q1", "Q2")
    for name in names:
        broker.produce(project.topics["sessions"], [session(f"merged-{name}", name)], partition=0)
        project.run("stream", "run", "--until-drained", "--no-online", "--source", "app.sessions")
    merged = list[int]()
    with project.inside():
        places, [source] = find_places(), find_stream_sources(["app.sessions"])
        store = SqliteStore(project.root / "data" / "online.sqlite")

        def merge_first(path: Path) -> Iterator[list[Message]]:
            if not merged:
                every = {each.relative_to(places.landing).as_posix() for each in places.landing.rglob("*.gz")}
                merges = merge_segments([source], places.landing, every, MergeLimits(least=1))
                merged.extend(each.before - each.after for each in merges)
            return read_segment(path)

        monkeypatch.setattr("assay.stream.hot.hot.read_segment", merge_first)
        HotPath(places, [source], store, lambda _: None).close()
    assert sum(merged)
    assert set(names) <= versions(project).keys()


def test_a_build_that_publishes_nothing_changes_nothing_of_what_is_online(
    project: StreamedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    with project.inside():
        places = find_places()
        path = HotPath(
            places,
            find_stream_sources(["app.sessions"]),
            SqliteStore(project.root / "data" / "online.sqlite"),
            lambda _: None,
        )
        monkeypatch.setattr(path, "_begin", lambda: begun.append(state_of(places.published)))
        os.utime(places.warehouse)
        path.refresh()
        assert not begun
        os.utime(places.published)
        path.refresh()
        assert begun == [state_of(places.published)]


def test_what_comes_while_gold_is_rolled_back_is_online_with_the_next_build(
    project: StreamedProject, broker: Broker
) -> None:
    def wait_for(account: str) -> None:
        deadline = time.monotonic() + 90
        while account not in versions(project) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert account in versions(project)

    topic = project.topics["sessions"]
    first = published_run(project.root / "data" / "published" / "assay.duckdb")
    broker.produce(topic, [session("published", "P1")])
    project.run("stream", "run", "--until-drained", "--source", "app.sessions")
    project.run("build")
    process = project.start("stream", "run", "--segment-seconds", "1")
    try:
        broker.produce(topic, [session("ahead", "P2")])
        wait_for("P2")
        project.run("published", "rollback", str(first))
        assert not {"P1", "P2"} & versions(project).keys()
        broker.produce(topic, [session("meanwhile", "P3"), session("again", "P2")])
        time.sleep(4)
        assert not {"P1", "P2", "P3"} & versions(project).keys()
        assert "gold was rolled back to run" in project.run("build")
        wait_for("P3")
        broker.produce(topic, [session("after", "P4")])
        wait_for("P4")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert sessions_online(project, "P2") == 2
    online = versions(project)
    project.run("build")
    assert versions(project) == online


def test_an_event_of_who_was_forgotten_does_not_come_online(project: StreamedProject) -> None:
    store = SqliteStore(project.root / "data" / "online.sqlite")
    now, told = int(time.time() * 1000), list[str]()
    with project.inside():
        [source] = find_stream_sources(["app.sessions"])
        places = find_places()
        path = HotPath(places, [source], store, told.append)
        # Whoever is forgotten while a stream runs is known to it, too.
        note_forgotten(places.main_warehouse, Person("account", "F1", ("account_id",), ("F1",)))
        try:
            values = [session("f1", "F1"), session("f2", "F2"), session("f3", "F1")]
            path.apply(
                source,
                {
                    0: [
                        Message(2 * 10**6 + i, now, now, None, (), each.encode())
                        for i, each in enumerate(values)
                    ]
                },
            )
        finally:
            path.close()
            forgotten_file(places.main_warehouse).unlink()
    online = versions(project)
    assert "F2" in online
    assert not [key for key in online if "F1" in key]
    assert [each for each in told if each.startswith("2 rows of app.sessions that came by a stream")]
    assert not Ahead(project.root / "data" / "stream.sqlite").find_keys(lambda key: "F1" in key)
