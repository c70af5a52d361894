"""A lake with its catalog in Postgres and all data in a bucket: roles read it, and a person is forgotten."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import chdir
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import boto3
import duckdb
import pytest
import yaml
from bucket_server import ENVIRONMENT, served_bucket
from postgres_server import USER, PostgresServer
from small_project import SmallProject, make_small_project
from test_erasure import OTHER, PERSON, files_with, land_malformed, land_people
from test_lake_shared import catalog_text

from assay.project.lake import load_lake
from assay.project.warehouse import connect

_DATABASE, _BUCKET = "of_people", "people-lake"
_FCT_GUESTS = """
select customer_id, sum(quantity)::bigint as pieces
from {{ ref('slv_order_lines') }}
where customer_id is not null
group by all
"""
_GUESTS = """
  - name: fct_guests
    description: Guests.
    columns:
      - {name: customer_id, data_type: varchar, description: Key.}
      - {name: pieces, data_type: bigint, description: Pieces.}
"""
_LINES = ("order_line_id", "product_id", "quantity", "event_at", "available_at")
_CONTRACT = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "lines",
    "version": "1.0.0",
    "status": "active",
    "team": {"name": "shop"},
    "schema": [
        {
            "name": "fct_lines",
            "physicalName": "gold.fct_lines",
            "properties": [
                {"name": name, "logicalType": "string", "physicalType": kind}
                for name, kind in zip(
                    _LINES, ("varchar", "varchar", "integer", "timestamp", "timestamp"), strict=True
                )
            ],
        }
    ],
    "roles": [{"role": "marketing", "access": "read"}],
}
_OF_RUN = ("loaded_at", "run_id", "appended_until")
# What counts lines, or knows files by size and hash: these are looked at by themselves.
_COUNTS = ("gold.fct_days", "bronze.brz_files", "landing.files", "landing.signatures")

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with served_bucket(_BUCKET) as address, pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
            patch.setenv(name, value)
        boto3.client("s3").put_bucket_versioning(
            Bucket=_BUCKET, VersioningConfiguration={"Status": "Enabled"}
        )
        yield address


@pytest.fixture(scope="module")
def project(
    builds: None, catalog_server: PostgresServer, storage: str, tmp_path_factory: pytest.TempPathFactory
) -> SmallProject:
    """The small project, built twice in such a lake, with two people who landed in the bucket."""
    catalog_server.run(f"create database {_DATABASE}")
    address = f"host=127.0.0.1 port={catalog_server.port} user={USER} dbname={_DATABASE}"
    files = make_small_project(tmp_path_factory.mktemp("lake_with_people"))
    gold = files.root / "models" / "own" / "gold"
    (gold / "fct_guests.sql").write_text(_FCT_GUESTS)
    with (gold / "_gold__models.yml").open("a") as models:
        models.write(_GUESTS)
    (files.root / "contracts").mkdir()
    (files.root / "contracts" / "lines.odcs.yaml").write_text(yaml.safe_dump(_CONTRACT, sort_keys=False))
    project = SmallProject(
        files.root,
        {
            "ASSAY_TARGET": "lake",
            "ASSAY_LAKE_CATALOG": f"postgres:{address}",
            "ASSAY_LAKE_DATA": f"s3://{_BUCKET}/lake",
            "ASSAY_LANDING": f"s3://{_BUCKET}/landing",
            "ASSAY_PUBLISH_TO": f"s3://{_BUCKET}/published",
        },
    )
    land_and_build(project)
    land_people(project)
    land_malformed(project)
    land_and_build(project)
    return project


def land_and_build(project: SmallProject) -> None:
    """Put what lies in the project's folder into the bucket, and build."""
    client = boto3.client("s3")
    for file in sorted(each for each in project.landing.rglob("*") if each.is_file()):
        client.upload_file(str(file), _BUCKET, f"landing/{file.relative_to(project.landing).as_posix()}")
        file.unlink()
    succeed(project, "build")


