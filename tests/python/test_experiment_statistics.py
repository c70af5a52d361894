"""What experiments are judged by is what scipy and statsmodels compute; an A/A test hardly ever decides."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy
import pytest
import scipy
from rendered_macros import Macros
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import test_proportions_2indep as compare_proportions
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from assay.core.fault import Fault

ALPHA = 0.05


MACROS = Macros()


def column(sql: str, **columns: Any) -> Any:
    """Return an expression over columns, as DuckDB computes it of all rows."""
    with duckdb.connect() as connection:
        given = {name: numpy.asarray(values) for name, values in columns.items()}
        [size] = {len(values) for values in given.values()}
        connection.register("given", given | {"place": numpy.arange(size)})
        return connection.sql(f"select place, {sql} as found from given order by place").fetchnumpy()["found"]


def squares(values: numpy.ndarray, others: numpy.ndarray | None = None) -> float:
    others = values if others is None else others
    return float(((values - values.mean()) * (others - others.mean())).sum())


def close(found: Any, expected: Any) -> bool:
    return bool(numpy.allclose(numpy.asarray(found, dtype=float), expected, rtol=1e-9, atol=0))


def test_p_values_of_z_are_scipys() -> None:
    z = numpy.concatenate([numpy.linspace(-9, 9, 361), [0.0, 0.66291260736, 5.6568542494, 26.0, 37.0]])
    assert close(column(MACROS.normal_tail("z"), z=z), scipy.special.erfc(abs(z) / math.sqrt(2)))


def test_p_values_of_chi_square_are_scipys() -> None:
    cases = [(x, k) for k in range(1, 12) for x in (0.0, 1e-6, 0.1, 1.0, 3.84, 10.0, 60.0, 400.0)]
    x, k = map(numpy.array, zip(*cases, strict=True))
    assert close(column(MACROS.chi_square_tail("x", "k"), x=x, k=k), scipy.stats.chi2.sf(x, k))


def test_what_is_not_known_has_no_p_value() -> None:
    assert column(MACROS.chi_square_tail("nullif(x, 9)", "k"), x=[9.0], k=[1]).mask.all()
    assert column(MACROS.chi_square_tail("x", "nullif(k, 0)"), x=[9.0], k=[0]).mask.all()
    assert column(MACROS.normal_tail("nullif(z, 9)"), z=[9.0]).mask.all()


def test_a_difference_of_means_is_statsmodels() -> None:
    draw = numpy.random.default_rng(1)
    # Far from 0, where sums of squares would lose their digits.
    one, other = draw.normal(1e6, 3, 400), draw.normal(1e6 + 0.2, 5, 300)
    variance = sum(
        column(MACROS.mean_variance("n", "squares"), n=[len(arm)], squares=[squares(arm)])[0]
        for arm in (one, other)
    )
    difference = float(other.mean() - one.mean())
    z, p = CompareMeans(DescrStatsW(other), DescrStatsW(one)).ztest_ind(usevar="unequal")
    assert close(difference / math.sqrt(variance), z)
    assert close(column(MACROS.normal_tail("z"), z=[difference / math.sqrt(variance)]), p)
    assert close(variance, scipy.stats.sem(one) ** 2 + scipy.stats.sem(other) ** 2)


def test_a_difference_of_proportions_is_statsmodels() -> None:
    counts, sizes = (130, 171), (1000, 1100)
    shares = numpy.divide(counts, sizes)
    variance = column(MACROS.proportion_variance("n", "p"), n=sizes, p=shares).sum()
    expected = compare_proportions(
        counts[1], sizes[1], counts[0], sizes[0], method="wald", compare="diff", correction=False
    )
    z = (shares[1] - shares[0]) / math.sqrt(variance)
    assert close(z, expected.statistic)
    assert close(column(MACROS.normal_tail("z"), z=[z]), expected.pvalue)


def test_the_variance_of_a_ratio_is_that_of_its_linear_part() -> None:
    draw = numpy.random.default_rng(2)
    orders = draw.poisson(3, 500).astype(float)
    amount = orders * draw.gamma(2, 10, 500)
    ratio = amount.sum() / orders.sum()
    found = column(
        MACROS.ratio_variance("n", "ratio", "denominator", "of_amount", "of_orders", "of_both"),
        n=[500],
        ratio=[ratio],
        denominator=[orders.mean()],
        of_amount=[squares(amount)],
        of_orders=[squares(orders)],
        of_both=[squares(amount, orders)],
    )
    assert close(found, scipy.stats.sem((amount - ratio * orders) / orders.mean()) ** 2)


def test_cuped_takes_out_what_the_covariate_tells() -> None:
    draw = numpy.random.default_rng(3)
    before = draw.gamma(2, 10, 800)
    value = before + draw.normal(0, 4, 800)
    coefficient = squares(value, before) / squares(before)
    found = column(
        MACROS.cuped_variance("n", "of_value", "of_before", "of_both", "coefficient"),
        n=[800],
        of_value=[squares(value)],
        of_before=[squares(before)],
        of_both=[squares(value, before)],
        coefficient=[coefficient],
    )
    assert close(found, scipy.stats.sem(value - coefficient * before) ** 2)
    assert found[0] < scipy.stats.sem(value) ** 2 / 10


def test_estimates_of_one_unit_have_no_variance() -> None:
    assert column(MACROS.mean_variance("n", "squares"), n=[1, 0], squares=[0.0, 0.0]).mask.all()
    none = {"n": [0], "squares": [0.0], "coefficient": [0.5]}
    assert column(
        MACROS.cuped_variance("n", "squares", "squares", "squares", "coefficient"), **none
    ).mask.all()
    assert column(MACROS.proportion_variance("n", "p"), n=[0], p=[0.0]).mask.all()
    zeros = {"n": [9], "ratio": [0.0], "mean": [0.0], "squares": [0.0]}
    sql = MACROS.ratio_variance("n", "ratio", "mean", "squares", "squares", "squares")
    assert column(sql, **zeros).mask.all()


@pytest.mark.parametrize(("method", "name"), [("holm", "holm"), ("benjamini_hochberg", "fdr_bh")])
def test_many_p_values_are_corrected_as_statsmodels_does(method: str, name: str) -> None:
    draw = numpy.random.default_rng(4)
    look = numpy.repeat([1, 2, 3], [1, 8, 40])
    p = numpy.round(draw.beta(0.3, 2, len(look)), 2)
    found = column(MACROS.corrected_p_value("p", ["look"], method), p=p, look=look)
    for each in (1, 2, 3):
        assert close(found[look == each], multipletests(p[look == each], method=name)[1])


def test_what_is_no_test_corrects_none() -> None:
    found = column(MACROS.corrected_p_value("nullif(p, 9)", ["true"]), p=[0.01, 9, 0.02])
    assert found.tolist() == pytest.approx([0.02, None, 0.02])


def test_a_correction_that_is_none_is_refused() -> None:
    def refuse(fault: str) -> None:
        raise Fault(fault)

    exceptions = SimpleNamespace(raise_compiler_error=refuse)
    macros = Macros(exceptions=exceptions, model=SimpleNamespace(name="looks"))
    with pytest.raises(Fault, match="no correction bonferroni: there are holm, benjamini_hochberg"):
        macros.corrected_p_value("p", ["look"], "bonferroni")


def test_the_sequential_p_value_is_a_mixture_of_likelihoods() -> None:
    difference, variance, n, expected = 0.3, 0.02, 700, 2000
    mixing = variance * n * (-2 * math.log(ALPHA) + math.log(1 - 2 * math.log(ALPHA))) / expected

    def weighted(effect: float) -> float:
        likelihood = scipy.stats.norm.pdf(difference, effect, math.sqrt(variance))
        return float(likelihood * scipy.stats.norm.pdf(effect, 0, math.sqrt(mixing)))

    mixture, _ = scipy.integrate.quad(weighted, -3, 3, epsabs=0, epsrel=1e-12)
    none = scipy.stats.norm.pdf(difference, 0, math.sqrt(variance))
    sql = MACROS.sequential_p_value("difference", "variance", "n", str(ALPHA), "expected")
    given = {"difference": [difference], "variance": [variance], "n": [n], "expected": [expected]}
    assert close(column(sql, **given), min(1, none / mixture))


def test_the_sequential_interval_leaves_out_what_its_p_value_refuses() -> None:
    given = {"variance": [0.02, 3.0], "n": [50, 90_000], "expected": [2000, 500]}
    half = column(MACROS.sequential_half_width("variance", "n", str(ALPHA), "expected"), **given)
    sql = MACROS.sequential_p_value("difference", "variance", "n", str(ALPHA), "expected")
    assert close(column(sql, difference=half, **given), ALPHA)


def test_a_thousand_tests_of_nothing_hardly_ever_decide() -> None:
    tests, looks, units = 1000, 16, 125
    draw = numpy.random.default_rng(5)
    # Amounts are skewed, as what people spend is.
    values = draw.exponential(20, (2, tests, looks * units))
    ends = units * numpy.arange(1, looks + 1)
    mean = values.cumsum(axis=2)[:, :, ends - 1] / ends
    of_squares = (values**2).cumsum(axis=2)[:, :, ends - 1] - ends * mean**2
    given = {
        "n": numpy.tile(ends, tests),
        "difference": (mean[1] - mean[0]).ravel(),
        "one": of_squares[0].ravel(),
        "other": of_squares[1].ravel(),
    }
    variance = f"({MACROS.mean_variance('n', 'one')} + {MACROS.mean_variance('n', 'other')})"
    once = column(MACROS.normal_tail(f"difference / sqrt({variance})"), **given)
    always = column(MACROS.sequential_p_value("difference", variance, "2 * n", str(ALPHA), "2000"), **given)
    decided_once = (once.reshape(tests, looks) <= ALPHA).any(axis=1).sum()
    decided = (always.reshape(tests, looks) <= ALPHA).any(axis=1).sum()
    # Of 1,000 tests with a chance of 5 % each, more than 70 hardly ever decide.
    assert decided <= 70
    assert decided_once > 150
