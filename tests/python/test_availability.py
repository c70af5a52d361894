"""Products that are published too late: told once when that begins and once when it is over, and counted."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_project import SmallProject

from assay.alerts import availability, availability_alerts
from assay.alerts.availability import find_late_landings, find_misses, read_availability
from assay.alerts.availability_alerts import AvailabilityWatch, check_availability
from assay.alerts.availability_display import print_checked, print_late
from assay.console.tables import console_for_people
from assay.contracts.availability import Promise, promises_of, read_promises
from assay.contracts.consistency import find_inconsistencies
from assay.contracts.contract import Contract
from assay.contracts.document import Document
from assay.core.fault import Fault
from assay.core.places import Places
from assay.ledger.availability import record_landings, record_publications
from assay.ledger.rollbacks import Rollback, end_rollback, write_rollback
from assay.ledger.runs import Run, record
from assay.report.sections.availability import availability_section
from assay.report.tables import Absent

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BY = Promise("sales", "shop", "by 06:30 UTC", DAY, time(6, 30))
EVERY = Promise("sales", "shop", "every 2 h", 2 * HOUR)
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: sales
version: 1.0.0
status: active
team: {{name: shop}}
schema: [{{name: fct_sales, physicalName: gold.fct_sales, properties: [{{name: id, logicalType: string}}]}}]
slaProperties: [{}]
"""


def at(day: int, hour: float = 0) -> datetime:
    return datetime(2026, 11, day) + hour * HOUR


def contract(*levels: dict[str, Any]) -> Contract:
    tables = [{"name": "fct_sales", "physicalName": "gold.fct_sales"}]
    return Contract(
        Document("sales.odcs.yaml", {"id": "sales", "schema": tables, "slaProperties": list(levels)})
    )


def promise_of(**level: Any) -> Promise:
    [(_, found)] = promises_of(contract(level))
    assert isinstance(found, Promise), found
    return found


@pytest.mark.parametrize(
    ("value", "minutes", "said"),
    [
        ("06:30", 390, "by 06:30 UTC"), ("6:30", 390, "by 6:30 UTC"), ("06:30Z", 390, "by 06:30 UTC"),
        ("06:30 UTC", 390, "by 06:30 UTC"), ("06:30+02:00", 270, "by 06:30+02:00"),
        ("23:00-08:00", 420, "by 23:00-08:00"), ("00:30+0100", 1410, "by 00:30+0100"),
        ("06:30 Europe/Berlin", 330, "by 06:30 Europe/Berlin"),
        ("06:30 America/Argentina/Ushuaia", 570, "by 06:30 America/Argentina/Ushuaia"),
    ],
)  # fmt: skip
def test_a_time_of_the_day_is_read_in_its_zone(value: str, minutes: int, said: str) -> None:
    found = promise_of(property="timeOfAvailability", value=value)
    assert found.next_time(at(10) - timedelta(seconds=1)) == at(10) + timedelta(minutes=minutes)
    assert found.said == said


