"""What an experiment has shown is what numpy, scipy and statsmodels make of the same units, look by look."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy
import pyarrow
import pytest
import scipy
from rendered_macros import Macros
from semantic_layer import enum, filter_of, semantic_model, simple_metric

from assay.project.measured import plan_experiments

ORDERS = {
    "model": "fct_orders",
    "key": "customer_id",
    "at": "ordered_at",
    "sql": "amount",
    "agg": "sum",
    "where": [],
}
PLAN: dict[str, Any] = {
    "name": "delivery",
    "entity": "customer",
    "arms": ["control", "free", "cheap"],
    "salt": "delivery",
    "start": "2025-06-01 00:00:00",
    "end": "2025-07-01 00:00:00",
    "attribution": 10 * 86_400,
    "covariate": 5 * 86_400,
    "alpha": 0.05,
    "correction": "holm",
    "expected_units": 1000,
    "metrics": [
        {"name": "revenue", "type": "mean", "parts": [ORDERS]},
        {
            "name": "buyers",
            "type": "proportion",
            "parts": [ORDERS | {"sql": "customer_id", "agg": "count_distinct"}],
        },
        {"name": "order_value", "type": "ratio", "parts": [ORDERS, ORDERS | {"agg": "count"}]},
    ],
}
MACROS = Macros(ref=lambda name: name, var=lambda _, default=None: default)
COLUMNS = "exposure_id, experiment_name, salt, arm, entity, entity_id, weights, event_at"
WEIGHTS = {"control": 2.0, "free": 1.0, "cheap": 1.0}

Rows = dict[tuple[str, str, date], dict[str, Any]]


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "create table exposures (exposure_id varchar, experiment_name varchar, salt varchar, "
            "arm varchar, entity varchar, "
            "entity_id varchar, weights map(varchar, double), event_at timestamp)"
        )
        connection.execute(
            "create table fct_orders (customer_id varchar, amount decimal(18, 2), ordered_at timestamp)"
        )
        yield connection


def expose(connection: Any, entity_id: str, arm: str, at: datetime, **changed: Any) -> None:
    row = {
        "id": f"{entity_id} {at} {arm}",
        "experiment": "delivery",
        "salt": "delivery",
        "entity": "customer",
        "weights": WEIGHTS,
    } | changed
    connection.execute(
        f"insert into exposures ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)",
        [row["id"], row["experiment"], row["salt"], arm, row["entity"], entity_id, row["weights"], at],
    )


def order(connection: Any, customer_id: str, amount: float, at: datetime) -> None:
    connection.execute("insert into fct_orders values (?, ?, ?)", [customer_id, amount, at])


def units(connection: Any, plan: dict[str, Any] = PLAN) -> list[tuple[Any, ...]]:
    connection.execute(
        f"create or replace temp table units as {MACROS.experiment_units('exposures', [plan])}"
    )
    return connection.sql(
        "select metric_name, entity_id, arm, left_out, value, denominator, covariate from units order by all"
    ).fetchall()


def looks(connection: Any, plan: dict[str, Any] = PLAN) -> Rows:
    relation = connection.sql(MACROS.experiment_looks("units", [plan]))
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    return {(row["metric_name"], row["arm"], row["looked_on"]): row for row in rows}


def test_what_units_do_counts_from_their_first_exposure_for_the_time_of_attribution(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    at = datetime(2025, 6, 3, 12)
    expose(warehouse, "1", "free", at)
    expose(warehouse, "1", "free", at + timedelta(days=2))
    second = timedelta(seconds=1)
    for amount, ordered_at in (
        (1, at - timedelta(days=5)),
        (2, at - second),
        (4, at),
        (8, at + timedelta(days=10) - second),
        (16, at + timedelta(days=10)),
        (32, at - timedelta(days=5) - second),
    ):
        order(warehouse, "1", amount, ordered_at)
    expose(warehouse, "2", "control", at)
    order(warehouse, "2", 7, at - second)
    assert units(warehouse) == [
        ("buyers", "1", "free", None, 1, None, 1),
        ("buyers", "2", "control", None, 0, None, 1),
        ("order_value", "1", "free", None, 12, 2, None),
        ("order_value", "2", "control", None, 0, 0, None),
        ("revenue", "1", "free", None, 12, None, 3),
        ("revenue", "2", "control", None, 0, None, 7),
    ]
    assert {row[6] for row in units(warehouse, PLAN | {"covariate": None})} == {None}


def test_units_that_cannot_be_compared_are_left_out_and_told(warehouse: duckdb.DuckDBPyConnection) -> None:
    at = datetime(2025, 6, 3)
    expose(warehouse, "both", "free", at)
    expose(warehouse, "both", "control", at + timedelta(hours=1))
    expose(warehouse, "strange", "blue", at, weights={"blue": 1.0})
    expose(warehouse, "good", "free", at)
    expose(warehouse, "early", "free", datetime(2025, 5, 31))
    expose(warehouse, "late", "free", datetime(2025, 7, 1))
    expose(warehouse, "redrawn", "free", at, salt="delivery-0")
    expose(warehouse, "elsewhere", "free", at, experiment="returns")
    order(warehouse, "x", 1, datetime(2025, 8, 1))
    found = [row[1:4] for row in units(warehouse) if row[0] == "revenue"]
    assert found == [
        ("both", "free", "several arms"),
        ("good", "free", None),
        ("strange", "blue", "unknown arm"),
    ]
    row = looks(warehouse)["revenue", "free", date(2025, 6, 13)]
    assert row["unit_count"] == 1
    assert row["problem"] == (
        "1 unit is left out: exposed to an arm that experiments.yml does not have; "
        "1 unit is left out: exposed to several arms; "
        "weights were changed while it ran, so arms have units of other times: compare with care"
    )


def test_units_of_another_entity_are_left_out_and_told(warehouse: duckdb.DuckDBPyConnection) -> None:
    at = datetime(2025, 6, 3)
    other = {"entity": "courier", "weights": {"control": 1.0, "free": 1.0}}
    expose(warehouse, "1", "free", at)
    expose(warehouse, "1", "control", at - timedelta(hours=1), **other)
    expose(warehouse, "k1", "control", at, **other)
    expose(warehouse, "k2", "control", at, **other)
    order(warehouse, "k1", 1, datetime(2025, 8, 1))
    found = [row[1:4] for row in units(warehouse) if row[0] == "revenue"]
    assert found == [
        ("1", "free", None),
        ("k1", "control", "another entity"),
        ("k2", "control", "another entity"),
    ]
    found_looks = looks(warehouse)
    assert found_looks["revenue", "control", date(2025, 6, 13)]["unit_count"] == 0
    row = found_looks["revenue", "free", date(2025, 6, 13)]
    assert row["unit_count"] == 1
    assert row["problem"] == "2 units are left out: exposed as another entity than experiments.yml says"


def test_an_experiment_without_exposures_says_so(warehouse: duckdb.DuckDBPyConnection) -> None:
    order(warehouse, "x", 1, datetime(2025, 6, 8))
    assert units(warehouse) == []
    found = looks(warehouse)
    assert {(row["looked_on"], row["unit_count"], row["verdict"]) for row in found.values()} == {
        (date(2025, 6, 1), 0, "no exposures")
    }
    assert len(found) == 9
    expose(warehouse, "1", "free", datetime(2025, 6, 3))
    units(warehouse)
    waiting = looks(warehouse)
    assert {row["verdict"] for row in waiting.values()} == {"waiting"}
    assert all("nobody was exposed so long ago" in row["problem"] for row in waiting.values())


def columns_of(rows: list[tuple[Any, ...]], *names: str) -> pyarrow.Table:
    return pyarrow.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def expose_all(connection: Any, exposed: list[tuple[Any, ...]], weights: dict[str, float]) -> None:
    connection.register("exposed", columns_of(exposed, "entity_id", "arm", "event_at"))
    connection.execute(
        f"insert into exposures ({COLUMNS}) "
        "select entity_id, 'delivery', 'delivery', arm, 'customer', entity_id, $1, event_at from exposed",
        [weights],
    )


@pytest.fixture
def many(warehouse: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A thousand units; those in the arm `free` order more, and what units did before tells a part of it."""
    draw = numpy.random.default_rng(11)
    exposed, ordered = [], []
    for number in range(1000):
        arm = str(draw.choice(["control", "free", "cheap"], p=[0.5, 0.25, 0.25]))
        at = datetime(2025, 6, 1) + timedelta(seconds=int(draw.integers(0, 20 * 86_400)))
        exposed.append((str(number), arm, at))
        taste = draw.gamma(1, 10)
        if draw.random() < 0.8:
            ordered.append((str(number), round(taste, 2), at - timedelta(days=1)))
        for _ in range(draw.poisson(2.4 if arm == "free" else 0.8)):
            later = at + timedelta(seconds=int(draw.integers(0, 10 * 86_400)))
            ordered.append((str(number), round(taste + draw.gamma(1, 3), 2), later))
    expose_all(warehouse, exposed, WEIGHTS)
    warehouse.register("ordered", columns_of(ordered, "customer_id", "amount", "ordered_at"))
    warehouse.execute("insert into fct_orders select customer_id, amount, ordered_at from ordered")
    order(warehouse, "x", 1, datetime(2025, 8, 1))
    units(warehouse)
    return warehouse


