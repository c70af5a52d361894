"""`assay retain` moves landed files that are too old, and loses no row: their files are loaded before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest
from contract_text import contract
from landing_zone import Zone

import assay
from assay.console.progress import Lines
from assay.console.tables import PlainConsole
from assay.contracts.contract import Contract
from assay.contracts.document import Document
from assay.contracts.retention import Retention, read_retentions
from assay.core.fault import Fault
from assay.core.lock import locked
from assay.core.places import Places
from assay.erasure import retain as retaining
from assay.erasure.cold import find_copies
from assay.erasure.find import FileLines
from assay.erasure.journal import journal_file
from assay.erasure.retain import find_old, retain
from assay.ledger.retentions import ColdCopy, cold_copies

DECLARED = """
sources:
  - name: shop
    tables:
      - name: sales
        config: {meta: {landing: {format: csv}}}
        columns: [{name: id}, {name: name}]
      - name: prices
        config: {meta: {landing: {format: csv}}}
        columns: [{name: id}, {name: name}]
      - name: clicks
        config: {meta: {landing: {format: jsonl, streamed: true}}}
"""
CONTRACT = contract(
    "shop",
    """schema:
  - name: sales
    physicalName: landing.shop__sales
    properties: [{name: id, logicalType: string}, {name: name, logicalType: string}]
  - name: prices
    physicalName: landing.shop__prices
    properties: [{name: id, logicalType: string}, {name: name, logicalType: string}]
  - name: clicks
    physicalName: landing.shop__clicks
    properties: [{name: id, logicalType: string}]
""",
)
LEVELS = """slaProperties:
  - {property: retention, value: 3, unit: y, element: sales}
  - {property: retention, value: 30, unit: d, element: clicks}
