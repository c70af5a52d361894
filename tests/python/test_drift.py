"""Drift is measured as scipy measures it, and judged so that chance is not taken for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy
import pytest
import scipy
from drift_reference import Sample, expected_psi, expected_shares
from package_project import PackageProject, make_package_project

from assay.core.fault import Fault
from assay.drift.judge import judged, ks_p_value
from assay.drift.limits import Limits
from assay.drift.measure import FeatureDrift
from assay.drift.spec import rows_of

LIMITS = Limits(
    psi_drift=0.2,
    psi_watch=0.1,
    ks_drift=0.2,
    ks_watch=0.1,
    null_drift=0.1,
    null_watch=0.05,
    false_discoveries=0.01,
    fewest_rows=30,
    fewest_windows=3,
    usual_times=1.5,
    usual_deviations=3,
    most_categories=100,
)


def numeric_cases() -> dict[str, tuple[Sample, Sample]]:
    draw = numpy.random.default_rng(7)
    normal = draw.normal(size=1000)
    return {
        "same": (normal, draw.normal(size=700)),
        "shifted": (normal, draw.normal(0.5, size=700)),
        "wider": (normal, draw.normal(0, 3, size=500)),
        "constant": (numpy.full(500, 3.0), numpy.concatenate([numpy.full(200, 3.0), numpy.full(300, 4.0)])),
        "constant_below": (numpy.full(500, 3.0), numpy.full(400, 2.5)),
        "both_constant": (numpy.full(50, 3.0), numpy.full(70, 3.0)),
        "many_zeros": (
            numpy.where(draw.random(2000) < 0.7, 0.0, draw.exponential(size=2000)),
            numpy.where(draw.random(1500) < 0.5, 0.0, draw.exponential(size=1500)),
        ),
        "few_values": (draw.integers(0, 4, 900).astype(float), draw.integers(0, 5, 800).astype(float)),
        "infinite": (numpy.append(normal, [math.inf, -math.inf]), numpy.append(normal[:400], [math.inf] * 9)),
        "one_row": (numpy.array([1.0]), numpy.array([2.0])),
        "many": (draw.normal(size=12_000), draw.normal(0.03, size=11_000)),
        "far_out": (draw.standard_cauchy(3000) * 1e9, draw.standard_cauchy(2000) * 1e9),
        "huge": (numpy.append(normal, [1e150] * 9), numpy.append(normal[:400], [1e150] * 7)),
        "tiny": (draw.integers(-4, 5, 400) * 5e-324, draw.integers(-3, 5, 300) * 5e-324),
        "only_infinite": (numpy.array([math.inf, -math.inf, math.inf]), numpy.array([-math.inf, math.inf])),
        "tenths": (draw.integers(0, 30, 1000) / 10, draw.integers(3, 33, 900) / 10),
    }


@pytest.fixture(scope="module")
def project(builds: None, tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    return make_package_project(tmp_path_factory.mktemp("drift") / "project", models=False)


@pytest.fixture(scope="module")
def drifts(project: PackageProject) -> Callable[[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Runs a macro on pairs of samples, each a column of its own."""

    def run(kind: str, cases: dict[str, Any]) -> dict[str, dict[str, Any]]:
        with duckdb.connect(project.path) as connection:
            for side, name in enumerate(("reference", "current")):
                columns = []
                for case, pair in cases.items():
                    values = [None if value is None else str(value) for value in pair[side]]
                    connection.execute(
                        f"create or replace table {name}_{case} as "
                        "select unnest(range(len($1))) as number, unnest($1::varchar[]) as text",
                        [values],
                    )
                    cast = "text::double" if kind == "numeric" else "text"
                    columns.append(f"select number, '{case}' as name, {cast} as value from {name}_{case}")
                connection.execute(
                    f"create or replace table {name}_{kind} as "
                    f"pivot ({' union all '.join(columns)}) on name in {(*cases, '')} "
                    "using any_value(value) group by number"
                )
        project.write_model(
            f"{kind}_found",
            "{{ config(materialized='table') }} {{ assay."
            f"{kind}_drift('reference_{kind}', 'current_{kind}', {list(cases)!r})" + " }}",
        )
        ran = project.dbt("run", "--select", f"{kind}_found")
        assert ran.returncode == 0, ran.stdout
        return {row["feature"]: row for row in project.rows(f"select * from {kind}_found")}

    return run


