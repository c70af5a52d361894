"""What mon_feature_drift is made of: each month is measured as scipy does, and judged by what is usual."""

from __future__ import annotations

import math
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy
import pyarrow
import pytest
import scipy
from drift_reference import Sample, expected_psi, expected_shares
from numpy.typing import NDArray
from package_project import DRIFT_MODELS, PackageProject, Row, make_package_project
from side_packages import OTHER_DUCKDBS, assert_same_tables, environment_with_duckdb

pytestmark = pytest.mark.usefixtures("builds")

NUMBERS = ["load", "level", "part_count_30d", "part_count_all", "gap", "constant", "odd", "nothing"]
CATEGORIES = ["mode", "is_on", "note"]
COLUMNS = ["machine", "site_id", *NUMBERS, *CATEGORIES, "seen_at", "valid_from", "valid_to", "updated_at"]
COLUMNS += ["confirmed_at"]
MACHINES, A_MONTH, MONTHS = 150, 450, range(1, 11)
TRAINED_FROM, TRAINED_TO = datetime(2025, 2, 10), datetime(2025, 4, 20)
_COLUMNS = """
      - {name: machine, data_type: varchar}
      - {name: site_id, data_type: varchar}
      - {name: load, data_type: double}
      - {name: level, data_type: integer}
      - {name: part_count_30d, data_type: bigint}
      - {name: part_count_all, data_type: "decimal(38, 0)"}
      - {name: gap, data_type: double}
      - {name: constant, data_type: double}
      - {name: odd, data_type: double}
      - {name: nothing, data_type: double}
      - {name: mode, data_type: varchar}
      - {name: is_on, data_type: boolean}
      - {name: note, data_type: varchar}
      - {name: seen_at, data_type: timestamp}
      - {name: valid_from, data_type: timestamp}
      - {name: valid_to, data_type: timestamp}
      - {name: updated_at, data_type: timestamp}
      - {name: confirmed_at, data_type: "timestamp[]"}
"""
VIEWS = {
    "ftr_machine__load": "true",
    # As it was known two months before the end.
    "ftr_machine__early": "coalesce(confirmed_at[1], updated_at) < '2025-09-02'",
    "ftr_machine__one": "valid_from = (select min(valid_from) from states)",
    "ftr_machine__none": "false",
}
JUDGED = "(select * from gold.mon_feature_drift where view = 'ftr_machine__load')"