def taken(connection: Any, metric: str, arm: str, look: date) -> dict[str, numpy.ndarray]:
    """Return what the units of an arm that are ready by a look are compared by."""
    sql = (
        "select value, denominator, covariate from units where metric_name = ? and arm = ? and ready_at <= ?"
    )
    found = connection.execute(sql, [metric, arm, look]).fetchnumpy()
    return {name: numpy.ma.getdata(values) for name, values in found.items()}


LOOK = date(2025, 6, 24)


def test_estimates_and_their_errors_are_those_of_numpy(many: duckdb.DuckDBPyConnection) -> None:
    found = looks(many)
    for arm in PLAN["arms"]:
        mean, share, ratio = (found[metric, arm, LOOK] for metric in ("revenue", "buyers", "order_value"))
        values = taken(many, "revenue", arm, LOOK)["value"]
        assert mean["unit_count"] == len(values) > 50
        assert mean["estimate"] == pytest.approx(values.mean(), rel=1e-9)
        assert mean["estimate_error"] == pytest.approx(scipy.stats.sem(values), rel=1e-9)
        bought = taken(many, "buyers", arm, LOOK)["value"]
        assert share["estimate"] == pytest.approx(bought.mean(), rel=1e-9)
        assert share["estimate_error"] == pytest.approx(bought.std() / math.sqrt(len(bought)), rel=1e-9)
        both = taken(many, "order_value", arm, LOOK)
        numerator, denominator = both["value"], both["denominator"]
        of_sums = numerator.sum() / denominator.sum()
        linear = (numerator - of_sums * denominator) / denominator.mean()
        assert ratio["estimate"] == pytest.approx(of_sums, rel=1e-9)
        assert ratio["estimate_error"] == pytest.approx(scipy.stats.sem(linear), rel=1e-9)


