"""Landing zones and publications in a bucket: what lands is loaded, and readers get whole publications."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import boto3
import duckdb
import pytest
from bucket_server import ENVIRONMENT, contents, served_answers, served_bucket
from dying import Steps
from small_project import SmallProject

from assay.bucket import bucket as bucket_module
from assay.bucket.bucket import Bucket, Object
from assay.bucket.landing import bring_landing
from assay.bucket.published import CURRENT, put_published
from assay.bucket.roles import RoleVersion, put_roles
from assay.build.bucket import PUBLISH_TO, remove_former_in_bucket
from assay.core.extensions import load_extension
from assay.core.fault import Fault

pytestmark = pytest.mark.usefixtures("builds")

RUNS = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(4)]


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The address of object storage with a bucket named `shop`."""
    with served_bucket("shop") as address:
        yield address


@pytest.fixture
def url(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in the bucket, which this process can reach."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    return f"s3://shop/test-{time.time_ns()}"


def bring(url: str, folder: Path) -> tuple[int, int, int, list[str]]:
    done = bring_landing(Bucket(url), folder, lambda _: None)
    return done.fetched, done.sent, done.removed, done.faults


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("[!.]*")
        if path.is_file()
    }


def test_a_copy_follows_the_bucket(url: str, tmp_path: Path) -> None:
    bucket = Bucket(url)
    for key, content in {"erp/lines/a.csv": b"a", "erp/lines/b.csv": b"b", "erp/lines/": b""}.items():
        bucket.put(key, content)
    Bucket(f"{url}-other").put("erp/lines/c.csv", b"of another place")
    assert bring(url, tmp_path) == (2, 0, 0, [])
    assert files_in(tmp_path) == {"erp/lines/a.csv": b"a", "erp/lines/b.csv": b"b"}
    landed_at = datetime.fromtimestamp((tmp_path / "erp/lines/a.csv").stat().st_mtime, UTC)
    assert landed_at == next(found for found in bucket.list() if found.size).written_at
    assert bring(url, tmp_path) == (0, 0, 0, [])

    bucket.put("erp/lines/a.csv", b"A")
    bucket.delete("erp/lines/b.csv")
    assert bring(url, tmp_path) == (1, 0, 1, [])
    assert files_in(tmp_path) == {"erp/lines/a.csv": b"A"}
    bucket.put("erp/lines/b.csv", b"b")
    assert bring(url, tmp_path) == (1, 0, 0, [])

    # What was taken away here comes back; what was made here goes there.
    (tmp_path / "erp/lines/a.csv").unlink()
    made = tmp_path / "serving" / "predictions" / "p.jsonl"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"{}")
    (made.parent / ".unfinished").write_bytes(b"{")
    assert bring(url, tmp_path) == (1, 1, 0, [])
    assert bring(url, tmp_path) == (0, 0, 0, [])
    assert contents(bucket) == {
        "erp/lines/": b"",
        "erp/lines/a.csv": b"A",
        "erp/lines/b.csv": b"b",
        "serving/predictions/p.jsonl": b"{}",
    }
    # Another machine gets all of it.
    other = tmp_path.with_name("other")
    assert bring(url, other)[0] == 3
    assert files_in(other) == files_in(tmp_path)


def test_a_file_gives_way_to_a_folder_of_its_name(url: str, tmp_path: Path) -> None:
    bucket = Bucket(url)
    bucket.put("erp/lines", b"old")
    bring(url, tmp_path)
    bucket.delete("erp/lines")
    bucket.put("erp/lines/a.csv", b"new")
    assert bring(url, tmp_path) == (1, 0, 1, [])
    assert files_in(tmp_path) == {"erp/lines/a.csv": b"new"}


