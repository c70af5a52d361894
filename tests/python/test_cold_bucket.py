"""Landed files that are too old move to a bucket, are read where they are needed, and rewritten there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import boto3
import duckdb
import pytest
from bucket_server import ENVIRONMENT, contents, served_bucket
from landing_zone import Zone
from small_project import SmallProject
from test_erasure import KEPT, PERSON, files_with, land_people
from test_landing_compact import (
    CONTRACT,
    DAY,
    DECLARED,
    HEADER,
    KEY,
    LANDED,
    OTHER,
    places_of,
)
from test_landing_compact import (
    contents as rows_of,
)
from test_landing_compact import (
    run as compact,
)

from assay.bucket.bucket import Bucket
from assay.bucket.cold import FetchedObject
from assay.build.cold import cold_files
from assay.build.encryption import find_states, rotate
from assay.console.progress import Lines
from assay.console.tables import PlainConsole
from assay.core.fault import Fault
from assay.cost.gather import Declared, find_costs
from assay.erasure import retain as retaining
from assay.erasure.carry_out import _empty_files
from assay.erasure.cold import check_copies, opened_copies
from assay.erasure.find import FileLines
from assay.erasure.journal import Journal
from assay.erasure.person import Person
from assay.erasure.retain import Retained, find_old, retain
from assay.ledger.retentions import RETAINED_FILES, RETENTIONS
from assay.lineage.landed_copies import find_copies

pytestmark = pytest.mark.usefixtures("builds")

BY_TIME = "shop/sales/by time.csv"
SALES = sorted(name for name in LANDED if name.startswith("shop/sales/"))
PLAIN = f"shop/sales/{DAY.format(1)}/plain.csv"
QUIET = Lines(PlainConsole(quiet=True))
# A time that no second ends at.
LANDED_AT = 1_700_000_000.123457


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served_bucket("shop") as address:
        boto3.client("s3", endpoint_url=address).put_bucket_versioning(
            Bucket="shop", VersioningConfiguration={"Status": "Enabled"}
        )
        yield address


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> Iterator[Zone]:
    """A project with loaded files, of which those of one table are to move to an empty place in a bucket."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "ASSAY_TARGET",
        "ASSAY_LANDING_LINKS",
        "ASSAY_ENCRYPTION_KEY",
        "ASSAY_ENCRYPTION_KEY_BEFORE",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "shop.odcs.yaml").write_text(CONTRACT)
    zone = Zone(tmp_path, DECLARED)
    monkeypatch.setenv("ASSAY_LANDING", str(zone.landing))
    monkeypatch.setenv("ASSAY_WAREHOUSE", str(zone.warehouse))
    monkeypatch.setenv("ASSAY_COLD", f"s3://shop/{uuid4()}/")
    for name, content in LANDED.items():
        zone.drop(name, content)
    os.utime(zone.landing / BY_TIME, (LANDED_AT, LANDED_AT))
    zone.load()
    zone.connection.close()
    yield zone
    zone.connection.close()


def cold_bucket() -> Bucket:
    return Bucket(os.environ["ASSAY_COLD"])


def move(zone: Zone) -> Retained:
    return retain(places_of(zone), wait=0, display=QUIET)


def reload(zone: Zone) -> list[str]:
    """Load as a build does; return what it says of the bucket."""
    zone.connection = duckdb.connect(zone.warehouse)
    said: list[str] = []
    with cold_files(zone.connection, said.append) as cold:
        zone.load(cold.folder, are_cold_lacking=cold.are_lacking)
    zone.connection.close()
    return said


def drop_first(zone: Zone) -> None:
    """Take the first version of a file out of the warehouse, as a kill leaves it while it is made anew."""
    with duckdb.connect(zone.warehouse) as connection:
        for table in ("shop__sales", "files"):
            connection.execute(
                f"delete from landing.{table} where file_id in "
                "(select file_id from landing.files where source_file = $1 and file_version = 1)",
                [PLAIN],
            )


def lose(zone: Zone, *, ledger: bool) -> None:
    zone.warehouse.unlink()
    if ledger:
        places_of(zone).ledger.unlink()


def loaded(zone: Zone) -> set[str]:
    with duckdb.connect(zone.warehouse, read_only=True) as connection:
        return {
            sha256
            for (sha256,) in connection.execute(
                "select content_sha256 from landing.files where source_file = $1", [PLAIN]
            ).fetchall()
        }