def test_the_order_of_rows_changes_no_digit(many: duckdb.DuckDBPyConnection) -> None:
    found = units(many), looks(many)
    for order in ("hash(customer_id, amount)", "amount desc"):
        many.execute(f"create or replace table fct_orders as from fct_orders order by {order}")
        many.execute("create or replace table exposures as from exposures order by hash(entity_id)")
        assert units(many) == found[0]
        many.execute("create or replace temp table units as from units order by hash(metric_name, entity_id)")
        assert looks(many) == found[1]


def test_differences_are_adjusted_by_what_the_covariate_tells(many: duckdb.DuckDBPyConnection) -> None:
    arms = {arm: taken(many, "revenue", arm, LOOK) for arm in PLAN["arms"]}
    of_both = of_covariate = 0.0
    for arm in arms.values():
        covariate = arm["covariate"]
        of_both += ((arm["value"] - arm["value"].mean()) * (covariate - covariate.mean())).sum()
        of_covariate += ((covariate - covariate.mean()) ** 2).sum()
    adjusted = {name: arm["value"] - of_both / of_covariate * arm["covariate"] for name, arm in arms.items()}
    row = looks(many)["revenue", "free", LOOK]
    difference = adjusted["free"].mean() - adjusted["control"].mean()
    error = math.hypot(*(scipy.stats.sem(adjusted[arm]) for arm in ("free", "control")))
    assert row["adjusted_difference"] == pytest.approx(difference, rel=1e-9)
    assert row["adjusted_error"] == pytest.approx(error, rel=1e-9)
    assert row["variance_reduction"] == pytest.approx(1 - (error / row["difference_error"]) ** 2, rel=1e-6)
    assert row["variance_reduction"] > 0.2
    assert row["single_look_p_value"] == pytest.approx(
        scipy.special.erfc(abs(difference / error) / math.sqrt(2)), rel=1e-9
    )
    assert row["lower_bound"] < row["adjusted_difference"] < row["upper_bound"]