def test_names_that_no_file_can_have_are_told_and_the_others_land(url: str, tmp_path: Path) -> None:
    bucket = Bucket(url)
    bad = ["erp//a.csv", "erp/../../a.csv", f"erp/lines/{'x' * 300}", "erp/lines/a.csv/b.csv"]
    for key in ["erp/lines/a.csv", "erp/lines/.hidden", "erp/línes/ö 1.csv", *bad]:
        bucket.put(key, b"1")
    fetched, _, _, faults = bring(url, tmp_path / "copy")
    assert fetched == 2
    assert sorted(fault.partition(": ")[0] for fault in faults) == sorted(bad)
    assert files_in(tmp_path) == {"copy/erp/lines/a.csv": b"1", "copy/erp/línes/ö 1.csv": b"1"}


def test_an_object_that_changes_meanwhile_waits_for_the_next_build(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(url)
    bucket.put("erp/lines/a.csv", b"old")
    list_them = Bucket.list

    def then_write(self: Bucket, below: str = "") -> Iterator[Object]:
        yield from list_them(self, below)
        bucket.put("erp/lines/a.csv", b"new")

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "list", then_write)
        [fault] = bring(url, tmp_path)[3]
    assert "erp/lines/a.csv: it changed meanwhile" in fault
    assert not files_in(tmp_path)
    assert bring(url, tmp_path) == (1, 0, 0, [])
    assert files_in(tmp_path) == {"erp/lines/a.csv": b"new"}


def test_a_fetch_that_is_cut_off_leaves_no_part_of_a_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(self: Bucket, found: Object, file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(file))

    Bucket(url).put("erp/lines/a.csv", b"whole")
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "fetch", cut_off)
        with pytest.raises(OSError, match="No space"):
            bring(url, tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] in ([], [".objects.json"])
    assert bring(url, tmp_path) == (1, 0, 0, [])


@pytest.mark.parametrize(
    ("url", "settings", "said"),
    [
        ("s3://nobody/x", {}, "there is no such bucket"),
        ("s3://", {}, "write it as s3://bucket/prefix"),
        ("s3://shop/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached"),
        ("s3://shop/x", {"AWS_ACCESS_KEY_ID": None}, "there are no credentials"),
        ("s3://shop/x", {"AWS_SECRET_ACCESS_KEY": None}, r"missing: AWS_SECRET_ACCESS_KEY\. Correct that"),
        ("s3://shop/x", {"AWS_PROFILE": "nobody"}, r"profile \(nobody\) could not be found\. Correct that"),
        ("s3://shop/x", {"AWS_ENDPOINT_URL": "no url"}, "correct AWS_ENDPOINT_URL"),
        ("s3://of shop/x", {}, r"Invalid bucket name .*(\n.*)*Correct that"),
    ],
)
def test_what_prevents_reading_is_told_with_its_remedy(
    address: str, monkeypatch: pytest.MonkeyPatch, url: str, settings: dict[str, str | None], said: str
) -> None:
    given: dict[str, str | None] = {**ENVIRONMENT, "AWS_ENDPOINT_URL": address, **settings}
    given |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    for name, value in given.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket_module, "_TRIES", 1)
    with pytest.raises(Fault, match=said):
        list(Bucket(url).list())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("RequestTimeTooSkewed", "this machine's clock is wrong: set it"),
        ("SignatureDoesNotMatch", "the secret key is wrong: correct AWS_SECRET_ACCESS_KEY"),
        ("InvalidAccessKeyId", "the access key is not known: correct AWS_ACCESS_KEY_ID"),
        ("ExpiredToken", "the credentials have expired: get new ones"),
        ("InvalidToken", "the session token is wrong: correct AWS_SESSION_TOKEN"),
        ("AccessDenied", "access is denied: the guide on object storage says which rights"),
        ("AuthorizationHeaderMalformed", "it lies in another region: name that in AWS_REGION"),
    ],
)
def test_what_the_storage_refuses_is_told_with_its_remedy_whoever_reads_or_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    monkeypatch.setattr(bucket_module, "_TRIES", 1)
    file = tmp_path / "file"
    file.write_bytes(b"content")
    with served_answers(lambda path: (403, body, len(body))) as address:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        bucket = Bucket("s3://shop/x")
        asked: list[Callable[[], object]] = [
            lambda: list(bucket.list()),
            lambda: bucket.read("key"),
            lambda: bucket.put("key", b"content"),
            lambda: bucket.put("key", file),
        ]
        for ask in asked:
            with pytest.raises(Fault, match=f"s3://shop/x: {said}"):
                ask()


