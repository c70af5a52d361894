"""A lake with a catalog in Postgres, and files in a folder or a bucket, is written anew and removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import psycopg
import pytest
from bucket_server import ENVIRONMENT, served_bucket
from lake_contents import contents
from postgres_server import PostgresServer
from rich.console import Console
from small_project import SmallProject
from test_erasure import removal_for
from training_project import create, make_training_files, succeed

from assay.console.progress import display_on
from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.structure import bring_up_to_date
from assay.diff.production import copy_warehouse
from assay.erasure.find import files_as_of
from assay.erasure.warehouse import rewrite_warehouse
from assay.lake.catalog import read_snapshots, tag_snapshot
from assay.landing.load import SCHEMA
from assay.project.graph import Manifest
from assay.project.lake_copies import remove_lake
from assay.project.lease import find_holder, hold_warehouse
from assay.project.warehouse import connect

pytestmark = pytest.mark.usefixtures("builds")

_MANIFEST = Manifest(
    {
        "nodes": {"dim_guests": {"resource_type": "model", "schema": "gold", "name": "dim_guests"}},
        "macros": {},
    }
)


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with served_bucket("shared-lake") as address:
        boto3.client("s3", endpoint_url=address).put_bucket_versioning(
            Bucket="shared-lake", VersioningConfiguration={"Status": "Enabled"}
        )
        yield address


@pytest.fixture(params=["folder", "bucket"])
def lake(
    request: pytest.FixtureRequest,
    catalog_server: PostgresServer,
    storage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Places:
    """A lake of guests, with files in a folder or in a bucket."""
    address = f"postgres:{catalog_server.new_database()}"
    database = address.rpartition("=")[2]
    data = f"s3://shared-lake/{database}" if request.param == "bucket" else str(tmp_path / "files")
    settings = {"AWS_ENDPOINT_URL": storage, "ASSAY_LAKE_CATALOG": address, "ASSAY_LAKE_DATA": data}
    for name, value in (ENVIRONMENT | settings).items():
        monkeypatch.setenv(name, value)
    places = Places(tmp_path / "landing", tmp_path / "assay.postgres")
    with connect(places.warehouse, read_only=False) as connection:
        bring_up_to_date(connection, SCHEMA)
        connection.execute(
            "create schema snapshots; create table snapshots.snp_guests as "
            "select 'guest ' || range as customer_id, range as stays from range(1000); "
            "create schema gold; create table gold.dim_guests as from snapshots.snp_guests"
        )
    return places


def files_of(data: str) -> set[str]:
    """Return the names of the files of a lake; in a bucket, those of former versions too."""
    if data.startswith("s3://"):
        place = urlsplit(data)
        prefix = place.path.lstrip("/") + "/"
        found = boto3.client("s3").list_object_versions(Bucket=place.netloc, Prefix=prefix)
        return {each["Key"].removeprefix(prefix) for each in found.get("Versions", ())}
    return {str(each.relative_to(data)) for each in Path(data).rglob("*.parquet")}


def catalog_text(address: str) -> str:
    """Return all rows of all tables of the database with the catalog."""
    with psycopg.connect(address.removeprefix("postgres:")) as connection:
        names = connection.execute(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        return str([connection.execute(f"select * from {name}").fetchall() for (name,) in names])


def test_nothing_of_a_person_is_left_in_a_shared_lake(lake: Places) -> None:
    address, data = os.environ["ASSAY_LAKE_CATALOG"], os.environ["ASSAY_LAKE_DATA"]
    tag_snapshot(lake, "with the person")
    old = files_of(f"{data}/assay")
    assert old
    assert "guest 999" in catalog_text(address)
    for _ in range(2):
        with hold_warehouse(lake.warehouse, command="assay forget", wait=0, on_wait=print):
            rewrite_warehouse(lake.warehouse, _MANIFEST, removal_for("guest 999"), [], {})
        assert "guest 999" not in catalog_text(address)
        assert "assay@anew" not in catalog_text(address)
        assert not old & files_of(f"{data}/assay")
    with connect(lake.warehouse) as connection:
        assert connection.execute(
            "select count(*), sum(stays), max(stays) from snapshots.snp_guests"
        ).fetchall() == [(999, sum(range(999)), 998)]
    assert [each.tags for each in read_snapshots(lake) if each.tags] == []
    # Who builds next has a lease again, and the catalog refuses who has lost it.
    with hold_warehouse(lake.warehouse, command="assay build", wait=0, on_wait=print):
        with psycopg.connect(address.removeprefix("postgres:"), autocommit=True) as catalog:
            catalog.execute("delete from assay.assay_leases")
        with pytest.raises(Exception, match="lease"), connect(lake.warehouse, read_only=False) as late:
            late.execute("create table late as select 1 as id")


def test_a_lake_that_somebody_writes_meanwhile_is_left_as_it_is(
    lake: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*arguments: object) -> None:
        with connect(lake.warehouse, read_only=False) as other:
            other.execute("create table snapshots.written as select 'guest 5000' as customer_id")

    monkeypatch.setattr("assay.erasure.warehouse._list_gone", write)
    with pytest.raises(Fault, match=r"written to the lake .* meanwhile, without a lease"):
        rewrite_warehouse(lake.warehouse, _MANIFEST, removal_for("guest 999"), [], {})
    with connect(lake.warehouse) as connection:
        assert connection.execute("select count(*) from snapshots.snp_guests").fetchall() == [(1000,)]
        assert connection.execute("select count(*) from snapshots.written").fetchall() == [(1,)]


def test_lakes_of_earlier_moments_are_found_and_removed_with_their_files(lake: Places) -> None:
    data = os.environ["ASSAY_LAKE_DATA"]
    past = lake.warehouse.with_name("assay@2025-01-03T00-00-00.postgres")
    with connect(past, read_only=False) as connection:
        connection.execute("create table guests as select 'guest 999' as customer_id from range(100)")
    past.unlink()
    assert files_as_of(lake) == [past]
    assert files_of(f"{data}/{past.stem}")
    for _ in range(2):
        remove_lake(past)
    assert (files_as_of(lake), files_of(f"{data}/{past.stem}")) == ([], set())
    assert files_of(f"{data}/assay")


def test_a_diff_copies_a_shared_lake_of_one_moment(lake: Places, tmp_path: Path) -> None:
    with connect(lake.warehouse, read_only=False) as connection:
        connection.execute(
            "create view gold.few as select * from assay.gold.dim_guests where stays < 7; "
            "comment on view gold.few is 'Some.'; delete from gold.dim_guests where stays = 3"
        )
    folder = tmp_path / "copy"
    folder.mkdir()
    with display_on(Console()) as display:
        copy = copy_warehouse(lake.warehouse, folder, display)
    assert copy == folder / "assay.sqlite"
    with connect(lake.warehouse, read_only=False) as connection:
        connection.execute("delete from gold.dim_guests; create table gold.later as select 1 as id")
    with connect(copy) as connection:
        assert connection.execute("select count(*), sum(stays) from gold.dim_guests").fetchall() == [
            (999, sum(range(1000)) - 3)
        ]
        assert connection.execute("select count(*) from gold.few").fetchall() == [(6,)]
        names = connection.execute("select table_name from duckdb_tables() where schema_name = 'gold'")
        assert names.fetchall() == [("dim_guests",)]
    # Its lease is given back.
    assert find_holder(lake.warehouse) is None


def test_one_folder_builds_and_another_trains_publishes_and_syncs(
    builds: None,
    catalog_server: PostgresServer,
    storage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": storage}).items():
        monkeypatch.setenv(name, value)
    settings = {
        "ASSAY_TARGET": "lake",
        "ASSAY_LAKE_CATALOG": f"postgres:{catalog_server.new_database()}",
        "ASSAY_LAKE_DATA": "s3://shared-lake/two",
    }
    builder = SmallProject(make_training_files(tmp_path / "builder").root, settings)
    left_out = shutil.ignore_patterns("data", "target", "logs")
    other = SmallProject(Path(shutil.copytree(builder.root, tmp_path / "other", ignore=left_out)), settings)
    nothing = other.assay("lake", "publish")
    assert nothing.exit_code != 0
    succeed(builder, "build")
    made = create(other)
    assert made == create(builder)
    told = succeed(other, "lake", "publish")
    assert "Published snapshot" in told
    assert "Nothing to do" in succeed(other, "lake", "publish")
    published = Path("data", "lake", "published", "assay.duckdb")
    assert contents(other.root / published) == contents(builder.root / published)
    assert "trn_lines" in succeed(other, "training-set", "list")
