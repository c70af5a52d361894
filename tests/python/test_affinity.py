"""Affinities are what a plain computation gives, to the bit whatever the order, and never change later."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from warehouse import Warehouse

from example import generate
from example.affinity import SCORES, SIGNS, affinity_scores, monthly_cut_offs

Sign = tuple[str, str, int, datetime]
Best = dict[tuple[datetime, str], list[tuple[str, float]]]

START = datetime(2025, 1, 10)
FEBRUARY, MARCH, APRIL = (datetime(2025, month, 1) for month in (2, 3, 4))
MICROSECOND = timedelta(microseconds=1)


def table(signs: Iterable[Sign]) -> pa.Table:
    columns = list(zip(*signs, strict=True)) or [()] * 4
    return pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, SIGNS.types, strict=True)], SIGNS
    )


def fit(signs: Iterable[Sign], *cut_offs: datetime, neighbours: int = 20, products: int = 20) -> pa.Table:
    return affinity_scores(table(signs), cut_offs, neighbours=neighbours, products=products)


def best(scores: pa.Table) -> Best:
    """The products of each cut-off and customer, with their scores, by rank; ranks have no gaps."""
    found: Best = {}
    rows = sorted(
        scores.to_pylist(), key=lambda row: (row["cut_off_at"], row["customer_id"], row["affinity_rank"])
    )
    for row in rows:
        products = found.setdefault((row["cut_off_at"], row["customer_id"]), [])
        products.append((row["product_id"], row["affinity_score"]))
        assert row["affinity_rank"] == len(products)
    return found


def random_signs(seed: int, *, customers: int = 25, products: int = 18, signs: int = 220) -> list[Sign]:
    """Signs over three months; some products and customers are met often, most seldom."""
    chance = random.Random(seed)
    return [
        (
            f"c{int(customers * chance.random() ** 2)}",
            f"p{int(products * chance.random() ** 2)}",
            chance.choice([1, 2, 4]),
            START + chance.random() * timedelta(days=90),
        )
        for _ in range(signs)
    ]


def plainly(signs: Iterable[Sign], cut_off: datetime, *, neighbours: int, products: int) -> Best:
    """The same from the definition: dense matrices, and everything sorted whole."""
    interest: dict[tuple[str, str], int] = {}
    for customer, product, strength, available_at in signs:
        if available_at <= cut_off:
            interest[customer, product] = max(strength, interest.get((customer, product), 0))
    people = sorted({customer for customer, _ in interest})
    things = sorted({product for _, product in interest})
    matrix = np.array(
        [[interest.get((customer, product), 0) for product in things] for customer in people], float
    )
    lengths = np.linalg.norm(matrix, axis=0)
    cosines = matrix.T @ matrix / np.outer(lengths, lengths)
    found = {}
    for customer, row in zip(people, matrix, strict=True):
        scores = {}
        for number, product in enumerate(things):
            near = sorted(range(len(things)), key=lambda other: (-round(cosines[number, other], 7), other))
            likeness = sum(row[other] * cosines[number, other] for other in near[:neighbours])
            scores[product] = round(likeness / row.sum(), 6)
        ordered = sorted(scores, key=lambda product: (-scores[product], product))
        found[cut_off, customer] = [(each, scores[each]) for each in ordered if scores[each] > 0][:products]
    return found


def assert_alike(found: Best, expected: Best) -> None:
    """The same products with the same scores, but for the last decimal; so close, they may change places."""
    assert found.keys() == expected.keys()
    for key, products in found.items():
        assert [score for _, score in products] == pytest.approx(
            [score for _, score in expected[key]], abs=2e-6
        )
        least = products[-1][1] + 3e-6
        assert {each for each, score in products if score > least} == {
            each for each, score in expected[key] if score > least
        }


# --- the fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("neighbours", "products"), [(20, 20), (4, 5), (2, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_the_definition(seed: int, neighbours: int, products: int) -> None:
    signs = random_signs(seed)
    found = best(fit(signs, FEBRUARY, MARCH, APRIL, neighbours=neighbours, products=products))
    expected: Best = {}
    for cut_off in (FEBRUARY, MARCH, APRIL):
        expected |= plainly(signs, cut_off, neighbours=neighbours, products=products)
    assert_alike(found, expected)
    assert len(found) > 40


def test_a_score_worked_out_by_hand() -> None:
    # Norms: tea 5, cup 4, hat 1. Cosines: tea and cup 4 * 4 / (5 * 4), tea and hat 3 * 1 / (5 * 1).
    signs = [("ann", "tea", 4), ("ann", "cup", 4), ("bob", "tea", 3), ("bob", "hat", 1)]
    found = best(fit([(*sign, START) for sign in signs], FEBRUARY))
    assert found[FEBRUARY, "ann"] == [("cup", 0.9), ("tea", 0.9), ("hat", 0.3)]
    assert found[FEBRUARY, "bob"] == [("tea", 0.9), ("hat", 0.7), ("cup", 0.6)]


def test_the_strongest_sign_known_counts_once() -> None:
    others = [("ann", "cup", 2, START), ("bob", "tea", 1, START), ("bob", "hat", 1, START)]
    several = [("ann", "tea", strength, START) for strength in (1, 4, 4, 2)]
    assert fit(several + others, FEBRUARY).equals(fit([several[1], *others], FEBRUARY))
    assert not fit([several[0], *others], FEBRUARY).equals(fit([several[1], *others], FEBRUARY))


def test_customers_are_drawn_to_products_of_their_own_taste() -> None:
    chance = random.Random(3)
    taste = {f"{name}{number:02}": name for name in ("green", "blue") for number in range(30)}
    signs = [
        (
            customer,
            f"{name if chance.random() < 0.85 else chance.choice(['green', 'blue'])}-{chance.randrange(25)}",
            4,
            START,
        )
        for customer, name in taste.items()
        for _ in range(8)
    ]
    bought = {(customer, product) for customer, product, _, _ in signs}
    new = [
        (taste[customer], product.split("-")[0])
        for (_, customer), products in best(fit(signs, FEBRUARY)).items()
        for product, _ in [each for each in products if (customer, each[0]) not in bought][:5]
    ]
    assert len(new) == 300
    assert sum(own == of_product for own, of_product in new) > 0.9 * len(new)


# --- determinism --------------------------------------------------------------------------------------------


def test_the_order_and_the_chunks_of_rows_change_nothing() -> None:
    signs = random_signs(1, customers=700, products=60, signs=6000)
    expected = fit(signs, FEBRUARY, APRIL)
    for seed in range(3):
        random.Random(seed).shuffle(signs)
        parts = [table(signs[:1000]), table([]), table(signs[1000:])]
        scores = affinity_scores(pa.concat_tables(parts), [FEBRUARY, APRIL], neighbours=20, products=20)
        assert scores.equals(expected)


def test_of_equal_scores_the_lower_product_comes_first() -> None:
    signs = [("ann", product, 4, START) for product in ("pear", "fig", "apple", "é", "Zebra")]
    [products] = best(fit(signs, FEBRUARY, products=4)).values()
    assert products == [("Zebra", 1.0), ("apple", 1.0), ("fig", 1.0), ("pear", 1.0)]


def test_similarities_equal_but_for_rounding_are_equal() -> None:
    customers = [f"c{number:02}" for number in range(27)]
    # Both cosines to `tea` are 1 / sqrt(7), but 5 / sqrt(175) is a bit greater as a floating-point number.
    bought = {"tea": customers[:7], "apple": customers[:1], "berry": [*customers[:5], *customers[-20:]]}
    signs = [(customer, product, 1, START) for product, buyers in bought.items() for customer in buyers]
    assert 1 / np.sqrt(7.0) < 5 / np.sqrt(175.0)
    found = best(fit(signs, FEBRUARY, neighbours=2))
    assert dict(found[FEBRUARY, "c06"])["tea"] == 1
    assert dict(found[FEBRUARY, "c01"])["tea"] == pytest.approx((1 + 0) / 2)


# --- knowledge time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("known_until", [MARCH, MARCH + timedelta(days=11), APRIL - MICROSECOND])
def test_what_arrives_later_changes_no_fit(known_until: datetime) -> None:
    signs = random_signs(2)
    kept = [sign for sign in signs if sign[3] <= known_until]
    assert len(kept) < len(signs)
    assert fit(kept, FEBRUARY, MARCH).equals(fit(signs, FEBRUARY, MARCH))
    assert (
        fit(signs, FEBRUARY, MARCH, APRIL)
        .slice(0, fit(kept, FEBRUARY, MARCH).num_rows)
        .equals(fit(kept, FEBRUARY, MARCH))
    )


def test_a_fit_sees_what_was_available_at_its_cut_off_and_nothing_later() -> None:
    signs = [("ann", "cup", 4, FEBRUARY), ("ann", "hat", 4, FEBRUARY + MICROSECOND)]
    assert best(fit(signs, FEBRUARY - MICROSECOND, FEBRUARY)) == {(FEBRUARY, "ann"): [("cup", 1.0)]}


def test_cut_offs_are_the_months_that_began_within_the_data() -> None:
    assert monthly_cut_offs(datetime(2024, 11, 30, 23), datetime(2025, 2, 1)) == [
        datetime(2024, 12, 1),
        datetime(2025, 1, 1),
        datetime(2025, 2, 1),
    ]
    assert monthly_cut_offs(datetime(2025, 2, 1), datetime(2025, 3, 1) - MICROSECOND) == []
    assert monthly_cut_offs(None, None) == []


# --- little, nothing, and nonsense --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signs", "cut_offs"),
    [([], []), ([], [FEBRUARY]), ([("ann", "cup", 4, START)], []), ([("ann", "cup", 4, MARCH)], [FEBRUARY])],
    ids=["nothing", "no signs", "no cut-offs", "no signs yet"],
)
def test_without_data_there_is_an_empty_table(signs: list[Sign], cut_offs: list[datetime]) -> None:
    scores = fit(signs, *cut_offs)
    assert scores.schema == SCORES
    assert scores.num_rows == 0


def test_one_customer_and_one_product() -> None:
    assert best(fit([("ann", "cup", 1, START)], FEBRUARY)) == {(FEBRUARY, "ann"): [("cup", 1.0)]}


def test_a_customer_without_anything_in_common_with_others() -> None:
    signs = [("ann", "cup", 4, START), ("bob", "cup", 4, START), ("eve", "hat", 2, START)]
    assert best(fit(signs, FEBRUARY))[FEBRUARY, "eve"] == [("hat", 1.0)]


@pytest.mark.parametrize("column", SIGNS.names)
def test_signs_with_nulls_are_refused(column: str) -> None:
    row = {**dict(zip(SIGNS.names, ("ann", "cup", 4, START), strict=True)), column: None}
    signs = pa.Table.from_pylist([row], pa.schema([field.with_nullable(True) for field in SIGNS]))
    with pytest.raises(ValueError, match=column):
        affinity_scores(signs, [FEBRUARY], neighbours=20, products=20)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda signs: signs.drop_columns("strength"), KeyError, "strength"),
        (lambda signs: signs.set_column(2, "strength", pa.array([0.5])), ValueError, "truncated"),
        (lambda signs: signs.set_column(2, "strength", pa.array([0])), ValueError, "strength of 1 or more"),
    ],
    ids=["column missing", "half a strength", "no strength"],
)
def test_other_nonsense_is_refused(
    spoil: Callable[[pa.Table], pa.Table], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        affinity_scores(spoil(table([("ann", "cup", 4, START)])), [FEBRUARY], neighbours=20, products=20)


def test_who_lacks_scipy_is_told_what_to_install() -> None:
    code = "import sys; sys.modules['scipy'] = None; import example.affinity"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "scipy is not installed: run `pip install scipy`" in run.stderr


# --- in the warehouse ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The demo of a quarter, of which two months have ended: as much of it as affinities rest on."""
    folder = tmp_path_factory.mktemp("affinity")
    generate(folder / "landing", customers=40, days=80, events=4000)
    warehouse = Warehouse(folder, folder / "landing")
    warehouse.build("--select", "+ftr_customer__affinity", "--indirect-selection", "cautious")
    return warehouse