@pytest.mark.parametrize(
    ("value", "before", "due"),
    [
        # 06:30 in Berlin is 05:30 UTC in winter, 04:30 in summer, from the day on that the clocks change.
        ("06:30", datetime(2026, 3, 27, 12), ["28 05:30", "29 04:30", "30 04:30"]),
        ("06:30", datetime(2026, 10, 23, 12), ["24 04:30", "25 05:30", "26 05:30"]),
        # At 02:00 the clocks jump to 03:00: 02:30 is left out, and is half an hour after the jump.
        ("02:30", datetime(2026, 3, 27, 12), ["28 01:30", "29 01:30", "30 00:30"]),
        # At 03:00 they go back to 02:00: of the two times 02:30, the first one counts.
        ("02:30", datetime(2026, 10, 23, 12), ["24 00:30", "25 00:30", "26 01:30"]),
    ],
)
def test_a_time_of_the_day_on_days_when_the_clocks_change(
    value: str, before: datetime, due: list[str]
) -> None:
    found = promise_of(property="timeOfAvailability", value=f"{value} Europe/Berlin")
    times = [before]
    for _ in due:
        times.append(found.next_time(times[-1]))
    assert [f"{each:%d %H:%M}" for each in times[1:]] == due
    # One publication a day, an hour before it is due, is in time also then.
    published = [each - HOUR for each in times[1:]]
    assert find_misses(found, published, before, times[-1]) == []
    # An hour late is late by an hour.
    late = [times[1] - HOUR, times[2] + HOUR, times[3] - HOUR]
    assert [each.late(times[3]) for each in find_misses(found, late, before, times[3])] == [HOUR]


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("0 5 * * 1-5", "Mon, Tue, Wed, Thu, Fri"), ("0 5 * * mon-fri", "Mon, Tue, Wed, Thu, Fri"),
        ("0 5 * * 0", "Sun"), ("0 5 * * 7", "Sun"), ("0 5 * * 5-7", "Fri, Sat, Sun"),
        ("*/30 5 * * MON,wed,6", "Mon, Wed, Sat"), ("0 5 * * 0-6", ""), ("0 5 * * *", ""),
    ],
)  # fmt: skip
def test_days_of_the_week_are_those_of_the_schedule(schedule: str, days: str) -> None:
    level = {"property": "frequency", "value": 1, "unit": "d", "schedule": schedule}
    said = "every 1 d" + (f" on {days}" if days else "")
    assert promise_of(**level).said == promise_of(**level, scheduler="cron").said == said
    assert promise_of(**level, scheduler="airflow").said == "every 1 d"


# November 2026 begins with a Sunday: 2 is a Monday, 6 a Friday.
WORKING = {"scheduler": "cron", "schedule": "0 5 * * MON-FRI"}


@pytest.mark.parametrize(
    ("level", "published", "now", "misses"),
    [
        # Nothing is due on Saturday and Sunday, nor told of then.
        ({"value": "06:30"}, [at(5, 5), at(6, 5)], at(8, 23), []),
        ({"value": "06:30"}, [at(6, 5)], at(9, 7), [(at(9, 6.5), None)]),
        ({"value": "06:30"}, [at(6, 5), at(9, 8)], at(9, 9), [(at(9, 6.5), at(9, 8))]),
        # What comes after Friday's time, or on Sunday, is Monday's.
        ({"value": "06:30"}, [at(6, 7)], at(9, 7), []),
        ({"value": "06:30"}, [at(6, 5), at(8, 12)], at(9, 7), []),
        ({"value": "06:30"}, [at(6, 7)], at(10, 7), [(at(10, 6.5), None)]),
        # Days are those of the zone: 01:00 of Monday in Berlin is Sunday still in UTC.
        ({"value": "01:00 Europe/Berlin"}, [at(5)], at(8, 23), []),
        ({"value": "01:00 Europe/Berlin"}, [at(5)], at(9, 1), [(at(9, 0), None)]),
        # Time does not elapse at the weekend.
        ({"value": 4, "unit": "h"}, [at(6, 22)], at(9, 1), []),
        ({"value": 4, "unit": "h"}, [at(6, 22)], at(9, 3), [(at(9, 2), None)]),
        ({"value": 4, "unit": "h"}, [at(7, 22)], at(9, 5), [(at(9, 4), None)]),
        ({"value": 2, "unit": "d"}, [at(5, 12)], at(9, 13), [(at(9, 12), None)]),
        ({"value": 4, "unit": "h"}, [at(5, 6), at(5, 11)], at(5, 12), [(at(5, 10), at(5, 11))]),
    ],
)
def test_misses_on_working_days(
    level: dict[str, Any], published: list[datetime], now: datetime, misses: list[tuple[Any, Any]]
) -> None:
    name = "frequency" if "unit" in level else "timeOfAvailability"
    found = find_misses(promise_of(property=name, **level, **WORKING), published, at(1), now)
    expected = [(due, over) for due, over in misses]
    if "Berlin" in str(level["value"]):
        # On Thursday and Friday it was missed, too.
        found = [each for each in found if each.due_at > at(7)]
    assert [(each.due_at, each.over_at) for each in found] == expected


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ({"property": "timeOfAvailability", "value": "25:00"}, "write a time of the day, as 06:30"),
        ({"property": "timeOfAvailability", "value": "early"}, "write a time of the day"),
        ({"property": "timeOfAvailability", "value": 9}, "write a time of the day"),
        ({"property": "timeOfAvailability", "value": "06:30 Europe/Brlin"}, "no time zone of this machine"),
        ({"property": "timeOfAvailability", "value": "06:30", "schedule": "0 5 1 * *"}, "the schedule of"),
        ({"property": "timeOfAvailability", "value": "06:30", "schedule": "5 * * MON"}, "the schedule of"),
        ({"property": "frequency", "value": 1, "unit": "d", "schedule": "0 5 * * 5-1"}, "write one of cron"),
        ({"property": "frequency", "value": 1, "unit": "d", "schedule": "0 5 * * MOO"}, "write one of cron"),
        ({"property": "latency", "value": 2, "unit": "moons"}, "latency is 2 moons: write a number above 0"),
        ({"property": "frequency", "value": 0, "unit": "h"}, "write a number above 0"),
        ({"property": "frequency", "value": "often", "unit": "h"}, "write a number above 0"),
        ({"property": "frequency", "value": float("nan"), "unit": "h"}, "write a number above 0"),
        ({"property": "latency", "value": float("inf"), "unit": "m"}, "write a number above 0"),
        ({"property": "frequency", "value": 10**30, "unit": "d"}, "ten years at most"),
        ({"property": "latency", "value": 3651, "unit": "d"}, "ten years at most"),
        ({"property": "frequency", "value": 1}, "write a number above 0, and m, h or d"),
        ({"property": "frequency", "value": 1, "unit": "moons"}, "write a number above 0, and m, h or d"),
        (
            {"property": "timeOfAvailabilty", "value": "06:30"},
            "is no service level. Write timeOfAvailability.",
        ),
    ],
)
def test_a_promise_that_nobody_can_read_is_found(level: dict[str, Any], said: str) -> None:
    found = [str(each) for each in find_inconsistencies([contract(level)])]
    assert any(said in each and each.startswith("sales.odcs.yaml:") for each in found), found