def test_an_object_of_which_the_network_brings_a_part_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = (
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>erp/lines/a.csv</Key>"
        b"<LastModified>2025-01-01T00:00:00.000Z</LastModified><ETag>1</ETag><Size>10</Size></Contents>"
        b"</ListBucketResult>"
    )

    def answer(path: str) -> tuple[int, bytes, int]:
        return (200, listed, len(listed)) if "list-type" in path else (200, b"half", 10)

    monkeypatch.setattr(bucket_module, "_TRIES", 1)
    with served_answers(answer) as address:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(Fault, match=r"cannot be reached.*Try again when it can"):
            bring("s3://shop", tmp_path)
    assert files_in(tmp_path) == {}


def test_readers_of_a_landing_zone_read_only_the_files_of_the_day_that_they_ask_for(
    url: str, address: str
) -> None:
    with duckdb.connect() as reader:
        load_extension(reader, "httpfs", extra="s3", by="A reader")
        reader.execute(
            f"create secret (type s3, key_id 'key', secret 'secret', region 'us-east-1', use_ssl false, "
            f"url_style 'path', endpoint '{address.removeprefix('http://')}')"
        )
        for day in range(1, 5):
            reader.execute(
                f"copy (select {day} as day from range(10)) to "
                f"'{url}/web/events/landed_at=2026-11-0{day}T00-00-00/part-0.parquet'"
            )
        query = (
            f"select count(*), min(day), max(day) from read_parquet('{url}/web/events/*/*.parquet', "
            "hive_partitioning = true) where landed_at >= '2026-11-03' and landed_at < '2026-11-04'"
        )
        assert reader.execute(query).fetchall() == [(10, 3, 3)]
        [(_, plan)] = reader.execute(f"explain analyze {query}").fetchall()
    assert "Scanning Files: 1/4" in plan
    assert "Total Files Read: 1" in plan