def recorded(zone: Zone, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(places_of(zone).ledger, read_only=True) as ledger:
        return ledger.execute(sql).fetchall()


def left(zone: Zone) -> list[str]:
    return [name for name in SALES if (zone.landing / name).exists()]


def versions_of(key: str) -> int:
    bucket = cold_bucket()
    found = boto3.client("s3").list_object_versions(Bucket="shop", Prefix=bucket.prefix + key)
    return len(found.get("Versions", ())) + len(found.get("DeleteMarkers", ()))


def test_old_files_move_to_a_bucket_and_a_lost_warehouse_is_built_from_both_places(zone: Zone) -> None:
    before = rows_of(zone)
    done = move(zone)
    bucket = cold_bucket()
    assert sorted(each.file.name for each in done.files) == SALES
    assert contents(bucket) == {name: LANDED[name] for name in SALES}
    assert left(zone) == []
    assert recorded(zone, "select distinct cold from retentions") == [(bucket.url,)]
    assert recorded(zone, "select moved_to, removed_at is not null from retained_files order by all") == [
        (f"{bucket.url}/{name}", True) for name in SALES
    ]
    assert find_copies(places_of(zone), [PLAIN]) == {PLAIN: [f"{bucket.url}/{PLAIN}"]}
    # The warehouse has the rows, so nothing is fetched.
    assert reload(zone) == []
    assert rows_of(zone) == before
    assert (again := move(zone)).retention_id is None
    assert again.files == []
    for ledger in (False, True):
        lose(zone, ledger=ledger)
        assert reload(zone) == [f"Fetching {len(SALES)} files, 0.0 MB, of {bucket.url}"]
        # The time at which it landed is that of the file, to the microsecond.
        assert rows_of(zone) == before
        assert reload(zone) == []
        assert not places_of(zone).fetched.exists()


def test_only_files_that_the_warehouse_lacks_are_fetched(zone: Zone) -> None:
    before = rows_of(zone)
    move(zone)
    drop_first(zone)
    places_of(zone).fetched.mkdir()
    assert reload(zone) == [f"Fetching 1 file, 0.0 MB, of {cold_bucket().url}"]
    assert rows_of(zone) == before
    assert not places_of(zone).fetched.exists()


def test_a_merged_file_moves_and_is_fetched_once(zone: Zone) -> None:
    before = rows_of(zone)
    compact(zone)
    assert len(move(zone).files) == len(SALES)
    [key] = contents(cold_bucket())
    assert "/_merged/" in key
    assert reload(zone) == []
    lose(zone, ledger=True)
    assert len(reload(zone)) == 1
    assert rows_of(zone) == before
    # Nobody but the file says what it holds, so the warehouse remembers that it has it.
    assert reload(zone) == []
    assert rows_of(zone) == before


def test_another_version_of_the_same_size_moves_beside_the_first(zone: Zone) -> None:
    move(zone)
    zone.drop(PLAIN, LANDED[PLAIN].replace(b"1,a", b"9,z"))
    reload(zone)
    before = rows_of(zone)
    [later] = move(zone).files
    assert str(later.target).endswith(f"/{later.content_sha256[:12]}-plain.csv")
    bucket = cold_bucket()
    assert bucket.read(PLAIN) == LANDED[PLAIN]
    assert reload(zone) == []
    # The warehouse has a file of this name and size, and lacks it all the same.
    drop_first(zone)
    assert reload(zone) == [f"Fetching 1 file, 0.0 MB, of {bucket.url}"]
    assert loaded(zone) == {
        sha256
        for (sha256,) in recorded(
            zone, f"select content_sha256 from retained_files where source_file = '{PLAIN}'"
        )
    }
    assert reload(zone) == []
    for ledger in (False, True):
        lose(zone, ledger=ledger)
        assert reload(zone) == [f"Fetching {len(SALES) + 1} files, 0.0 MB, of {bucket.url}"]
        assert rows_of(zone) == before
        assert reload(zone) == []


@pytest.mark.parametrize(
    ("place", "name", "call"),
    [
        (Bucket, "replace", 1),
        (Bucket, "hash_of", 2),
        (retaining, "_record_files", 1),
        (retaining, "_record_files", 2),
    ],
)
def test_a_killed_move_is_ended_by_the_next_call(zone: Zone, place: Any, name: str, call: int) -> None:
    real, calls = getattr(place, name), []

    def die(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    with mock.patch.object(place, name, die), pytest.raises(KeyboardInterrupt):
        move(zone)
    assert {*left(zone), *contents(cold_bucket())} == {*SALES}
    move(zone)
    assert contents(cold_bucket()) == {name: LANDED[name] for name in SALES}
    assert left(zone) == []
    assert recorded(zone, "select distinct source_file from retained_files order by all") == [
        (name,) for name in SALES
    ]


def test_a_copy_that_is_not_the_same_leaves_the_file(zone: Zone) -> None:
    with (
        mock.patch.object(Bucket, "hash_of", return_value="another"),
        pytest.raises(Fault, match=r"of shop/sales/.* in s3://shop/.* is not the same, so the file stays"),
    ):
        move(zone)
    assert left(zone) == SALES
    assert contents(cold_bucket()) == {}


def test_what_another_process_has_put_there_is_never_replaced(zone: Zone) -> None:
    bucket = cold_bucket()
    real = Bucket.find
    hidden = [None]

    def find_late(self: Bucket, key: str) -> Any:
        # Between the look and the writing, somebody else writes.
        if key == PLAIN and hidden:
            return hidden.pop()
        return real(self, key)

    bucket.put(PLAIN, b"of others")
    with mock.patch.object(Bucket, "find", find_late):
        move(zone)
    assert bucket.read(PLAIN) == b"of others"
    [ours] = [key for key in contents(bucket) if key.endswith("-plain.csv")]
    assert bucket.read(ours) == LANDED[PLAIN]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ASSAY_COLD": "s3://nowhere/cold"}, "there is no such bucket: create it, or correct the name"),
        ({"ASSAY_COLD": "s3://"}, "names no place in a bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_refused_and_nothing_moves(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Fault, match=said):
        find_old(places_of(zone), datetime(2026, 1, 1))
    with pytest.raises(Fault, match=said):
        move(zone)
    assert left(zone) == SALES
    assert not places_of(zone).ledger.exists()


def test_without_the_right_to_write_nothing_moves(zone: Zone) -> None:
    denied = Fault("s3://shop: access is denied: the guide on object storage says which rights are needed.")
    with mock.patch.object(Bucket, "replace", side_effect=denied), pytest.raises(Fault, match="access is"):
        move(zone)
    assert left(zone) == SALES
    assert RETAINED_FILES.read(places_of(zone).ledger, "from retained_files") == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (b"shop/sales/by time\xff.csv", "its name is no text"),
        (b"shop/sales/" + b"/".join([b"long" * 30] * 10) + b"/x.csv", "its name is too long for an object"),
    ],
)
def test_a_file_whose_name_no_object_can_have_stays(zone: Zone, name: bytes, said: str) -> None:
    path = zone.landing / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}8,h\n")
    os.utime(path, (0, 0))
    reload(zone)
    done = move(zone)
    assert [why for _, why in done.kept] == [mock.ANY]
    assert said in done.kept[0][1]
    assert path.exists()
    assert left(zone) == []