def states_of(month: int, draw: numpy.random.Generator) -> list[tuple[Any, ...]]:
    """The states of a month: in August loads rise and values get lost, September is twice as busy."""
    first = datetime(2025, month, 1)
    is_odd, busy = month == 8, 2 if month == 9 else 1
    rows = []
    for number in range(A_MONTH * busy):
        at = first + timedelta(seconds=int(draw.integers(0, 27 * 86400)), microseconds=number)
        # Some arrive again unchanged, and say so.
        confirmed = [at, at + timedelta(hours=1)] if number % 3 == 0 else None
        odd = draw.choice([math.inf, -math.inf, math.nan, 1e308, -1e308, 0.0, 1.0])
        rows.append(
            (
                f"m{draw.integers(0, MACHINES)}",
                "s",
                float(draw.normal(16 if is_odd else 10, 2)),
                int(draw.integers(0, 5)),
                int(draw.poisson(6 * busy)),
                int(draw.poisson(20 * month)),
                None if draw.random() < (0.7 if is_odd else 0.02) else float(draw.normal()),
                3.0,
                float(odd),
                None,
                str(draw.choice(["cut", "drill", "idle"], p=[0.1, 0.1, 0.8] if is_odd else [0.5, 0.3, 0.2])),
                bool(draw.random() < 0.4),
                f"note {draw.integers(0, 500)}",
                at,
                at,
                at + timedelta(days=1),
                confirmed[-1] if confirmed else at,
                confirmed,
            )
        )
        # What expires opens a state as well, but nothing arrived.
        rows.append(
            (*rows[-1][:2], -100.0, *rows[-1][3:14], at + timedelta(days=1), datetime(9999, 12, 31), at, None)
        )
    return rows


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    root = tmp_path_factory.mktemp("feature_drift") / "project"
    project = make_package_project(
        root, models=False, monitors=DRIFT_MODELS, settings={"drift_rows": 100_000}
    )
    draw = numpy.random.default_rng(11)
    rows = [row for month in MONTHS for row in states_of(month, draw)]
    # The clock: somebody is heard of in November, which is not over.
    rows.append(
        (*rows[0][:13], *[datetime(2025, 11, 3)] * 2, datetime(9999, 12, 31), datetime(2025, 11, 3), None)
    )
    spine = [
        (f"m{number % MACHINES}", at, "train" if at <= TRAINED_TO else "test")
        for number in range(200)
        for at in [TRAINED_FROM + timedelta(days=number)]
    ]
    with duckdb.connect(project.path) as connection:
        kinds = ["varchar"] * 2 + ["double", "integer", "bigint", "decimal(38, 0)"] + ["double"] * 4
        kinds += ["varchar", "boolean", "varchar"] + ["timestamp"] * 4 + ["timestamp[]"]
        typed = [f"{name}::{kind} as {name}" for name, kind in zip(COLUMNS, kinds, strict=True)]
        seen = pyarrow.table(dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)))  # noqa: F841
        connection.execute(f"create table states as select {', '.join(typed)} from seen")
        connection.execute("create table spine (machine varchar, prediction_at timestamp, split varchar)")
        connection.executemany("insert into spine values (?, ?, ?)", spine)
    described = "models:\n"
    for view, condition in VIEWS.items():
        project.write_model(
            view, f"{{{{ config(materialized='table') }}}} select * from states where {condition}"
        )
        meta = "{feature_view: {entity: machine, keys: [machine]}}"
        described += f"  - name: {view}\n    config: {{meta: {meta}}}\n    columns:{_COLUMNS}"
    (project.root / "models" / "_models__models.yml").write_text(described)
    project.write_model(
        "trn_breakdowns",
        "{{ config(materialized='table') }} {{ assay.point_in_time_join('spine', 'prediction_at', [\n"
        "    {'view': 'ftr_machine__load', 'columns': ['load', 'mode']},\n]) }}",
    )
    ran = project.dbt("run")
    assert ran.returncode == 0, ran.stdout
    return project


def states(project: PackageProject, start: datetime, end: datetime) -> list[Row]:
    return project.rows(
        "select * from ftr_machine__load "
        "where coalesce(confirmed_at[1], updated_at) = valid_from "
        f"and valid_from between '{start}' and '{end}'"
    )


def first_of(month: int) -> datetime:
    return datetime(2025, month, 1)


def present(rows: list[Row], feature: str) -> Sample:
    values = [row[feature] for row in rows if row[feature] is not None]
    return numpy.array([float(value) for value in values if not math.isnan(value)])


def assert_measured(row: Row, reference: list[Row], current: list[Row]) -> None:
    """Compare a row with what scipy makes of the states."""
    feature = row["feature"]
    assert (row["reference_rows"], row["window_rows"]) == (len(reference), len(current)), feature
    if feature in NUMBERS:
        before, now = present(reference, feature), present(current, feature)
        missing = [len(rows) - len(values) for rows, values in ((reference, before), (current, now))]
        if len(before) and len(now):
            p, q = expected_shares(before, now)
            assert row["ks"] == pytest.approx(scipy.stats.ks_2samp(before, now).statistic, abs=1e-9), feature
    else:
        kept = [[row[feature] for row in rows if row[feature] is not None] for rows in (reference, current)]
        words = sorted({*kept[0], *kept[1]})
        p, q = (numpy.array([side.count(word) / len(side) for word in words]) for side in kept)
        missing = [len(rows) - len(side) for rows, side in zip((reference, current), kept, strict=True)]
        before = now = numpy.array([])
        assert row["ks"] is None
    shares = [count / len(rows) for count, rows in zip(missing, (reference, current), strict=True)]
    assert row["null_shift"] == pytest.approx(shares[1] - shares[0], abs=1e-9), feature
    if feature == "nothing":
        assert (row["psi"], row["js"], row["ks"]) == (None, None, None)
        return
    assert row["psi"] == pytest.approx(expected_psi(p, q), abs=2e-9), feature
    assert row["js"] == pytest.approx(scipy.spatial.distance.jensenshannon(p, q), abs=2e-9), feature
    if feature in NUMBERS and feature != "odd":
        deviation = before.std(ddof=1)
        shift = (now.mean() - before.mean()) / deviation if deviation else None
        assert row["mean_shift"] == (None if shift is None else pytest.approx(shift, abs=1e-9)), feature