"""
OLD = "shop/sales/landed_at=2020-03-01T04-05-06/a.csv"
OLD_TOO = "shop/sales/landed_at=2020-03-02T04-05-06/b.csv"
OF_OTHERS = "shop/prices/landed_at=2020-03-01T04-05-06/a.csv"
STREAMED = "shop/clicks/topic=t/partition=0/0-0.jsonl.gz"
HEADER = "id,name\n"
AT = datetime(2026, 1, 1)


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """A project with two old files, one of a table without retention and one that is young."""
    monkeypatch.chdir(tmp_path)
    for name in ("ASSAY_LANDING", "ASSAY_COLD", "ASSAY_TARGET", "ASSAY_LANDING_LINKS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "contracts").mkdir()
    (tmp_path / "cold").mkdir()
    zone = Zone(tmp_path, DECLARED)
    promise(LEVELS)
    for name in (OLD, OLD_TOO, OF_OTHERS, "shop/sales/landed_at=2025-03-01T04-05-06/young.csv"):
        zone.drop(name, f"{HEADER}1,{name}\n")
    zone.load()
    zone.connection.close()
    yield zone
    zone.connection.close()


def promise(levels: str) -> None:
    Path("contracts/shop.odcs.yaml").write_text(CONTRACT + levels)


def places_of(zone: Zone) -> Places:
    return Places(zone.landing, zone.warehouse)


def run(zone: Zone) -> retaining.Retained:
    return retain(places_of(zone), wait=0, display=Lines(PlainConsole(quiet=True)))


def reload(zone: Zone) -> None:
    zone.connection = duckdb.connect(zone.warehouse)
    zone.load()


def names(found: retaining.Retained) -> list[str]:
    return sorted(each.file.name for each in found.files)


def recorded(zone: Zone, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(places_of(zone).ledger, read_only=True) as ledger:
        return ledger.execute(sql).fetchall()


def test_old_files_move_with_their_path_and_their_rows_stay(
    zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_COLD", "cold")
    content, changed = (zone.landing / OLD).read_bytes(), (zone.landing / OLD).stat().st_mtime_ns
    done = run(zone)
    assert names(done) == [OLD, OLD_TOO]
    copy = tmp_path / "cold" / OLD
    assert (copy.read_bytes(), copy.stat().st_mtime_ns) == (content, changed)
    assert sorted(each.name for each in (tmp_path / "cold").rglob("*") if each.is_file()) == [
        "a.csv",
        "b.csv",
    ]
    assert not (zone.landing / OLD).exists()
    assert (zone.landing / OF_OTHERS).exists()
    assert recorded(
        zone,
        "select source_file, landed_at, reason, moved_to, removed_at >= started_at, file_count, "
        "retentions.size_bytes from retained_files join retentions using (retention_id) "
        "where source_file like '%a.csv'",
    ) == [
        (
            *(OLD, datetime(2020, 3, 1, 4, 5, 6), "3 y, contracts/shop.odcs.yaml:18", str(copy), True, 2),
            done.size,
        )
    ]
    # The next build loads nothing, and knows of the files as before.
    reload(zone)
    assert [(each["source_file"], each["status"], each["run_id"]) for each in zone.files("%sales%")] == [
        (name, "loaded", "run 1")
        for name in (OLD, OLD_TOO, "shop/sales/landed_at=2025-03-01T04-05-06/young.csv")
    ]
    assert len(zone.query("from landing.shop__sales")) == 3
    assert cold_copies(places_of(zone).ledger)[OLD] == [ColdCopy(str(copy), str(tmp_path / "cold"))]
    zone.connection.close()
    again = run(zone)
    assert (again.files, again.retention_id) == ([], None)
    assert recorded(zone, "select count(*) from retentions") == [(1,)]


def test_copies_are_found_of_which_no_ledger_knows(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    promise(LEVELS)
    monkeypatch.setenv("ASSAY_COLD", "cold")
    run(zone)
    places = places_of(zone)
    lines = [FileLines(1, OLD, "shop", "sales", None, [(2, 3)])]
    known = find_copies(places, lines)
    assert known.keys() == {OLD}
    places.ledger.unlink()
    assert find_copies(places, lines) == known
    monkeypatch.setenv("ASSAY_COLD", "elsewhere")
    with pytest.raises(Fault, match="which is not there, and rows may go from copies in it"):
        find_copies(places, lines)


def test_without_a_cold_folder_old_files_go(zone: Zone) -> None:
    assert names(run(zone)) == [OLD, OLD_TOO]
    assert not (zone.landing / OLD).exists()
    assert recorded(zone, "select moved_to, removed_at is not null from retained_files") == [(None, True)] * 2


def test_a_dry_run_lists_and_changes_nothing(
    zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_COLD", "cold")
    monkeypatch.setenv("ASSAY_WAREHOUSE", str(zone.warehouse))
    monkeypatch.setenv("ASSAY_LANDING", str(zone.landing))
    project = assay.open()
    said = str(project.retain(dry_run=True))
    assert OLD in said
    assert f"Nothing is changed. 2 landed files, 0.0 MB would be moved to {tmp_path / 'cold'}." in said
    assert "Stays      shop/clicks: its files are the memory" in said
    assert (zone.landing / OLD).exists()
    assert not list(Path("cold").iterdir())
    assert not places_of(zone).ledger.exists()
    assert f"Moved      2 landed files, 0.0 MB to {tmp_path / 'cold'}; their" in str(project.retain())


@pytest.mark.parametrize("step", ["_copy", "_record_files", "sync"])
@pytest.mark.parametrize("call", [1, 2])
def test_a_killed_move_is_ended_by_the_next_call(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, step: str, call: int
) -> None:
    monkeypatch.setenv("ASSAY_COLD", "cold")
    real, calls = getattr(retaining, step), []

    def die(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*arguments)

    with mock.patch.object(retaining, step, die), pytest.raises(KeyboardInterrupt):
        run(zone)
    for name in (OLD, OLD_TOO):
        assert (zone.landing / name).exists() or Path("cold", name).exists()
    run(zone)
    kept = sorted(path.relative_to("cold").as_posix() for path in Path("cold").rglob("*") if path.is_file())
    assert kept == [OLD, OLD_TOO]
    assert not (zone.landing / OLD).exists()
    assert not (zone.landing / OLD_TOO).exists()
    assert recorded(zone, "select distinct source_file from retained_files order by all") == [
        (OLD,),
        (OLD_TOO,),
    ]


def test_what_no_build_has_loaded_stays(zone: Zone, tmp_path: Path) -> None:
    new = "shop/sales/landed_at=2020-03-03T04-05-06/new.csv"
    zone.drop(new, f"{HEADER}9,new\n")
    zone.drop(OLD, f"{HEADER}1,corrected\n")
    found = find_old(places_of(zone), AT)
    assert names(found) == [OLD_TOO]
    assert found.kept == [(OLD, "no build has loaded this version of it"), (new, "no build has loaded it")]


def test_a_file_that_a_link_leads_to_stays(
    zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_LANDING_LINKS", "follow")
    (zone.landing / OLD).rename(tmp_path / "elsewhere.csv")
    (zone.landing / OLD).symlink_to(tmp_path / "elsewhere.csv")
    found = find_old(places_of(zone), AT)
    assert found.kept == [(OLD, "a link leads to it")]


def test_a_file_that_changes_meanwhile_stays(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_COLD", "cold")
    copy = retaining._copy

    def copy_and_change(old: retaining.OldFile, cold: Path) -> Path | str | None:
        copied = copy(old, cold)
        if old.file.name == OLD:
            zone.drop(OLD, f"{HEADER}1,corrected\n")
        return copied

    with mock.patch.object(retaining, "_copy", copy_and_change):
        done = run(zone)
    assert names(done) == [OLD_TOO]
    assert done.kept == [(OLD, "it has changed meanwhile")]
    assert (zone.landing / OLD).read_text() == f"{HEADER}1,corrected\n"


def test_another_version_does_not_replace_the_one_that_moved(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_COLD", "cold")
    run(zone)
    zone.drop(OLD, f"{HEADER}1,second\n")
    reload(zone)
    zone.connection.close()
    (old,) = run(zone).files
    assert isinstance(old.target, Path)
    assert old.target.name == f"{old.content_sha256[:12]}-a.csv"
    assert old.target.read_text() == f"{HEADER}1,second\n"
    assert "second" not in Path("cold", OLD).read_text()


def test_a_copy_that_is_not_the_same_leaves_the_file(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_COLD", "cold")
    with (
        mock.patch("shutil.copy2", lambda source, target: Path(target).write_text("half")),
        pytest.raises(Fault, match="is not the same, so the file stays"),
    ):
        run(zone)
    assert (zone.landing / OLD).exists()
    assert not [path for path in Path("cold").rglob("*") if path.is_file()]


def test_files_of_streams_stay(zone: Zone) -> None:
    zone.drop(STREAMED, b"")
    os.utime(zone.landing / STREAMED, (0, 0))
    found = find_old(places_of(zone), AT)
    assert found.streamed == ["shop/clicks"]
    assert STREAMED not in names(found)


def test_without_a_retention_it_says_so(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    promise("")
    monkeypatch.setenv("ASSAY_WAREHOUSE", str(zone.warehouse))
    monkeypatch.setenv("ASSAY_LANDING", str(zone.landing))
    assert "No contract of a source has the service level retention" in str(assay.open().retain())


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("ASSAY_LANDING", "s3://shop/prod", "would come again: give the bucket a rule"),
        ("ASSAY_COLD", "nowhere", "which is no folder: make it, or mount its disk"),
        ("ASSAY_COLD", "landing/shop", "within the landing zone"),
        ("ASSAY_COLD", ".", "holds the landing zone"),
    ],
)
def test_places_that_cannot_be_are_refused(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(Fault, match=said):
        run(zone)
    assert (zone.landing / OLD).exists()


def test_a_wrong_contract_moves_nothing(zone: Zone) -> None:
    promise(LEVELS.replace("unit: d", "unit: moons"))
    with pytest.raises(Fault, match=r"shop.odcs.yaml:19: retention is 30 moons"):
        run(zone)
    promise(LEVELS.replace("element: sales", "element: sales.id"))
    with pytest.raises(Fault, match=r"shop.odcs.yaml:18: retention is of sales.id, and its values land as"):
        run(zone)
    promise("ownr: me\n" + LEVELS)
    with pytest.raises(Fault, match="the standard knows no field 'ownr'"):
        run(zone)
    assert (zone.landing / OLD).exists()


def test_a_build_and_an_erasure_come_first(zone: Zone) -> None:
    with (
        locked(zone.warehouse, command="assay build", wait=0, on_wait=lambda holder: None),
        pytest.raises(Fault, match="Another build has this warehouse"),
    ):
        run(zone)
    journal_file(zone.warehouse).write_text("{}")
    with pytest.raises(Fault, match="is damaged; it says who is being forgotten"):
        run(zone)
    assert (zone.landing / OLD).exists()


@pytest.mark.parametrize(
    ("days", "months", "at", "cutoff"),
    [
        (0, 36, datetime(2026, 1, 1), datetime(2023, 1, 1)),
        (0, 12, datetime(2024, 2, 29, 5), datetime(2023, 2, 28, 5)),
        (0, 1, datetime(2025, 3, 31), datetime(2025, 2, 28)),
        (0, 12, datetime(2025, 12, 31), datetime(2024, 12, 31)),
        (30, 0, datetime(2025, 3, 1), datetime(2025, 1, 30)),
    ],
)
def test_months_and_years_are_those_of_the_calendar(
    days: int, months: int, at: datetime, cutoff: datetime
) -> None:
    assert Retention("landing.t", "", "", days, months).cutoff(at) == cutoff


def contract_with(*levels: dict[str, Any], relation: str = "landing.shop__sales") -> Contract:
    tables = [{"name": "sales", "physicalName": relation}, {"name": "x", "physicalName": relation[:-5] + "x"}]
    return Contract(
        Document("shop.odcs.yaml", {"id": "shop", "schema": tables, "slaProperties": list(levels)})
    )


def level(value: Any, unit: str = "d", **others: str) -> dict[str, Any]:
    return {"property": "retention", "value": value, "unit": unit} | others


def test_a_level_that_names_a_table_holds_in_place_of_one_that_names_none() -> None:
    found, problems = read_retentions([contract_with(level(9), level(2, "mo", element="sales"))])
    assert not problems
    assert {each.relation: (each.days, each.months) for each in found.values()} == {
        "landing.shop__sales": (0, 2),
        "landing.shop__x": (9, 0),
    }


def test_a_product_lands_no_files() -> None:
    assert read_retentions([contract_with(level(9), relation="gold.sales")]) == ({}, [])


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([level(-3)], "retention is -3 d: write a whole number above 0"),
        ([level(0)], "retention is 0 d"),
        ([level(0.5, "y")], "retention is 0.5 y"),
        ([level("3")], "retention is '3' d"),
        ([level(True)], "retention is True d"),
        ([level(3, "m")], "retention is 3 m: write a whole number above 0, and d, mo or y as unit."),
        ([{"property": "retention", "value": 3}], "retention is 3 without unit"),
        ([level(101, "y")], "retention is 101 y: write 100 years at most"),
        ([level(10**9)], "write 100 years at most"),
        ([level(3, element="sales.at")], "of sales.at, which is no column there. There is no time."),
        ([level(3, "m", element="sales.at")], "retention is 3 m"),
        ([level(3, element="sales.at"), level(4, element="sales.at")], "sales has 2 of retention"),
        ([level(3, element="sales"), level(4, element="sales")], "sales has 2 of retention"),
        ([level(3, element="Sales")], "retention is of Sales, which is no table here."),
        ([level(3, element="sale.at")], "retention is of sale, which is no table here."),
    ],
)
def test_what_nobody_can_read_is_told(levels: list[dict[str, Any]], said: str) -> None:
    found, (problem, *_) = read_retentions([contract_with(*levels)])
    assert said in problem
    assert "landing.shop__sales" not in found