def scores_in(warehouse: Warehouse, relation: str) -> Best:
    columns = ("cut_off_at", "customer_id", "product_id", "affinity_score", "affinity_rank")
    rows = warehouse.query(f"select {', '.join(columns)} from {relation} order by all")
    assert len(set(rows)) == len(rows)
    return best(pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows]))


def test_the_warehouse_fits_sales_and_visits(built: Warehouse) -> None:
    signs = built.query(
        """
        select customer_id, product_id, 4, available_at from gold.fct_order_lines where line_type = 'sale'
        union all
        select customer_id, product_id, if(event_type = 'view', 1, 2), available_at
        from silver.slv_web_events where event_type in ('view', 'cart_addition')
        """
    )
    about_both = [sign for sign in signs if sign[0] is not None and sign[1] is not None]
    assert 0 < len(about_both) < len(signs)
    expected: Best = {}
    for cut_off in (FEBRUARY, MARCH):
        expected |= plainly(about_both, cut_off, neighbours=20, products=20)
    assert_alike(scores_in(built, "gold.ftr_customer__affinity_scores"), expected)
    assert max(len(products) for products in expected.values()) == 20


def test_the_history_is_at_each_cut_off_what_was_fitted(built: Warehouse) -> None:
    history = """
        (select cut_off_at, history.*
        from (select distinct cut_off_at from gold.ftr_customer__affinity_scores)
        inner join gold.ftr_customer__affinity as history
            on cut_off_at >= valid_from and cut_off_at < valid_to)
    """
    assert scores_in(built, history) == scores_in(built, "gold.ftr_customer__affinity_scores")
    [(ended, reopened)] = built.query(
        """
        select
            count_if(valid_to < '9999-12-31'),
            count(*) - count(distinct (customer_id, product_id, affinity_score, affinity_rank))
        from gold.ftr_customer__affinity
        """
    )
    assert ended > 100
    assert reopened == 0