def test_each_month_is_measured_against_those_before_as_scipy_does(project: PackageProject) -> None:
    found = project.rows(f"from {JUDGED} where reference = 'rolling'")
    assert len(found) == len(NUMBERS + CATEGORIES) * len(MONTHS)
    compared = 0
    for row in found:
        month = row["window_from"].month
        assert (row["window"], row["window_to"]) == (f"2025-{month:02}", first_of(month + 1))
        if month > 3:
            reference = states(project, first_of(month - 3), first_of(month) - timedelta(microseconds=1))
            current = states(project, first_of(month), first_of(month + 1) - timedelta(microseconds=1))
            assert_measured(row, reference, current)
            compared += 1
    assert compared == len(NUMBERS + CATEGORIES) * 7


def test_what_a_training_set_trains_on_is_a_reference(project: PackageProject) -> None:
    found = project.rows(f"from {JUDGED} where reference = 'trn_breakdowns'")
    assert {row["feature"] for row in found} == {"load", "mode"}
    reference = states(project, TRAINED_FROM, TRAINED_TO)
    for row in found:
        month = row["window_from"].month
        assert (row["reference_from"], row["reference_to"]) == (TRAINED_FROM, TRAINED_TO)
        current = states(project, first_of(month), first_of(month + 1) - timedelta(microseconds=1))
        assert_measured(row, reference, current)
        assert (row["verdict"] == "trained on") == (month <= 4)
    assert sorted({row["window"] for row in found}) == [f"2025-{month:02}" for month in range(2, 11)]


def verdicts(project: PackageProject) -> dict[tuple[str, str, int], str]:
    return {
        (row["reference"], row["feature"], row["window_from"].month): row["verdict"]
        for row in project.rows(f"from {JUDGED}")
    }


def test_what_shifts_drifts_and_nothing_else(project: PackageProject) -> None:
    found = verdicts(project)
    drifting = {key for key, verdict in found.items() if verdict == "drift"}
    for feature in ("load", "mode", "gap"):
        assert ("rolling", feature, 8) in drifting, feature
    assert {("trn_breakdowns", "load", 8), ("trn_breakdowns", "mode", 8)} <= drifting
    # The months after have August in their reference; nothing that is as ever drifts.
    assert {feature for _, feature, _ in drifting} == {"load", "mode", "gap"}
    assert {month for _, _, month in drifting if month < 8} == set()


def test_a_busier_month_and_windows_without_bound_are_told_apart(project: PackageProject) -> None:
    found = verdicts(project)
    assert found["rolling", "part_count_30d", 9] == "volume"
    assert found["rolling", "part_count_30d", 8] == "stable"
    assert {found["rolling", "part_count_all", month] for month in (7, 8, 9, 10)} <= {"volume", "stable"}


def test_months_without_enough_before_them_are_too_early(project: PackageProject) -> None:
    found = verdicts(project)
    assert {month for (reference, _, month), verdict in found.items() if verdict == "too early"} == set(
        range(1, 7)
    )
    assert {found["rolling", "note", month] for month in (7, 8, 9, 10)} == {"too many categories"}
    assert (
        found["rolling", "nothing", 9]
        == found["rolling", "constant", 9]
        == found["rolling", "odd", 9]
        == "stable"
    )


def test_what_comes_later_changes_nothing_that_was_said(project: PackageProject) -> None:
    known = """select * exclude (view) from gold.mon_feature_drift
        where view = '{}' and "window" <= '2025-08' and reference = 'rolling' order by all"""
    early, late = (project.rows(known.format(f"ftr_machine__{view}")) for view in ("early", "load"))
    assert len(early) == len(NUMBERS + CATEGORIES) * 8
    for one, other in zip(early, late, strict=True):
        assert {key: str(value) for key, value in one.items()} == {
            key: str(value) for key, value in other.items()
        }


