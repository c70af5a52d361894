"""Training sets hold nothing that was not known yet, and the checks that prove it catch what they should."""

from __future__ import annotations

import io
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from leak_project import (
    AT_THE_EDGES,
    BEGINS_EARLY,
    CHOSEN_LATER,
    DRAWN_LATER,
    ENCODED,
    ENCODED_LATE,
    FITTED_ON_TRAINING_ROWS,
    HELD_OUT,
    LEAKS,
    LEARNT_WRONGLY,
    TOGETHER,
    Leak,
    LeakProject,
    make_leak_project,
)
from rich.console import Console

from assay.core.fault import Fault
from assay.leakage import Check, check, find_leaks
from assay.leakage.brute_force import check_by_brute_force
from assay.leakage.declared import Features, TrainingSet, View, read_training_set
from assay.leakage.erased import Erased, Silent, build_erased
from assay.leakage.labels import check_labels
from assay.leakage.moment import choose_moment
from assay.leakage.origins import tables_read
from assay.leakage.outcome import check_outcome
from assay.leakage.report import print_checks
from assay.leakage.splits import check_splits
from assay.leakage.tables import differs
from assay.project.calls import Ref, Unread, calls_of
from assay.project.personal import Personal
from assay.project.warehouse import connect
from assay.training.verify import Verification
from example import generate

pytestmark = pytest.mark.minutes

TRAINING_SETS = ("trn_fraud", "trn_churn", "trn_recommendation")
CHECKS = [
    "erasure", "own time", "labels", "origins", "brute force", "knowledge time", "splits", "outcome",
]  # fmt: skip
PLANTED = (
    *LEAKS,
    FITTED_ON_TRAINING_ROWS,
    ENCODED,
    ENCODED_LATE,
    TOGETHER,
    BEGINS_EARLY,
    CHOSEN_LATER,
    HELD_OUT,
    LEARNT_WRONGLY,
    *AT_THE_EDGES,
    *DRAWN_LATER,
)
GATE_BESIDE_BRONZE = """
select checked.card_id, counted.beside_count
from {{ ref('slv_card_transactions__checked') }} as checked
left join (
    select trim(cc_num) as card_id, count(*) as beside_count
    from {{ ref('brz_payments__card_transactions') }} group by all
) as counted on checked.card_id = counted.card_id
where {{ known_as_of('checked.available_at') }}
"""
SAMPLE = 100
# A card is used, which nobody knows for two seconds, on a day when cards were used before, and while what a
# customer bought is on its way.
MOMENT = """
    select max(event_at)
    from silver.slv_card_transactions as used
    where
        event_at < timestamp '2025-10-01'
        and exists (
            from silver.slv_card_transactions as other
            where other.event_at::date = used.event_at::date and other.event_at < used.event_at
        )
        and exists (
            from gold.fct_purchases as purchases
            where
                purchases.customer_id is not null
                and used.event_at > purchases.ordered_at + interval '1 hour'
                and used.event_at < purchases.available_at
        )
"""


@dataclass
class Planted:
    """The project with every leak in a training set of its own, built whole and erased."""

    project: LeakProject
    erased: Erased
    said: list[str] = field(default_factory=list)

    def check(self, training_set: str, sample: int = SAMPLE, moments: int = 0) -> dict[str, Check]:
        declared = read_training_set(self.erased.manifest, training_set)
        with self.project.entered():
            checks = check(
                declared,
                warehouse=self.project.warehouse,
                erased=self.erased,
                sample=sample,
                moments=moments,
                say=self.said.append,
            )
        return {each.name: each for each in checks}

    def query(self, sql: str, *, erased: bool = False) -> list[tuple[Any, ...]]:
        with duckdb.connect(
            self.erased.path if erased else self.project.warehouse, read_only=True
        ) as connection:
            return connection.sql(sql).fetchall()


@pytest.fixture(autouse=True)
def nothing_is_personal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show findings whole, whatever dbt may have parsed last in the current folder."""
    monkeypatch.setattr("assay.leakage.findings.read_personal", lambda: Personal(frozenset()))


@pytest.fixture(scope="session")
def year_landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of the demo company: outcomes take up to 97 days to be known."""
    landing = tmp_path_factory.mktemp("year") / "landing"
    generate(landing, customers=300, days=365, events=6000)
    return landing


