"""Readers over the network query what is published, while builds publish, and can do nothing else."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any
from unittest import mock

import duckdb
import pytest
from online_stores import query
from small_project import SmallProject

import assay
from assay.core.extensions import load_extension
from assay.query import serve
from assay.query.allowed import Guard
from assay.query.serve import serve_queries

TOKEN = "a token of the tests"
ROWS = 10_000


def publish(folder: Path, number: int, *, also: str = "") -> Path:
    new, file = folder / "new.duckdb", folder / "assay.duckdb"
    query(new, "create schema gold; create schema published; create table published.publication (run_id int)")
    query(new, f"create table gold.things as select n, {number} as run, md5(n::varchar) as words "
               f"from range({ROWS}) as numbers (n)")  # fmt: skip
    query(
        new,
        "create table gold.kinds as select 1::hugeint as total, 1.5::decimal(18, 2) as price, "
        "[1, null] as l, {'x': 1} as s, 'a'::enum('a', 'b') as e, "
        "timestamptz '2025-01-01 00:00:00+00' as at, null as nothing, "
        "18446744073709551615::ubigint as large, [1, 2]::float[2] as vector, map {'k': interval 1 day} as m",
    )
    if also:
        query(new, also)
    new.replace(file)
    return file


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(published: Path) -> Iterator[tuple[int, list[str]]]:
    """Serve what is published; gives the port, and what the server says."""
    port = find_port()
    stop, ready, said = Event(), Event(), list[str]()

    def say(message: str) -> None:
        said.append(message)
        ready.set()

    with ThreadPoolExecutor(1) as pool:
        server = pool.submit(serve_queries, published, port=port, token=TOKEN, say=say, stop=stop)
        server.add_done_callback(lambda _: ready.set())
        try:
            assert ready.wait(60)
            if server.done():
                server.result()
            yield port, said
        finally:
            stop.set()
        server.result()


@contextmanager
def reading(port: int, token: str = TOKEN) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for extension in ("httpfs", "quack"):
            load_extension(connection, extension, extra="query", by="A test")
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach 'quack:localhost:{port}' as remote (type quack, token '{token}')")
        yield connection


def ask(connection: duckdb.DuckDBPyConnection, port: int, sql: str) -> list[Any]:
    """Run a query on the server."""
    asked = f"from quack_query('quack:localhost:{port}', ?, token := '{TOKEN}')"
    return connection.execute(asked, [sql]).fetchall()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    file = publish(tmp_path_factory.mktemp("published"), 1)
    with serving(file) as (port, _):
        yield file, port


def test_readers_get_the_rows_of_what_is_published(served: tuple[Path, int]) -> None:
    file, port = served
    hashed = "select count(*), bit_xor(hash(n, run, words)) from {}gold.things"
    expected = query(file, hashed.format(""))

    def read(_: int) -> list[list[Any]]:
        with reading(port) as connection:
            return [
                connection.sql(hashed.format("remote.")).fetchall(),
                ask(connection, port, hashed.format("")),
            ]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(read, range(6))) == [[expected, expected]] * 6
    with reading(port) as connection, duckdb.connect(str(file), read_only=True) as published:
        published.execute("set TimeZone = 'UTC'")
        found = connection.sql("from remote.gold.kinds")
        there = published.sql("from gold.kinds")
        assert (found.types, found.fetchall()) == (there.types, there.fetchall())


def test_queries_go_on_while_builds_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_SECONDS_BETWEEN_LOOKS", 0.05)
    runs = set()
    with serving(publish(tmp_path, 0)) as (port, said), reading(port) as connection:
        for number in range(1, 4):
            publish(tmp_path, number, also="create table gold.more as select 1 as n" if number == 2 else "")
            end = monotonic() + 60
            while number not in runs:
                assert monotonic() < end
                counted = "select min(run), max(run), count(*) from {}gold.things"
                for rows in (
                    connection.sql(counted.format("remote.")).fetchall(),
                    ask(connection, port, counted.format("")),
                ):
                    # Never half of one and half of another.
                    assert rows[0][0] == rows[0][1]
                    assert rows[0][2] == ROWS
                    runs.add(rows[0][0])
            more = "select count(*) from duckdb_views() where view_name = 'more'"
            assert ask(connection, port, more) == [(int(number == 2),)]
        # A file that is none leaves readers what they had.
        (tmp_path / "broken").write_text("no database")
        (tmp_path / "broken").replace(tmp_path / "assay.duckdb")
        end = monotonic() + 60
        while not said[-1].startswith("Queries still read"):
            assert monotonic() < end
            assert ask(connection, port, "select count(*) from gold.things") == [(ROWS,)]
        publish(tmp_path, 9)
        while ask(connection, port, "select max(run) from gold.things") != [(9,)]:
            assert monotonic() < end
    assert [file.name for file in tmp_path.iterdir()] == ["assay.duckdb"]


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine as select 1",
        "drop view gold.things",
        "copy gold.things to 'stolen.csv'",
        "from read_text('/etc/hostname')",
        "from '/etc/hostname.csv'",
        "attach 'other.duckdb'",
        "set memory_limit = '1GB'",
        "from quack_stop('quack:localhost')",
        "select getenv('HOME')",
        "select 1; drop view gold.things",
    ],
)
def test_readers_can_do_nothing_else(served: tuple[Path, int], statement: str) -> None:
    file, port = served
    with reading(port) as connection:
        with pytest.raises(duckdb.Error):
            ask(connection, port, statement)
        assert ask(connection, port, "select count(*) from gold.things") == [(ROWS,)]
    assert not (file.parent / "stolen.csv").exists()


def test_readers_without_the_token_get_nothing(served: tuple[Path, int]) -> None:
    with (
        pytest.raises(duckdb.Error, match="Authentication failed"),
        reading(served[1], "another token") as other,
    ):
        other.sql("from remote.gold.kinds").fetchall()


@pytest.mark.parametrize(
    ("statement", "may"),
    [
        ("from gold.things", True),
        ("with a as (from gold.t) select count(*) from a join gold.u using (k) limit 3", True),
        ("select * from gold.a asof join gold.b on a.k = b.k and a.at >= b.valid_from", True),
        ("select unnest([1, 2]), list_transform([1], x -> x + 1) from range(3)", True),
        ("describe gold.t", True),
        ("Commit;", True),
        ("", False),
        ("no sql", False),
        ("insert into gold.t values (1)", False),
        ("with gone as (delete from gold.t returning *) from gone", False),
        ("select (select content from read_text('/etc/passwd'))", False),
        ("select * from gold.t where k in (select a from parquet_scan('x'))", False),
        ("from query('select 1')", False),
        ("select \"GETENV\"('x')", False),
        ("select main.getenv('x')", False),
        ("from duckdb_secrets()", False),
        ("pragma database_list", False),
        ("explain analyze select 1", False),
        ("select 1; select 2", False),
    ],
)
def test_a_statement_is_judged_by_what_it_does(statement: str, may: bool) -> None:
    assert Guard().may_run("session", statement) is may


def test_what_keeps_a_server_from_starting_is_told(served: tuple[Path, int], tmp_path: Path) -> None:
    file, port = served
    said: list[str] = []
    told: dict[str, Any] = {"say": said.append, "stop": Event()}
    with pytest.raises(assay.Fault, match="Nothing is published yet"):
        serve_queries(tmp_path / "assay.duckdb", port=port, token=TOKEN, **told)
    with pytest.raises(assay.Fault, match="token is too short"):
        serve_queries(file, port=port, token="short", **told)
    mine = publish(tmp_path, 1)
    with pytest.raises(assay.Fault, match=f"Port {port} cannot be listened at"):
        serve_queries(mine, port=port, token=TOKEN, **told)
    with (
        mock.patch.dict(sys.modules, {"duckdb_extension_quack": None}),
        mock.patch("assay.core.extensions.find_spec", return_value=None),
        pytest.raises(assay.Fault, match=r"pip install 'assay\[query\]'"),
    ):
        serve_queries(mine, port=find_port(), token=None, **told)
    assert not said, "a token of a server that does not start helps nobody"
    assert [each.name for each in tmp_path.iterdir()] == ["assay.duckdb"]


def test_a_project_makes_up_a_token_that_nobody_has_set(
    built_project: SmallProject, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {name: value for name, value in built_project.environment.items() if "TOKEN" not in name}
    stop = Event()
    stop.set()
    with mock.patch.dict(os.environ, environment, clear=True):
        assay.open(built_project.root).serve_queries(port=find_port(), stop=stop)
    told = capsys.readouterr().err
    assert "The token of this server is" in told
    assert "Queries are answered at quack:localhost:" in told
