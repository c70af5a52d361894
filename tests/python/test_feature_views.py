"""Feature views, labels and training sets are what plain Python makes of silver, at every instant."""

from __future__ import annotations

import hashlib
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brute_force import Event, aggregate, alive, history
from warehouse import Warehouse

from assay.project.warehouse import connect
from example import generate

pytestmark = pytest.mark.usefixtures("builds")

Row = dict[str, Any]
Key = tuple[str, ...]
Columns = dict[str, tuple[str, str, timedelta | None]]

AS_OF = datetime(2025, 10, 15, 12)
DAY = timedelta(days=1)
LENGTHS: dict[str, timedelta | None] = {
    "5m": timedelta(minutes=5),
    **{f"{hours}h": timedelta(hours=hours) for hours in (1, 4, 24)},
    **{f"{days}d": timedelta(days=days) for days in (7, 28, 30, 90)},
    "all": None,
}
TIMES = {"valid_from", "valid_to", "updated_at", "confirmed_at"}
LABEL_COLUMNS = {"prediction_at", "outcome", "outcome_known_at"}
TRAINING_SETS = ["trn_fraud", "trn_churn", "trn_recommendation"]
FRAUD_INPUTS = {"category", "amount", "merchant_latitude", "merchant_longitude"}
SPINES = {
    "trn_fraud": {"transaction_id", "card_id", "merchant_id", *FRAUD_INPUTS},
    "trn_churn": {"churn_id", "customer_id"},
    "trn_recommendation": {"next_purchase_id", "customer_id", "product_id"},
}


