"""Days that are unusual, and sources that are silent, are seen; others are not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import duckdb
import numpy
import pytest
from package_project import OWN_MODELS, PackageProject, make_monitored_project, make_package_project

pytestmark = pytest.mark.usefixtures("builds")

FIRST = date(2025, 1, 6)


Days = dict[date, tuple[int, str]]


def chances(seed: int, days: int) -> list[int]:
    return [int(count) for count in numpy.random.default_rng(seed).poisson(30, days)]


def of_a_shop() -> list[int]:
    """Closed on Sundays, half as much on Saturdays, for twelve weeks; four days are unusual."""
    counts = [40, 40, 40, 40, 40, 20, 0] * 12
    counts[60], counts[70], counts[75], counts[77] = 0, 5, 60, 200
    return counts


GROWING = chances(5, 120)
NOT_OVER = FIRST + timedelta(days=75)
KNOWN_UNTIL = f"{NOT_OVER} 12:00:00"
COUNTS = {"shop": of_a_shop(), "growing": GROWING, "growing_before": GROWING[:90], "steady": chances(6, 730)}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Days]:
    """Tables judged at once, in a session that is not in UTC: each day's rows and verdict."""
    project = make_monitored_project(tmp_path_factory.mktemp("volumes") / "project")
    profile = project.root / "profiles.yml"
    assert "TimeZone: UTC" in profile.read_text()
    profile.write_text(profile.read_text().replace("TimeZone: UTC", "TimeZone: America/New_York"))
    described = ""
    for name, counts in COUNTS.items():
        # One of them has instants, the others what they are in UTC.
        kind, zone = ("timestamptz", UTC) if name == "steady" else ("timestamp", None)
        rows = [
            (datetime.combine(FIRST + timedelta(days=day), time(tzinfo=zone)) + timedelta(minutes=number),)
            for day, count in enumerate(counts)
            for number in range(count)
        ]
        project.create(f"raw_{name}", f"event_at {kind}", rows)
        project.write_model(name, f"{{{{ config(schema='silver') }}}} select * from main.raw_{name}")
        described += f"\n  - name: {name}\n    columns: [{{name: event_at, data_type: {kind}}}]"
    (project.root / OWN_MODELS / "_own__models.yml").write_text("models:" + described)
    project.build("--select", "+mon_volume", "--resource-type", "model", "seed")
    found: dict[str, Days] = {name: {} for name in COUNTS}
    for row in project.rows("select * from gold.mon_volume order by event_on"):
        found[row["table_name"]][row["event_on"]] = (row["row_count"], row["verdict"])
    # What arrived last did so before the last days of some tables were over.
    with duckdb.connect(project.path) as connection:
        known = f"select timestamp '{KNOWN_UNTIL}' as known_until"
        connection.execute(f"create or replace table gold.mon_freshness as {known}")
    project.build("--select", "mon_volume", "--resource-type", "model")
    found["not over"] = {
        row["event_on"]: (row["row_count"], row["verdict"])
        for row in project.rows("select * from gold.mon_volume where table_name = 'shop' order by event_on")
    }
    return found


def test_a_day_that_is_not_over_is_not_judged(volumes: dict[str, Days]) -> None:
    before, after = volumes["shop"], volumes["not over"]
    changed = {day for day in before if before[day] != after[day]}
    assert changed == {FIRST + timedelta(days=day) for day in (75, 77)} | {
        day for day, (_, verdict) in before.items() if day >= NOT_OVER and verdict == "usual"
    }
    assert {after[day][1] for day in changed} == {"too early"}


def test_a_day_is_judged_by_its_weekday(volumes: dict[str, Days]) -> None:
    counts, found = COUNTS["shop"], volumes["shop"]
    days = [FIRST + timedelta(days=day) for day in range(len(counts) - 1)]
    assert list(found) == days
    assert [found[day][0] for day in days] == counts[:-1]
    assert {verdict for day, (_, verdict) in found.items() if day < days[28]} == {"too early"}
    unusual = {
        days.index(day): verdict
        for day, (_, verdict) in found.items()
        if day >= days[28] and verdict != "usual"
    }
    assert unusual == {60: "missing", 70: "low", 75: "high", 77: "high"}


def test_what_comes_later_changes_no_verdict(volumes: dict[str, Days]) -> None:
    whole, part = volumes["growing"], volumes["growing_before"]
    assert len(part) == 90
    assert {day: whole[day] for day in part} == part


def test_counts_that_vary_by_chance_raise_no_alarm(volumes: dict[str, Days]) -> None:
    assert {verdict for _, verdict in volumes["steady"].values()} == {"usual", "too early"}


def test_a_day_is_one_of_utc_whatever_the_session_s_zone(volumes: dict[str, Days]) -> None:
    found = {day: count for day, (count, _) in volumes["steady"].items()}
    assert found == {FIRST + timedelta(days=day): count for day, count in enumerate(COUNTS["steady"])}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    return make_package_project(tmp_path_factory.mktemp("monitoring") / "project", models=False)


def test_a_source_that_falls_silent_is_stale(project: PackageProject) -> None:
    now = datetime(2025, 3, 1, 12)
    columns = "event_at timestamp, available_at timestamp, landed_at timestamp, rule_ids varchar[]"
    for name, ages, rules in (
        ("spoken", [0, 5, 100], [None, None, ["r"]]),
        ("within", [48, 60], [None, None]),
        ("beyond", [49, 60], [None, None]),
        ("unlimited", [5000], [None]),
        ("nothing", [], []),
        ("broken", [60, 0], [None, ["malformed"]]),
        ("unreadable", [0], [["malformed"]]),
    ):
        rows = [
            (
                None if rule == ["malformed"] else now - timedelta(hours=age, minutes=10),
                now - timedelta(hours=age),
                now,
                rule,
            )
            for age, rule in zip(ages, rules, strict=True)
        ]
        project.create(name, columns, rows)
    names = ("spoken", "within", "beyond", "unlimited", "nothing", "broken", "unreadable")
    limits = {"spoken": "1h", "within": "2d", "beyond": "48h", "nothing": "1d", "broken": "1d"}
    call = f"assay.arrival_freshness({ {name: name for name in names} }, {limits})"
    project.write_model("freshness", "{{ config(materialized='table') }} {{ " + call + " }}")
    ran = project.dbt("run", "--select", "freshness")
    assert ran.returncode == 0, ran.stdout
    found = {row["source_table"]: row for row in project.rows("select * from freshness")}
    assert {name: row["verdict"] for name, row in found.items()} == {
        "spoken": "fresh",
        "within": "fresh",
        "beyond": "stale",
        "unlimited": "no limit",
        "nothing": "empty",
        "broken": "stale",
        "unreadable": "no limit",
    }
    # A row without a time of its own is known when it lands: nothing new was told by it.
    assert (found["broken"]["age_seconds"], found["unreadable"]["age_seconds"]) == (60 * 3600, 0)
    spoken = found["spoken"]
    assert (spoken["row_count"], spoken["rejected_count"], spoken["age_seconds"]) == (3, 1, 0)
    assert (spoken["lateness_p50_seconds"], spoken["lateness_max_seconds"]) == (600, 600)
    assert found["beyond"]["age_seconds"] == 49 * 3600
    assert found["beyond"]["limit_seconds"] == 48 * 3600