@pytest.fixture(scope="module")
def planted(builds: None, tmp_path_factory: pytest.TempPathFactory, year_landing: Path) -> Planted:
    project = make_leak_project(tmp_path_factory.mktemp("leaks") / "project", year_landing)
    (project.root / "averages.csv").write_text("category,risk\nmisc_net,0.1\ngrocery_pos,0.2\n")
    view = project.root / "models" / "example" / "silver" / "view_of_bronze.sql"
    view.write_text("select * from {{ ref('brz_payments__card_transactions') }}")
    (view.parent / "gate_beside_bronze.sql").write_text(GATE_BESIDE_BRONZE)
    seed = project.root / "seeds" / "example" / "category_risks.csv"
    seed.write_text("category,seeded_risk\nmisc_net,0.1\n")
    for leak in PLANTED:
        project.plant(leak, averages=str(project.root / "averages.csv"))
    names = [*TRAINING_SETS, *(leak.training_set for leak in PLANTED)]
    project.build(names)
    manifest = project.manifest
    _, until = choose_moment(project.warehouse, [read_training_set(manifest, name) for name in TRAINING_SETS])
    with connect(project.warehouse) as connection:
        [(at,)] = connection.sql(MOMENT).fetchall()
    folder = tmp_path_factory.mktemp("erased")
    with project.entered():
        erased = build_erased(
            manifest,
            names,
            warehouse=project.warehouse,
            at=at,
            labelled_until=until,
            folder=folder,
            scramble=read_training_set(manifest, "trn_fraud").scramble or [],
            watcher=Silent(),
        )
    return Planted(project, erased)


def findings(checks: dict[str, Check]) -> list[str]:
    return [str(finding) for each in checks.values() for finding in each.findings]


@pytest.mark.parametrize("name", TRAINING_SETS)
def test_no_training_set_leaks(planted: Planted, name: str) -> None:
    checks = planted.check(name, moments=5)
    assert list(checks) == CHECKS
    assert planted.said[-8] == "Check 1 of 8: erasure"
    assert planted.said[-7] == "Check 2 of 8: own time, 5 moments"
    assert findings(checks) == []
    assert all(each.rows > 50 for each in checks.values())


def test_statistics_fitted_on_training_rows_are_no_leak(planted: Planted) -> None:
    checks = planted.check(FITTED_ON_TRAINING_ROWS.training_set)
    assert findings(checks) == []
    assert (
        len(planted.query(f"select distinct scaled_amount from gold.{FITTED_ON_TRAINING_ROWS.training_set}"))
        > 50
    )


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_planted_leak_is_caught(planted: Planted, leak: Leak) -> None:
    checks = planted.check(leak.training_set)
    columns = {finding.column: finding for finding in checks[leak.check].findings}
    assert leak.column in columns, findings(checks)
    finding = columns[leak.column]
    assert finding.rows > 0
    assert finding.value != finding.expected
    assert finding.example
    assert finding.remedy


@pytest.mark.parametrize("encoding", [ENCODED, ENCODED_LATE], ids=lambda leak: leak.name)
def test_encodings_of_training_rows_and_weights_are_no_leak(planted: Planted, encoding: Leak) -> None:
    checks = planted.check(encoding.training_set, moments=4)
    assert findings(checks) == []
    assert {"category_risk", "weight"} <= checks["own time"].cleared


def test_cards_that_are_held_out_are_no_leak(planted: Planted) -> None:
    assert findings(planted.check(HELD_OUT.training_set)) == []


def test_what_holds_its_own_outcome_and_weights_of_the_future_are_caught(planted: Planted) -> None:
    found = planted.check(LEARNT_WRONGLY.training_set, moments=4)["own time"].findings
    remedies = {each.column: each.remedy for each in found}
    assert remedies.keys() == {"category_risk", "weight"}
    assert "It holds the row's own outcome" in remedies["category_risk"]


@pytest.fixture(scope="module")
def together(planted: Planted) -> dict[str, Check]:
    return planted.check(TOGETHER.training_set, moments=16)


