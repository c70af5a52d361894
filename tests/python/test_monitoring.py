"""Days that are unusual, and sources that are silent, are seen; others are not."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy
import pytest
from package_project import PackageProject, make_package_project

pytestmark = pytest.mark.usefixtures("builds")

FIRST = date(2025, 1, 6)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    return make_package_project(tmp_path_factory.mktemp("monitoring") / "project", models=False)


def volumes(project: PackageProject, name: str, counts: list[int]) -> dict[date, tuple[int, str]]:
    """Judge a relation with so many rows a day; each day's rows and verdict."""
    rows = [
        (datetime.combine(FIRST + timedelta(days=day), datetime.min.time()) + timedelta(minutes=number),)
        for day, count in enumerate(counts)
        for number in range(count)
    ]
    project.create(name, "event_at timestamp", rows)
    call = f"assay.daily_volume({{'{name}': '{name}'}})"
    project.write_model(f"{name}_volume", "{{ config(materialized='table') }} {{ " + call + " }}")
    ran = project.dbt("run", "--select", f"{name}_volume")
    assert ran.returncode == 0, ran.stdout
    found = project.rows(f"select * from {name}_volume order by event_on")
    assert {row["table_name"] for row in found} == {name}
    return {row["event_on"]: (row["row_count"], row["verdict"]) for row in found}


def test_a_day_is_judged_by_its_weekday(project: PackageProject) -> None:
    # Closed on Sundays, half as much on Saturdays, for twelve weeks.
    counts = [40, 40, 40, 40, 40, 20, 0] * 12
    counts[60], counts[70], counts[75], counts[77] = 0, 5, 60, 200
    found = volumes(project, "shop", counts)
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


def test_what_comes_later_changes_no_verdict(project: PackageProject) -> None:
    counts = [int(count) for count in numpy.random.default_rng(5).poisson(30, 120)]
    whole = volumes(project, "growing", counts)
    part = volumes(project, "growing", counts[:90])
    assert {day: whole[day] for day in part} == part


def test_counts_that_vary_by_chance_raise_no_alarm(project: PackageProject) -> None:
    counts = [int(count) for count in numpy.random.default_rng(6).poisson(30, 730)]
    verdicts = [verdict for _, verdict in volumes(project, "steady", counts).values()]
    assert set(verdicts) == {"usual", "too early"}


def test_a_source_that_falls_silent_is_stale(project: PackageProject) -> None:
    now = datetime(2025, 3, 1, 12)
    columns = "event_at timestamp, available_at timestamp, landed_at timestamp, rule_ids varchar[]"
    for name, ages, rules in (
        ("spoken", [0, 5, 100], [None, None, ["r"]]),
        ("within", [48, 60], [None, None]),
        ("beyond", [49, 60], [None, None]),
        ("unlimited", [5000], [None]),
        ("nothing", [], []),
    ):
        rows = [
            (now - timedelta(hours=age, minutes=10), now - timedelta(hours=age), now, rule)
            for age, rule in zip(ages, rules, strict=True)
        ]
        project.create(name, columns, rows)
    names = ("spoken", "within", "beyond", "unlimited", "nothing")
    limits = {"spoken": "1h", "within": "2d", "beyond": "48h", "nothing": "1d"}
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
    }
    spoken = found["spoken"]
    assert (spoken["row_count"], spoken["rejected_count"], spoken["age_seconds"]) == (3, 1, 0)
    assert (spoken["lateness_p50_seconds"], spoken["lateness_max_seconds"]) == (600, 600)
    assert found["beyond"]["age_seconds"] == 49 * 3600
    assert found["beyond"]["limit_seconds"] == 48 * 3600