@pytest.mark.parametrize(
    ("promise", "published", "now", "misses"),
    [
        # Published in time each day, and just at the time.
        (BY, [at(1, 5), at(2, 5), at(3, 6.5)], at(3, 7), []),
        # Late on the second, and again from the fourth on.
        (BY, [at(1, 5), at(2, 9), at(3, 6)], at(4, 7), [(at(2, 6.5), at(2, 9)), (at(4, 6.5), None)]),
        # A publication after the time of a day is the first of the next day's.
        (BY, [at(1, 7)], at(2, 7), []),
        (BY, [at(1, 7)], at(3, 7), [(at(3, 6.5), None)]),
        # Missing for three days, and for the first two of them until the third.
        (BY, [at(1, 5)], at(4, 7), [(at(2, 6.5), None), (at(3, 6.5), None), (at(4, 6.5), None)]),
        (BY, [at(1, 5), at(3, 9)], at(3, 10), [(at(2, 6.5), at(3, 9)), (at(3, 6.5), at(3, 9))]),
        # Never published.
        (BY, [], at(4, 7), [(at(3, 6.5), None), (at(4, 6.5), None)]),
        (EVERY, [at(1, 0), at(1, 2), at(1, 5)], at(1, 6), [(at(1, 4), at(1, 5))]),
        (EVERY, [at(1, 0)], at(9), [(at(1, 2), None)]),
        (EVERY, [], at(4, 7), [(at(4, 5), None)]),
    ],
)
def test_misses(
    promise: Promise,
    published: list[datetime],
    now: datetime,
    misses: list[tuple[datetime, datetime | None]],
) -> None:
    seen_at = at(4, 3) if not published else at(1)
    found = find_misses(promise, published, seen_at, now)
    assert [(each.due_at, each.over_at) for each in found] == misses


LATENCY = Promise("sales", "shop", "within 2 h", 2 * HOUR, is_latency=True)


