"""What sources miss: days without files, files not loaded, offsets of streams, days with too few rows."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from assay.console.tables import console_for_people
from assay.core.fault import Fault
from assay.core.moment import read_day
from assay.core.places import Places
from assay.gaps.display import print_gaps
from assay.gaps.files import find_missing_days
from assay.gaps.find import Gap, find_gaps
from assay.ledger.backfills import Backfill, record_backfill

DAY = timedelta(days=1)
# A Monday.
FIRST = date(2025, 6, 2)


def landed(days: range, *, without: set[int] | None = None, files: int = 1) -> dict[date, int]:
    """Files on the days after the first of all, except some."""
    return {FIRST + day * DAY: files for day in days if day not in (without or set())}


def missing(files: dict[date, int], until: int) -> list[tuple[int, int]]:
    found = find_missing_days(files, FIRST + until * DAY)
    return [((first - FIRST).days, (last - FIRST).days) for first, last in found]


def test_a_daily_source_misses_days() -> None:
    assert missing(landed(range(60)), 59) == []
    assert missing(landed(range(60), without={40, 41, 50}), 59) == [(40, 41), (50, 50)]
    # It ends, and does not come back; a long gap is not taken for its rhythm.
    assert missing(landed(range(60)), 120) == [(60, 120)]
    assert missing(landed(range(100), without=set(range(40, 80))), 99) == [(40, 79)]


def test_weekends_are_not_missing() -> None:
    weekdays = [day for day in range(70) if day % 7 < 5]
    files = {FIRST + day * DAY: 1 for day in weekdays}
    assert missing(files, 69) == []
    # Thursday to Tuesday.
    gone = {45, 46, 49, 50}
    assert missing({FIRST + day * DAY: 1 for day in weekdays if day not in gone}, 69) == [(45, 50)]


def test_a_weekly_and_a_monthly_source() -> None:
    weekly = {FIRST + 7 * week * DAY: 1 for week in range(12) if week != 8}
    assert missing(weekly, 80) == [(56, 56)]
    # It came on another day.
    assert missing(weekly | {FIRST + 58 * DAY: 1}, 80) == []
    months = {date(2025, month, 1): 1 for month in range(1, 13) if month != 7}
    assert find_missing_days(months, date(2025, 12, 31)) == [(date(2025, 6, 2), date(2025, 7, 31))]
    assert find_missing_days(months, date(2026, 3, 1))[-1] == (date(2025, 12, 2), date(2026, 3, 1))


def test_a_source_without_rhythm_misses_long_pauses_alone() -> None:
    chance = Random(1)
    files = landed(range(300), without={day for day in range(300) if chance.random() < 0.2})
    assert missing(files, 299) == []
    silent = {day: count for day, count in files.items() if not 200 <= (day - FIRST).days < 212}
    [(first, last)] = missing(silent, 299)
    assert first <= 200
    assert last >= 211
    assert missing(files, 330)[-1][1] == 330


def test_files_that_came_late_are_not_missing() -> None:
    files = landed(range(60), without={40, 41})
    assert missing(files | {FIRST + 43 * DAY: 3}, 59) == []
    assert missing(files | {FIRST + 43 * DAY: 2}, 59) == [(40, 41)]
    hourly = landed(range(60), without={40}, files=24)
    assert missing(hourly | {FIRST + 42 * DAY: 48}, 59) == []


def test_few_files_have_no_rhythm() -> None:
    assert missing({FIRST: 1, FIRST + 30 * DAY: 1}, 200) == []
    assert missing({}, 200) == []


def node(name: str, *parents: str, kind: str | None = None) -> dict[str, Any]:
    meta = {"assay": {"kinds": [kind] if kind else []}}
    config, depends_on = {"meta": meta}, {"nodes": list(parents)}
    return {
        "name": name, "unique_id": f"model.{name}", "resource_type": "model", "config": config,
        "depends_on": depends_on,
    }  # fmt: skip


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A source of files and one of a stream, and what reads them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    sources = {
        f"source.{name}": {"source_name": name, "name": "lines", "config": {"meta": {"landing": {}}}}
        for name in ("erp", "app")
    }
    nodes = [
        node("brz_erp__lines", "source.erp"),
        node("slv_lines", "model.brz_erp__lines"),
        node("ftr_shop__lines", "model.slv_lines", kind="feature_views"),
        node("trn_lines", "model.ftr_shop__lines", kind="training_sets"),
        node("slv_clicks", "source.app"),
    ]
    (tmp_path / "target").mkdir()
    manifest = {"nodes": {each["unique_id"]: each for each in nodes}, "sources": sources, "macros": {}}
    (tmp_path / "target" / "manifest.json").write_text(json.dumps(manifest))
    warehouse = tmp_path / "assay.duckdb"
    with duckdb.connect(warehouse) as connection:
        connection.execute("create schema landing; create schema gold")
        connection.execute(
            "create table landing.files (source_name varchar, table_name varchar, source_file varchar, "
            "landed_at timestamp, status varchar, error varchar, file_version integer)"
        )
        names = [
            *(("erp", f"erp/lines/{day}.csv", day, "loaded") for day in range(60) if day != 40),
            ("erp", "erp/lines/torn.csv", 50, "failed"),
            ("erp", "erp/lines/gone.csv", 51, "withdrawn"),
            ("app", "app/lines/topic=t/partition=0/60-99.jsonl.gz", 4, "covered"),
            ("app", "app/lines/topic=t/partition=0/100-109.jsonl.gz", 5, "loaded"),
            *(
                ("app", f"app/lines/topic=t/partition=0/{first}-{first + 9}.jsonl.gz", day, "loaded")
                for day, first in enumerate((0, 10, 40, 50))
            ),
        ]
        for source, name, day, status in names:
            error = "It is torn." if status == "failed" else None
            at = datetime.combine(FIRST, datetime.min.time()) + day * DAY
            connection.execute(
                "insert into landing.files values (?, 'lines', ?, ?, ?, ?, 1)",
                [source, name, at, status, error],
            )
        connection.execute(
            "create table gold.mon_volume as select 'slv_lines' as table_name, "
            "date '2025-06-02' + day::int as event_on, 0 as row_count, 20.0 as expected_rows, "
            "if(day in (39, 40), 'missing', 'usual') as verdict from range(58) as days (day)"
        )
    return Places(tmp_path / "landing", warehouse)


def test_gaps_of_all_kinds_and_what_rests_on_them(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    gaps = find_gaps(places)
    lines = {"features": ["ftr_shop__lines"], "training_sets": ["trn_lines"]}
    assert gaps.found == [
        Gap("app.lines", FIRST + DAY, FIRST + 2 * DAY, "20 offsets of t/0: 20 to 39"),
        Gap(
            "erp.lines",
            FIRST + 39 * DAY,
            FIRST + 40 * DAY,
            "0 rows in slv_lines, where about 40 are usual",
            **lines,
        ),
        Gap("erp.lines", FIRST + 40 * DAY, FIRST + 40 * DAY, "no file landed", **lines),
        Gap(
            "erp.lines",
            FIRST + 50 * DAY,
            FIRST + 50 * DAY,
            "erp/lines/torn.csv is not loaded: It is torn.",
            **lines,
        ),
    ]
    print_gaps(gaps, console_for_people())
    shown = capsys.readouterr().out
    assert "From 2025-07-11 on, as long as their windows reach back to a gap of erp.lines:" in shown
    assert "features       ftr_shop__lines" in shown
    assert "No feature and no training set reads app.lines." in shown


def test_days_without_files_say_what_was_backfilled_of_them(places: Places) -> None:
    def backfill(source: str, first: int, end: int, status: str = "loaded") -> None:
        at, midnight = datetime(2026, 1, 1) + first * DAY, datetime.min.time()
        begin, behind = (datetime.combine(FIRST + day * DAY, midnight) for day in (first, end))
        name = f"{source.replace('.', '/')}/landed_at={first}/backfilled=event+60s/{status}.csv"
        record_backfill(places.ledger, Backfill(at, source, begin, behind, 60, [name], "ann", "lost"))
        with duckdb.connect(places.warehouse) as connection:
            connection.execute(
                "insert into landing.files values (?, 'lines', ?, '2026-11-27', ?, null, 1)",
                [source.partition(".")[0], name, status],
            )

    # Others than the one that has the rows of day 39, whose file was to land on day 40.
    for source, first, end in (("app.lines", 39, 40), ("erp.lines", 30, 39), ("erp.lines", 41, 51)):
        backfill(source, first, end)
    # One that was ended before its build.
    backfill("erp.lines", 39, 40, status="withdrawn")
    assert "no file landed" in {gap.what for gap in find_gaps(places, source="erp.lines").found}
    before = [gap.what for gap in find_gaps(places).found if gap.what != "no file landed"]
    backfill("erp.lines", 39, 40)
    after = [gap.what for gap in find_gaps(places).found]
    filled = "no file landed; backfilled: 2025-07-11 to 2025-07-12"
    assert filled in after
    assert [what for what in after if what != filled] == before


def test_a_backfill_is_part_of_no_rhythm(places: Places) -> None:
    before = find_gaps(places).found
    with duckdb.connect(places.warehouse) as connection:
        connection.execute(
            "insert into landing.files select 'erp', 'lines', "
            "'erp/lines/landed_at=2026-11-27T19-07-21/backfilled=landed/lost.csv', "
            "'2026-11-27 19:07:21', 'loaded', null, 1"
        )
    assert find_gaps(places).found == before


def test_a_source_and_days_narrow_it(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert {gap.source for gap in find_gaps(places, source="app.lines").found} == {"app.lines"}
    later = find_gaps(places, since=FIRST + 41 * DAY).found
    assert [gap.what[:18] for gap in later] == ["erp/lines/torn.csv"]
    assert len(find_gaps(places, until=FIRST + 39 * DAY).found) == 2
    nothing = find_gaps(places, source="erp.lines", until=FIRST)
    print_gaps(nothing, console_for_people())
    assert capsys.readouterr().out == (
        "Nothing is missing of 1 source.\n"
        "The newest file landed on 2025-07-31; days from then on are not looked at.\n"
    )


def test_sources_without_a_rhythm_are_named(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    with duckdb.connect(places.warehouse) as connection:
        connection.execute(
            "delete from landing.files where landed_at >= '2025-06-05' and source_name = 'erp'"
        )
    gaps = find_gaps(places)
    assert gaps.unjudged == {"erp.lines": 3}
    print_gaps(gaps, console_for_people())
    assert "Too few days with files to tell which are missing: erp.lines (3 days)." in capsys.readouterr().out
    with duckdb.connect(places.warehouse) as connection:
        connection.execute("delete from landing.files")
    gaps = find_gaps(places)
    assert (gaps.unjudged, gaps.newest) == ({"app.lines": 0, "erp.lines": 0}, None)


def test_bad_input_is_told(places: Places) -> None:
    with pytest.raises(Fault, match=r"erp\.line is no landing table: there are app\.lines, erp\.lines\."):
        find_gaps(places, source="erp.line")
    with pytest.raises(Fault, match=r"--from 'June' is no day: write it as 2025-06-30\."):
        read_day("June", "--from")
    with pytest.raises(Fault, match="--to 2025-06-02 is before --from 2025-06-03"):
        find_gaps(places, since=FIRST + DAY, until=FIRST)
    with duckdb.connect(places.warehouse) as connection:
        connection.execute("drop table landing.files")
    with pytest.raises(Fault, match=r"has loaded no files yet\. To build: assay build"):
        find_gaps(places)
    places.warehouse.unlink()
    with pytest.raises(Fault, match="Nothing is built yet"):
        find_gaps(places)


def test_a_file_that_is_no_warehouse_is_told(places: Places) -> None:
    places.warehouse.write_bytes(b"no database at all" * 1000)
    with pytest.raises(Fault, match="is not a DuckDB file"):
        find_gaps(places)
