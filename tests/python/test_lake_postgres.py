"""A lake whose catalog is in Postgres is equal to one in a file, and says what is wrong with its server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from built_once import built_once
from lake_contents import contents
from postgres_server import PostgresServer
from redis_server import free_port
from small_project import SmallProject
from test_lake import catalog_of, make_twins
from test_lake_catalog import note_builds

from assay.core.fault import Fault
from assay.core.places import Places
from assay.lake.catalog import compact, expire, read_age, read_snapshots, read_state_of_lake, tag_snapshot
from assay.project.warehouse import connect


@pytest.fixture
def address(catalog_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty database, which is the one that settings name."""
    address = f"postgres:{catalog_server.new_database()}"
    monkeypatch.setenv("ASSAY_LAKE_CATALOG", address)
    return address


@pytest.fixture
def lake(address: str, tmp_path: Path) -> Places:
    """A lake with a table of five rows."""
    places = Places(tmp_path / "landing", tmp_path / "assay.postgres")
    with connect(places.warehouse, read_only=False) as connection:
        connection.execute("create schema gold; create table gold.sales as select range as id from range(5)")
    return places


def test_all_of_a_lake_in_postgres_is_equal_to_one_in_a_file(
    builds: None, address: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    twins = built_once(tmp_path_factory, "lake_twins", make_twins)
    root = Path(shutil.copytree(twins, tmp_path / "copy"))
    of_file = contents(catalog_of(SmallProject(root)))
    shutil.rmtree(root / "data" / "lake")
    shared = SmallProject(root, {"ASSAY_TARGET": "lake", "ASSAY_LAKE_CATALOG": address})
    landed = shared.landing / "erp" / "order_lines" / "landed_at=2025-01-09T02-00-00"
    landed.rename(tmp_path / "later")
    assert shared.assay("build").exit_code == 0
    (tmp_path / "later").rename(landed)
    build = shared.assay("build")
    assert build.exit_code == 0, build.output
    warehouse = root / "data" / "lake" / "assay.postgres"
    of_shared = contents(warehouse)
    # Of files that were copied.
    assert of_shared.pop("landing.signatures") != of_file.pop("landing.signatures")
    assert of_shared == of_file
    idle = shared.assay("build")
    assert (idle.exit_code, "othing to build" in idle.output) == (0, True), idle.output
    with connect(warehouse, read_only=False) as elsewhere:
        elsewhere.execute("create table from_elsewhere as select 1 as id")
    assert "othing to build" not in shared.assay("build").output


def test_snapshots_are_named_and_files_become_few(lake: Places) -> None:
    with connect(lake.warehouse, read_only=False) as connection:
        connection.execute("insert into gold.sales from range(5, 5000)")
        connection.execute("insert into gold.sales from range(5000, 9000)")
    assert tag_snapshot(lake, "it's one").tags == ("it's one",)
    assert compact(lake).merged >= 2
    assert expire(lake, read_age("0s")).kept == ("it's one",)
    assert [each.tags for each in read_snapshots(lake)] == [(), ("it's one",)]
    state = read_state_of_lake(lake)
    assert ([each.name for each in state.tables], state.snapshots) == (["gold.sales"], 2)
    with connect(lake.warehouse) as connection:
        assert connection.execute("select count(*) from gold.sales").fetchall() == [(9000,)]


def test_what_builds_left_is_noted_in_postgres(lake: Places) -> None:
    note_builds(lake)


def test_another_project_finds_the_lake_and_its_files(lake: Places, tmp_path: Path) -> None:
    other = Places(tmp_path / "landing", tmp_path / "other" / "assay.postgres")
    assert read_state_of_lake(other).data == str(lake.warehouse.with_suffix(".files").absolute())
    with connect(other.warehouse) as connection:
        assert connection.execute("select count(*) from gold.sales").fetchall() == [(5,)]
    connect(lake.warehouse, read_only=False).close()
    assert other.warehouse.read_bytes() == lake.warehouse.read_bytes()


def test_a_file_that_stands_for_a_lake_changes_with_it(lake: Places) -> None:
    connect(lake.warehouse, read_only=False).close()
    before = lake.warehouse.read_bytes()
    with connect(lake.warehouse, read_only=False) as connection:
        assert lake.warehouse.read_bytes() == before
        connection.execute("insert into gold.sales values (7)")
    connect(lake.warehouse, read_only=False).close()
    assert lake.warehouse.read_bytes() != before


def test_files_in_another_place_than_the_lake_has_are_refused(
    lake: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_LAKE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(Fault, match=r"assay in Postgres .* has its Parquet files in another place"):
        connect(lake.warehouse)


def test_a_moment_has_a_lake_of_its_own(lake: Places, tmp_path: Path) -> None:
    past = tmp_path / "assay@2025-01-03T00-00-00.postgres"
    with connect(past, read_only=False) as connection:
        connection.execute("create table old as select 1 as id")
    for warehouse, tables in ((past, ["old"]), (lake.warehouse, ["sales"])):
        with connect(warehouse) as connection:
            found = connection.execute("select table_name from duckdb_tables() where not internal").fetchall()
            assert [name for (name,) in found] == tables


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"ASSAY_LAKE_CATALOG": "postgres:host=127.0.0.1 port={unused}"},
            "cannot be reached.*Start the server",
        ),
        ({"PGPASSWORD": "wrong"}, "refuses: password authentication failed .*PGPASSWORD"),
        ({"ASSAY_LAKE_CATALOG": "{address} dbname=nowhere"}, 'refuses: database "nowhere" does not exist'),
        ({"ASSAY_LAKE_CATALOG": "{address} password=secret"}, "has a password: take it out"),
        ({"ASSAY_LAKE_CATALOG": "postgres:host"}, "is no address of Postgres"),
        ({"ASSAY_LAKE_CATALOG": ""}, "does not say where that is"),
    ],
)
def test_a_server_that_is_away_or_refuses_is_told(
    settings: dict[str, str], told: str, lake: Places, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value.format(unused=free_port(), address=address))
    for read_only in (True, False):
        with pytest.raises(Fault, match=told) as refused:
            connect(lake.warehouse, read_only=read_only)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("version", ["0.3", "9.9"])
def test_a_catalog_of_another_version_is_told(
    version: str, lake: Places, catalog_server: PostgresServer, address: str
) -> None:
    database = address.rpartition("dbname=")[2]
    catalog_server.run_in(
        database, f"update assay.ducklake_metadata set value = '{version}' where key = 'version'"
    )
    with pytest.raises(Fault, match=rf"is of version {version}, and DuckDB .* has version 1\.0"):
        connect(lake.warehouse)


def test_there_is_no_lake_to_read_in_an_empty_database(address: str, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"There is no lake assay in Postgres .*assay build"):
        connect(tmp_path / "assay.postgres")
    with pytest.raises(Fault, match="assay build"):
        read_snapshots(Places(tmp_path, tmp_path / "assay.postgres"))
    assert not (tmp_path / "assay.postgres").exists()