@pytest.mark.parametrize(
    ("landed", "published", "now", "misses"),
    [
        # Loaded and published in time, and late.
        ([(at(1, 1), at(1, 2))], [at(1, 2.5)], at(2), []),
        ([(at(1, 1), at(1, 5))], [at(1, 5.5)], at(2), [(at(1, 3), at(1, 5.5))]),
        # A build that published nothing leaves it waiting for the next that does.
        ([(at(1, 1), at(1, 2))], [at(1, 0)], at(1, 2.5), []),
        ([(at(1, 1), at(1, 2))], [at(1, 0)], at(1, 4), [(at(1, 3), None)]),
        ([(at(1, 1), at(1, 2)), (at(1, 4), at(1, 5))], [at(1, 5.5)], at(2), [(at(1, 3), at(1, 5.5))]),
        ([(at(1, 1), at(1, 2)), (at(1, 4), at(1, 5))], [at(1, 2.5), at(1, 5.5)], at(2), []),
        ([(at(1, 1), at(1, 2)), (at(1, 4), at(1, 5))], [at(1, 2.5)], at(1, 7), [(at(1, 6), None)]),
        ([], [at(1)], at(2), []),
    ],
)
def test_what_has_landed_is_published_within_the_latency(
    landed: list[tuple[datetime, datetime]],
    published: list[datetime],
    now: datetime,
    misses: list[tuple[datetime, datetime | None]],
) -> None:
    found = find_late_landings(LATENCY, landed, published, now)
    assert [(each.due_at, each.over_at) for each in found] == misses