def test_a_view_that_no_training_set_is_made_of_has_no_such_reference(project: PackageProject) -> None:
    found = project.rows("from gold.mon_feature_drift where view = 'ftr_machine__early'")
    assert {row["reference"] for row in found} == {"rolling"}


def test_of_many_states_a_sample_is_looked_at_and_the_same_one_again(
    project: PackageProject, tmp_path: Path
) -> None:
    sampled = PackageProject(Path(shutil.copytree(project.root, tmp_path / "project")))
    sampling = ("--select", "mon_drift__trained+", "--vars", "drift_rows: 200")
    sampled.build(*sampling)
    found = sampled.rows(f"from {JUDGED} order by all")
    for row in found:
        assert row["window_arrivals"] == A_MONTH * (2 if row["window"] == "2025-09" else 1)
        assert 140 < row["window_rows"] < 260
    drifting = {(row["feature"], row["window"]) for row in found if row["verdict"] == "drift"}
    assert ("load", "2025-08") in drifting
    sampled.build(*sampling)
    again = sampled.rows(f"from {JUDGED} order by all")
    assert [str(row) for row in again] == [str(row) for row in found]


def test_little_is_too_little(project: PackageProject) -> None:
    assert project.rows("from gold.mon_feature_drift where view = 'ftr_machine__none'") == []
    found = project.rows("from gold.mon_feature_drift where view = 'ftr_machine__one'")
    assert {(row["window_rows"], row["psi"], row["verdict"]) for row in found} == {(1, None, "too early")}


# --- chance -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chances(project: PackageProject) -> NDArray[numpy.float64]:
    """The macros' p-values: of KS and sizes n and m, and of chi-square with degrees of freedom."""
    project.write_model(
        "chances",
        """
        {{ config(materialized='table') }}
        select *, {{ assay._kolmogorov(assay._stephens('ks', 'n', 'm')) }} as p, {{ assay._chernoff('chi2', 'degrees') }} as bound
        from (
            select *, times * degrees as chi2
            from (select unnest([30.0, 60.0, 200.0, 1000.0]) as n, unnest([30.0, 400.0, 90.0, 3000.0]) as m,
                unnest([1.0, 3.0, 9.0, 40.0]) as degrees) as sizes
            cross join (select unnest(range(1, 60)) / 60.0 as ks) as statistics
            cross join (select unnest([0.0, 0.5, 1.5, 3.0, 5.0]) as times) as ratios
        ) as cases
        """,  # noqa: E501
    )
    ran = project.dbt("run", "--select", "chances")
    assert ran.returncode == 0, ran.stdout
    names = ("n", "m", "ks", "p", "chi2", "degrees", "bound")
    rows = project.rows("select * from chances")
    return numpy.array([[float(row[name]) for name in names] for row in rows])


def test_chance_is_estimated_as_scipy_does(chances: NDArray[numpy.float64]) -> None:
    n, m, ks, p, *_ = chances.T
    expected = scipy.stats.kstwo.sf(ks, numpy.round(n * m / (n + m)))
    assert numpy.abs(p - expected).max() < 0.025
    # Small samples too: by the limit alone, chances would be overestimated.
    of_limit = scipy.stats.kstwobign.sf(ks * numpy.sqrt(n * m / (n + m)))
    matter = (expected > 1e-6) & (expected < 0.2)
    off, off_by_limit = (numpy.abs(numpy.log(found[matter] / expected[matter])) for found in (p, of_limit))
    assert matter.sum() > 100
    assert off.max() < off_by_limit.max() / 2


def test_chance_among_categories_is_not_estimated_too_low(chances: NDArray[numpy.float64]) -> None:
    *_, chi2, degrees, bound = chances.T
    expected = scipy.stats.chi2.sf(chi2, degrees)
    assert numpy.all(bound >= expected)
    assert numpy.all(bound[expected < 0.01] <= 20 * expected[expected < 0.01] ** 0.9)
    assert numpy.all(bound <= 1)


def kolmogorov(statistic: float, n: int, m: int) -> float:
    root = math.sqrt(n * m / (n + m))
    x = statistic * (root + 0.12 + 0.11 / root)
    terms = [(-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 5)]
    return 1.0 if x < 0.3 else min(1.0, 2 * sum(terms))