def test_columns_that_look_ahead_by_minutes_are_caught(together: dict[str, Check]) -> None:
    found = together["own time"]
    assert {each.column for each in found.findings} == {"is_soon_repeated", "count_an_hour_later"}
    assert found.telling is not None
    assert 0 < found.telling <= found.rows
    assert re.search(
        r"16 moments: \d+ rows at their own prediction time, .* \d+ within 1 hour", found.notes[0]
    )


def test_columns_of_bronze_are_caught_and_the_way_past_silver_is_told(together: dict[str, Check]) -> None:
    assert [each.column for each in together["erasure"].findings] == [
        "all_time_count", "landed_count", "beside_count",
    ]  # fmt: skip
    assert {each.value for each in together["origins"].findings} == {
        "brz_payments__card_transactions -> view_of_bronze -> trn_fraud__together",
        "landing.payments__card_transactions -> trn_fraud__together",
    }


def test_a_model_that_gates_one_table_and_reads_another_is_told(together: dict[str, Check]) -> None:
    [beside] = [each for each in together["origins"].warnings if each.column == "gate_beside_bronze"]
    assert beside.value == "reads brz_payments__card_transactions, and more besides"


def test_columns_without_a_time_and_lags_that_landings_contradict_are_told(
    planted: Planted, together: dict[str, Check]
) -> None:
    seeded, read = sorted(together["origins"].not_erasable, key=lambda told: "read_csv" in told)
    assert "risk" in read
    assert "made of the seed category_risks" in seeded
    assert "read_csv(), which trn_fraud__together reads" in read
    [lag] = [each for each in together["origins"].warnings if each.column != "gate_beside_bronze"]
    assert lag.column == "slv_card_transactions__checked.available_at"
    assert lag.expected == "within the declared lag of 2 seconds"
    console = Console(width=400, file=io.StringIO())
    print_checks(list(together.values()), console, strict=True)
    assert "FAILED origins: cannot be erased: " in console.file.getvalue()
    [python] = planted.check("trn_recommendation")["origins"].not_erasable
    assert python.startswith(
        "affinity_score, affinity_rank: made of the Python model ftr_customer__affinity_scores"
    )
    churn = planted.check("trn_churn")["origins"]
    assert churn.not_erasable == []
    assert churn.notes == ["the seed web_event_types, of which meta.knows_no_future vouches"]


@pytest.mark.parametrize("leak", [BEGINS_EARLY, CHOSEN_LATER, *AT_THE_EDGES], ids=lambda leak: leak.name)
def test_labels_that_break_what_they_declare_are_caught(planted: Planted, leak: Leak) -> None:
    declared = read_training_set(planted.erased.manifest, leak.training_set)
    found = check_labels(declared, planted.erased, planted.project.warehouse, moments=8)
    assert [each.column for each in found.findings] == [leak.column]


@pytest.mark.parametrize("leak", DRAWN_LATER, ids=lambda leak: leak.name)
def test_rows_drawn_by_more_than_the_outcome_are_caught(planted: Planted, leak: Leak) -> None:
    declared = read_training_set(planted.erased.manifest, leak.training_set)
    found = check_labels(declared, planted.erased, planted.project.warehouse, moments=8)
    assert [each.column for each in found.findings] == [leak.column]
    assert found.unchecked == []


def test_labels_that_declare_nothing_are_told(planted: Planted) -> None:
    declared = read_training_set(planted.erased.manifest, "trn_churn")
    declared = replace(declared, window=None, horizon=None, population=None)
    found = check_labels(declared, planted.erased, planted.project.warehouse, moments=1)
    assert found.findings == []
    assert "lbl_churn declares no window, horizon, population" in found.unchecked[0]
    early = replace(declared, window=(timedelta(days=-14), timedelta(days=90)), horizon=timedelta(days=98))
    found = check_labels(early, planted.erased, planted.project.warehouse, moments=1)
    assert {"outcome", "outcome_known_at"} <= {each.column for each in found.findings}


def table_of(connection: duckdb.DuckDBPyConnection, rows: str) -> TrainingSet:
    """A training set of rows of (id, about, first, second, third, prediction_at, split, outcome, feature)."""
    connection.execute("create schema gold")
    connection.execute(
        "create table gold.trn as select *, prediction_at + interval '1 day' as outcome_known_at "
        f"from ({rows}) as rows (id, about, first, second, third, prediction_at, split, outcome, feature)"
    )
    connection.execute("create view gold.lbl as select * exclude (split, feature) from gold.trn")
    view = View("ftr", "gold.ftr", ["about"], None, {}, {}, [], None)
    features = [Features(view, ["feature"], [], "", None, {})]
    return TrainingSet("trn", "gold.trn", ["id"], "gold.lbl", features, [], [], [])