def test_shares_of_arms_are_tested_against_the_weights_of_their_time(many: duckdb.DuckDBPyConnection) -> None:
    row = looks(many)["revenue", "free", LOOK]
    counts = [len(taken(many, "revenue", arm, LOOK)["value"]) for arm in PLAN["arms"]]
    total = sum(counts)
    expected = scipy.stats.chisquare(counts, [total / 2, total / 4, total / 4]).pvalue
    assert row["sample_ratio_p_value"] == pytest.approx(expected, rel=1e-9)
    assert not row["has_sample_ratio_mismatch"]
    # Of a hundred more units, drawn when all had one arm, nothing is out of proportion.
    for number in range(100):
        expose(many, f"late {number}", "free", datetime(2025, 6, 2), weights={"control": 0.0, "free": 1.0})
    units(many)
    row = looks(many)["revenue", "free", LOOK]
    counts[1] += 100
    expected = scipy.stats.chisquare(counts, [total / 2, total / 4 + 100, total / 4]).pvalue
    assert row["sample_ratio_p_value"] == pytest.approx(expected, rel=1e-9)
    assert "weights were changed while it ran" in row["problem"]
    # A hundred that the weights do not explain are a fault of the experiment.
    many.execute("update exposures set weights = ? where entity_id like 'late %'", [WEIGHTS])
    units(many)
    row = looks(many)["revenue", "free", LOOK]
    assert (row["has_sample_ratio_mismatch"], row["verdict"]) == (True, "sample ratio mismatch")


def test_what_was_decided_stays_and_many_tests_are_corrected_together(
    many: duckdb.DuckDBPyConnection,
) -> None:
    found = looks(many)
    days = sorted({look for _, _, look in found})
    assert len(days) == 20
    for metric in ("revenue", "buyers", "order_value"):
        for arm in ("free", "cheap"):
            ps = [found[metric, arm, day]["p_value"] for day in days]
            known = [p for p in ps if p is not None]
            assert known == sorted(known, reverse=True)
    last = [row for (_, arm, look), row in found.items() if look == days[-1] and arm != "control"]
    order_of = sorted(last, key=lambda row: row["p_value"])
    corrected = numpy.maximum.accumulate([min(1, (6 - i) * row["p_value"]) for i, row in enumerate(order_of)])
    assert [row["corrected_p_value"] for row in order_of] == pytest.approx(corrected.tolist(), rel=1e-9)
    verdicts = {(row["metric_name"], row["arm"]): row["verdict"] for row in last}
    assert verdicts["revenue", "free"] == "higher"
    assert {verdict for (_, arm), verdict in verdicts.items() if arm == "cheap"} == {"undecided"}
    assert found["revenue", "control", days[-1]]["verdict"] == "control"


