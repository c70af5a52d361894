"""Roles of contracts read their tables of a lake in Postgres, and nothing of others in its catalog."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import duckdb
import psycopg
import pytest
from postgres_server import PASSWORD, USER, PostgresServer, postgres_server
from rich.console import Console

from assay.contracts.grants import Grant, Role
from assay.contracts.roles_display import print_roles
from assay.core.fault import Fault
from assay.lake.grants import apply_grants
from assay.lake.readable import tell_readable
from assay.project.lake import load_lake
from assay.project.warehouse import connect

_WHOLE = [Grant("small", ["id"]), Grant("large", ["id"])]
_MASKED = Grant("secret", ["name"], shields={"name": "mask"})


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def lake(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake with a table that lies in the catalog, one in files, and two that few may read."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv(
        "ASSAY_LAKE_CATALOG", f"postgres:host=127.0.0.1 port={server.port} user={USER} dbname=postgres"
    )
    server.run(
        "drop schema if exists assay cascade", "drop role if exists ann", "drop role if exists marketing"
    )
    warehouse = tmp_path / "assay.postgres"
    with connect(warehouse, read_only=False) as connection:
        connection.execute(
            "create schema gold; create schema silver; create table gold.small as select 7 as id;"
            "create table gold.large as select range as id from range(5000);"
            "create table gold.secret as select 'Ann Smith' as name;"
            "create table silver.large as select 'Bob Brown' as name"
        )
    return warehouse


def as_ann(server: PostgresServer, sql: str) -> list[tuple[object, ...]]:
    """Read the lake with DuckDB as ann, who has the role marketing."""
    with duckdb.connect() as connection:
        load_lake(connection, "", shared=True)
        place = f"host=127.0.0.1 port={server.port} user=ann password=pw dbname=postgres"
        connection.execute(
            f"attach 'ducklake:postgres:{place}' as assay (read_only, metadata_schema 'assay')"
        )
        return connection.execute(sql).fetchall()


def test_a_role_reads_its_tables_and_nothing_of_others(server: PostgresServer, lake: Path) -> None:
    apply_grants(lake, [Role("marketing", [*_WHOLE, _MASKED])])
    server.run("create role ann login password 'pw' in role marketing")
    tables = "select schema_name, table_name from duckdb_tables() where database_name = 'assay' order by all"
    assert as_ann(server, tables) == [("gold", "large"), ("gold", "small")]
    assert as_ann(server, "from assay.gold.small") == [(7,)]
    assert as_ann(server, "select count(*), max(id) from assay.gold.large") == [(5000, 4999)]
    for name in ("gold.secret", "silver.large"):
        with pytest.raises(duckdb.Error, match="does not exist"):
            as_ann(server, f"from assay.{name}")
    with pytest.raises(duckdb.Error, match=r"read-only|permission denied"):
        as_ann(server, "insert into assay.gold.small values (8)")
    address = f"host=127.0.0.1 port={server.port} user=ann password=pw dbname=postgres"
    with psycopg.connect(address, autocommit=True) as catalog:
        catalog.execute("set search_path = assay")
        names = catalog.execute(
            "select tablename from pg_tables where schemaname = 'assay' order by 1"
        ).fetchall()
        seen = ""
        for (name,) in names:
            try:
                seen += str(catalog.execute(f"select * from {name}").fetchall())
            except psycopg.errors.InsufficientPrivilege:
                continue
        assert "4999" in seen
        assert "Smith" not in seen
        assert "Brown" not in seen
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            catalog.execute("insert into assay_grants values ('marketing', 'secret')")


def test_rights_follow_tables_that_are_built_again_and_end_with_the_contract(
    server: PostgresServer, lake: Path
) -> None:
    roles = [Role("marketing", _WHOLE)]
    apply_grants(lake, roles)
    server.run("create role ann login password 'pw' in role marketing")
    with connect(lake, read_only=False) as connection:
        connection.execute("create or replace table gold.small as select 8 as id")
    for _ in range(2):
        apply_grants(lake, roles)
        assert as_ann(server, "from assay.gold.small") == [(8,)]
    apply_grants(lake, [])
    with pytest.raises(duckdb.Error, match=r"permission denied|does not exist"):
        as_ann(server, "from assay.gold.small")
    with connect(lake) as connection:
        assert connection.execute("select count(*) from gold.large").fetchall() == [(5000,)]


def test_a_role_with_the_name_of_who_reads_all_is_refused(server: PostgresServer, lake: Path) -> None:
    with pytest.raises(Fault, match=f"Role {USER} of a contract is the name of a user who owns the lake"):
        apply_grants(lake, [Role(USER, _WHOLE)])
    with connect(lake) as connection:
        assert connection.execute("from gold.small").fetchall() == [(7,)]


def test_a_lake_of_a_project_without_roles_is_left_as_it_is(server: PostgresServer, lake: Path) -> None:
    apply_grants(lake, [Role("marketing", [_MASKED])])
    address = f"host=127.0.0.1 port={server.port} user={USER} dbname=postgres"
    with psycopg.connect(address) as catalog:
        assert catalog.execute("select to_regclass('assay.assay_grants')").fetchall() == [(None,)]


def test_a_view_is_read_where_all_that_it_reads_is_and_the_list_is_true(
    server: PostgresServer, lake: Path
) -> None:
    with connect(lake, read_only=False) as connection:
        connection.execute(
            "create view gold.numbers as with few as (from gold.small) select id from few where id < 8;"
            "create view gold.twice as select id * 2 as id from assay.gold.numbers;"
            "create view gold.names as select name as id from silver.large;"
            "create view gold.secrets as select small.id from gold.small, gold.secret;"
            "create table gold.more as select 1 as id, 'Carl Young' as name;"
            "create table gold.fewer as select 1 as id, 'Dora Gray' as name;"
            "alter table gold.fewer drop column name"
        )
    named = ("numbers", "twice", "names", "secrets", "more", "fewer", "later")
    role = Role("marketing", [*_WHOLE, _MASKED, *(Grant(name, ["id"]) for name in named)])
    apply_grants(lake, [role])
    server.run("create role ann login password 'pw' in role marketing")
    told = tell_readable(lake, [role])
    assert {table: text for (_, table), text in told.items()} == {
        "small": "reads",
        "large": "reads",
        "numbers": "reads",
        "twice": "reads",
        "secret": "its file only",
        "names": "its file only: a view of silver.large, which the role does not read there",
        "secrets": "its file only: a view of gold.secret, which the role does not read there",
        "more": "its file only: it has or had the column name, which the contract does not name",
        "fewer": "its file only: it has or had the column name, which the contract does not name",
        "later": "its file only: not built there",
    }
    for (_, table), text in told.items():
        if text == "reads":
            assert as_ann(server, f"select count(*) > 0 from assay.gold.{table}") == [(True,)]
        else:
            with pytest.raises(duckdb.Error, match="does not exist"):
                as_ann(server, f"from assay.gold.{table}")
    assert as_ann(server, "from assay.gold.twice") == [(14,)]


def test_a_table_that_gets_a_column_is_no_longer_read_at_once(server: PostgresServer, lake: Path) -> None:
    apply_grants(lake, [Role("marketing", _WHOLE)])
    server.run("create role ann login password 'pw' in role marketing")
    with connect(lake, read_only=False) as connection:
        connection.execute("create or replace table gold.large as select 1 as id, 'Carl Young' as name")
    assert as_ann(server, "from assay.gold.small") == [(7,)]
    with pytest.raises(duckdb.Error, match="does not exist"):
        as_ann(server, "from assay.gold.large")


def test_a_list_of_roles_tells_what_they_read_in_the_lake() -> None:
    console = Console(width=200, record=True, file=StringIO())
    role = Role("marketing", [*_WHOLE, _MASKED])
    told = {
        ("marketing", grant.table): "reads" if grant.is_whole else "its file only" for grant in role.grants
    }
    print_roles([role], console, in_lake=told)
    lines = {line.split()[1]: line for line in console.export_text().splitlines() if "marketing" in line}
    assert lines["large"].rstrip().endswith("reads")
    assert lines["secret"].rstrip().endswith("its file only")
