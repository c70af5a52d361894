"""What tables and sources take, who reads them, and what it costs."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from small_project import SmallProject

import assay
from assay.console.tables import console_for_people
from assay.core.fault import Fault
from assay.core.moment import now
from assay.core.places import Places
from assay.cost.display import print_costs
from assay.cost.found import CostReport, Costs
from assay.cost.gather import Declared, find_costs
from assay.cost.prices import TIERS, read_prices
from assay.cost.reads import read_records
from assay.cost.retention import Saving, read_keep
from assay.cost.small import join_small
from assay.ledger.nodes import make_removed_node, record_nodes
from assay.ledger.runs import Run, record
from assay.online.stores.sqlite import _SCHEMA
from assay.project.warehouse import connect
from assay.training.code import Feature
from assay.training.store import Version, VersionManifest, write_version

DAY = timedelta(days=1)
VIEW, SET = "ftr_guest__stays", "trn_return"
DECLARED = Declared(
    kinds={
        f"gold.{VIEW}": "feature view",
        "gold.ftr_guest__age": "feature view",
        f"gold.{SET}": "training set",
    },
    tiers={
        **{f"gold.{name}": "gold" for name in (VIEW, "ftr_guest__age", SET)},
        "silver.slv_stays": "silver",
        "bronze.brz_stays": "bronze",
    },
    relations={
        **{name: f"gold.{name}" for name in (VIEW, "ftr_guest__age", SET)},
        "slv_stays": "silver.slv_stays",
    },
    sources=[("hotel", "stays"), ("hotel", "rooms")],
)


def make_table(file: Path, relation: str, rows: int = 100_000) -> None:
    file.parent.mkdir(exist_ok=True)
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"create schema if not exists {relation.partition('.')[0]}")
        connection.execute(f"create table {relation} as select uuid()::varchar as id from range({rows})")


def make_version(folder: Path, created_at: datetime, name: str = SET) -> Version:
    manifest = VersionManifest(
        version=f"{name}@abc",
        name=name,
        content_hash="hash",
        rows=1,
        primary_key=["id"],
        columns=[],
        splits=[],
        features=[Feature(VIEW, "stays", "stays")],
        as_of=created_at,
        is_as_of_given=False,
        code={},
        code_version=None,
        engine="duckdb",
        run_id="run",
        input_files=1,
        input_rows=1,
        input_hash="hash",
        created_at=created_at,
    )
    folder.mkdir(parents=True)
    return write_version(folder, manifest, [])


def note(file: Path, **line: object) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as log:
        log.write(json.dumps(line) + "\n")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A project with 100 old bytes and 50 new ones landed, and two thirds of the rows in bronze old."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_ONLINE_STORE", raising=False)
    found = Places(Path("landing"), Path("data/assay.duckdb"))
    folder = found.landing / "hotel" / "stays"
    folder.mkdir(parents=True)
    for name, size in (("old.csv", 100), ("new.csv", 50)):
        (folder / name).write_bytes(b"x" * size)
    (found.landing / "stranger.csv").write_bytes(b"x" * 7)
    make_table(found.warehouse, "silver.slv_stays")
    make_table(found.warehouse, f"gold.{VIEW}")
    with duckdb.connect(str(found.warehouse)) as connection:
        connection.execute(
            "create schema landing; create schema bronze; create table landing.files "
            "(file_id bigint, source_name varchar, table_name varchar, source_file varchar, "
            "landed_at timestamp)"
        )
        for number, (name, age) in enumerate((("old.csv", 100), ("new.csv", 1), ("gone.csv", 100))):
            connection.execute(
                "insert into landing.files values (?, 'hotel', 'stays', ?, ?)",
                [number, f"hotel/stays/{name}", now() - age * DAY],
            )
        connection.execute(
            "create table landing.hotel__stays as "
            "select (n % 3)::bigint as file_id, uuid()::varchar as line from range(90000) as r (n)"
        )
        connection.execute("create view bronze.brz_stays as from landing.hotel__stays")
    make_table(found.published, f"gold.{VIEW}")
    return found


def costs(places: Places, keep: str | None = None, declared: Declared = DECLARED) -> CostReport:
    return find_costs(places, declared, keep=keep, tell=lambda message: None)


def named(report: CostReport, name: str) -> Costs:
    [found] = [each for each in report.things if each.name == name]
    return found


def test_each_table_has_its_bytes_by_tier(places: Places) -> None:
    report = costs(places)
    view = named(report, f"gold.{VIEW}")
    assert view.kind == "feature view"
    # 100,000 texts of 36 letters, as DuckDB packs them, in blocks of 256 KiB.
    for tier in ("gold", "published"):
        size = view.bytes[tier]
        assert size is not None
        assert 1_000_000 < size < 5_000_000
        assert size % 262_144 == 0
    stays = named(report, "hotel.stays")
    assert (stays.kind, stays.bytes["landing"]) == ("source", 150)
    assert stays.bytes["bronze"]
    assert named(report, "other landed files").bytes == {"landing": 7}
    assert "other" in named(report, "landing.files").bytes
    assert named(report, "hotel.rooms").bytes == {"landing": 0}
    assert (named(report, "bronze.brz_stays").kind, named(report, "bronze.brz_stays").bytes) == (
        "view",
        {"bronze": 0},
    )
    assert report.bytes["silver"] == named(report, "silver.slv_stays").bytes["silver"]
    assert list(report.bytes) == list(TIERS)
    # Nothing of the two files is left out, and nothing counts twice.
    in_files = sum(report.bytes[tier] for tier in ("bronze", "silver", "gold", "published", "other"))
    assert in_files >= places.warehouse.stat().st_size + places.published.stat().st_size
    assert (report.problems, report.savings, report.currency) == ([], None, None)


def test_kept_publications_that_readers_have_too_count_once(places: Places) -> None:
    kept = places.published.parent / "kept"
    for run in ("now", "before"):
        (kept / run).mkdir(parents=True)
    os.link(places.published, kept / "now" / places.published.name)
    (kept / "before" / places.published.name).write_bytes(b"x" * 11)
    os.link(kept / "before" / places.published.name, kept / "before" / "again.csv")
    places.published.with_name("guests.csv").write_bytes(b"x" * 5)
    places.search.write_bytes(b"x" * 3)
    places.role_file("desk").parent.mkdir(parents=True)
    places.role_file("desk").write_bytes(b"x" * 13)
    before = costs(places)
    assert named(before, "kept publications").bytes == {"kept": 11}
    assert named(before, "other published files").bytes == {"published": 5}
    assert (before.bytes["search"], before.bytes["roles"]) == (3, 13)


def test_a_retention_would_save_old_files_and_their_rows(places: Places) -> None:
    report = costs(places, "90d")
    bronze = named(report, "hotel.stays").bytes["bronze"]
    assert bronze
    # The file that is gone has rows all the same.
    assert report.savings == [Saving("hotel.stays", 1, 100, 60_000, round(bronze * 2 / 3))]
    assert costs(places, "365d").savings == []


@pytest.mark.parametrize("text", ["", "90", "d", "-5d", "0d", "inf d", "1e99d", "999999d", "90 months"])
def test_a_wrong_retention_is_told(text: str) -> None:
    with pytest.raises(Fault, match=r"^--keep .*90d"):
        read_keep(text)


def test_building_counts_tests_and_only_runs_of_late(places: Places) -> None:
    def run(name: str, age: int, warehouse: Path = places.warehouse) -> None:
        started = now() - age * DAY
        record(places.ledger, Run(name, str(warehouse), started, "assay build", {}, started))
        node = replace(make_removed_node("n"), status="success", seconds=1.0)
        relations = {
            "model": "silver.slv_stays",
            "test": "silver.slv_stays.id",
            "both": f"silver.slv_stays, gold.{VIEW}",
        }
        nodes = [replace(node, unique_id=id_, relation=relation) for id_, relation in relations.items()]
        record_nodes(places.ledger, name, [*nodes, make_removed_node("gone")])

    run("a", 1)
    run("b", 2)
    run("old", 31)
    run("past", 1, Path("data/assay@2025.duckdb"))
    report = costs(places)
    assert named(report, "silver.slv_stays").seconds == 4
    assert named(report, "other steps of builds").seconds == 2
    assert named(report, f"gold.{VIEW}").seconds is None


def test_the_servers_log_and_versions_tell_who_reads(places: Places) -> None:
    log = places.serving / "audit.1.jsonl"
    read = {"reader": "shop", "views": [VIEW]}
    note(log, read_at="2026-01-02T00:00:00Z", **read)
    note(log, read_at="2026-01-03T00:00:00Z", **read | {"reader": None})
    note(places.serving / "audit.jsonl", refused_at="2026-01-04T00:00:00Z", reader="thief", why="no key")
    note(places.serving / "audit.jsonl", read_at="2026-01-04T00:00:00Z", reader="page", views=["*"])
    note(log, wrote_at="2026-01-05T00:00:00Z", reader="writer", views=[VIEW])
    # No moment in UTC, and a line that was cut short.
    note(log, read_at="0001-01-01T00:00:00+14:00", **read)
    log.write_text(log.read_text() + '{"read_at": "20')
    version = make_version(Path("data/training_sets") / f"{SET}@abc", datetime(2026, 1, 1))
    records = read_records(places.serving, [version])
    assert records.begin_at == datetime(2026, 1, 2)
    assert records.unreadable == 2
    assert records.by_name[VIEW].readers == ["without a key", "key shop", f"version {SET}@abc"]
    assert records.by_name[VIEW].last_at == datetime(2026, 1, 3)
    report = costs(places)
    training = named(report, f"gold.{SET}")
    assert training.readers == [f"version {SET}@abc"]
    assert training.bytes == {"training": sum(file.stat().st_size for file in version.folder.iterdir())}
    assert [each.name for each in report.things if each.readers is None] != []
    assert named(report, "silver.slv_stays").readers is None
    assert report.problems == ["data/serving: 2 lines of the audit log cannot be read."]


def test_what_nobody_has_read_for_90_days_is_told(places: Places) -> None:
    make_version(Path("data/training_sets") / f"{SET}@abc", now() - 91 * DAY)
    for name, age in (("first", 2), ("second", 1)):
        record(places.ledger, Run(name, str(places.warehouse), now() - age * DAY, "assay build", {}, now()))
        new = replace(make_removed_node("n"), status="success", relation="gold.ftr_guest__age")
        record_nodes(places.ledger, name, [new])
    report = costs(places)
    assert (sorted(report.unread), report.too_new) == (
        [f"gold.{VIEW}", f"gold.{SET}"],
        ["gold.ftr_guest__age"],
    )
    started = now() - 91 * DAY
    record(places.ledger, Run("old", str(places.warehouse), started, "assay build", {}, started))
    record_nodes(places.ledger, "old", [new])
    assert sorted(costs(places).unread) == [f"gold.{each}" for each in ("ftr_guest__age", VIEW, SET)]
    note(
        places.serving / "audit.jsonl", read_at=f"{(now() - 89 * DAY).isoformat()}Z", reader="a", views=[VIEW]
    )
    assert sorted(costs(places).unread) == ["gold.ftr_guest__age", f"gold.{SET}"]


def test_views_in_an_online_store_have_their_bytes(places: Places) -> None:
    import sqlite3

    file = places.main_warehouse.parent / "online.sqlite"
    with sqlite3.connect(file) as connection:
        connection.executescript(_SCHEMA)
        connection.execute("pragma user_version = 2")
        connection.execute("insert into stamp values ('a')")
        connection.execute(f"insert into catalog values (1, '{VIEW}', '{{}}', 'r', null, '2026-01-01', null)")
        connection.execute("insert into entities values (1, 'é', 1, '12345')")
    connection.close()
    report = costs(places)
    assert named(report, f"gold.{VIEW}").bytes["online"] == 7
    assert report.bytes["online"] == file.stat().st_size


def test_what_nobody_can_tell_is_said_and_the_rest_is_told(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_ONLINE_STORE", "redis://user:secret@host:6379/0")
    places.warehouse.write_bytes(b"no warehouse")
    report = costs(places, "90d")
    assert named(report, "online store redis://host:6379/0").bytes == {"online": None}
    assert named(report, f"gold.{VIEW}").bytes["published"]
    assert named(report, "hotel.stays").bytes == {"landing": 150}
    assert report.savings is None
    assert [problem.partition(": not known")[0] for problem in report.problems] == [
        "The tables of data/assay.duckdb",
        "What a retention would save",
        "What merging landed files would save",
    ]


def test_a_lake_tells_the_bytes_of_each_table_and_of_earlier_snapshots(places: Places) -> None:
    lake = replace(places, main_warehouse=Path("data/lake.sqlite"))
    with connect(lake.warehouse, read_only=False) as connection:
        connection.execute(
            f"create schema gold; create table gold.{VIEW} as select uuid() from range(1000); "
            f"create or replace table gold.{VIEW} as select uuid() from range(1000); "
            f"create schema other; create table other.{VIEW} as select uuid() from range(5000); "
            f"create table gold.{SET} as select 1 as one; "
            "create schema landing; create view landing.nothing as select 1 as one"
        )
    report = costs(lake)
    # A thousand numbers of 16 bytes, in a file of its own.
    assert 16_000 <= (named(report, f"gold.{VIEW}").bytes["gold"] or 0) < 18_000
    assert 0 < (named(report, f"gold.{SET}").bytes["gold"] or 0) < 1_000
    assert named(report, "landing.nothing").bytes == {"other": 0}
    [earlier] = [each for each in report.things if each.name.endswith("files of earlier snapshots")]
    assert 16_000 <= earlier.known_bytes < 18_000
    assert report.problems == []


def test_prices_make_money(places: Places) -> None:
    Path("costs.yml").write_text(
        "currency: EUR\ngb_month: {default: 0, landing: 1000000, published: 2}\nbuild_hour: 3\n"
    )
    report = costs(places, "90d")
    assert report.currency == "EUR"
    # 150 bytes at a million for 10^9.
    assert named(report, "hotel.stays").storage_money == pytest.approx(0.15)
    assert report.storage_money
    assert report.storage_money["landing"] == pytest.approx(0.157)
    assert report.savings
    assert report.savings[0].money_month == pytest.approx(0.1)
    prices = read_prices()
    assert prices
    assert prices.of_building(1800) == 1.5
    assert prices.of_building(None) is None
    assert prices.of_storage({"landing": 1, "bronze": None}) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is no YAML"),
        ("[]", "needs currency"),
        ("currency: EUR\ngb_moth: {}", "gb_moth: allowed are"),
        ("gb_month: {default: 1}", "currency is None"),
        ("currency: EUR", "gb_month is None"),
        ("currency: EUR\ngb_month: 3", "gb_month is 3"),
        ("currency: EUR\ngb_month: {default: 1, glod: 2}", "gb_month has glod: allowed are landing"),
        ("currency: EUR\ngb_month: {landing: 1}", "no price of cold, bronze, silver"),
        ("currency: EUR\ngb_month: {default: cheap}", "gb_month.default is 'cheap'"),
        ("currency: EUR\ngb_month: {default: 2025-13-01}", "gb_month.default is '2025-13-01'"),
        ("currency: EUR\ngb_month: {default: -1}", "gb_month.default is -1"),
        ("currency: EUR\ngb_month: {default: .nan}", "gb_month.default is nan"),
        ("currency: EUR\ngb_month: {default: true}", "gb_month.default is True"),
        ("currency: EUR\ngb_month: {default: 1}\nbuild_hour: x", "build_hour is 'x'"),
        ("currency: EUR\ngb_month: {default: 1,\n  default: 2}", ", line 3: default stands there twice"),
        ("currency: [", "is no YAML"),
    ],
)
def test_wrong_prices_are_told(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "costs.yml"
    file.write_text(text)
    with pytest.raises(Fault) as fault:
        read_prices(file)
    assert str(fault.value).startswith(str(file))
    assert told in str(fault.value)
    assert fault.value.exit_code == 2


def test_people_see_what_programs_get(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    Path("costs.yml").write_text("currency: EUR\ngb_month: {default: 1000}\n")
    print_costs(costs(places, "90d"), console_for_people())
    shown = capsys.readouterr().out
    for text in (
        f"gold.{VIEW}",
        "EUR a month",
        "60,000",
        "never recorded",
        "1 landed file and their rows; nothing was changed.",
        "No feature server has a log here",
    ):
        assert text in shown


def test_what_is_below_a_hundredth_of_all_stands_together() -> None:
    large = Costs("large", "table", {"gold": 10_000, "published": 900})
    slow = Costs("slow", "view", {"gold": 0}, seconds=50.0)
    away = Costs("away", "file", {"online": None})
    few = Costs("few", "feature view", {"gold": 60, "published": 8}, 0.25, ["key b"], datetime(2026, 1, 2))
    fewer = Costs("fewer", "feature view", {"gold": 40, "online": 2}, None, ["key a"], datetime(2026, 1, 3))
    view = Costs("view", "view", {"gold": 0}, seconds=0.125)
    alone = Costs("alone", "file", {"search": 1})
    things = [large, few, fewer, alone, away, slow, view]
    shown, joined = join_small(things)
    [group] = [each for each in shown if each.name == "3 others of gold"]
    assert (group.bytes, group.seconds) == ({"gold": 100, "published": 8, "online": 2}, 0.375)
    assert (group.readers, group.last_read_at) == (["key a", "key b"], datetime(2026, 1, 3))
    assert [each.name for each in shown] == ["large", "alone", "away", "slow", "3 others of gold"]
    assert joined == 3
    # All is still counted, and what was given is as it was.
    assert sum(each.known_bytes for each in shown) == sum(each.known_bytes for each in things)
    assert few.bytes == {"gold": 60, "published": 8}
    # What takes little room and much money is not small.
    for each in things:
        each.storage_money = 0.0
    fewer.storage_money, large.storage_money = 1.0, 9.0
    assert "fewer" in [each.name for each in join_small(things)[0]]
    assert join_small([]) == ([], 0)
    # Of a hundred that are alike, none is small.
    equal = [Costs(name, "table", {"gold": 1}) for name in map(str, range(100))]
    assert join_small(equal) == (equal, 0)


def test_small_rows_are_shown_where_all_are_asked_for(
    places: Places, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Names are whole where nobody says how wide the console is.
    monkeypatch.delenv("COLUMNS", raising=False)
    report = costs(places)
    small = ("hotel.rooms", "other landed files")
    print_costs(report, console_for_people())
    shown = capsys.readouterr().out
    assert all(f" {name} " not in shown for name in small)
    assert "below 1 % of the total stand together. To see each: assay cost --all" in shown
    print_costs(report, console_for_people(), shows_all=True)
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in small)
    assert "stand together" not in shown


def test_a_built_project_tells_its_costs(built_training: SmallProject) -> None:
    report = assay.open(built_training.root).cost(keep="1d").found
    assert report.problems == []
    assert {"source", "table", "view", "feature view", "training set"} <= {
        each.kind for each in report.things
    }
    assert all(report.bytes[tier] > 0 for tier in ("landing", "bronze", "silver", "published", "training"))
    assert any(each.seconds for each in report.things if each.name.startswith("gold."))
    read = [each for each in report.things if each.kind == "feature view" and each.readers]
    assert read
    assert all(reader.startswith("version trn_") for each in read for reader in each.readers or [])
    assert named(report, "erp.order_lines").bytes["landing"]
