"""Builders of a lake in Postgres have leases of its tables; one that has lost its lease writes no more."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import psycopg
import pytest
from postgres_server import USER, PostgresServer
from small_project import SmallProject, make_small_project

from assay.core.fault import LOCKED, Fault, known_fault
from assay.core.lock import Holder
from assay.project.lease import SECONDS, Lease, find_holder, hold_warehouse, lease_tables, require_lease
from assay.project.warehouse import connect

_HOLD = """
import sys
from pathlib import Path
from assay.project.lease import hold_warehouse
with hold_warehouse(Path(sys.argv[1]), command="assay build", wait=0, on_wait=print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def database(catalog_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A connection to an empty database, which is the one that settings name."""
    address = catalog_server.new_database()
    monkeypatch.setenv("ASSAY_LAKE_CATALOG", f"postgres:{address}")
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


@pytest.fixture
def machines(database: psycopg.Connection, tmp_path: Path) -> tuple[Path, Path]:
    """Two folders, each with a file for the same lake, which has a table of one row."""
    files = tmp_path / "one" / "assay.postgres", tmp_path / "other" / "assay.postgres"
    with connect(files[0], read_only=False) as connection:
        connection.execute("create table sales as select 1 as id")
    connect(files[1], read_only=False).close()
    return files


def hold(warehouse: Path, *, is_part: bool = False, wait: float = 0) -> AbstractContextManager[None]:
    return hold_warehouse(
        warehouse, command="assay build", wait=wait, on_wait=lambda holder: None, is_part=is_part
    )


def test_builders_of_different_tables_do_not_wait(machines: tuple[Path, Path]) -> None:
    one, other = machines
    with hold(one, is_part=True), hold(other, is_part=True):
        lease_tables(one, ["gold.a", "gold.b"])
        lease_tables(other, ["gold.c"])
    assert find_holder(one) is None


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (["gold.a", "gold.b"], ["gold.b", "gold.c"], r"tables of this lake \(gold\.b\): PID"),
        (["gold.a"], None, "Another build has this lake: PID"),
        (None, ["gold.a"], "Another build has this lake: PID"),
        (None, None, "Another build has this lake: PID"),
    ],
)
def test_builders_of_the_same_tables_are_told_who_has_them(
    machines: tuple[Path, Path], first: list[str] | None, second: list[str] | None, told: str
) -> None:
    one, other = machines
    with hold(one, is_part=first is not None):
        if first:
            lease_tables(one, first)
        with pytest.raises(Fault, match=told) as refused, hold(other, is_part=second is not None):
            lease_tables(other, second or [])
        assert refused.value.exit_code == LOCKED
        holder = find_holder(other)
        assert holder is not None
        assert holder.command == "assay build"
    with hold(other):
        pass


def test_who_waits_goes_on_when_the_holder_gives_its_lease_back(machines: tuple[Path, Path]) -> None:
    one, other = machines
    asked, told = threading.Event(), []

    def keep() -> None:
        with hold(one):
            held.set()
            assert asked.wait(60)

    held = threading.Event()
    holder = threading.Thread(target=keep)
    holder.start()
    assert held.wait(60)

    def waiting(who: Holder | None) -> None:
        told.append(who)
        asked.set()

    with hold_warehouse(other, command="assay build", wait=60, on_wait=waiting):
        assert len(told) == 1
    holder.join()


def test_the_lease_of_a_killed_builder_ends_by_itself(
    machines: tuple[Path, Path], database: psycopg.Connection
) -> None:
    one, other = machines
    builder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(one)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert builder.stdout is not None
    assert builder.stdout.readline() == "held\n"
    builder.kill()
    builder.wait()
    with pytest.raises(Fault, match=f"PID {builder.pid} .*ends after 60 seconds"), hold(other):
        pass
    left = database.execute(
        "select extract(epoch from expires_at - clock_timestamp()) from assay.assay_leases"
    )
    assert 0 < float(left.fetchall()[0][0]) <= SECONDS
    database.execute("update assay.assay_leases set expires_at = clock_timestamp()")
    with hold(other), connect(other, read_only=False) as connection:
        connection.execute("insert into sales values (2)")
    assert database.execute("select * from assay.assay_leases").fetchall() == []


def test_a_builder_that_has_lost_its_lease_writes_no_more(
    machines: tuple[Path, Path], database: psycopg.Connection
) -> None:
    one, other = machines
    with hold(one), connect(one, read_only=False) as late:
        late.execute("insert into sales values (2)")
        database.execute("update assay.assay_leases set expires_at = clock_timestamp()")
        for sql in ("insert into sales values (3)", "create table more as select range from range(50000)"):
            with pytest.raises(duckdb.Error) as refused:
                late.execute(sql)
            fault = known_fault(refused.value)
            assert fault is not None
            assert "The lease of this build has ended" in str(fault)
        with hold(other), connect(other, read_only=False) as connection:
            connection.execute("insert into sales values (4)")
            with pytest.raises(duckdb.Error, match="has ended"):
                late.execute("insert into sales values (5)")
        with pytest.raises(Fault, match="has ended"):
            require_lease(one)
    with connect(one) as connection:
        assert connection.execute("select id from sales order by id").fetchall() == [(1,), (2,), (4,)]


def test_a_lease_is_prolonged_while_it_lasts(
    machines: tuple[Path, Path], database: psycopg.Connection
) -> None:
    lease = Lease(machines[0], "assay build", 0, lambda holder: None, False)
    lease.take(None)
    left = "select extract(epoch from expires_at - clock_timestamp()) > 50 from assay.assay_leases"
    database.execute("update assay.assay_leases set expires_at = clock_timestamp() + interval '9 seconds'")
    assert database.execute(left).fetchall() == [(False,)]
    lease.prolong()
    assert database.execute(left).fetchall() == [(True,)]
    lease.give_back()
    with pytest.raises(Fault, match="has ended"):
        lease.prolong()


def test_parts_of_a_project_are_built_from_two_folders_at_once(
    builds: None, database: psycopg.Connection, tmp_path: Path
) -> None:
    info = database.info
    address = f"postgres:host=127.0.0.1 port={info.port} user={USER} dbname={info.dbname}"
    settings = {"ASSAY_TARGET": "lake", "ASSAY_LAKE_CATALOG": address}
    project = SmallProject(make_small_project(tmp_path / "project").root, settings)
    other = tmp_path / "other" / "assay.postgres"
    first = project.assay("build")
    assert first.exit_code == 0, first.output
    with hold(other, is_part=True):
        lease_tables(other, ["gold.fct_days"])
        part = project.assay("build", "--select", "fct_lines")
        assert part.exit_code == 0, part.output
        for refused in (
            project.assay("build", "--select", "fct_days", "--wait", "0"),
            project.assay("build", "--wait", "0"),
        ):
            assert refused.exit_code == LOCKED, refused.output
        assert "is under way: PID" in project.assay("status").output
    assert project.assay("build", "--select", "fct_days").exit_code == 0