def succeed(project: SmallProject, *arguments: str) -> str:
    done = project.assay(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def rows_of(project: SmallProject) -> Rows:
    """Return the rows of all tables and views of the lake, without what tells of runs."""
    found: Rows = {}
    with (
        chdir(project.root),
        mock.patch.dict(os.environ, project.environment, clear=True),
        connect(Path("data", "lake", "assay.postgres")) as connection,
    ):
        for schema, name in connection.execute(
            "select distinct schema_name, table_name from duckdb_columns() "
            "where database_name = current_database() and not internal order by all"
        ).fetchall():
            found[f"{schema}.{name}"] = connection.execute(
                f'select columns(_column -> _column not in {_OF_RUN}) from "{schema}"."{name}" order by all'
            ).fetchall()
    return found


def keys_with(text: str, folder: Path) -> list[str]:
    """Return the keys of all versions of objects in which a text stands, in their bytes or packed."""
    client = boto3.client("s3")
    found = client.list_object_versions(Bucket=_BUCKET)
    assert not found["IsTruncated"]
    keys = []
    for each in found.get("Versions", ()):
        answer = client.get_object(Bucket=_BUCKET, Key=each["Key"], VersionId=each["VersionId"])
        content = answer["Body"].read()
        if text.encode() in content or text in unpacked(each["Key"], content, folder):
            keys.append(each["Key"])
    return keys


def unpacked(name: str, content: bytes, folder: Path) -> str:
    """Return what a file holds, as text: DuckDB, Parquet and gzip pack texts."""
    if name.endswith(".gz"):
        return gzip.decompress(content).decode("utf-8", "replace")
    file = folder / f"object{Path(name).suffix}"
    file.write_bytes(content)
    with duckdb.connect() as connection:
        if file.suffix == ".parquet":
            return str(connection.execute("from read_parquet($1)", [str(file)]).fetchall())
        if file.suffix == ".duckdb":
            connection.execute(f"attach '{file}' as packed (read_only)")
            tables = connection.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = 'packed'"
            ).fetchall()
            return str([connection.execute(f'from packed."{s}"."{t}"').fetchall() for s, t in tables])
    return ""


def as_ann(catalog_server: PostgresServer, sql: str) -> list[tuple[object, ...]]:
    """Read the lake as ann, who has the role marketing."""
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc
    with duckdb.connect() as connection:
        load_lake(connection, f"s3://{_BUCKET}/lake", shared=True)
        connection.execute(
            f"create or replace secret of_ann (type s3, key_id 'key', secret 'secret', region 'us-east-1', "
            f"endpoint '{endpoint}', use_ssl false, url_style 'path')"
        )
        place = f"host=127.0.0.1 port={catalog_server.port} user=ann password=pw dbname={_DATABASE}"
        connection.execute(
            f"attach 'ducklake:postgres:{place}' as assay (read_only, metadata_schema 'assay')"
        )
        return connection.execute(sql).fetchall()


def test_a_role_reads_what_it_may_and_a_person_is_forgotten_everywhere(
    project: SmallProject, catalog_server: PostgresServer, tmp_path: Path
) -> None:
    succeed(project, "roles", "apply")
    catalog_server.run("create role ann login password 'pw' in role marketing")
    before = rows_of(project)
    lines = "select order_line_id, product_id, quantity from assay.gold.fct_lines order by all"
    assert as_ann(catalog_server, lines) == [row[:3] for row in before["gold.fct_lines"]]
    assert len(before["gold.fct_lines"]) > 3
    hidden = ("gold.fct_guests", "silver.slv_order_lines__checked", "landing.erp__order_lines")
    for name in hidden:
        with pytest.raises(duckdb.Error, match="does not exist"):
            as_ann(catalog_server, f"from assay.{name}")
    # All that is searched below has the person now.
    assert PERSON in catalog_text(project.settings["ASSAY_LAKE_CATALOG"])
    assert {key.partition("/")[0] for key in keys_with(PERSON, tmp_path)} >= {"landing", "published"}
    assert files_with(project.root, PERSON)

    succeed(project, "forget", f"customer={PERSON}")
    # The second time after a build that finds nothing to do.
    for _ in range(2):
        assert keys_with(PERSON, tmp_path) == []
        assert PERSON not in catalog_text(project.settings["ASSAY_LAKE_CATALOG"])
        assert files_with(project.root, PERSON) == []
        after = rows_of(project)
        assert after["gold.fct_days"] == [
            (day, pieces - 3 if day == date(2025, 1, 4) else pieces)
            for day, pieces in before["gold.fct_days"]
        ]
        assert [row[-2:] for row in after["bronze.brz_files"] if row[-1]] == [(3, 2), (1, 1)]
        assert without(before, person_of(before)) == without(after, set())
        assert OTHER in str(after["gold.fct_guests"])
        assert as_ann(catalog_server, lines) == [row[:3] for row in after["gold.fct_lines"]]
        for name in hidden:
            with pytest.raises(duckdb.Error, match="does not exist"):
                as_ann(catalog_server, f"from assay.{name}")
        succeed(project, "build")


def person_of(rows: Rows) -> set[str]:
    """Return the person's key and the hashes of the person's lines."""
    [columns] = {len(row) for row in rows["bronze.brz_erp__order_lines"]}
    place = columns - 4
    lines = [row for row in rows["bronze.brz_erp__order_lines"] if PERSON in str(row)]
    assert len(lines) == 3
    return {PERSON, *(str(row[place]) for row in lines)}


def without(rows: Rows, marks: set[str]) -> Rows:
    """Return the rows in which none of some texts stands, of all but the tables that count them."""
    return {
        name: [row for row in found if not any(mark in str(row) for mark in marks)]
        for name, found in rows.items()
        if name not in _COUNTS
    }
