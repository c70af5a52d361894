"""`assay forget` where files land in a bucket: nothing of the person is in any version of an object."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from bucket_server import ENVIRONMENT, served_bucket
from small_project import SmallProject
from test_erasure import KEPT, PERSON, Killed, files_with, land_malformed, land_people

from assay.bucket.bucket import Bucket
from assay.bucket.landing import bring_landing, replace_object


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A place of the test's own in a bucket that keeps versions."""
    with served_bucket("shop") as address:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").put_bucket_versioning(Bucket="shop", VersioningConfiguration={"Status": "Enabled"})
        yield Bucket(f"s3://shop/{tmp_path.name}")


def versions_in(bucket: Bucket) -> list[dict[str, Any]]:
    found = boto3.client("s3").list_object_versions(Bucket="shop", Prefix=bucket.prefix)
    assert not found["IsTruncated"]
    return [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]


def versions_with(bucket: Bucket, text: str) -> list[str]:
    """Return the keys of all versions of objects in which a text stands."""
    client = boto3.client("s3")
    found = []
    for each in versions_in(bucket):
        answer = client.get_object(Bucket="shop", Key=each["Key"], VersionId=each["VersionId"])
        if text.encode() in answer["Body"].read():
            found.append(each["Key"])
    return found


def test_a_person_is_forgotten_in_a_landing_zone_in_a_bucket(
    builds: None, bucket: Bucket, project_as_built: SmallProject
) -> None:
    project = replace(project_as_built, settings={"ASSAY_LANDING": bucket.url})
    people = land_people(project)
    land_malformed(project)
    key = people.relative_to(project.landing).as_posix()
    # The version before names the person, too.
    bucket.put(key, people.read_bytes() + b"1009,P9,a thing,3,2025-01-04 10:00:00,1.50,C1,France\n")
    for file in sorted(each for each in project.landing.rglob("*") if each.is_file()):
        bucket.put(file.relative_to(project.landing).as_posix(), file)
        file.unlink()
    built = project.assay("build")
    assert built.exit_code == 0, built.output
    before = project.query(KEPT)
    assert {"1001", "1002", "1003"} <= {row[0] for row in before}
    assert len(versions_with(bucket, PERSON)) == 3
    dry = replace(project, settings={**project.settings, "COLUMNS": "300"}).assay(
        "forget", f"customer={PERSON}", "--dry-run"
    )
    assert dry.exit_code == 0, dry.output
    assert f"object {bucket.url}/{key}" in dry.output
    assert len(versions_with(bucket, PERSON)) == 3

    # A kill in the copy, one after the object is written and before that is noted, and one behind both.
    for step in (
        "assay.erasure.carry_out.write_objects",
        "assay.bucket.landing.note_objects",
        "assay.erasure.carry_out.rewrite_warehouse",
    ):
        with mock.patch(step, side_effect=Killed), pytest.raises(Killed):
            project.assay("forget", f"customer={PERSON}")
    assert versions_with(bucket, PERSON) == []
    done = project.assay("build")
    assert done.exit_code == 0, done.output
    assert files_with(project.root, PERSON) == []
    assert versions_with(bucket, PERSON) == []
    assert project.query(KEPT) == [row for row in before if row[0] not in ("1001", "1002")]
    # Others keep their lines, and what is rewritten is not loaded again.
    assert (bucket.read(key) or b"").count(b"\n") == 6
    assert "Nothing" in project.assay("forget", f"customer={PERSON}").output
    again = project.assay("build")
    assert again.exit_code == 0, again.output
    assert project.query("select count(*) from bronze.brz_files where source_file like '%people.csv'") == [
        (1,)
    ]


def test_an_object_that_is_written_again_keeps_when_it_landed(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("shop/sales/a.csv", b"id\n1\n")
    bring_landing(bucket, tmp_path / "copy", print)
    path = tmp_path / "copy" / "shop" / "sales" / "a.csv"
    path.write_bytes(b"id\n\n")
    at = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    os.utime(path, (at, at))
    assert replace_object(bucket, tmp_path / "copy", "shop/sales/a.csv")
    assert bucket.read("shop/sales/a.csv") == b"id\n\n"
    # The copy has it already; another machine's copy has it as of then.
    assert bring_landing(bucket, tmp_path / "copy", print).fetched == 0
    bring_landing(bucket, tmp_path / "other", print)
    assert (tmp_path / "other" / "shop" / "sales" / "a.csv").stat().st_mtime == at


def test_an_object_that_a_source_has_written_meanwhile_stays(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("shop/sales/a.csv", b"id\n1\n")
    bring_landing(bucket, tmp_path, print)
    (tmp_path / "shop" / "sales" / "a.csv").write_bytes(b"id\n\n")
    bucket.put("shop/sales/a.csv", b"id\n2\n")
    assert not replace_object(bucket, tmp_path, "shop/sales/a.csv")
    assert bucket.read("shop/sales/a.csv") == b"id\n2\n"
    assert bring_landing(bucket, tmp_path, print).fetched == 1


def test_former_versions_of_one_object_go_and_those_of_others_stay(bucket: Bucket) -> None:
    for key in ("a.csv", "a.csv.gz", "gone.csv"):
        for content in (b"1", b"2"):
            bucket.put(key, content)
    bucket.delete("gone.csv")
    assert bucket.remove_versions("a.csv", is_prefix=False, but_newest=True) == 1
    assert bucket.remove_versions("gone.csv", is_prefix=False, but_newest=True) == 2
    left = [each["Key"].removeprefix(bucket.prefix) for each in versions_in(bucket)]
    assert sorted(left) == ["a.csv", "a.csv.gz", "a.csv.gz"]