def test_a_ratio_of_few_units_is_not_judged(warehouse: duckdb.DuckDBPyConnection) -> None:
    """One order alone has a value without any variance, whatever the number of units."""
    at = datetime(2025, 6, 2)
    exposed = [(str(number), ["control", "free"][number % 2], at) for number in range(400)]
    expose_all(warehouse, exposed, {"control": 1.0, "free": 1.0})
    for customer, amount in (("0", 10), ("1", 30)):
        order(warehouse, customer, amount, at)
    order(warehouse, "x", 1, datetime(2025, 8, 1))
    units(warehouse)
    row = looks(warehouse)["order_value", "free", date(2025, 6, 12)]
    assert (row["unit_count"], row["difference"]) == (200, pytest.approx(20))
    assert (row["lower_bound"], row["p_value"], row["verdict"]) == (None, None, "undecided")


def test_what_does_not_vary_is_not_judged(warehouse: duckdb.DuckDBPyConnection) -> None:
    at = datetime(2025, 6, 2)
    exposed = [(str(number), ["control", "free"][number % 2], at) for number in range(400)]
    expose_all(warehouse, exposed, {"control": 1.0, "free": 1.0})
    warehouse.execute("insert into fct_orders select entity_id, 0.1, event_at from exposed")
    order(warehouse, "x", 1, datetime(2025, 8, 1))
    units(warehouse)
    for metric in ("revenue", "buyers", "order_value"):
        row = looks(warehouse)[metric, "free", date(2025, 6, 12)]
        assert (row["lower_bound"], row["p_value"], row["verdict"]) == (None, None, "undecided"), metric


def test_no_look_is_later_than_what_is_known(many: duckdb.DuckDBPyConnection) -> None:
    many.execute("delete from fct_orders where ordered_at >= '2025-06-20'")
    units(many)
    assert max(look for _, _, look in looks(many)) == date(2025, 6, 19)


# --- metrics ------------------------------------------------------------------------------------------------


def manifest() -> SimpleNamespace:
    model = semantic_model("model.shop.fct_orders")
    per = SimpleNamespace(
        numerator=SimpleNamespace(name="revenue", filter=None),
        denominator=SimpleNamespace(name="buyers", filter=None),
    )
    metrics = [
        simple_metric("revenue", "amount"),
        simple_metric("order_value", "mean_amount"),
        simple_metric("buyers", "buyers"),
        simple_metric("middle", "middle"),
        simple_metric(
            "large",
            "amount",
            filter=filter_of("{{ Dimension('order__is_large') }}", "{{ Entity('customer') }} <> '7'"),
            measure_filter=filter_of("{{ TimeDimension('order__ordered_at', 'day') }} > '2025-01-01'"),
        ),
        simple_metric(
            "graded", "amount", filter=filter_of("{{ Dimension('order__ordered_at').grain('month') }} > x")
        ),
        simple_metric(
            "elsewhere", "amount", filter=filter_of("{{ Dimension('customer__country') }} = 'France'")
        ),
        simple_metric("by_metric", "amount", filter=filter_of("{{ Metric('revenue', ['customer']) }} > 3")),
        simple_metric("unclosed", "amount", filter=filter_of("{{ Dimension('order__is_large') }")),
        SimpleNamespace(name="per_buyer", type=enum("ratio"), filter=None, type_params=per),
        SimpleNamespace(
            name="large_share",
            type=enum("ratio"),
            filter=filter_of("{{ Entity('order') }} > 5"),
            type_params=SimpleNamespace(
                numerator=SimpleNamespace(
                    name="large", filter=filter_of("{{ Dimension('order__is_large') }}")
                ),
                denominator=SimpleNamespace(name="revenue", filter=None),
            ),
        ),
        SimpleNamespace(name="growth", type=enum("derived"), filter=None, type_params=None),
    ]
    return SimpleNamespace(
        metrics={metric.name: metric for metric in metrics},
        semantic_models={"orders": model},
        nodes={"model.shop.fct_orders": SimpleNamespace(name="fct_orders")},
    )