def test_chances_are_of_entities_and_adjusted_over_the_month(project: PackageProject) -> None:
    def machines(rows: list[Row]) -> int:
        return len({row["machine"] for row in rows})

    month = 8
    before = [
        states(project, first_of(each), first_of(each + 1) - timedelta(microseconds=1)) for each in (5, 6, 7)
    ]
    sides = {
        "rolling": ([row for rows in before for row in rows], max(machines(rows) for rows in before)),
        "trn_breakdowns": (trained := states(project, TRAINED_FROM, TRAINED_TO), machines(trained)),
    }
    current = states(project, first_of(month), first_of(month + 1) - timedelta(microseconds=1))
    # Of a month all are adjusted together, whatever their view; the early one has the same states.
    found = [row for row in project.rows("from gold.mon_feature_drift") if row["window_from"].month == month]
    assert {row["view"] for row in found} == {"ftr_machine__load", "ftr_machine__early"}
    chances, adjusted = [], []
    for row in found:
        feature = row["feature"]
        reference, entities = sides[row["reference"]]
        chances.append(kolmogorov(abs(row["null_shift"]), entities, machines(current)))
        adjusted.append(None)
        if row["ks"] is not None:
            sizes = [len(present(rows, feature)) for rows in (reference, current)]
            n, m = min(sizes[0], entities), min(sizes[1], machines(current))
            chances.append(kolmogorov(row["ks"], n, m))
            adjusted.append(row["p_value"])
        elif feature in CATEGORIES:
            kept = [[each[feature] for each in rows] for rows in (reference, current)]
            table = [[side.count(word) for word in sorted({*kept[0], *kept[1]})] for side in kept]
            chi2, _, degrees, _ = scipy.stats.chi2_contingency(table, correction=False)
            sizes = [len(reference), len(current)]
            n, m = min(sizes[0], entities), min(sizes[1], machines(current))
            chi2 *= (n * m / (n + m)) / (sizes[0] * sizes[1] / sum(sizes))
            bound = math.exp(degrees / 2 * (math.log(chi2 / degrees) + 1) - chi2 / 2)
            chances.append(1.0 if chi2 <= degrees else bound)
            adjusted.append(row["p_value"])
    expected = scipy.stats.false_discovery_control(chances)
    compared = [(p, q) for p, q in zip(adjusted, expected, strict=True) if p is not None]
    assert len(compared) == len(found) - sum(row["feature"] == "nothing" for row in found)
    for p, q in compared:
        assert p == pytest.approx(q, rel=1e-4, abs=1e-12)


# --- misuse -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "message"),
    [('{"drift_limits": {"psi": 1}}', "drift_limits has psi: allowed are psi_drift, psi_watch")],
)
def test_limits_that_are_none_are_refused(project: PackageProject, variables: str, message: str) -> None:
    ran = project.dbt("compile", "--select", "mon_feature_drift", "--vars", variables)
    assert ran.returncode != 0
    assert message in " ".join(ran.stdout.split())


def test_limits_can_be_set(project: PackageProject, tmp_path: Path) -> None:
    other = PackageProject(Path(shutil.copytree(project.root, tmp_path / "project")))
    # Values differ by less than 99, and NULLs by less than a million times what is usual.
    limits = '{"drift_limits": {"psi_drift": 99, "ks_drift": 99, "usual_times": 1e6}}'
    ran = other.dbt("run", "--select", "mon_drift__baselines", "mon_feature_drift", "--vars", limits)
    assert ran.returncode == 0, ran.stdout
    assert "drift" not in set(verdicts(other).values())


def test_another_duckdb_measures_and_judges_the_same(project: PackageProject, tmp_path: Path) -> None:
    # The newest refuses to divide by zero, where those before it say NULL.
    newest = OTHER_DUCKDBS[-1]
    other = PackageProject(Path(shutil.copytree(project.root, tmp_path / "project")))
    ran = other.dbt("run", environment=environment_with_duckdb(newest))
    assert ran.returncode == 0, ran.stdout
    judged = {"mon_feature_drift": "gold"}
    tables = [f"{judged.get(name, 'monitoring')}.{name}" for name in DRIFT_MODELS]
    assert_same_tables(other.path, project.path, tables, newest)
