"""A lake whose files lie in a bucket: over real HTTP, with catalogs of both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket_server import ENVIRONMENT, served_bucket
from small_project import SmallProject, make_small_project

from assay.bucket.bucket import Bucket
from assay.core.fault import Fault
from assay.core.places import Places
from assay.lake.catalog import compact, expire, read_age, read_state_of_lake
from assay.project.warehouse import connect


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with served_bucket("shop-lake") as address:
        yield address


@pytest.fixture
def data(storage: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A place in a bucket, which is where settings put the files of lakes."""
    place = f"s3://shop-lake/of {abs(hash(request.node.name))}"
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": storage}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASSAY_LAKE_DATA", place)
    return place


def test_files_of_a_lake_lie_in_a_bucket(data: str, tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "shop.sqlite")
    with connect(places.warehouse, read_only=False) as connection:
        connection.execute("create table sales as select range as id from range(1000)")
        connection.execute("insert into sales from range(1000, 1500)")
        connection.execute("insert into sales from range(1500, 2000)")
        connection.execute("delete from sales where id = 7")
    lake = Bucket(f"{data}/shop")
    before = {each.key for each in lake.list()}
    assert before
    assert all(key.startswith("main/sales/") for key in before)
    assert not list(tmp_path.rglob("*.parquet"))
    assert read_state_of_lake(places).data == f"{data}/shop"
    compact(places)
    assert expire(places, read_age("0s")).files > 0
    assert before - {each.key for each in lake.list()}
    with connect(places.warehouse) as connection:
        assert connection.execute("select count(*), sum(id) from sales").fetchall() == [(1999, 1998993)]


def test_a_project_is_built_into_a_bucket(builds: None, data: str, tmp_path: Path) -> None:
    project = SmallProject(
        make_small_project(tmp_path / "project").root, {"ASSAY_TARGET": "lake", "ASSAY_LAKE_DATA": data}
    )
    build = project.assay("build")
    assert build.exit_code == 0, build.output
    catalog = project.root / "data" / "lake" / "assay.sqlite"
    assert any(each.key.endswith(".parquet") for each in Bucket(f"{data}/assay").list())
    with connect(catalog) as connection:
        assert connection.execute("select count(*) from gold.fct_lines").fetchall() == [(4,)]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ASSAY_LAKE_DATA": "s3://no-such-bucket/x"}, "there is no such bucket: create it"),
        ({"ASSAY_LAKE_DATA": "s3://"}, "name a folder, or a place in a bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
)
def test_a_bucket_that_is_missing_or_away_is_told(
    settings: dict[str, str], told: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("assay.bucket.bucket._TRIES", 1)
    with pytest.raises(Fault, match=told):
        connect(tmp_path / "shop.sqlite", read_only=False)
    assert not (tmp_path / "shop.sqlite").exists()


def test_without_credentials_it_is_told_which_are_missing(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(Fault, match="there are no credentials"):
        connect(tmp_path / "shop.sqlite", read_only=False)