def declare(tmp_path: Any, metrics: str, entity: str = "customer") -> Any:
    (tmp_path / "experiments.yml").write_text(
        f"experiments:\n  - {{name: delivery, entity: {entity}, arms: {{a: 1, b: 1}}, metrics: {metrics}, "
        "start: 2025-06-01, attribution: 10d}\n"
    )
    return plan_experiments(manifest(), tmp_path)


def test_metrics_are_read_from_the_semantic_layer(tmp_path: Any) -> None:
    plan = declare(tmp_path, "[revenue, order_value, buyers, per_buyer]")
    assert plan.problems == []
    assert plan.models == {"model.shop.fct_orders"}
    [experiment] = plan.experiments
    parts = {
        metric["name"]: (metric["type"], [(part["sql"], part["agg"]) for part in metric["parts"]])
        for metric in experiment["metrics"]
    }
    assert parts == {
        "revenue": ("mean", [("amount", "sum")]),
        "order_value": ("ratio", [("amount", "sum"), ("amount", "count")]),
        "buyers": ("proportion", [("customer_id", "count_distinct")]),
        "per_buyer": ("ratio", [("amount", "sum"), ("customer_id", "count_distinct")]),
    }
    assert {part["key"] for metric in experiment["metrics"] for part in metric["parts"]} == {"customer_id"}


def test_filters_of_metrics_are_read(tmp_path: Any) -> None:
    plan = declare(tmp_path, "[large, graded, large_share]")
    assert plan.problems == []
    [experiment] = plan.experiments
    where = {m["name"]: [part["where"] for part in m["parts"]] for m in experiment["metrics"]}
    large = ["date_trunc('day', (ordered_at)) > '2025-01-01'", "(amount > 10)", "(customer_id) <> '7'"]
    assert where == {
        "large": [large],
        "graded": [["date_trunc('month', (ordered_at)) > x"]],
        "large_share": [[*large, "(order_id) > 5", "(amount > 10)"], ["(order_id) > 5"]],
    }


def test_a_filter_leaves_rows_out_of_a_metric(warehouse: duckdb.DuckDBPyConnection) -> None:
    at = datetime(2025, 6, 3, 12)
    expose(warehouse, "1", "free", at)
    for amount in (5, 20, 30):
        order(warehouse, "1", amount, at + timedelta(hours=amount))
    filtered = ORDERS | {"where": ["amount > 10 or amount is null", "amount < 25"]}
    plan = PLAN | {
        "metrics": [
            {"name": "revenue", "type": "mean", "parts": [filtered]},
            {"name": "share", "type": "ratio", "parts": [filtered, ORDERS]},
        ]
    }
    assert units(warehouse, plan) == [
        ("revenue", "1", "free", None, 20, None, 0),
        ("share", "1", "free", None, 20, 55, None),
    ]


@pytest.mark.parametrize(
    ("metrics", "entity", "said"),
    [
        ("[profit]", "customer", "There is no metric profit: "),
        ("[middle]", "customer", "is a median: experiments read sum"),
        (
            "[elsewhere]",
            "customer",
            "asks for customer__country, and experiments read what the semantic model orders",
        ),
        ("[by_metric]", "customer", "the filter of the metric by_metric cannot be read"),
        ("[unclosed]", "customer", "the filter of the metric unclosed cannot be read"),
        ("[growth]", "customer", "is of type derived"),
        (
            "[revenue]",
            "visitor",
            "not of visitor: the semantic model orders has no such entity: there are order, customer",
        ),
    ],
)
def test_a_metric_that_cannot_be_read_is_told(tmp_path: Any, metrics: str, entity: str, said: str) -> None:
    plan = declare(tmp_path, metrics, entity)
    assert plan.experiments == []
    [problem] = plan.problems
    assert said in problem
    assert problem.startswith("experiments.yml: delivery: ")