def test_a_build_goes_without_a_bucket_that_is_away_unless_the_warehouse_is_new(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of(zone)
    move(zone)
    monkeypatch.setenv("ASSAY_COLD", "s3://nowhere/cold")
    [said] = reload(zone)
    assert said.startswith("Warning: s3://nowhere/cold: there is no such bucket")
    assert rows_of(zone) == before
    zone.warehouse.unlink()
    with pytest.raises(Fault, match=r"This new warehouse needs the files .* unset ASSAY_COLD"):
        reload(zone)


def lines_of(zone: Zone) -> list[FileLines]:
    """The row in line 2 of each file of sales that is a text, as what is to be removed."""
    with duckdb.connect(zone.warehouse, read_only=True) as connection:
        return [
            FileLines(file_id, name, "shop", "sales", sha256, [(2, 3)])
            for file_id, name, sha256 in connection.execute(
                "select file_id, source_file, content_sha256 from landing.files "
                "where source_file like 'shop/sales/%.csv' order by all"
            ).fetchall()
        ]


def erase(zone: Zone, lines: list[FileLines], journal: Journal) -> dict[str, str]:
    """Rewrite the copies without these lines; return the hash of each by its name."""
    with opened_copies(places_of(zone), lines, QUIET) as copies:
        emptied = _empty_files(places_of(zone), journal, lines, copies)
    return {each.source_file: emptied[each.file_id].sha256 for each in lines}


@pytest.mark.parametrize(
    ("is_merged", "killed_at"),
    [
        (False, None),
        (False, "before it is written"),
        (False, "before versions go"),
        (True, None),
        (True, "after it is written"),
    ],
)
def test_lines_are_removed_from_objects_with_their_former_versions(
    zone: Zone, is_merged: bool, killed_at: str | None
) -> None:
    if is_merged:
        compact(zone)
    move(zone)
    bucket = cold_bucket()
    keys = [*contents(bucket)] if is_merged else [PLAIN, BY_TIME]
    person = Person("customer", "1", ("id",), ("1",))
    journal = Journal("e", person, "me", "asked", datetime(2026, 1, 1))
    lines = lines_of(zone)
    check_copies(places_of(zone), lines)
    real = Bucket.replace

    def die_after(*arguments: Any, **named: Any) -> Any:
        real(*arguments, **named)
        raise KeyboardInterrupt

    if killed_at:
        patches: dict[str, Any] = {
            "before it is written": mock.patch.object(Bucket, "replace", side_effect=KeyboardInterrupt),
            "after it is written": mock.patch.object(Bucket, "replace", die_after),
            "before versions go": mock.patch.object(Bucket, "remove_versions", side_effect=KeyboardInterrupt),
        }
        with patches[killed_at], pytest.raises(KeyboardInterrupt):
            erase(zone, lines, journal)
        assert any(versions_of(key) > 1 for key in keys) == (killed_at != "before it is written")
    hashes = erase(zone, lines, journal)
    assert [versions_of(key) for key in keys] == [1] * len(keys)
    assert not places_of(zone).fetched.exists()
    assert recorded(
        zone,
        "select source_file, content_sha256 from retained_files where source_file like '%.csv' order by 1",
    ) == sorted(hashes.items())
    if not is_merged:
        assert bucket.read(BY_TIME) == HEADER.encode() + b"\n"
        assert bucket.read(PLAIN) == LANDED[PLAIN].replace(b"1,a", b"")
    lose(zone, ledger=True)
    reload(zone)
    with duckdb.connect(zone.warehouse) as connection:
        [(files, first, landed_at)] = connection.execute(
            "select count(*), count(*) filter (where row_number = 2), max(landed_at) filter "
            "(where source_file = $1) from landing.files left join landing.shop__sales using (file_id) "
            "where source_file like 'shop/sales/%.csv'",
            [BY_TIME],
        ).fetchall()
    assert first == 0
    assert files
    assert landed_at == datetime(2023, 11, 14, 22, 13, 20, 123457)


@pytest.mark.parametrize("is_merged", [False, True])
def test_lines_are_removed_from_objects_of_which_no_ledger_knows(zone: Zone, is_merged: bool) -> None:
    if is_merged:
        compact(zone)
    move(zone)
    places_of(zone).ledger.unlink()
    lines = lines_of(zone)
    journal = Journal("e", Person("c", "1", ("id",), ("1",)), "me", "asked", datetime(2026, 1, 1))
    assert erase(zone, lines, journal).keys() == {each.source_file for each in lines}
    if not is_merged:
        assert cold_bucket().read(PLAIN) == LANDED[PLAIN].replace(b"1,a", b"")


def test_an_object_that_others_have_written_meanwhile_is_not_replaced(zone: Zone) -> None:
    move(zone)
    journal = Journal("e", Person("c", "1", ("id",), ("1",)), "me", "asked", datetime(2026, 1, 1))
    [lines] = [each for each in lines_of(zone) if each.source_file == PLAIN]
    put_back = FetchedObject.put_back

    def write_first(self: FetchedObject) -> bool:
        self.bucket.put(PLAIN, b"of others")
        return put_back(self)

    with (
        mock.patch.object(FetchedObject, "put_back", write_first),
        pytest.raises(Fault, match="changed"),
    ):
        erase(zone, [lines], journal)
    assert cold_bucket().read(PLAIN) == b"of others"


def test_nothing_is_removed_while_the_bucket_is_away(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_COLD", f"s3://gone-{uuid4()}/old")
    client = boto3.client("s3")
    client.create_bucket(Bucket=cold_bucket().name)
    move(zone)
    lines = lines_of(zone)
    check_copies(places_of(zone), lines)
    cold_bucket().remove_versions("")
    for found in [*cold_bucket().list()]:
        cold_bucket().delete(found.key)
    client.delete_bucket(Bucket=cold_bucket().name)
    with pytest.raises(Fault, match=r"there is no such bucket.* create an empty one of this name"):
        check_copies(places_of(zone), lines)


def states(zone: Zone) -> dict[str, str | None]:
    """The key of each object of the bucket."""
    found = find_states(places_of(zone)).files
    return {str(each.path): each.key for each in found if str(each.path).startswith("s3://")}


def test_a_rotation_takes_merged_objects_to_the_next_key(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows_of(zone)["shop__sales"]
    for table in ("visits", "wide"):
        shutil.rmtree(zone.landing / "shop" / table)
    compact(zone)
    move(zone)
    lose(zone, ledger=True)
    bucket = cold_bucket()
    [key] = contents(bucket)
    url = f"{bucket.url}/{key}"
    assert states(zone) == {url: None}
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    with (
        mock.patch.object(Bucket, "replace", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        rotate(places_of(zone), wait=0, display=QUIET)
    assert states(zone) == {url: None}
    assert url in rotate(places_of(zone), wait=0, display=QUIET).written
    assert b"plain.csv" not in (bucket.read(key) or b"")
    assert states(zone) == {url: "now"}
    assert url in rotate(places_of(zone), wait=0, display=QUIET).as_they_were
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", OTHER)
    assert states(zone) == {url: "another"}
    with pytest.raises(Fault, match=f"{url} cannot be read with the key that is set"):
        rotate(places_of(zone), wait=0, display=QUIET)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", KEY)
    assert states(zone) == {url: "before"}
    rotate(places_of(zone), wait=0, display=QUIET)
    assert states(zone) == {url: "now"}
    assert not places_of(zone).fetched.exists()
    reload(zone)
    assert rows_of(zone)["shop__sales"] == before


def test_the_state_of_the_bucket_is_told(zone: Zone) -> None:
    move(zone)
    [found] = [each for each in find_states(places_of(zone)).files if str(each.path).startswith("s3://")]
    assert (found.is_encrypted, found.can_be, found.remedy) == (False, False, "the bucket's task")
    assert found.size == sum(len(LANDED[name]) for name in SALES)


@pytest.mark.parametrize("is_bucket", [True, False])
def test_the_bytes_of_what_moved_are_a_tier_of_their_own(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, is_bucket: bool
) -> None:
    if not is_bucket:
        Path("cold").mkdir()
        monkeypatch.setenv("ASSAY_COLD", "cold")
    move(zone)
    declared = Declared(kinds={}, tiers={}, relations={}, sources=[("shop", "sales")])
    found = find_costs(places_of(zone), declared, tell=lambda _: None)
    [sales] = [each for each in found.things if each.name == "shop.sales"]
    assert sales.bytes["cold"] == found.bytes["cold"] == sum(len(LANDED[name]) for name in SALES)
    assert found.problems == []
    monkeypatch.setenv("ASSAY_COLD", "s3://nowhere/cold" if is_bucket else "away")
    [problem] = find_costs(places_of(zone), declared, tell=lambda _: None).problems
    assert problem.startswith("Landed files that moved: not known. ")


def test_a_build_reads_what_moved_and_a_person_is_forgotten_there(
    builds: None, address: str, monkeypatch: pytest.MonkeyPatch, project_as_built: SmallProject
) -> None:
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(f"s3://shop/{uuid4()}")
    project = replace(project_as_built, settings={"ASSAY_COLD": bucket.url})
    people = land_people(project)
    key = people.relative_to(project.landing).as_posix()
    # As `assay retain` does, in a project whose warehouse and ledger are lost.
    bucket.put(key, people)
    people.unlink()
    built = project.assay("build", "--full-refresh")
    assert built.exit_code == 0, built.output
    assert {"1001", "1002", "1003"} <= {row[0] for row in project.query(KEPT)}
    [(sha256, landed_at)] = project.query(
        f"select content_sha256, landed_at from bronze.brz_files where source_file = '{key}'"
    )
    ledger = project.root / "data" / "ops.duckdb"
    moved: dict[str, Any] = {"retention_id": "r", "size_bytes": 1}
    RETENTIONS.write(
        ledger,
        [
            moved
            | {"warehouse": "w", "who": "me", "cold": bucket.url, "started_at": landed_at, "file_count": 1}
        ],
    )
    RETAINED_FILES.write(
        ledger,
        [
            moved
            | {"source_file": key, "content_sha256": sha256, "landed_at": landed_at, "reason": "old"}
            | {"moved_to": f"{bucket.url}/{key}"}
        ],
    )
    dry = replace(project, settings={**project.settings, "COLUMNS": "300"}).assay(
        "forget", f"customer={PERSON}", "--dry-run"
    )
    assert f"cold copy {bucket.url}/{key}" in dry.output, dry.output
    done = project.assay("forget", f"customer={PERSON}")
    assert done.exit_code == 0, done.output
    found = boto3.client("s3").list_object_versions(Bucket="shop", Prefix=bucket.prefix)
    assert len(found["Versions"]) == 1
    assert PERSON.encode() not in (bucket.read(key) or PERSON.encode())
    assert files_with(project.root, PERSON) == []
    assert {"1001", "1002", "1003"} & {row[0] for row in project.query(KEPT)} == {"1003"}