def test_one_event_under_two_keys_in_two_splits_is_a_warning() -> None:
    with duckdb.connect() as connection:
        declared = table_of(
            connection,
            """values
            ('1', 'a', 1, 2, 3, timestamp '2025-01-01', 'train', true, 0),
            ('1 again', 'a', 1, 2, 3, timestamp '2025-03-01', 'test', true, 1),
            ('2', 'a', 4, 5, 6, timestamp '2025-01-02', 'train', false, 0),
            ('2 again', 'a', 4, 5, 6, timestamp '2025-01-05', 'train', false, 0),
            ('3', 'b', 7, 8, 9, timestamp '2025-03-02', 'test', false, 0)""",
        )
        found = check_splits(declared, connection)
    assert found.findings == []
    [warning] = found.warnings
    assert warning.rows == 2
    assert "1 (train); 1 again (test)" in warning.value


def test_an_event_in_other_letters_or_with_other_last_digits_is_the_same_event() -> None:
    with duckdb.connect() as connection:
        declared = table_of(
            connection,
            """values
            ('1', 'a', 'Shop', 0.3::double, 3, timestamp '2025-01-01', 'train', true, 0),
            ('1 again', 'a', 'SHOP ', 0.1::double + 0.2::double, 3, timestamp '2025-03-01', 'test', true, 1),
            ('2', 'b', 'shop', 0.31, 3, timestamp '2025-03-02', 'test', true, 0)""",
        )
        [warning] = check_splits(declared, connection).warnings
    assert "1 (train); 1 again (test)" in warning.value


@pytest.mark.parametrize(
    "feature",
    [
        "case when i >= 27 then 'word ' || i end",
        "[i % 7, (i < 27)::int]",
        "{'one': i % 7, 'two': {'three': [if(i < 27, 'yes', 'no')]}}",
        "if(i < 27, [1], [1, 2])",
        "if(i < 27, map {1: 2}, map {})",
    ],
)
def test_an_outcome_hidden_in_missing_values_lists_and_structs_is_found(feature: str) -> None:
    with duckdb.connect() as connection:
        declared = table_of(
            connection,
            "select i, 'a', 1, 1, 1, timestamp '2025-01-01' + to_days(i::int), 'train', i < 27, "
            f"{feature} from range(900) as t (i)",
        )
        found = check_outcome(declared, connection, {"feature"})
    assert [each.column for each in found.findings] == ["feature"]


@pytest.mark.parametrize(
    ("other", "is_other"),
    [
        ("[1, 2 + 1e-13, null]", False),
        ("[1, 2.1, null]", True),
        ("[1]", True),
        ("null", True),
        ("[1, 2, 3]", True),
    ],
)
def test_lists_differ_but_for_the_last_bits_of_floats(other: str, is_other: bool) -> None:
    condition = differs("a", "DOUBLE[]")
    ours, theirs = (f"(select {each}::double[] as a)" for each in ("[1, 2, null]", other))
    query = f"select {condition} from {ours} as w, {theirs} as e"
    assert duckdb.sql(query).fetchall() == [(is_other,)]


@pytest.mark.parametrize("is_suspected", [False, True])
def test_a_feature_that_tells_the_outcome_is_a_leak_where_it_is_not_cleared(is_suspected: bool) -> None:
    with duckdb.connect() as connection:
        declared = table_of(
            connection,
            "select i, 'a', i, i, i, timestamp '2025-01-01' + to_days(i::int), 'train', i < 27, i "
            "from range(900) as t (i)",
        )
        found = check_outcome(declared, connection, {"feature"} if is_suspected else set())
    assert {each.column for each in found.findings} == ({"feature"} if is_suspected else set())
    told = found.findings if is_suspected else found.warnings
    [feature] = [each for each in told if each.column == "feature"]
    assert "27 rows of the rarer outcome, which proves no more than 84.3%" in feature.value