def publication(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    (folder / "assay.duckdb").write_bytes(content)
    (folder / "customer_features.csv").write_bytes(b"1,2")
    return folder


def test_a_publication_is_current_once_it_is_whole_and_the_former_stay_as_long_as_they_are_kept(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_current() -> bytes | None:
        return bucket.read(json.loads(bucket.read(CURRENT) or b"")["files"][0])

    bucket = Bucket(url)
    bucket.put("of-others/notes.txt", b"stays")
    folders = [publication(tmp_path / run, run.encode()) for run in RUNS]
    assert put_published(bucket, folders[0], RUNS[0], [RUNS[0]])
    assert not put_published(bucket, folders[0], RUNS[0], [RUNS[0]])
    put = Bucket.put
    left = 0

    def die(self: Bucket, key: str, content: Path | bytes) -> str:
        nonlocal left
        if not left:
            raise Fault("killed")
        left -= 1
        return put(self, key, content)

    # At the first file, at the second, and at the object that names them.
    for allowed in (0, 1, 1):
        left = allowed
        with monkeypatch.context() as patch:
            patch.setattr(Bucket, "put", die)
            with pytest.raises(Fault, match="killed"):
                put_published(bucket, folders[1], RUNS[1], RUNS[:2])
        assert read_current() == RUNS[0].encode()
    assert put_published(bucket, folders[1], RUNS[1], RUNS[:2])
    assert read_current() == RUNS[1].encode()
    put_published(bucket, folders[2], RUNS[2], [RUNS[2]])
    # The former one may still be read.
    assert {key.partition("/")[0] for key in contents(bucket)} == {"of-others", CURRENT, *RUNS[1:3]}
    put_published(bucket, folders[3], RUNS[3], [RUNS[3]])
    assert {key.partition("/")[0] for key in contents(bucket)} == {"of-others", CURRENT, *RUNS[2:]}


def test_an_erasure_leaves_what_is_current_alone(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(url)
    others = ("of-others/notes.txt", f"{RUNS[0]}", "roles/web/notes/a.txt")
    for key in others:
        bucket.put(key, b"stays")
    for run in RUNS[:2]:
        put_published(bucket, publication(tmp_path / run, run.encode()), run, RUNS)
        put_roles(bucket, {"web": role_version(tmp_path, run)})
    monkeypatch.setenv(PUBLISH_TO, url)
    remove_former_in_bucket()
    current = json.loads(bucket.read(CURRENT) or b"")["files"]
    [of_web] = json.loads(bucket.read(f"roles/web/{CURRENT}") or b"")["files"]
    assert {key.partition("/")[0] for key in current} == {RUNS[1]}
    assert bucket.read(f"roles/web/{of_web}") == RUNS[1].encode()
    assert {*contents(bucket)} == {
        *others,
        CURRENT,
        *current,
        f"roles/web/{CURRENT}",
        f"roles/web/{of_web}",
    }


def test_an_erasure_leaves_no_version_of_a_former_publication(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def versions() -> set[tuple[str, bool]]:
        found = client.list_object_versions(Bucket=bucket.name, Prefix=bucket.prefix)
        listed = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        return {(each["Key"].removeprefix(bucket.prefix), each["IsLatest"]) for each in listed}

    with served_bucket("kept") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        client = boto3.client("s3")
        client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        bucket = Bucket("s3://kept/prod")
        for content in (b"old", b"new"):
            bucket.put("notes.txt", content)
        # One publication is deleted by the build, so that no list of objects has it.
        for run in RUNS[:3]:
            put_published(bucket, publication(tmp_path / run, run.encode()), run, [run])
            put_roles(bucket, {"web": role_version(tmp_path, run)})
        monkeypatch.setenv(PUBLISH_TO, bucket.url)
        for _ in range(2):
            remove_former_in_bucket()
            current = json.loads(bucket.read(CURRENT) or b"")["files"]
            [of_web] = json.loads(bucket.read(f"roles/web/{CURRENT}") or b"")["files"]
            left = {each for each in versions() if each[0] not in (CURRENT, f"roles/web/{CURRENT}")}
            theirs = {("notes.txt", True), ("notes.txt", False)}
            assert left == {(f"roles/web/{of_web}", True), *((key, True) for key in current), *theirs}


def role_version(folder: Path, content: str, rights: str = "all") -> RoleVersion:
    file = folder / "assay.duckdb"
    file.write_text(content)
    return RoleVersion(file, RUNS[0], rights, content)


def test_a_role_has_a_prefix_of_its_own_and_loses_old_versions_with_its_rights(
    url: str, tmp_path: Path
) -> None:
    def held(role: str) -> list[str]:
        found = contents(Bucket(f"{url}/roles/{role}"))
        pointer = found.pop(CURRENT, None)
        if pointer is None:
            return sorted(str(content) for content in found.values())
        [current] = json.loads(pointer)["files"]
        newest = found.pop(current)
        return [str(newest), *sorted(str(content) for content in found.values())]

    bucket = Bucket(url)
    bucket.put("roles/readme.txt", b"stays")
    bucket.put("roles/shop/notes/of-others.txt", b"stays")
    first = role_version(tmp_path, "one")
    assert put_roles(bucket, {"shop": first, "web": first})
    assert not put_roles(bucket, {"shop": first, "web": first})
    assert put_roles(bucket, {"shop": role_version(tmp_path, "two"), "web": role_version(tmp_path, "two")})
    # Whoever reads the former version goes on, until the one after.
    assert held("web") == ["b'two'", "b'one'"]
    assert put_roles(bucket, {"web": role_version(tmp_path, "three")})
    assert held("web") == ["b'three'", "b'two'"]
    assert held("shop") == ["b'stays'"]
    assert put_roles(bucket, {"web": role_version(tmp_path, "less", "fewer")})
    assert held("web") == ["b'less'"]
    # An object that is lost comes again.
    bucket.delete(f"roles/web/{json.loads(bucket.read(f'roles/web/{CURRENT}') or b'')['files'][0]}")
    assert put_roles(bucket, {"web": role_version(tmp_path, "less", "fewer")})
    assert held("web") == ["b'less'"]
    assert put_roles(bucket, {})
    assert not put_roles(bucket, {})
    assert set(contents(bucket)) == {"roles/readme.txt", "roles/shop/notes/of-others.txt"}


@pytest.mark.parametrize("rights", ["all", "fewer"])
def test_a_kill_while_a_role_is_put_there_shows_no_half_and_the_next_call_mends_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rights: str
) -> None:
    steps, counted = 0, Steps()
    while True:
        place = Bucket(f"{url}/{steps}")
        put_roles(place, {"web": role_version(tmp_path, "zero")})
        put_roles(place, {"web": role_version(tmp_path, "one")})
        counted.left = steps
        new = role_version(tmp_path, "two", rights)
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(Bucket, "put", counted.counting(Bucket.put))
            patch.setattr(Bucket, "delete", counted.counting(Bucket.delete))
            put_roles(place, {"web": new})
            break
        # What is named is there and whole.
        if pointer := place.read(f"roles/web/{CURRENT}"):
            [current] = json.loads(pointer)["files"]
            assert place.read(f"roles/web/{current}") in (b"one", b"two")
        put_roles(place, {"web": new})
        found = sorted(str(each) for key, each in contents(place).items() if not key.endswith(CURRENT))
        assert found == (["b'one'", "b'two'"] if rights == "all" else ["b'two'"])
        steps += 1
    assert steps == (3 if rights == "all" else 5)


def test_a_project_lands_from_a_bucket_and_publishes_to_one(
    project_as_built: SmallProject, url: str, address: str
) -> None:
    project = project_as_built
    landing, readers = Bucket(f"{url}/landing"), Bucket(f"{url}/gold")
    for name, content in files_in(project.landing).items():
        landing.put(name, content)
    shutil.rmtree(project.landing)
    project = SmallProject(
        project.root,
        {
            **project.settings,
            "ASSAY_LANDING": landing.url,
            "ASSAY_PUBLISH_TO": readers.url,
        },
    )
    lines = "select count(*), sum(hash(fct_lines)) from gold.fct_lines"
    rows = project.query(lines)
    built = project.assay("build")
    assert built.exit_code == 0, built.output
    # The same files are not loaded again: they have names and contents of those that landed in the folder.
    assert project.query(lines) == rows

    new = project.land(20, 3, 4)
    landing.put(new.relative_to(project.landing).as_posix(), new.read_bytes())
    shutil.rmtree(project.landing)
    away = SmallProject(project.root, {**project.settings, "ASSAY_PUBLISH_TO": "s3://nobody/gold"})
    built = away.assay("build")
    assert built.exit_code == 1
    assert "s3://nobody/gold: there is no such bucket" in " ".join(built.output.split())
    before = json.loads(readers.read(CURRENT) or b"")
    # The next build has nothing to do but that.
    built = project.assay("build")
    assert built.exit_code == 0, built.output
    assert "1 file fetched" not in built.output
    current = json.loads(readers.read(CURRENT) or b"")
    assert current["run_id"] != before["run_id"]
    assert readers.read(current["files"][0]) == project.published.read_bytes()
    with duckdb.connect() as reader:
        load_extension(reader, "httpfs", extra="s3", by="A reader")
        reader.execute(
            f"create secret (type s3, key_id 'key', secret 'secret', region 'us-east-1', use_ssl false, "
            f"url_style 'path', endpoint '{address.removeprefix('http://')}')"
        )
        reader.execute(f"attach '{readers.url}/{current['files'][0]}' as gold_of_shop (read_only)")
        reader.execute("use gold_of_shop")
        assert reader.execute(lines).fetchall() == project.query(lines)
    assert project.query(lines)[0][0] == rows[0][0] + 2

    rolled = project.assay("published", "rollback", before["run_id"])
    assert rolled.exit_code == 0, rolled.output
    assert json.loads(readers.read(CURRENT) or b"") == before