def rows(warehouse: Warehouse, sql: str) -> list[Row]:
    with connect(warehouse.path) as connection:
        answer = connection.sql(sql)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of a small company: less would leave no training rows before an embargo of 97 days.

    Some days' order lines land half a year late, long after outcomes that they would have changed were known.
    """
    landing = tmp_path_factory.mktemp("year") / "landing"
    generate(landing, customers=90, days=365, events=9000)
    late = sorted((landing / "erp" / "order_lines").glob("landed_at=2025-04-*"))
    assert len(late) > 5
    for second, folder in enumerate(late):
        folder.rename(folder.with_name(f"landed_at=2025-10-25T03-00-{second:02}"))
    return landing


def build(folder: Path, landing: Path, **variables: str) -> Warehouse:
    warehouse = Warehouse(folder, landing)
    selected = [word for name in TRAINING_SETS for word in ("--select", f"+{name}")]
    warehouse.build(*selected, "--indirect-selection", "cautious", variables=variables)
    return warehouse


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, landing: Path) -> Warehouse:
    return build(tmp_path_factory.mktemp("whole"), landing)


@pytest.fixture(scope="module")
def built_as_of(tmp_path_factory: pytest.TempPathFactory, landing: Path) -> Warehouse:
    return build(tmp_path_factory.mktemp("as_of"), landing, as_of=str(AS_OF))


# --- what silver tells, entity by entity --------------------------------------------------------------------


@dataclass(frozen=True)
class Silver:
    transactions: list[Row]
    sales: list[Row]
    web_events: list[Row]

    @property
    def known_until(self) -> datetime:
        return max(row["available_at"] for row in self.transactions)


@pytest.fixture(scope="module")
def silver(built: Warehouse) -> Silver:
    states: dict[str, list[Row]] = defaultdict(list)
    for state in rows(built, "select * from gold.dim_products"):
        states[state["product_id"]].append(state)
    sales = [
        line
        for line in rows(built, "select * from silver.slv_order_lines")
        if line["order_id"][0] not in "CA" and line["quantity"] >= 0
    ]
    for line in sales:
        held = [
            state["category"]
            for state in states[line["product_id"]]
            if state["valid_from"] <= line["available_at"] < state["valid_to"]
        ]
        line["category"] = held[0] if held else None
    return Silver(
        rows(built, "select * from silver.slv_card_transactions"),
        sales,
        rows(built, "select * from silver.slv_web_events"),
    )


Entities = dict[Key, list[Event]]


def by_entity(events: Iterable[tuple[Key, Event]]) -> Entities:
    entities: Entities = defaultdict(list)
    for key, event in events:
        if None not in key:
            entities[key].append(event)
    return entities


def event_of(row: Row, **values: Any) -> Event:
    return Event(row["event_at"], row["available_at"], {**row, **values})


def cards(silver: Silver) -> Entities:
    return by_entity(((row["card_id"],), event_of(row)) for row in silver.transactions)


def pairs(silver: Silver) -> Entities:
    return by_entity(((row["card_id"], row["merchant_id"]), event_of(row)) for row in silver.transactions)


def categories(silver: Silver) -> Entities:
    used: dict[str, dict[str, datetime]] = defaultdict(dict)
    for row in sorted(silver.transactions, key=lambda row: row["available_at"]):
        used[row["card_id"]].setdefault(row["category"], row["available_at"])
    return by_entity(
        (
            (row["card_id"], category),
            Event(
                row["event_at"],
                max(row["available_at"], known_from),
                {"own": row["amount"] if row["category"] == category else None},
            ),
        )
        for row in silver.transactions
        for category, known_from in used[row["card_id"]].items()
    )


def merchants(silver: Silver) -> Entities:
    nothing = dict.fromkeys(("authorised", "paid", "card", "outcome", "fraud"))
    events = []
    for row in silver.transactions:
        key, at, known_at = (row["merchant_id"],), row["event_at"], row["available_at"]
        values = {"authorised": 1, "paid": row["amount"], "card": row["card_id"]}
        events.append((key, Event(at, known_at, {**nothing, **values})))
        confirmed_at = max(at + 45 * DAY, known_at)
        if confirmed_at <= silver.known_until:
            values = {"outcome": 1, "fraud": 1 if row["is_fraud"] else None}
            events.append((key, Event(at, confirmed_at, {**nothing, **values})))
    return by_entity(events)


def web_event(row: Row) -> Event:
    kinds = {"view": "view", "cart": "cart_addition"}
    signs = {name: 1 if row["event_type"] == kind else None for name, kind in kinds.items()}
    return event_of(row, **signs, sold=None, price_sold=None)


def visitors(silver: Silver) -> Entities:
    return by_entity(((row["customer_id"],), web_event(row)) for row in silver.web_events)


def buyers(silver: Silver) -> Entities:
    return by_entity(((row["customer_id"],), event_of(row)) for row in silver.sales)


def products(silver: Silver) -> Entities:
    looks = [row for row in silver.web_events if row["event_type"] in ("view", "cart_addition")]
    sold = [
        event_of(row, view=None, cart=None, sold=row["quantity"], price_sold=(row["unit_price"] or None))
        for row in silver.sales
    ]
    events = [web_event(row) for row in looks] + sold
    return by_entity(((event.values["product_id"],), event) for event in events)


# --- the columns of each view -------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    keys: Key
    entities: Callable[[Silver], Entities]
    columns: Columns


def named(name: str, source: str, hows: str, windows: str) -> Columns:
    return {
        f"{name}_{how}_{window}": (source, how, LENGTHS[window])
        for how in hows.split()
        for window in windows.split()
    }


VIEWS = {
    "ftr_card__velocity": View(
        ("card_id",),
        cards,
        named("transaction", "*", "count", "5m 1h 24h 7d 30d all")
        | named("amount", "amount", "sum max", "5m 1h 24h 7d 30d")
        | named("merchant", "merchant_id", "distinct_count", "24h 7d")
        | named("transacted_at", "event_at", "last", "all")
        | named("latitude", "merchant_latitude", "last", "all")
        | named("longitude", "merchant_longitude", "last", "all"),
    ),
    "ftr_card_merchant__pairs": View(
        ("card_id", "merchant_id"),
        pairs,
        named("transaction", "*", "count", "90d all")
        | named("amount", "amount", "sum max", "90d all")
        | named("transacted_at", "event_at", "first last", "all"),
    ),
    "ftr_card__categories": View(
        ("card_id", "category"),
        categories,
        named("transaction", "*", "count", "90d")
        | named("category_transaction", "own", "count", "90d")
        | named("category_amount", "own", "sum", "90d"),
    ),
    "ftr_merchant__activity": View(
        ("merchant_id",),
        merchants,
        named("transaction", "authorised", "count", "1h 24h 7d 30d")
        | named("amount", "paid", "sum", "1h 24h 7d 30d")
        | named("card", "card", "distinct_count", "1h 24h 7d 30d")
        | named("outcome", "outcome", "count", "90d all")
        | named("confirmed_fraud", "fraud", "count", "90d all"),
    ),
    "ftr_customer__sessions": View(
        ("customer_id",),
        visitors,
        named("view", "view", "count", "1h 24h")
        | named("cart_addition", "cart", "count", "1h 24h")
        | named("product", "product_id", "distinct_count", "1h 24h"),
    ),
    "ftr_customer__purchases": View(
        ("customer_id",),
        buyers,
        named("purchase", "*", "count", "7d 30d 90d all")
        | named("order", "order_id", "distinct_count", "7d 30d 90d all")
        | named("amount", "line_amount", "sum avg", "7d 30d 90d all")
        | named("purchased_at", "event_at", "first last", "all")
        | named("category", "category", "mode", "90d all"),
    ),
    "ftr_product__demand": View(
        ("product_id",),
        products,
        named("view", "view", "count", "4h 24h 7d 28d")
        | named("cart_addition", "cart", "count", "4h 24h 7d 28d")
        | named("unit", "sold", "sum", "4h 24h 7d 28d")
        | named("price", "price_sold", "min max", "7d 28d"),
    ),
}


@pytest.fixture(scope="module")
def entities(silver: Silver) -> dict[str, Entities]:
    return {name: view.entities(silver) for name, view in VIEWS.items()}


@pytest.mark.parametrize("name", VIEWS)
def test_a_history_is_what_silver_tells_at_every_instant(
    name: str, built: Warehouse, entities: dict[str, Entities]
) -> None:
    view = VIEWS[name]
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in rows(built, f"select * from gold.{name} order by valid_from"):
        assert row.keys() == {*view.keys, *view.columns, *TIMES}
        found[tuple(row[key] for key in view.keys)].append(row)
    assert found.keys() == entities[name].keys()
    # What an entity costs in Python grows with the square of its events.
    short = sorted(key for key, events in entities[name].items() if len(events) <= 120)
    asked = random.Random(name).sample(short, min(12, len(short)))
    states = 0
    for key in asked:
        expected = history(entities[name][key], view.columns)
        assert [
            ({column: row[column] for column in view.columns}, row["valid_from"], row["updated_at"])
            for row in found[key]
        ] == [(state.values, state.valid_from, state.arrivals[-1]) for state in expected]
        states += len(expected)
    assert states > 30
    # A column that never says anything would agree with anything.
    for column in view.columns:
        assert any(row[column] for each in found.values() for row in each), column


# --- training sets ------------------------------------------------------------------------------------------


def known(entities: dict[str, Entities], name: str, key: Key, at: datetime) -> Row:
    """All columns of a view at an instant, from the events that counted then."""
    events = entities[name].get(key, [])
    return {
        column: aggregate(alive(events, at, length), source, how)
        for column, (source, how, length) in VIEWS[name].columns.items()
    }


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def days_between(first: datetime | None, last: datetime) -> float | None:
    return None if first is None else (last - first) / DAY


def kilometres(here: tuple[Any, Any], there: tuple[Any, Any]) -> float:
    """Length of the arc between two places, from the vectors to them."""
    vectors = []
    for latitude, longitude in (here, there):
        north, east = math.radians(latitude), math.radians(longitude)
        vectors.append((math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)))
    (a, b, c), (d, e, f) = vectors
    across = math.hypot(b * f - c * e, c * d - a * f, a * e - b * d)
    return 6371.0088 * math.atan2(across, a * d + b * e + c * f)


def prefixed(prefix: str, values: Row) -> Row:
    return {prefix + name: value for name, value in values.items()}


def fraud_features(row: Row, entities: dict[str, Entities]) -> Row:
    at, card, merchant = row["prediction_at"], row["card_id"], row["merchant_id"]
    velocity = known(entities, "ftr_card__velocity", (card,), at)
    pair = known(entities, "ftr_card_merchant__pairs", (card, merchant), at)
    habit = known(entities, "ftr_card__categories", (card, row["category"]), at)
    activity = known(entities, "ftr_merchant__activity", (merchant,), at)
    last_at = velocity["transacted_at_last_all"]
    seconds = distance = None
    if last_at is not None:
        seconds = (at - last_at).total_seconds()
        there = (velocity["latitude_last_all"], velocity["longitude_last_all"])
        distance = kilometres((row["merchant_latitude"], row["merchant_longitude"]), there)
    average = share(float(velocity["amount_sum_30d"]), velocity["transaction_count_30d"])
    own_share = share(habit["category_transaction_count_90d"], habit["transaction_count_90d"])
    rates = {
        f"confirmed_fraud_rate_{window}": share(
            activity[f"confirmed_fraud_count_{window}"], activity[f"outcome_count_{window}"]
        )
        for window in ("90d", "all")
    }
    return {
        **velocity,
        "seconds_since_last": seconds,
        "kilometres_from_last": distance,
        "kilometres_per_hour": None if not seconds else distance / (seconds / 3600),  # type: ignore[operator]
        "amount_to_average_30d": None if average is None else float(row["amount"]) / average,
        **prefixed("pair_", {**pair, "is_new_merchant": pair["transaction_count_all"] == 0}),
        **prefixed(
            "habit_", {**habit, "share_90d": own_share, "is_unusual_category": (own_share or 0) < 0.02}
        ),
        **prefixed("merchant_", {**activity, **rates}),
    }


def purchase_features(customer: str, at: datetime, entities: dict[str, Entities]) -> Row:
    purchases = known(entities, "ftr_customer__purchases", (customer,), at)
    orders = purchases["order_distinct_count_all"]
    since_first = days_between(purchases["purchased_at_first_all"], at)
    return {
        **purchases,
        "days_since_first_purchase": since_first,
        "days_since_last_purchase": days_between(purchases["purchased_at_last_all"], at),
        "average_order_value": share(float(purchases["amount_sum_all"]), orders),
        "purchase_frequency_30d": None if since_first is None else orders / max(since_first / 30, 1),
    }


def churn_features(row: Row, entities: dict[str, Entities]) -> Row:
    customer, at = row["customer_id"], row["prediction_at"]
    sessions = known(entities, "ftr_customer__sessions", (customer,), at)
    return {**purchase_features(customer, at, entities), **sessions}


def recommendation_features(row: Row, entities: dict[str, Entities]) -> Row:
    customer, product, at = row["customer_id"], row["product_id"], row["prediction_at"]
    demand = known(entities, "ftr_product__demand", (product,), at)
    derived: Row = {"view_trend_4h": share(demand["view_count_4h"] / 4, demand["view_count_24h"] / 24)}
    for window in ("7d", "28d"):
        least, most = demand[f"price_min_{window}"], demand[f"price_max_{window}"]
        derived[f"price_range_{window}"] = None if least is None else most - least
    return {
        **prefixed("product_", {**demand, **derived}),
        **prefixed("customer_", purchase_features(customer, at, entities)),
    }


FEATURES = {
    "trn_fraud": fraud_features,
    "trn_churn": churn_features,
    "trn_recommendation": recommendation_features,
}


# Of Python models and what they embed, which have tests of their own below.
ELSEWHERE = {
    "affinity_score",
    "affinity_rank",
    "customer_described_purchase_count",
    "customer_taste_similarity",
}


def same(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and expected is not None:
        return found == pytest.approx(float(expected), rel=1e-7, abs=1e-7)
    return bool(found == expected) and (found is None) == (expected is None)


@pytest.mark.parametrize("name", TRAINING_SETS)
def test_a_training_row_holds_what_was_known_when_it_was_asked_for(
    name: str, built: Warehouse, entities: dict[str, Entities]
) -> None:
    training = rows(built, f"select * from gold.{name} order by 1")
    features = [
        column
        for column in training[0]
        if column not in {*SPINES[name], *LABEL_COLUMNS, "split", "weight", *ELSEWHERE}
    ]
    assert len(features) > 15
    for row in random.Random(name).sample(training, 200):
        expected = FEATURES[name](row, entities)
        wrong = {
            column: (row[column], expected[column])
            for column in features
            if not same(row[column], expected[column])
        }
        assert not wrong, row
    # A feature that is the same everywhere would be right by chance.
    varied = [column for column in features if len({row[column] for row in training}) > 1]
    assert set(features) - set(varied) <= {"transaction_count_5m"}


def test_affinities_are_those_of_the_last_fit(built: Warehouse) -> None:
    fits = {
        (row["cut_off_at"], row["customer_id"], row["product_id"]): (
            row["affinity_score"],
            row["affinity_rank"],
        )
        for row in rows(built, "select * from gold.ftr_customer__affinity_scores")
    }
    training = rows(built, "select * from gold.trn_recommendation")
    found = [
        (
            (row["prediction_at"], row["customer_id"], row["product_id"]),
            row["affinity_score"],
            row["affinity_rank"],
        )
        for row in training
    ]
    assert found == [(key, *fits.get(key, (0, None))) for key, _, _ in found]
    assert {0.0} < {score for _, score, _ in found}


def test_tastes_are_of_what_was_known_of_what_was_bought(built: Warehouse) -> None:
    descriptions: dict[str, list[tuple[datetime, datetime, Any]]] = defaultdict(list)
    for product, *description in built.query(
        "select replace(document_id, 'product-', ''), valid_from, valid_to, vector::double[] "
        "from gold.doc_chunks inner join gold.doc_embeddings using (chunk_hash) where source = 'catalog'"
    ):
        descriptions[product].append((description[0], description[1], np.array(description[2])))

    def described(product: str, at: datetime) -> Any:
        return next((vector for since, until, vector in descriptions[product] if since <= at < until), None)

    bought = defaultdict(list)
    for customer, product, at in built.query(
        "select customer_id, product_id, available_at from gold.fct_purchases where customer_id is not null"
    ):
        if (vector := described(product, at)) is not None:
            bought[customer].append((at, vector))
    training = rows(built, "select * from gold.trn_recommendation order by 1")
    for row in training:
        at = row["prediction_at"]
        met = [vector for known_at, vector in bought[row["customer_id"]] if known_at <= at]
        vector = described(row["product_id"], at)
        assert row["customer_described_purchase_count"] == len(met)
        expected = None if vector is None or not met else float(np.mean([vector @ each for each in met]))
        assert row["customer_taste_similarity"] == (
            None if expected is None else pytest.approx(expected, abs=2e-6)
        )
    assert len({row["customer_taste_similarity"] for row in training}) > 100


@pytest.mark.parametrize("name", TRAINING_SETS)
def test_outcomes_of_one_split_are_known_before_the_next_begins(name: str, built: Warehouse) -> None:
    training = rows(built, f"select * from gold.{name}")
    splits = {
        split: [row for row in training if row["split"] == split] for split in ("train", "validation", "test")
    }
    filled = [part for part in splits.values() if part]
    assert splits["train"]
    assert splits["test"]
    assert len(filled) == (2 if name == "trn_churn" else 3)
    assert len({row["split"] for row in training}) == len(filled) + 1
    for part, next_part in pairwise(filled):
        assert max(row["outcome_known_at"] for row in part) <= min(row["prediction_at"] for row in next_part)


@pytest.mark.parametrize("name", TRAINING_SETS)
def test_weights_are_fitted_on_the_training_rows_alone(name: str, built: Warehouse) -> None:
    training = rows(built, f"select outcome, split, weight from gold.{name}")
    fitted = [row["outcome"] for row in training if row["split"] == "train"]
    assert set(fitted) == {True, False}
    weights = {outcome: len(fitted) / (2 * fitted.count(outcome)) for outcome in (True, False)}
    assert [row["weight"] for row in training] == [weights[row["outcome"]] for row in training]
    assert 2 * fitted.count(True) != len(fitted)


# --- labels -------------------------------------------------------------------------------------------------


def test_frauds_are_labelled_once_the_statement_has_been_seen(built: Warehouse, silver: Silver) -> None:
    expected = {
        (
            f"{row['card_id']}-{row['transaction_number']}",
            row["event_at"],
            row["is_fraud"],
            max(row["event_at"] + 45 * DAY, row["available_at"]),
        )
        for row in silver.transactions
    }
    known_by_now = {label for label in expected if label[3] <= silver.known_until}
    assert known_by_now < expected
    columns = "transaction_id, prediction_at, outcome, outcome_known_at"
    assert set(built.query(f"select {columns} from gold.lbl_fraud")) == known_by_now


def known_sales(silver: Silver) -> list[Row]:
    return [row for row in silver.sales if row["customer_id"] is not None]


def known_by(sales: list[Row], at: datetime, first: datetime, end: datetime) -> list[Row]:
    return [row for row in sales if row["available_at"] <= at and first <= row["event_at"] < end]


def test_churn_is_ninety_days_of_silence_after_ninety_days_with_a_purchase(
    built: Warehouse, silver: Silver
) -> None:
    sales = known_sales(silver)
    now = max(row["available_at"] for row in silver.sales)
    midnight = datetime(2025, 1, 6)
    expected = set()
    while midnight + 97 * DAY <= now:
        # An event leaves a window at the instant its length is over.
        before = known_by(sales, midnight, midnight - 90 * DAY + timedelta(microseconds=1), midnight)
        after = known_by(sales, midnight + 97 * DAY, midnight, midnight + 90 * DAY)
        stayed = {row["customer_id"] for row in after}
        expected |= {
            (
                f"{customer}@{midnight:%Y-%m-%d}",
                customer,
                midnight,
                customer not in stayed,
                midnight + 97 * DAY,
            )
            for customer in {row["customer_id"] for row in before}
        }
        midnight += 7 * DAY
    columns = "churn_id, customer_id, prediction_at, outcome, outcome_known_at"
    assert set(built.query(f"select {columns} from gold.lbl_churn")) == expected
    assert len({label[2] for label in expected}) > 30


def drawn(candidates: list[str], *words: object) -> str:
    """The candidate that a hash of some words names."""
    digest = hashlib.md5("|".join(map(str, words)).encode(), usedforsecurity=False).digest()
    return candidates[int.from_bytes(digest[8:], "little") % len(candidates)]


def test_next_purchases_are_all_that_were_bought_and_others_drawn_by_a_hash(
    built: Warehouse, silver: Silver
) -> None:
    sales = known_sales(silver)
    now = max(row["available_at"] for row in silver.sales)
    expected = set()
    negatives = 0
    for month in range(2, 13):
        first = datetime(2025, month, 1)
        known_at = first + 35 * DAY
        if known_at > now:
            break
        candidates = sorted({row["product_id"] for row in silver.sales if row["available_at"] <= first})
        customers = {row["customer_id"] for row in sales if row["available_at"] <= first}
        bought = {
            (row["customer_id"], row["product_id"])
            for row in known_by(sales, known_at, first, first + 28 * DAY)
        }
        positives = {
            (buyer, product) for buyer, product in bought if buyer in customers and product in candidates
        }
        others = {
            (buyer, drawn(candidates, first, buyer, product, draw))
            for buyer, product in positives
            for draw in range(4)
        } - bought
        negatives += len(others)
        expected |= {
            (
                f"{buyer}@{product}@{first:%Y-%m-%d}",
                buyer,
                product,
                first,
                (buyer, product) in positives,
                known_at,
            )
            for buyer, product in positives | others
        }
    columns = "next_purchase_id, customer_id, product_id, prediction_at, outcome, outcome_known_at"
    assert set(built.query(f"select {columns} from gold.lbl_next_purchase")) == expected
    positives_in_all = len(expected) - negatives
    assert 3 * positives_in_all < negatives <= 4 * positives_in_all


# --- later knowledge ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAINING_SETS)
def test_what_is_learnt_later_changes_no_row_whose_outcome_was_known(
    name: str, built: Warehouse, built_as_of: Warehouse
) -> None:
    # Splits and weights go by the newest rows, and move with them.
    lasting = f"select * exclude (split, weight) from gold.{name}"
    then = built_as_of.query(f"{lasting} order by 1")
    assert then == built.query(f"{lasting} where outcome_known_at <= '{AS_OF}' order by 1")
    assert 50 < len(then) < built.query(f"select count(*) from gold.{name}")[0][0]


@pytest.mark.parametrize(
    "name", ["fct_purchases", "fct_product_activity", "fct_merchant_activity", "fct_card_category_activity"]
)
def test_facts_are_there_once_they_are_known_and_not_before(
    name: str, built: Warehouse, built_as_of: Warehouse
) -> None:
    then = built_as_of.query(f"select * from gold.{name} order by all")
    assert then == built.query(f"select * from gold.{name} where available_at <= '{AS_OF}' order by all")
    assert 50 < len(then) < built.query(f"select count(*) from gold.{name}")[0][0]