def test_what_cannot_be_proven_fails_where_one_is_strict() -> None:
    named = Verification(leaks=[Check("origins", not_erasable=["risk: made of the seed averages"])])
    assert (named.has_failed, named.is_proven) == (False, False)
    looked_at = Verification(leaks=[Check("erasure", rows=3)])
    assert (looked_at.has_failed, looked_at.is_proven) == (False, True)
    assert not Verification(unchecked="trn is no training set").is_proven


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("with a as (select 1) select * from a, range(3), gold.b", [("gold", "b")]),
        ("from read_parquet('x')", [("", "read_parquet()")]),
        ("select (select avg(y) from 'outcomes.csv'), * from t", [("", "outcomes.csv"), ("", "t")]),
    ],
)
def test_what_a_query_reads_is_found_wherever_it_stands(code: str, read: list[tuple[str, str]]) -> None:
    assert tables_read(code) == read


def test_at_least_ten_leaks_are_planted() -> None:
    assert len({leak.name for leak in LEAKS}) == len(LEAKS) >= 10


def test_what_is_erased_is_gone_and_rows_stay(planted: Planted) -> None:
    """Otherwise there would be nothing to compare, or no difference to find."""
    at = f"timestamp '{planted.erased.at}'"
    for table in ("slv_card_transactions", "slv_order_lines", "slv_web_events"):
        [(later,)] = planted.query(f"select count(*) from silver.{table} where available_at > {at}")
        [(left,)] = planted.query(
            f"select count(*) from silver.{table} where available_at > {at}", erased=True
        )
        assert (later > 0, left) == (True, 0)
    # Predicted by then, and of an outcome that nobody knew yet.
    unknown = (
        f"from gold.trn_fraud where prediction_at < {at} - interval '2 seconds' and outcome_known_at > {at}"
    )
    whole = planted.query(f"select transaction_id, outcome {unknown} order by all")
    erased = planted.query(f"select transaction_id, outcome {unknown} order by all", erased=True)
    assert len(whole) > 20
    assert erased == [(transaction_id, not outcome) for transaction_id, outcome in whole]


def test_the_moment_chosen_has_something_on_its_way_and_rows_just_before(planted: Planted) -> None:
    declared = read_training_set(planted.erased.manifest, "trn_fraud")
    at, until = choose_moment(planted.project.warehouse, [declared])
    [(pending, before, last)] = planted.query(
        "select count(*) filter (event_at <= moment and available_at > moment), "
        "count(*) filter (event_at < moment and event_at::date = moment::date), "
        "(select max(outcome_known_at) from gold.trn_fraud) "
        f"from silver.slv_card_transactions, (select timestamp '{at}' as moment)"
    )
    assert pending > 0
    assert before > 0
    assert until == last
    [(first,)] = planted.query("select min(prediction_at) from gold.trn_fraud")
    assert 0.7 < (at - first) / (until - first) <= 0.75


# Written out by hand, from silver: nothing here knows of marts, feature views or macros.

Row = dict[str, Any]
WINDOWS = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1), "24h": timedelta(days=1)}
WINDOWS |= {f"{days}d": timedelta(days=days) for days in (7, 30, 90)}