class Project:
    """A project with a promise, a channel, and a clock."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places = Places(Path("landing"), root / "data" / "assay.duckdb")
        self.monkeypatch, self.runs = monkeypatch, 0
        (root / "dbt_project.yml").write_text("name: shop\n")
        (root / "contracts").mkdir()
        self.promise("{property: timeOfAvailability, value: '06:30'}")
        self.tell("{type: file, path: alerts.jsonl}")

    def promise(self, *levels: str) -> None:
        Path("contracts/sales.odcs.yaml").write_text(CONTRACT.format(", ".join(levels)))

    def tell(self, channel: str) -> None:
        Path("alerts.yml").write_text(f"channels: [{channel}]\n")

    def publish(self, moment: datetime, *products: str) -> str:
        self.runs += 1
        run = Run(f"run{self.runs}", str(self.places.warehouse), moment, "assay build", {})
        run.published_at, run.published_path = moment, str(self.places.published)
        self.places.ledger.parent.mkdir(exist_ok=True)
        record(self.places.ledger, run)
        record_publications(self.places.ledger, run, products)
        return run.run_id

    def fail(self, moment: datetime, landed_at: datetime) -> None:
        """Load what landed, and publish nothing."""
        run = Run(f"failed{moment}", str(self.places.warehouse), moment, "assay build", {})
        record(self.places.ledger, run)
        record_landings(self.places.ledger, run, {"sales": landed_at})

    def check(self, moment: datetime) -> availability_alerts.Checked:
        for module in (availability, availability_alerts):
            self.monkeypatch.setattr(module, "now", lambda: moment)
        return check_availability(self.places)

    def told(self, moment: datetime) -> list[tuple[str, str]]:
        return [(each.change, each.message) for each in self.check(moment).alerts]

    def metrics(self) -> dict[str, float]:
        text = self.places.ledger.with_name("products.prom").read_text()
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name.partition("{")[0].removeprefix("assay_"): float(value) for name, value in rows}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, monkeypatch)


def test_a_miss_is_told_once_while_it_lasts_and_once_when_it_is_over(project: Project) -> None:
    project.publish(at(1, 5), "sales")
    assert project.told(at(1, 12)) == []
    assert project.told(at(2, 6)) == []
    [(change, said)] = project.told(at(2, 7))
    assert (change, said) == (
        "broken",
        "it was due 2 Nov 2026, 06:30 UTC, and was last published 1 Nov 2026, 05:00",
    )
    # Not at each look, nor on the days that follow.
    assert project.told(at(2, 8)) == project.told(at(4, 8)) == []
    # Other products do not end it.
    project.publish(at(4, 8.5), "orders")
    assert project.told(at(4, 9)) == []
    assert project.metrics()["product_late_seconds"] == 50.5 * 3600
    project.publish(at(4, 10), "sales")
    [(change, said)] = project.told(at(4, 11))
    assert (change, said) == ("recovered", "it was due 2 Nov 2026, 06:30 UTC, and was published 2 days later")
    assert project.told(at(4, 12)) == project.told(at(5, 6)) == []
    sent = [json.loads(line) for line in Path("alerts.jsonl").read_text().splitlines()]
    assert [(each["change"], each["name"], each["kind"], each["owner"]) for each in sent] == [
        (change, "sales by 06:30 UTC", "service level", "shop") for change in ("broken", "recovered")
    ]


def test_how_often_and_how_late_over_thirty_days(project: Project) -> None:
    project.publish(at(1, 5), "sales")
    project.check(at(1, 6))
    for day in (2, 3, 5, 6):
        project.publish(at(day, 5 if day % 2 else 9), "sales")
    [found], _ = read_availability(project.places, at(6, 12))
    assert [(each.due_at.day, each.late(at(6, 12)) / HOUR) for each in found.misses] == [
        (2, 2.5),
        (4, 22.5),
        (6, 2.5),
    ]
    project.check(at(6, 12))
    assert project.metrics()["product_misses_30d"] == 3
    assert project.metrics()["product_longest_late_seconds_30d"] == 22.5 * 3600
    assert project.metrics()["product_missed"] == 0
    section = availability_section([found], at(6, 12))
    assert section.lead == "1 promise kept: nothing is late now."
    assert [cell.text for cell in section.blocks[0].rows[0]][-2:] == ["3", "22\N{NO-BREAK SPACE}hours"]  # type: ignore[union-attr]
    # Later, they are forgotten.
    for day in range(30):
        project.publish(at(6, 29) + day * DAY, "sales")
    [found], _ = read_availability(project.places, at(6, 12) + 30 * DAY)
    assert found.misses == []


def test_a_miss_that_nobody_saw_is_told_when_it_is_over(project: Project) -> None:
    project.publish(at(1, 5), "sales")
    project.check(at(1, 6))
    project.publish(at(3, 5), "sales")
    [(change, said)] = project.told(at(3, 6))
    assert (change, said) == (
        "recovered",
        "it was due 2 Nov 2026, 06:30 UTC, and was published 22 hours later",
    )
    assert project.told(at(3, 6.1)) == []


def test_what_was_late_before_it_was_promised_is_not_told(project: Project) -> None:
    for day in (1, 3, 5):
        project.publish(at(day, 5), "sales")
    assert project.told(at(5, 7)) == []
    [found], _ = read_availability(project.places, at(5, 7))
    assert found.misses == []


def test_two_outages_between_two_looks_are_told_apart(project: Project) -> None:
    project.publish(at(1, 5), "sales")
    assert [change for change, _ in project.told(at(2, 7))] == ["broken"]
    project.publish(at(2, 9), "sales")
    assert project.told(at(4, 7)) == [
        ("recovered", "it was due 2 Nov 2026, 06:30 UTC, and was published 2 hours later"),
        ("broken", "it was due 4 Nov 2026, 06:30 UTC, and was last published 2 Nov 2026, 09:00"),
    ]


def test_what_was_rolled_back_is_not_published(project: Project) -> None:
    first = project.publish(at(1, 5), "sales")
    project.publish(at(2, 5), "sales")
    assert project.told(at(2, 7)) == []
    places = project.places
    rollback = Rollback(at(2, 8), None, first, "me", "")
    write_rollback(places.ledger, places.warehouse, rollback)
    assert [change for change, _ in project.told(at(2, 8))] == ["broken"]
    assert project.metrics()["published_rolled_back"] == 1
    end_rollback(places.warehouse)
    project.publish(at(2, 9), "sales")
    assert [change for change, _ in project.told(at(2, 10))] == ["recovered"]


def test_an_outage_that_a_rollback_began_is_over_once(project: Project) -> None:
    project.promise("{property: frequency, value: 1, unit: h}")
    first = project.publish(at(1, 5), "sales")
    project.check(at(1, 5))
    project.publish(at(1, 7), "sales")
    assert [change for change, _ in project.told(at(1, 7.5))] == ["recovered"]
    rollback = Rollback(at(1, 7.6), None, first, "me", "")
    write_rollback(project.places.ledger, project.places.warehouse, rollback)
    assert [change for change, _ in project.told(at(1, 7.7))] == ["broken"]
    end_rollback(project.places.warehouse)
    project.publish(at(1, 9), "sales")
    assert project.told(at(1, 9.1)) == [
        # Readers lost it at 07:36; by its last publication it was in time until 08:00.
        ("recovered", "it was due 1 Nov 2026, 07:36 UTC, and was published 84 minutes later")
    ]
    assert project.told(at(1, 9.2)) == []


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("channels: [{type: file, path: /proc/none/alerts.jsonl}]", "could not be reached"),
        ("channels: [{type: webhook, url: '${NOT_THERE}'}]", "NOT_THERE, which is not set"),
        ("channels: 1", "needs a list of channels"),
    ],
)
def test_an_alert_that_reached_nobody_is_sent_again(project: Project, config: str, problem: str) -> None:
    project.publish(at(1, 5), "sales")
    Path("alerts.yml").write_text(config)
    checked = project.check(at(2, 7))
    assert problem in checked.problems[0]
    assert checked.alerts == []
    project.tell("{type: file, path: alerts.jsonl}")
    assert [change for change, _ in project.told(at(2, 8))] == ["broken"]
    assert project.told(at(2, 9)) == []


def test_what_landed_and_is_not_published_is_told(project: Project) -> None:
    project.promise("{property: latency, value: 2, unit: h}")
    project.publish(at(1, 5), "sales")
    assert project.told(at(1, 5.5)) == []
    project.fail(at(1, 7), landed_at=at(1, 6))
    assert project.told(at(1, 7.5)) == []
    assert project.told(at(1, 8.5)) == [
        ("broken", "it was due 1 Nov 2026, 08:00 UTC, and was last published 1 Nov 2026, 05:00")
    ]
    project.publish(at(1, 9), "sales")
    assert project.told(at(1, 9.5)) == [
        ("recovered", "it was due 1 Nov 2026, 08:00 UTC, and was published 60 minutes later")
    ]
    assert project.told(at(3)) == []


def test_a_build_records_when_what_it_loaded_for_a_product_landed(project_built: SmallProject) -> None:
    small = project_built
    (small.root / "contracts").mkdir(exist_ok=True)
    level = "{property: latency, value: 2, unit: h}"
    text = CONTRACT.format(level).replace("id: sales", "id: fct_lines")
    (small.root / "contracts" / "lines.odcs.yaml").write_text(text)
    small.land(6, 7)
    small.land(5, 7)
    built = small.assay("build")
    assert built.exit_code == 0, built.output
    rows = small.query(
        "select product, landed_at from product_landings", file=small.root / "data" / "ops.duckdb"
    )
    assert rows == [("fct_lines", datetime(2025, 1, 5, 2))]


def test_a_promise_that_is_made_no_more_is_late_no_more(project: Project) -> None:
    project.publish(at(1, 5), "sales")
    assert [change for change, _ in project.told(at(2, 7))] == ["broken"]
    project.promise("{property: timeOfAvailability, value: early}")
    assert project.told(at(2, 8)) == []
    project.promise("{property: timeOfAvailability, value: '23:30'}")
    assert project.told(at(2, 9)) == [("recovered", "no contract promises it any more")]
    assert project.told(at(2, 10)) == []


def test_builds_that_did_not_record_products_yet_count(project: Project) -> None:
    project.publish(at(2, 5))
    assert project.told(at(2, 7)) == []
    assert [change for change, _ in project.told(at(3, 7))] == ["broken"]


def test_bad_promises_and_channels_are_told_and_the_rest_is_checked(project: Project) -> None:
    project.publish(at(1, 5), "sales")
    project.promise(
        "{property: timeOfAvailability, value: early}", "{property: frequency, value: 1, unit: d}"
    )
    Path("contracts/broken.odcs.yaml").write_text("frequency: [")
    Path("alerts.yml").write_text("channels: 1")
    checked = project.check(at(3, 7))
    assert [each.promise.said for each in checked.found] == ["every 1 d"]
    assert len(checked.problems) == 3
    assert "sales.odcs.yaml:9: timeOfAvailability is 'early'" in "\n".join(checked.problems)


def test_a_project_without_promises_does_nothing(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = project.check(at(1))
    assert checked.found == []
    assert checked.problems[0].startswith("Nothing is built yet, so nobody can tell")
    print_checked(checked, console_for_people())
    assert capsys.readouterr().out == ""
    project.promise()
    assert read_promises() == ([], [])
    assert project.check(at(1)).found == project.check(at(1)).problems == []
    project.publish(at(1), "sales")
    checked = project.check(at(9))
    assert checked.found == checked.problems == []
    print_checked(checked, console_for_people())
    assert "No product promises" in capsys.readouterr().out
    with pytest.raises(Absent):
        availability_section([], at(1))


def test_what_is_late_is_shown(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.publish(at(1, 5), "sales")
    checked = project.check(at(2, 7))
    print_checked(checked, console_for_people())
    print_late(checked.found, checked.problems, console_for_people())
    shown = " ".join(capsys.readouterr().out.split())
    assert "due 2 Nov 2026, 06:30" in shown
    assert "Told: Broken, error: service level sales by 06:30 UTC (owner shop): it was due" in shown
    assert "Late sales (by 06:30 UTC), owner shop: late by" in shown
    section = availability_section(checked.found, at(2, 7))
    assert section.lead == "sales is late."
    assert [(need.tone, need.owner) for need in section.needs] == [("bad", "shop")]


def test_who_looks_beside_something_else_does_not_fail_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Places) -> None:
        raise Fault("The ledger is open elsewhere.")

    told: list[str] = []
    monkeypatch.setattr(availability_alerts, "check_availability", fail)
    watch = AvailabilityWatch(project.places, told.append)
    watch.look()
    watch.look()
    watch._looked -= 60
    watch.look()
    assert told == ["Nobody could look which service levels are missed: The ledger is open elsewhere."]


@pytest.mark.minutes
def test_commands_and_builds_tell_what_is_late(project_built: SmallProject) -> None:
    small = project_built
    (small.root / "contracts").mkdir(exist_ok=True)
    promise = small.root / "contracts" / "lines.odcs.yaml"
    (small.root / "alerts.yml").write_text("channels: [{type: stdout}]\n")

    def promise_every(count: float, unit: str) -> None:
        level = f"{{property: frequency, value: {count}, unit: {unit}}}"
        promise.write_text(CONTRACT.format(level).replace("id: sales", "id: fct_lines"))

    promise_every(0.001, "m")
    first = small.assay("alerts", "check")
    assert first.exit_code == 1
    assert "Alert: Broken, error: service level fct_lines every 0.001 m (owner shop)" in first.stdout
    again = small.assay("alerts", "check")
    assert again.exit_code == 1
    assert "Alert:" not in again.stdout
    assert "Late       fct_lines (every 0.001 m), owner shop" in small.assay("status").stdout
    promise_every(1, "d")
    assert small.assay("alerts", "check").exit_code == 0
    recorded = "select count(*) from product_publications where product = 'fct_lines'"
    ledger = small.root / "data" / "ops.duckdb"
    before = small.query(recorded, file=ledger)
    # The build itself tells what has become late.
    promise_every(0.0001, "m")
    small.land(9, 7)
    built = small.assay("build")
    assert built.exit_code == 0, built.stdout + built.stderr
    assert "Alert: Broken, error: service level fct_lines every 0.0001 m" in built.stdout
    assert small.query(recorded, file=ledger)[0][0] == before[0][0] + 1
    idle = small.assay("build")
    assert "Nothing has landed" in idle.stdout


@pytest.fixture
def project_built(built_project: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    return SmallProject(
        Path(shutil.copytree(built_project.root, tmp_path_factory.mktemp("built") / "project"))
    )