def test_numbers_are_compared_as_scipy_does(drifts: Any) -> None:
    cases = numeric_cases()
    found = drifts("numeric", cases)
    for name, (reference, current) in cases.items():
        row = found[name]
        ks = scipy.stats.ks_2samp(reference, current)
        p, q = expected_shares(reference, current)
        assert row["ks"] == pytest.approx(ks.statistic, abs=1e-9), name
        assert row["psi"] == pytest.approx(expected_psi(p, q), abs=1e-9), name
        assert row["js"] == pytest.approx(scipy.spatial.distance.jensenshannon(p, q), abs=1e-9), name
        assert ks_p_value(row["ks"], len(reference), len(current)) == pytest.approx(ks.pvalue, abs=1e-9), name
        for side, sample in (("reference_mean", reference), ("current_mean", current)):
            finite = sample[numpy.isfinite(sample)]
            mean = pytest.approx(finite.mean(), rel=1e-9, abs=1e-9) if len(finite) else None
            assert row[side] == mean, name
    # What quantile bins alone would hide.
    assert found["constant"]["ks"] == pytest.approx(0.6)
    assert found["constant"]["psi"] > 1
    assert found["constant_below"]["psi"] > 1
    assert found["both_constant"]["psi"] == 0


def test_what_is_missing_is_counted_apart(drifts: Any) -> None:
    nan = float("nan")
    cases = {
        "holes": ([1.0, None, nan, 2.0], [None, 1.0, 3.0]),
        "all_null": ([None, None], [1.0, 2.0]),
        "empty": ([], [1.0, 2.0]),
        "only_nan": ([1.0, 2.0], [nan]),
    }
    found = drifts("numeric", cases)
    counts = ("reference_rows", "reference_nulls", "current_rows", "current_nulls")
    # The pivot fills shorter samples with NULL: 4 and 3 rows each.
    assert [found["holes"][name] for name in counts] == [4, 2, 3, 1]
    assert [found["only_nan"][name] for name in counts] == [4, 2, 3, 3]
    assert found["holes"]["ks"] == pytest.approx(0.5)
    for name in ("all_null", "empty", "only_nan"):
        assert [found[name][figure] for figure in ("ks", "psi", "js")] == [None] * 3, name


def test_a_reference_without_rows_tells_nothing(project: PackageProject) -> None:
    for kind in ("numeric", "categorical"):
        call = f"assay.{kind}_drift('(select 1 as x where false)', '(select 2 as x)', ['x'])"
        project.write_model(f"{kind}_empty", "{{ config(materialized='table') }} {{ " + call + " }}")
    ran = project.dbt("run", "--select", "numeric_empty categorical_empty")
    assert ran.returncode == 0, ran.stdout
    for kind in ("numeric", "categorical"):
        [row] = project.rows(f"select * from {kind}_empty")
        assert (row["reference_rows"], row["current_rows"], row["psi"], row["js"]) == (0, 1, None, None)


def test_categories_are_compared_as_scipy_does(drifts: Any) -> None:
    draw = numpy.random.default_rng(3)
    cases = {
        "same": (draw.choice(list("abc"), 900), draw.choice(list("abc"), 700)),
        "shifted": (draw.choice(list("abc"), 900, p=[0.5, 0.3, 0.2]), draw.choice(list("abc"), 700)),
        "unseen": (draw.choice(list("ab"), 300), draw.choice(list("abcd"), 200)),
        "gone": (draw.choice(list("abcd"), 300), draw.choice(list("ab"), 200)),
        "one": (["a"] * 30, ["a"] * 40),
    }
    found = drifts("categorical", cases)
    for name, (reference, current) in cases.items():
        words = sorted({*reference, *current})
        table = [[list(side).count(word) for word in words] for side in (reference, current)]
        p, q = (numpy.array(row) / sum(row) for row in table)
        row = found[name]
        assert row["psi"] == pytest.approx(expected_psi(p, q), abs=1e-9), name
        assert row["js"] == pytest.approx(scipy.spatial.distance.jensenshannon(p, q), abs=1e-9), name
        expected = scipy.stats.chi2_contingency(table, correction=False)
        assert row["chi2"] == pytest.approx(expected.statistic, abs=1e-9), name
        assert row["degrees_of_freedom"] == expected.dof
        unseen = sum(1 for word in current if word not in set(reference)) / len(current)
        assert row["unseen_share"] or pytest.approx(unseen) == 0
    assert found["unseen"]["unseen_share"] > 0.3


