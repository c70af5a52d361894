"""What is wrong with tables is found where it is, measured as numpy and scipy do, and nothing else is."""

from __future__ import annotations

import json
import math
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest
import scipy
from package_project import DRIFT_MODELS, OWN_MODELS, MonitoredProject, make_monitored_project
from warehouse import Warehouse

pytestmark = pytest.mark.usefixtures("builds")

Rows = list[dict[str, Any]]
Finding = dict[str, Any]

MONTHS = [date(2024 + month // 12, month % 12 + 1, 1) for month in range(14)]
BEFORE, FEWEST, LIMIT, LEAST = 12, 3, 6, 0.01
EVENTS = {
    "event_id": "varchar",
    "event_at": "timestamp",
    "claimed_at": "timestamp",
    "available_at": "timestamp",
    "thing_id": "varchar",
    "place": "varchar",
    "price": "double",
}
CHECKED = {**EVENTS, "landed_at": "timestamp", "rule_ids": "varchar[]"}
HISTORY = {"thing_id": "varchar", "size": "integer", "valid_from": "timestamp", "valid_to": "timestamp"}
UPDATED = {**HISTORY, "updated_at": "timestamp"}
TRAINING = {"row_id": "varchar", "prediction_at": "timestamp", "amount_sum_90d": "double"}
OPEN = datetime(9999, 12, 31)
STEPS = ("mon_quality__tables+", "mon_quality__measures+")
RULES = ("invalid_score", "missing_model")
OF_THINGS = "\n    constraints: [{type: primary_key, columns: [thing_id, valid_from]}]"


def at(month: date, number: int) -> datetime:
    """An instant of a month; many of them spread over it."""
    return datetime(month.year, month.month, 1) + timedelta(hours=number % 650)


def event(number: int, happened_at: datetime, **values: Any) -> dict[str, Any]:
    """An event that is known after a minute, of a thing that is known."""
    return {
        "event_id": f"e{number}",
        "event_at": happened_at,
        "claimed_at": happened_at,
        "available_at": happened_at + timedelta(minutes=1),
        "thing_id": "t",
        "place": "here",
        "price": 10.0 + number % 7,
        **values,
    }


def dicts(types: dict[str, str], rows: list[tuple[Any, ...]]) -> Rows:
    return [dict(zip(types, row, strict=True)) for row in rows]


class Shop:
    """A project of somebody else's, whose tables are judged."""

    def __init__(self, project: MonitoredProject) -> None:
        self._project = project
        self._entries: dict[str, str] = {}

    def add(self, name: str, types: dict[str, str], rows: Rows, *, of: str = "", more: str = "") -> None:
        """Add a model of these rows, or of another model; `more` is YAML of it."""
        columns = ", ".join(f"{column} {type}" for column, type in types.items())
        self._project.create(f"raw_{name}", columns, [tuple(row[column] for column in types) for row in rows])
        source = f"{{{{ ref('{of}') }}}}" if of else f"main.raw_{name}"
        self._project.write_model(name, "select * from " + source)
        listed = "".join(
            f"\n      - {{name: {column}, data_type: '{type}'}}" for column, type in types.items()
        )
        self.describe(name, more + (f"\n    columns:{listed}" if types else ""))

    def describe(self, name: str, more: str = "") -> None:
        """Have YAML of a model say something else."""
        self._entries[name] = f"  - name: {name}{more}"

    def judge(self, *options: str) -> Rows:
        """Build all models, and return what is said of them."""
        entries = "\n".join(self._entries.values())
        (self._project.root / OWN_MODELS / "_shop__models.yml").write_text(f"models:\n{entries}\n")
        ran = self._project.dbt("build", "--select", f"path:{OWN_MODELS}", *STEPS, *options)
        assert ran.returncode == 0, ran.stdout
        found = self._project.rows("select * from gold.mon_quality order by all")
        return [row for row in found if row["table_name"] in self._entries]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of which all is built but the shop's own tables."""
    project = make_monitored_project(tmp_path_factory.mktemp("platform") / "project")
    project.build("--select", "+mon_quality")
    return project.root


@pytest.fixture
def shop(platform: Path, tmp_path: Path) -> Shop:
    return Shop(MonitoredProject(Path(shutil.copytree(platform, tmp_path / "project"))))


# --- tables with faults, judged at once ---------------------------------------------------------------------


def with_nulls() -> Rows:
    rng = numpy.random.default_rng(1)
    rows = []
    for month in MONTHS:
        size = int(rng.integers(40, 400))
        nulls = rng.random(size) < (0.9 if month == MONTHS[9] else rng.random() * 0.2)
        rows += [event(k, at(month, k), place=None if null else "here") for k, null in enumerate(nulls)]
    return rows


def with_prices() -> Rows:
    """Odd prices in the seventh month, others altogether in the tenth; in the twelfth all comes late."""
    rng = numpy.random.default_rng(2)
    rows = []
    for place, month in enumerate(MONTHS):
        size = int(rng.integers(150, 300))
        prices = rng.lognormal(3, 1, size) - 20
        if place == 6:
            prices[:40] = 1e6
        if place == 9:
            prices = 80 - prices
        for k, seconds in enumerate(rng.exponential(3600 * (8 if place == 11 else 1), size).round() + 1):
            known_at = at(month, k) + timedelta(seconds=float(seconds))
            rows.append(event(k, at(month, k), price=float(prices[k]), available_at=known_at))
    return rows


def with_faults() -> Rows:
    """In each of five months a fault of another kind."""
    rows: Rows = []
    for place, month in enumerate(MONTHS):
        for k in range(200):
            row = event(1000 * place + k, at(month, k))
            if place == 5 and k < 10:
                row["place"] = None
            if place == 6 and k < 10:
                row["claimed_at"] = row["available_at"]
            if place == 7 and k < 20:
                row["thing_id"] = "gone"
            if place == 8 and k < 20:
                row["thing_id"] = "later"
            if place == 9 and k == 1:
                row["event_id"] = rows[-1]["event_id"]
            rows.append(row)
    return rows


def with_rejections() -> Rows:
    rows = []
    for place, month in enumerate(MONTHS):
        for k in range(300):
            rules = [RULES[0]] if k == 0 else [*RULES] if place == 8 and k < 30 else None
            # When they happened is not known of rows that cannot be read.
            rows.append(event(k, at(month, k), event_at=None, landed_at=at(month, 0), rule_ids=rules))
    return rows


def with_states() -> Rows:
    rows: list[tuple[Any, ...]] = []
    for month in MONTHS:
        for k in range(100):
            opened = at(month, k)
            if month == MONTHS[9]:
                # A state that was confirmed, and what holds when it expires.
                rows.append((f"t{k}", 3, opened, OPEN, opened + timedelta(days=2)))
                rows.append((f"t{k}", None, opened + timedelta(hours=1), OPEN, opened))
            else:
                rows.append((f"t{k}", 3, opened, OPEN, opened))
    return dicts(UPDATED, rows)


def with_features() -> Rows:
    rows = []
    for place, month in enumerate(MONTHS):
        # Windows fill, and in one month many are empty.
        nulls = 5 * min(place, 3) + (60 if place == 10 else 0)
        rows += [(f"r{k}", at(month, k), None if k < nulls else 100.0 * place) for k in range(200)]
    return dicts(TRAINING, rows)


def with_infinities() -> Rows:
    return [
        event(k, at(month, k), price=math.inf if month == MONTHS[7] and k % 2 else 10.0 + k % 5)
        for month in MONTHS
        for k in range(60)
    ]


THINGS = [
    ("t", 3, datetime(2000, 1, 1), OPEN),
    ("later", 3, datetime(2024, 11, 1), OPEN),
    ("gone", 3, datetime(2000, 1, 1), datetime(2001, 1, 1)),
]


@pytest.fixture(scope="module")
def found(platform: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    shop = Shop(MonitoredProject(shutil.copytree(platform, tmp_path_factory.mktemp("quality") / "project")))
    shop.add("nulls", EVENTS, with_nulls())
    shop.add("prices", EVENTS, with_prices())
    key = "\n    constraints: [{type: primary_key, columns: [event_id]}]"
    shop.add("faults", EVENTS, with_faults(), more=key)
    shop.add("bills", EVENTS, [], of="faults")
    shop.add("payments", EVENTS, [], of="bills")
    shop.add("dim_things", HISTORY, dicts(HISTORY, THINGS), more=OF_THINGS)
    shop.add("rejections", CHECKED, with_rejections())
    shop.add("states", UPDATED, with_states())
    shop.add("trn_features", TRAINING, with_features())
    shop.add("infinities", EVENTS, with_infinities())
    return shop.judge()


def of(found: Rows, table: str, rule: str, column: str | None = None) -> dict[date | None, Finding]:
    return {
        row["period"]: row
        for row in found
        if (row["table_name"], row["rule_id"], row["column_name"]) == (table, rule, column)
    }


def broken(found: Rows, table: str | None = None) -> set[tuple[str | None, str, date | None]]:
    """Columns, rules and months."""
    return {
        (row["column_name"], row["rule_id"], row["period"])
        for row in found
        if row["verdict"] == "broken" and table in (row["table_name"], None)
    }


def by_month(rows: Rows) -> list[Rows]:
    return [[row for row in rows if row["event_at"].replace(day=1).date() == month] for month in MONTHS]


# --- the same by other means --------------------------------------------------------------------------------


def allowed_share(expected: float, usual_miss: float, rows: int) -> float:
    share = (expected * rows + 2) / (rows + 4)
    chance = math.sqrt(share * (1 - share) / (rows + 4))
    return min(1.0, expected + max(LEAST, LIMIT * 1.4826 * usual_miss, LIMIT * chance))


def magnitudes(values: Any) -> Any:
    """What is known of values: the middle of a step of 4 %."""
    steps = numpy.maximum(1, numpy.ceil(numpy.log(numpy.abs(values) / 1e-9) / math.log(1.04)))
    return numpy.sign(values) * 1e-9 * 1.04**steps * 2 / 2.04


def quantile(values: Any, share: float) -> float:
    return float(numpy.quantile(values, share, method="inverted_cdf"))


def test_shares_are_expected_and_allowed_as_robust_statistics_have_it(found: Rows) -> None:
    told = of(found, "nulls", "more_nulls", "place")
    assert list(told) == MONTHS
    counts = [(len(rows), sum(row["place"] is None for row in rows)) for rows in by_month(with_nulls())]
    for place, (row, (size, nulls)) in enumerate(zip(told.values(), counts, strict=True)):
        assert (row["row_count"], row["bad_count"]) == (size, nulls)
        assert row["observed"] == pytest.approx(nulls / size)
        if place < FEWEST:
            assert row["verdict"] == "too early"
            continue
        past = numpy.array([bad / rows for rows, bad in counts[max(0, place - BEFORE) : place]])
        expected = float(numpy.median(past))
        allowed = allowed_share(expected, float(numpy.median(numpy.abs(past - expected))), size)
        assert row["expected"] == pytest.approx(expected)
        assert row["allowed"] == pytest.approx(allowed)
        assert row["verdict"] == ("broken" if nulls / size > allowed else "ok")
    assert {row["verdict"] for row in told.values()} == {"too early", "ok", "broken"}


def test_distributions_are_compared_as_scipy_and_numpy_do(found: Rows) -> None:
    prices = [magnitudes([row["price"] for row in rows]) for rows in by_month(with_prices())]
    shifts = of(found, "prices", "shifted_values", "price")
    outliers = of(found, "prices", "more_outliers", "price")
    misses: list[float] = []
    for place in range(1, len(MONTHS)):
        now, past = prices[place], numpy.concatenate(prices[max(0, place - BEFORE) : place])
        shift, outlier = shifts[MONTHS[place]], outliers[MONTHS[place]]
        assert shift["observed"] == pytest.approx(scipy.stats.ks_2samp(past, now).statistic, abs=1e-9)
        assert shift["allowed"] == pytest.approx(max(0.2, 1.95 * math.sqrt(1 / len(past) + 1 / len(now))))
        low, high = quantile(past, 0.25), quantile(past, 0.75)
        fences = low - 3 * (high - low), high + 3 * (high - low)
        outside = [int(((side < fences[0]) | (side > fences[1])).sum()) for side in (now, past)]
        assert (outlier["row_count"], outlier["bad_count"]) == (len(now), outside[0])
        assert outlier["expected"] == pytest.approx(outside[1] / len(past))
        usual_miss = float(numpy.median(misses[-BEFORE:])) if misses else 0.0
        allowed = allowed_share(outside[1] / len(past), usual_miss, len(now))
        assert outlier["allowed"] == pytest.approx(allowed)
        misses.append(abs(outside[0] / len(now) - outside[1] / len(past)))


def test_lateness_is_that_of_the_last_percent_of_rows(found: Rows) -> None:
    exact = [
        quantile([(row["available_at"] - row["event_at"]).total_seconds() for row in rows], 0.99)
        for rows in by_month(with_prices())
    ]
    told = of(found, "prices", "late_rows")
    for place, (month, seconds) in enumerate(zip(MONTHS, exact, strict=True)):
        row = told[month]
        assert row["observed"] == pytest.approx(seconds, rel=0.02)
        assert row["observed"] == pytest.approx(float(magnitudes(seconds)))
        if place >= FEWEST:
            before = magnitudes(exact[max(0, place - BEFORE) : place])
            expected = float(numpy.median(before))
            deviation = float(numpy.median(numpy.abs(before - expected)))
            assert row["allowed"] == pytest.approx(max(2 * expected, expected + LIMIT * 1.4826 * deviation))


# --- what is found ------------------------------------------------------------------------------------------


def test_each_fault_is_found_under_its_rule_and_in_its_month(found: Rows) -> None:
    assert broken(found, "faults") == {
        ("place", "more_nulls", MONTHS[5]),
        ("claimed_at", "clock_ahead", MONTHS[6]),
        ("thing_id", "unknown_key", MONTHS[7]),
        ("thing_id", "unknown_key", MONTHS[8]),
        (None, "duplicate_rows", MONTHS[9]),
    }
    assert of(found, "faults", "more_nulls", "place")[MONTHS[5]]["detail"] == "10 of 200 rows"
    assert of(found, "faults", "duplicate_rows")[MONTHS[9]]["detail"] == "1 of 200 rows"


def test_values_that_shift_and_come_late_are_found_in_their_month(found: Rows) -> None:
    assert broken(found, "prices") == {
        ("price", "more_outliers", MONTHS[6]),
        ("price", "shifted_values", MONTHS[9]),
        (None, "late_rows", MONTHS[11]),
    }


def test_values_that_turn_infinite_are_found(found: Rows) -> None:
    assert broken(found, "infinities") == {
        ("price", "more_outliers", MONTHS[7]),
        ("price", "shifted_values", MONTHS[7]),
    }


def test_rejections_are_judged_by_rule_and_landing(found: Rows) -> None:
    assert broken(found, "rejections") == {(None, rule, MONTHS[8]) for rule in RULES}
    counts = {rule: [row["bad_count"] for row in of(found, "rejections", rule).values()] for rule in RULES}
    assert counts == {
        RULES[0]: [30 if place == 8 else 1 for place in range(len(MONTHS))],
        RULES[1]: [29 if place == 8 else 0 for place in range(len(MONTHS))],
    }


def test_what_is_broken_further_up_is_told_where_it_begins(found: Rows) -> None:
    begins = {
        (row["table_name"], row["begins_in"])
        for row in found
        if row["verdict"] == "broken" and row["table_name"] in ("faults", "bills", "payments")
    }
    assert begins == {("faults", None), ("bills", "faults"), ("payments", "faults")}


def test_of_histories_only_what_something_opened_is_looked_at(found: Rows) -> None:
    told = of(found, "states", "more_nulls", "size")
    assert {(row["row_count"], row["bad_count"]) for row in told.values()} == {(100, 0)}


def test_features_are_looked_at_for_nulls_alone_and_with_patience(found: Rows) -> None:
    assert {row["rule_id"] for row in found if row["table_name"] == "trn_features"} == {
        "more_nulls",
        "empty_table",
    }
    assert broken(found, "trn_features") == {("amount_sum_90d", "more_nulls", MONTHS[10])}
    judged = of(found, "trn_features", "more_nulls", "amount_sum_90d")
    assert [month for month, row in judged.items() if row["verdict"] == "too early"] == MONTHS[: 2 * FEWEST]


def test_what_comes_later_changes_no_verdict(found: Rows, shop: Shop) -> None:
    for name, rows in (("nulls", with_nulls()), ("prices", with_prices())):
        shop.add(name, EVENTS, [row for month in by_month(rows)[:9] for row in month])

    def of_the_first(rows: Rows) -> Rows:
        return [
            row
            for row in rows
            if row["table_name"] in ("nulls", "prices")
            and row["rule_id"] != "unknown_key"
            and row["period"] in MONTHS[:9]
        ]

    part = of_the_first(shop.judge())
    assert part == of_the_first(found)
    assert {row["verdict"] for row in part} == {"too early", "ok", "broken"}


# --- what is odd --------------------------------------------------------------------------------------------


def test_nothing_is_too_odd_to_be_judged(shop: Shop) -> None:
    def priced(price: Any) -> Rows:
        return [event(k, at(month, k), price=price(k)) for month in MONTHS for k in range(40)]

    oddities = {
        "empty": [],
        "single": priced(lambda k: 1.0)[:1],
        "all_null": priced(lambda k: None),
        "constant": priced(lambda k: 5.0),
        "zero": priced(lambda k: 0.0),
        "infinite": priced(lambda k: math.inf if k % 2 else -math.inf),
        "endless": priced(lambda k: math.inf),
        "not_numbers": priced(lambda k: math.nan),
        "tiny": priced(lambda k: 1e-300 * k),
        "huge": priced(lambda k: (-1) ** k * 1.7e308),
        "timeless": [row | {"event_at": None} for row in priced(lambda k: 5.0)],
    }
    for name, rows in oddities.items():
        shop.add(name, EVENTS, rows)
    shop.add("dim_things", HISTORY, [], more=OF_THINGS)
    found = shop.judge()
    assert broken(found) == set()
    # Nothing is known to a dimension without rows, which says so itself.
    assert [row for row in found if row["rule_id"] == "unknown_key"] == []
    oddities["dim_things"] = []
    assert {name: of(found, name, "empty_table")[None]["verdict"] for name in oddities} == {
        name: "ok" if rows else "empty" for name, rows in oddities.items()
    }
    last = MONTHS[-1]
    told = {name: of(found, name, "more_nulls", "price") for name in oddities}
    missing = {name: rows[last]["observed"] for name, rows in told.items() if last in rows}
    assert missing == {
        name: float(name in ("all_null", "not_numbers"))
        for name in oddities
        if name not in ("empty", "single", "timeless", "dim_things")
    }
    assert {name for name in oddities if last in of(found, name, "shifted_values", "price")} == {
        name for name, share in missing.items() if share == 0
    }
    assert {row["bad_count"] for row in found if row["rule_id"] == "more_outliers"} == {0}


def test_yaml_says_what_is_not_looked_at_and_when_rows_are_of(shop: Shop) -> None:
    rows = [
        event(k, at(month, k), available_at=at(MONTHS[place // 2], k), place=None if place > 9 else "here")
        for place, month in enumerate(MONTHS)
        for k in range(50)
    ]
    shop.add(
        "events", EVENTS, rows, more="\n    config: {meta: {quality: {time: available_at, ignore: [place]}}}"
    )
    found = shop.judge("--vars", "{quality_period: week}")
    assert of(found, "events", "more_nulls", "place") == {}
    days = [row["available_at"].date() for row in rows]
    assert set(of(found, "events", "more_nulls", "thing_id")) == {
        day - timedelta(days=day.weekday()) for day in days
    }


def test_what_cannot_be_judged_is_left_out_and_said(shop: Shop) -> None:
    shop.add("events", EVENTS, [event(k, at(month, k)) for month in MONTHS for k in range(40)])
    shop.add("nameless", {"place": "varchar"}, [{"place": "here"}])
    shop.describe("nameless")
    shop.add("timeless", {"place": "varchar"}, [{"place": "here"}])
    shop.add("unwatched", {"place": "varchar"}, [{"place": "here"}])
    shop.describe("unwatched", "\n    config: {meta: {monitored: false}}")
    shop.add("ftr_thing__size", UPDATED, [])
    columns = "".join(f"\n      - {{name: {name}, data_type: timestamp}}" for name in (*UPDATED,)[2:])
    view = "{feature_view: {entity: thing, keys: [thing_id]}}"
    listed = "\n      - {name: thing_id, data_type: varchar}\n      - {name: size}" + columns
    shop.describe("ftr_thing__size", f"\n    config: {{meta: {view}}}\n    columns:{listed}")
    found = shop.judge("--select", f"path:{OWN_MODELS}", *STEPS, *DRIFT_MODELS)
    told = {row["table_name"]: row for row in found if row["verdict"] == "left out"}
    size = told.pop("ftr_thing__size")
    assert size["column_name"] == "size"
    assert size["detail"] == (
        "it has no data_type, and drift is not looked for: assay features yaml ftr_thing__size --write"
    )
    assert {name: row["detail"] for name, row in told.items()} == {
        "nameless": "nameless has no columns in its YAML, so that nothing can be counted: list them, with "
        "their data_type",
        "timeless": "timeless has no column that tells the time of its rows: name one of its columns as "
        "config.meta.quality.time in its YAML",
    }
    assert {row["table_name"] for row in found} == {*("events", "nameless", "timeless", "ftr_thing__size")}
    assert len([row for row in found if row["table_name"] in told]) == 2
    assert of(found, "events", "more_nulls", "place")[MONTHS[-1]]["verdict"] == "ok"


def test_a_period_that_is_none_is_refused(shop: Shop) -> None:
    shop.add("events", EVENTS, [])
    with pytest.raises(AssertionError, match="the period year is unknown: allowed are day, week and month"):
        shop.judge("--vars", "{quality_period: year}")


# --- the project's own tables -------------------------------------------------------------------------------


def test_every_table_of_silver_and_gold_is_looked_at(tmp_path: Path) -> None:
    parsed = Warehouse(tmp_path, Path("nowhere"))
    run = parsed.dbt("parse")
    assert run.returncode == 0, run.stdout + run.stderr
    nodes = json.loads((tmp_path / "target" / "manifest.json").read_text())["nodes"]
    # Rejected rows are the checked ones; serving has parts of other tables, monitoring is about them.
    tables = {
        id_
        for id_, node in nodes.items()
        if node["resource_type"] == "model"
        and node["schema"] in ("silver", "gold")
        and not node["name"].endswith("__rejected")
        and not node["name"].startswith(("srv_", "mon_"))
        and node["config"]["meta"].get("monitored", True)
    }
    read = {
        id_
        for id_ in nodes["model.assay.mon_quality__measures"]["depends_on"]["nodes"]
        if nodes[id_]["resource_type"] == "model" and not nodes[id_]["name"].startswith("mon_")
    }
    assert read == tables


def test_all_that_was_rejected_is_under_its_rule(built_demo: Warehouse) -> None:
    tables = built_demo.query(
        "select table_name from duckdb_tables() "
        "where schema_name = 'silver' and suffix(table_name, '__checked')"
    )
    assert len(tables) == 9
    for (table,) in tables:
        rejected = built_demo.query(
            f"select rule_id, count(*) from (select unnest(rule_ids) as rule_id from silver.{table}) as rule "
            "group by all order by all"
        )
        told = built_demo.query(
            "select rule_id, sum(bad_count)::bigint from gold.mon_quality "
            f"where table_name = '{table}' and rule_id <> 'empty_table' group by all order by all"
        )
        assert told == rejected


def test_days_without_rows_and_silent_sources_are_those_of_their_own_tables(built_demo: Warehouse) -> None:
    told = built_demo.query(
        "select table_name, sum(observed)::bigint from gold.mon_quality "
        "where rule_id = 'missing_days' group by all order by all"
    )
    assert len(told) == 8
    assert told == built_demo.query(
        "select table_name, count(*) filter (verdict in ('missing', 'low')) from gold.mon_volume "
        "group by all order by all"
    )
    sources = built_demo.query(
        "select source_table, row_count, age_seconds, verdict from gold.mon_freshness order by all"
    )
    verdicts = {"fresh": "ok", "stale": "broken"}
    assert built_demo.query(
        "select table_name, row_count, observed, verdict from gold.mon_quality "
        "where rule_id = 'silent_source' order by all"
    ) == [(*row, verdicts.get(verdict, verdict)) for *row, verdict in sources]