def rows_of(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    relation = connection.sql(sql)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def grouped(rows: list[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def within(events: list[Row], at: datetime, window: str) -> list[Row]:
    return [
        each
        for each in events
        if each["available_at"] <= at and at - WINDOWS[window] < each["event_at"] <= at
    ]


def total(events: list[Row], column: str) -> Decimal:
    return sum((each[column] for each in events), Decimal(0))


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def fraud_features(row: Row, of_card: list[Row], of_merchant: list[Row]) -> Row:
    at = row["prediction_at"]
    expected: Row = {}
    for window in ("5m", "1h", "24h", "7d", "30d"):
        expected[f"transaction_count_{window}"] = len(within(of_card, at, window))
    for window in ("5m", "1h", "24h", "7d"):
        expected[f"amount_sum_{window}"] = total(within(of_card, at, window), "amount")
    for window in ("24h", "7d"):
        recent = within(of_card, at, window)
        expected[f"amount_max_{window}"] = max((each["amount"] for each in recent), default=None)
        expected[f"merchant_distinct_count_{window}"] = len({each["merchant_id"] for each in recent})
    known = [each for each in of_card if each["available_at"] <= at]
    last = max((each["event_at"] for each in known), default=None)
    expected["seconds_since_last"] = (at - last).total_seconds() if last else None
    here = [each for each in known if each["merchant_id"] == row["merchant_id"]]
    expected["pair_transaction_count_90d"] = len(within(here, at, "90d"))
    expected["pair_is_new_merchant"] = not here
    alike = [each for each in within(of_card, at, "90d") if each["category"] == row["category"]]
    expected["habit_category_transaction_count_90d"] = len(alike)
    expected["habit_category_amount_sum_90d"] = total(alike, "amount")
    for window in ("1h", "24h", "7d"):
        expected[f"merchant_transaction_count_{window}"] = len(within(of_merchant, at, window))
    today = within(of_merchant, at, "24h")
    expected["merchant_amount_sum_24h"] = total(today, "amount")
    expected["merchant_card_distinct_count_24h"] = len({each["card_id"] for each in today})
    confirmed = [each for each in of_merchant if each["event_at"] + timedelta(days=45) <= at]
    frauds = sum(each["is_fraud"] for each in confirmed)
    expected["merchant_confirmed_fraud_rate_all"] = share(frauds, len(confirmed))
    return expected


def churn_features(row: Row, lines: list[Row]) -> Row:
    at = row["prediction_at"]
    known = [each for each in lines if each["available_at"] <= at]
    amount = total(known, "line_amount")
    expected: Row = {
        "purchase_count_all": len(known),
        "order_distinct_count_all": len({each["order_id"] for each in known}),
        "amount_sum_all": amount,
        "amount_avg_all": float(amount) / len(known),
        "days_since_last_purchase": (at - max(each["event_at"] for each in known)) / timedelta(days=1),
    }
    for window in ("7d", "30d", "90d"):
        expected[f"purchase_count_{window}"] = len(within(known, at, window))
    for window in ("30d", "90d"):
        recent = within(known, at, window)
        expected[f"order_distinct_count_{window}"] = len({each["order_id"] for each in recent})
        expected[f"amount_sum_{window}"] = total(recent, "line_amount")
    returned = any(
        at <= each["event_at"] < at + timedelta(days=90) and each["available_at"] <= at + timedelta(days=97)
        for each in lines
    )
    return expected | {"outcome": not returned}


def by_hand(planted: Planted, training_set: str) -> list[tuple[str, Any, Any]]:
    """Compute the features of some rows again; return the columns that differ, with both values."""
    with connect(planted.project.warehouse) as connection:
        rows = rows_of(connection, f"from gold.{training_set} order by all")
        sample = random.Random(5).sample(rows, 150)
        if training_set.startswith("trn_fraud"):
            events = rows_of(connection, "from silver.slv_card_transactions")
            of_card, of_merchant = grouped(events, "card_id"), grouped(events, "merchant_id")
            expected = [
                fraud_features(row, of_card[row["card_id"],], of_merchant[row["merchant_id"],])
                for row in sample
            ]
        else:
            sold = "quantity >= 0 and order_id not like 'C%' and order_id not like 'A%'"
            lines = grouped(rows_of(connection, f"from silver.slv_order_lines where {sold}"), "customer_id")
            expected = [churn_features(row, lines[row["customer_id"],]) for row in sample]
    return [
        (column, row[column], value)
        for row, values in zip(sample, expected, strict=True)
        for column, value in values.items()
        if (
            row[column] != pytest.approx(value, rel=1e-12)
            if isinstance(value, float)
            else row[column] != value
        )
    ]


@pytest.mark.parametrize("name", ["trn_fraud", "trn_churn"])
def test_features_are_what_silver_gives_by_hand(planted: Planted, name: str) -> None:
    assert by_hand(planted, name) == []


@pytest.mark.parametrize(
    ("leak", "column"),
    [
        ("self_included", "transaction_count_5m"),
        ("join_on_date", "transaction_count_24h"),
        ("frauds_counted_before_they_are_confirmed", "merchant_confirmed_fraud_rate_all"),
        ("window_that_looks_ahead", "transaction_count_24h"),
    ],
)
def test_leaks_differ_from_what_silver_gives_by_hand(planted: Planted, leak: str, column: str) -> None:
    assert column in {found for found, _, _ in by_hand(planted, f"trn_fraud__{leak}")}


@pytest.mark.usefixtures("builds")
def test_a_macro_that_counts_events_when_they_happen_is_caught(tmp_path: Path, year_landing: Path) -> None:
    project = make_leak_project(tmp_path / "project", year_landing)
    project.change(
        "macros/history/windowed_history.sql",
        "assay._with_end(available_at, 'available_at', relation) }} as _available_at",
        "assay._with_end(event_at, 'available_at', relation) }} as _available_at",
    )
    project.build(["trn_fraud"])
    with connect(project.warehouse) as connection:
        found = check_by_brute_force(
            read_training_set(project.manifest, "trn_fraud"), connection, sample=SAMPLE, seed=1
        )
    assert {"transaction_count_24h", "amount_sum_24h"} <= {each.column for each in found.findings}


def test_find_leaks_only_reads_the_warehouse(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(check.__kwdefaults__, "moments", 4)
    project = planted.project
    before = project.warehouse.read_bytes()
    files = {path for path in project.root.rglob("*") if "__pycache__" not in path.parts}
    with project.entered():
        checks = find_leaks("trn_fraud__statistics_of_all_rows", warehouse=project.warehouse, sample=5)
    assert [(each.check, each.column) for found in checks for each in found.findings] == [
        ("erasure", "scaled_amount"),
        ("own time", "scaled_amount"),
    ]
    assert checks[0].unchecked == []
    assert project.warehouse.read_bytes() == before
    assert {path for path in project.root.rglob("*") if "__pycache__" not in path.parts} == files


def test_what_is_no_training_set_is_refused(planted: Planted) -> None:
    with pytest.raises(Fault, match=r"lbl_fraud is no training set: .* begin with trn_ are"):
        read_training_set(planted.erased.manifest, "lbl_fraud")
    with pytest.raises(Fault, match="There is no model trn_frauds"):
        read_training_set(planted.erased.manifest, "trn_frauds")
    with TemporaryDirectory() as folder:
        empty = Path(folder) / "assay.duckdb"
        duckdb.connect(empty).close()
        with pytest.raises(Fault, match="trn_fraud is not built"):
            choose_moment(empty, [read_training_set(planted.erased.manifest, "trn_fraud")])


def test_a_training_set_without_the_times_of_its_label_is_refused_in_words(tmp_path: Path) -> None:
    warehouse = tmp_path / "assay.duckdb"
    with duckdb.connect(warehouse) as connection:
        connection.execute("create table trn as select 1 as id")
    declared = TrainingSet("trn", "trn", ["id"], "lbl", [], [], [], None, label_name="lbl_renewal")
    with pytest.raises(Fault, match=r"trn must carry the columns prediction_at, .* of its label lbl_renewal"):
        choose_moment(warehouse, [declared])


def test_outcomes_that_could_not_be_scrambled_are_told(planted: Planted) -> None:
    declared = replace(read_training_set(planted.erased.manifest, "trn_fraud"), scramble=None)
    found = check(declared, warehouse=planted.project.warehouse, erased=planted.erased, sample=1, moments=0)
    assert "meta.label.scramble" in found[0].unchecked[0]


def test_arguments_of_macros_are_read_without_running_them() -> None:
    code = """
    {% set windows = ['1h', 'all'] %}
    {{ assay.windowed_history(ref('events'), ['machine'], 'at', measures={'n': ['count']}, windows=windows,
        where=var('which')) }}
    """
    assert calls_of("windowed_history", code) == [
        {
            "relation": Ref("events"),
            "entity_keys": ["machine"],
            "event_at": "at",
            "measures": {"n": ["count"]},
            "windows": ["1h", "all"],
            "where": Unread(),
        }
    ]
    assert calls_of("windowed_history", "select 1") == []


def test_findings_are_told_in_full(planted: Planted) -> None:
    console = Console(width=400, file=io.StringIO())
    checks = planted.check("trn_fraud__split_without_embargo")
    print_checks(list(checks.values()), console)
    text = console.file.getvalue()
    for finding in findings(checks):
        assert finding in text
    for name in CHECKS:
        assert name in text
    assert "Not looked at by outcome: fewer than 20 rows of one outcome" in text