# --- verdicts -----------------------------------------------------------------------------------------------


def measured(reference: Sample, current: Sample, name: str = "x") -> FeatureDrift:
    ks = scipy.stats.ks_2samp(reference, current).statistic
    p, q = expected_shares(reference, current)
    return FeatureDrift(
        name, "numeric", len(reference), len(current), 0, 0, expected_psi(p, q), None, ks=float(ks)
    )


def test_of_samples_that_are_alike_none_drifts() -> None:
    draw = numpy.random.default_rng(1)
    found = judged(
        [measured(draw.normal(size=400), draw.normal(size=300), f"x{n}") for n in range(200)], LIMITS
    )
    assert {each.verdict for each in found} == {"stable"}
    # Were p-values not adjusted, some would be called real.
    assert any(each.p_value is not None and each.p_value < 0.01 for each in found)
    assert all(each.adjusted_p_value >= each.p_value for each in found if each.p_value is not None)


def test_what_shifted_drifts_among_many_that_did_not() -> None:
    draw = numpy.random.default_rng(2)
    alike = [measured(draw.normal(size=400), draw.normal(size=300), f"x{n}") for n in range(50)]
    shifted = measured(draw.normal(size=400), draw.normal(1, size=300), "shifted")
    watched = measured(draw.normal(size=4000), draw.normal(0.35, size=3000), "watched")
    verdicts = {each.feature: each.verdict for each in judged([*alike, shifted, watched], LIMITS)}
    assert (verdicts.pop("shifted"), verdicts.pop("watched")) == ("drift", "watch")
    assert set(verdicts.values()) == {"stable"}


@pytest.mark.usefixtures("builds")
def test_a_difference_that_is_real_and_small_is_stable() -> None:
    draw = numpy.random.default_rng(4)
    [found] = judged([measured(draw.normal(size=200_000), draw.normal(0.05, size=200_000))], LIMITS)
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.verdict == "stable"


@pytest.mark.parametrize(
    ("rows", "nulls", "verdict"),
    [
        ((500, 500), (0, 0), "stable"),
        ((500, 500), (0, 40), "watch"),
        ((500, 500), (10, 300), "drift"),
        ((500, 500), (500, 500), "stable"),
        ((500, 500), (500, 0), "drift"),
        ((500, 29), (0, 29), "too few rows"),
        ((0, 500), (0, 0), "too few rows"),
        ((0, 0), (0, 0), "too few rows"),
    ],
)
def test_what_goes_missing_drifts(rows: tuple[int, int], nulls: tuple[int, int], verdict: str) -> None:
    is_present = all(size > missing for size, missing in zip(rows, nulls, strict=True))
    [found] = judged(
        [
            FeatureDrift(
                "x",
                "numeric",
                *rows,
                *nulls,
                0.0 if is_present else None,
                None,
                ks=0.0 if is_present else None,
            )
        ],
        LIMITS,
    )
    assert found.verdict == verdict


# --- what people write --------------------------------------------------------------------------------------


UNTIL = datetime(2025, 4, 10, 12)


@pytest.mark.parametrize(
    ("spec", "start", "end"),
    [
        ("2024", datetime(2024, 1, 1), datetime(2025, 1, 1)),
        ("2024-02", datetime(2024, 2, 1), datetime(2024, 3, 1)),
        ("2024-02-29", datetime(2024, 2, 29), datetime(2024, 3, 1)),
        ("2024-02..2024-03", datetime(2024, 2, 1), datetime(2024, 4, 1)),
        ("2024-02-01T06:00..", datetime(2024, 2, 1, 6), None),
        ("..2024-02-01T06:00:00+02:00", None, datetime(2024, 2, 1, 4)),
        ("30d", UNTIL - timedelta(days=30), UNTIL),
        ("12h", UNTIL - timedelta(hours=12), UNTIL),
    ],
)
def test_periods(spec: str, start: datetime | None, end: datetime | None) -> None:
    rows = rows_of(spec, until=UNTIL)
    assert (rows.start, rows.end) == (start, end)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("soon", "is no choice of rows: write 2025"),
        ("2024-13", "is no choice of rows"),
        ("2025..2024", "ends before it begins"),
    ],
)
def test_what_says_no_rows_is_refused(spec: str, said: str) -> None:
    with pytest.raises(Fault, match=said):
        rows_of(spec, until=UNTIL)
