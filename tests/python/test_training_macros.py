"""The macros for training sets, in a project that has Assay as a package: splits, sampling, preprocessing.

dbt builds the models below once. What it compiled is then run by DuckDB on other rows, in another order, with
other threads, and compared.
"""

from __future__ import annotations

import csv
import math
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
from package_project import PackageProject, Row, make_package_project
from side_packages import OTHER_DUCKDBS, assert_same_tables, environment_with_duckdb

pytestmark = pytest.mark.usefixtures("builds")

REFERENCE = Path(__file__).parent / "fixtures" / "preprocessing"
TYPES = {
    "row_id": "varchar",
    "split": "varchar",
    "amount": "decimal(18, 2)",
    "visits": "bigint",
    "flat": "double",
    "kind": "varchar",
    "outcome": "boolean",
}
FITTED = ["prm_rows", "prm_amounts"]
MODELS = {
    "prm_rows": """
        {{ assay.fit_preprocessing(source('training', 'prepared'), {
            'standard_scale': ['amount', 'visits', 'flat'],
            'min_max_scale': ['amount', 'visits', 'flat'],
            'quantile_bin': {'columns': ['amount', 'visits', 'flat'], 'bins': 7},
            'one_hot': {'columns': ['kind'], 'max_categories': 3},
            'target_encode': {
                'columns': ['kind'], 'target': 'outcome', 'smoothing': 12.5, 'folds': 4, 'row_id': 'row_id',
            },
        }) }}""",
    "prm_amounts": """
        {{ assay.fit_preprocessing(source('training', 'prepared'), {
            'target_encode': {
                'columns': ['kind'], 'target': 'amount', 'smoothing': 12.5, 'folds': 4, 'row_id': 'row_id',
            },
        }) }}""",
    "prepared_rows": """
        select
            row_id,
            {% for column in ['amount', 'visits', 'flat'] %}
            {{ assay.standard_scale(column, ref('prm_rows')) }} as {{ column }}_standard,
            {{ assay.min_max_scale(column, ref('prm_rows')) }} as {{ column }}_min_max,
            {{ assay.quantile_bin(column, ref('prm_rows')) }} as {{ column }}_bin,
            {% endfor %}
            {{ assay.one_hot('kind', ref('prm_rows'), ['food', 'fuel', 'travel', "it's"]) }},
            {{ assay.target_encode('kind', ref('prm_rows'), 'row_id') }} as kind_outcome,
            {{ assay.target_encode('kind', ref('prm_amounts'), 'row_id') }} as kind_amount,
            {{ assay.log1p('amount') }} as amount_log1p,
            {{ assay.interact('amount', 'visits') }} as amount_visits
        from {{ source('training', 'prepared') }}""",
    "sampled": """
        select *, {{ assay.downsample('outcome', 2.5, 42, row_id='row_id') }} as weight
        from {{ source('training', 'prepared') }}""",
    "sampled_otherwise": """
        select *, {{ assay.downsample('outcome', 2.5, 43, row_id='row_id') }} as weight
        from {{ source('training', 'prepared') }}""",
    "sampled_training_rows": """
        select *, {{ assay.downsample('outcome', 1, 42, row_id='row_id', where="split = 'train'") }} as weight
        from {{ source('training', 'prepared') }}""",
    "balanced": """
        select
            *,
            {{ assay.balanced_weight('kind') }} as weight,
            {{ assay.balanced_weight('outcome', "split = 'train'") }} as training_weight
        from {{ source('training', 'prepared') }}""",
    "two_parts": """
        select *, {{ assay.temporal_split('seen_at', ['2025-03-01'], none) }} as part
        from {{ source('training', 'moments') }}""",
    "three_parts": """
        select *, {{ assay.temporal_split('seen_at', ['2025-03-01', '2025-06-01T12:00:00.5'], '45d') }}
            as part
        from {{ source('training', 'moments') }}""",
    "parts_by_share": """
        {%- set moments = source('training', 'moments') -%}
        select *, {{ assay.temporal_split('seen_at', [
            assay.share_of_time(moments, 'seen_at', 0.5), assay.share_of_time(moments, 'seen_at', 0.75),
        ], "interval '1 hour'") }} as part
        from {{ moments }}""",
    "shares": """
        select
            {{ assay.share_of_time(source('training', 'moments'), 'seen_at', 0.25) }} as quarter,
            {{ assay.share_of_time(source('training', 'moments'), 'seen_at', 1 / 3) }} as third""",
}


def read(name: str) -> list[dict[str, str]]:
    with (REFERENCE / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


PREPARED = [tuple(row[name] or None for name in TYPES) for row in read("rows.csv")]
SPLIT, FLAT, KIND = (list(TYPES).index(name) for name in ("split", "flat", "kind"))
TRAINED = next(row[0] for row in PREPARED if row[SPLIT] == "train")
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
MOMENTS = [(datetime(2025, 1, 1) + number * DAY,) for number in range(201)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    project = make_package_project(tmp_path_factory.mktemp("training") / "project")
    shutil.rmtree(project.root / "models")
    (project.root / "models").mkdir()
    (project.root / "models" / "sources.yml").write_text(
        "sources: [{name: training, schema: main, tables: [{name: prepared}, {name: moments}]}]"
    )
    for name, sql in MODELS.items():
        project.write_model(name, sql)
    project.create("prepared", ", ".join(map(" ".join, TYPES.items())), PREPARED)
    project.create("moments", "seen_at timestamp", MOMENTS)
    project.build()
    return project


class Trial:
    """The compiled models, on tables of one's own."""

    def __init__(self, project: PackageProject) -> None:
        self.compiled = project.root / "target" / "compiled" / "workshop" / "models"
        self.connection = duckdb.connect()
        self.connection.execute("attach ':memory:' as workshop; use workshop")

    def create(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        columns = TYPES if table == "prepared" else {"seen_at": "timestamp"}
        self.connection.execute(
            f"create or replace table {table} ({', '.join(map(' '.join, columns.items()))})"
        )
        if rows:
            places = ", ".join("?" * len(columns))
            self.connection.executemany(f"insert into {table} values ({places})", rows)

    def build(self, *names: str) -> None:
        for name in names:
            sql = (self.compiled / f"{name}.sql").read_text()
            self.connection.execute(f"create or replace table {name} as {sql}")

    def rows(self, sql: str) -> list[Row]:
        relation = self.connection.sql(sql)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    def by_id(self, table: str) -> dict[str, Row]:
        return {row["row_id"]: row for row in self.rows(f"from {table}")}


@pytest.fixture
def trial(project: PackageProject) -> Iterator[Trial]:
    trial = Trial(project)
    trial.create("prepared", PREPARED)
    yield trial
    trial.connection.close()


def with_other(index: int, value: Any, chosen: Any) -> list[tuple[Any, ...]]:
    """The rows, of which those chosen have another value."""
    return [(*row[:index], value(row), *row[index + 1 :]) if chosen(row) else row for row in PREPARED]


# --- preprocessing ------------------------------------------------------------------------------------------


def test_rows_are_prepared_as_scikit_learn_does(project: PackageProject) -> None:
    made = {row["row_id"]: row for row in project.rows("from prepared_rows")}
    expected = read("expected.csv")
    assert len(made) == len(expected) == 501
    for row in expected:
        for name, text in row.items():
            if name == "row_id":
                continue
            value = made[row["row_id"]][name]
            if not text:
                assert value is None, (row["row_id"], name)
            elif re.search("_(bin|food|fuel|travel|other)$", name):
                assert value == float(text), (row["row_id"], name)
            else:
                assert value == pytest.approx(float(text), rel=1e-12, abs=1e-12), (row["row_id"], name)


def test_a_column_of_one_value_is_scaled_to_nil_and_has_one_bin(project: PackageProject) -> None:
    rows = project.rows("from prepared_rows join prepared using (row_id) where split = 'train'")
    assert {(row["flat_standard"], row["flat_min_max"], row["flat_bin"]) for row in rows} == {(0.0, 0.0, 0)}


def test_every_category_is_in_one_column_and_null_in_none(project: PackageProject) -> None:
    columns = ["kind_food", "kind_fuel", "kind_travel", "kind_it_s", "kind_other"]
    for row in project.rows("from prepared_rows join prepared using (row_id)"):
        assert sum(row[column] for column in columns) == (row["kind"] is not None)
    # It is listed, but too rare to have been fitted.
    assert project.rows("select max(kind_it_s) as most from prepared_rows") == [{"most": 0}]


def test_a_value_beyond_the_training_rows_is_in_the_first_or_last_bin(trial: Trial) -> None:
    trial.build(*FITTED)
    trial.create(
        "prepared", [("low", "test", -0.5, -9, 0, None, None), ("high", "test", 1e9, 99, 0, None, None)]
    )
    trial.build("prepared_rows")
    made = trial.by_id("prepared_rows")
    assert (made["low"]["amount_bin"], made["high"]["amount_bin"]) == (0, 6)
    visits = trial.rows("select count(*) as n from prm_rows where feature = 'visits' and parameter = 'edge'")
    assert (made["low"]["visits_bin"], made["high"]["visits_bin"]) == (0, visits[0]["n"])


def test_an_edge_belongs_to_the_bin_above_it(project: PackageProject) -> None:
    edges = project.rows(
        "select value from prm_rows where feature = 'amount' and parameter = 'edge' order by 1"
    )
    assert len(edges) == 6
    for number, edge in enumerate(edges, start=1):
        found = project.rows(
            "select distinct amount_bin from prepared_rows join prepared using (row_id) "
            f"where amount::double = {edge['value']!r}"
        )
        assert found == [{"amount_bin": number}]


def test_most_rows_at_the_greatest_value_still_make_a_bin_of_it(trial: Trial) -> None:
    trial.create("prepared", [(str(n), "train", int(n > 9), 0, 0, None, True) for n in range(101)])
    trial.build(*FITTED, "prepared_rows")
    bins = Counter(row["amount_bin"] for row in trial.rows("from prepared_rows"))
    assert bins == {0: 10, 1: 91}


def test_what_is_not_for_training_changes_no_parameter(trial: Trial) -> None:
    trial.build(*FITTED)
    before = [trial.rows(f"from {name}") for name in FITTED]
    other = ("other", "validation", "9999999.99", "99999", "-5", "only here", "true")
    changed = [row if row[SPLIT] == "train" else (row[0], *other[1:]) for row in PREPARED]
    trial.create("prepared", [*changed, other, ("unsplit", None, *other[2:])])
    trial.build(*FITTED)
    assert [trial.rows(f"from {name}") for name in FITTED] == before
    trial.create("prepared", [*PREPARED, ("one more", "train", *other[2:])])
    trial.build(*FITTED)
    assert all(trial.rows(f"from {name}") != rows for name, rows in zip(FITTED, before, strict=True))


def test_a_training_row_never_sees_its_own_target(trial: Trial) -> None:
    trial.build(*FITTED, "prepared_rows")
    before = trial.by_id("prepared_rows")
    training = [row for row in PREPARED if row[SPLIT] == "train" and row[KIND]]
    # One that is alone with its category, and some of each.
    chosen = [row[0] for row in training if row[KIND] == "once"] + [row[0] for row in training[::50]]
    assert len(chosen) > 5
    trial.connection.execute("create table original as from prepared")
    for row_id in chosen:
        trial.connection.execute("create or replace table prepared as from original")
        trial.connection.execute(
            "update prepared set outcome = not outcome, amount = 1e6 where row_id = ?", [row_id]
        )
        trial.build(*FITTED, "prepared_rows")
        after = trial.by_id("prepared_rows")
        for column in ("kind_outcome", "kind_amount"):
            assert after[row_id][column] == before[row_id][column], (row_id, column)
            assert any(after[other][column] != before[other][column] for other in after)


def test_an_unseen_category_has_the_mean_of_all(project: PackageProject) -> None:
    rows = project.rows("from prepared_rows join prepared using (row_id) where kind = 'unseen'")
    mean = project.rows(
        "select count(*) filter (outcome) / count(*) as mean from prepared where split = 'train'"
    )
    assert len(rows) == 5
    assert {row["kind_outcome"] for row in rows} == {mean[0]["mean"]}


def test_parameters_are_the_same_to_the_bit_in_any_order_and_with_any_threads(trial: Trial) -> None:
    """Values of such different sizes that the last bits of a sum depend on its order."""
    chance = random.Random(3)
    trial.connection.execute(
        "create or replace table prepared as select i::varchar as row_id, 'train' as split, "
        "exp(20 * sin(i * i)) as amount, exp(30 * cos(i)) as visits, 0.1 as flat, (i % 97)::varchar as kind, "
        "i % 7 = 0 as outcome from range(300000) as r (i)"
    )
    found = set()
    for threads in (1, 2, 4, 2):
        trial.connection.execute(f"set threads = {threads}")
        trial.build(*FITTED)
        found.add(str([trial.rows(f"from {name}") for name in FITTED]))
        trial.connection.execute(
            f"create or replace table prepared as from prepared order by md5(row_id || '{chance.random()}')"
        )
    assert len(found) == 1


def test_where_nothing_could_be_learned_nothing_is_said(trial: Trial) -> None:
    trial.create("prepared", with_other(SPLIT, lambda row: "test", lambda row: True))
    trial.build(*FITTED, "prepared_rows")
    unknown = ["amount_standard", "amount_min_max", "kind_outcome", "kind_amount"]
    rows = trial.rows("from prepared_rows")
    assert len(rows) == 501
    assert {row[column] for row in rows for column in unknown} == {None}
    trial.create("prepared", [])
    trial.build(*FITTED, "prepared_rows")
    assert trial.rows("from prepared_rows") == []


@pytest.mark.parametrize(
    "method", ["standard_scale", "min_max_scale", "quantile_bin", "one_hot", "target_encode"]
)
@pytest.mark.parametrize("rows", [PREPARED, []])
def test_a_column_that_was_not_fitted_is_an_error(
    trial: Trial, method: str, rows: list[tuple[Any, ...]]
) -> None:
    trial.create("prepared", rows)
    trial.build(*FITTED)
    trial.connection.execute(f"delete from prm_rows where method = '{method}'")
    with pytest.raises(
        duckdb.Error, match=f"{method}: .*prm_rows.* has no parameters of (amount|visits|flat|kind)"
    ):
        trial.build("prepared_rows")


def test_rows_split_otherwise_than_when_they_were_fitted_are_an_error(trial: Trial) -> None:
    trial.build(*FITTED)
    trial.connection.execute("update prm_rows set key = 'visits' where parameter = 'folds'")
    with pytest.raises(duckdb.Error, match=r"target_encode: .* has no parameters of kind"):
        trial.build("prepared_rows")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_value_that_is_not_finite_is_an_error(trial: Trial, value: str) -> None:
    trial.create("prepared", with_other(FLAT, lambda row: value, lambda row: row[0] == TRAINED))
    with pytest.raises(duckdb.Error, match="the training rows have a flat that is not finite"):
        trial.build("prm_rows")


def test_a_row_without_id_is_an_error(trial: Trial) -> None:
    trial.create("prepared", with_other(0, lambda row: None, lambda row: row[0] == TRAINED))
    for name in ("prm_rows", "sampled"):
        with pytest.raises(duckdb.Error, match="row_id is NULL"):
            trial.build(name)


def test_log1p_is_exact_for_the_smallest_values_too(trial: Trial) -> None:
    trial.build(*FITTED)
    trial.connection.execute("alter table prepared alter amount type double")
    for value in (0.0, 1e-300, 1e-17, 1e-12, 3e-9, 0.1, 1.0, 12345.678, -0.999):
        trial.connection.execute(f"update prepared set amount = {value!r}")
        trial.build("prepared_rows")
        made = trial.rows("select distinct amount_log1p as made from prepared_rows")
        assert made == [{"made": pytest.approx(math.log1p(value), rel=1e-15, abs=0)}]


def test_an_interaction_is_the_product(project: PackageProject) -> None:
    rows = project.rows("from prepared_rows join prepared using (row_id)")
    assert any(row["visits"] is None for row in rows)
    for row in rows:
        expected = None if row["visits"] is None else float(row["amount"]) * row["visits"]
        assert row["amount_visits"] == expected


# --- sampling -----------------------------------------------------------------------------------------------


def test_weights_of_the_negatives_that_are_kept_add_up_to_all(project: PackageProject) -> None:
    rows = project.rows("from sampled")
    positives = [row for row in rows if row["outcome"]]
    negatives = [row for row in rows if not row["outcome"]]
    kept = [row for row in negatives if row["weight"] is not None]
    assert {row["weight"] for row in positives} == {1.0}
    assert len(kept) == math.ceil(Fraction(5, 2) * len(positives)) < len(negatives)
    assert {row["weight"] for row in kept} == {len(negatives) / len(kept)}
    assert sum(row["weight"] for row in kept) == pytest.approx(len(negatives), rel=1e-13)


def test_the_sample_depends_on_seed_and_row_alone(trial: Trial) -> None:
    def kept(table: str) -> dict[str, float]:
        trial.build(table)
        return {row["row_id"]: row["weight"] for row in trial.rows(f"from {table} where weight is not null")}

    first, otherwise = kept("sampled"), kept("sampled_otherwise")
    assert len(first) == len(otherwise)
    assert first.keys() != otherwise.keys()
    for threads in (1, 4):
        trial.connection.execute(f"set threads = {threads}")
        trial.create("prepared", random.Random(threads).sample(PREPARED, len(PREPARED)))
        assert kept("sampled") == first


def test_instants_that_identify_rows_draw_the_same_ones_in_every_time_zone(trial: Trial) -> None:
    trial.connection.execute(
        "create or replace table prepared as select * replace ("
        "timestamptz '1850-03-01 00:00:00+00' + to_hours(100 * row_number() over ()) as row_id, "
        "timestamptz '2025-01-01 00:00:00+00' + to_hours(length(kind)) as kind) from prepared"
    )
    tables = [*FITTED, "prepared_rows", "sampled"]
    found = []
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        trial.connection.execute(f"set TimeZone = '{zone}'")
        trial.build(*tables)
        found.append([trial.rows(f"select * from {table} order by all") for table in tables])
    assert found[0] == found[1] == found[2]
    assert len({row["kind_outcome"] for row in found[0][2]}) > len({row["kind"] for row in found[0][3]})


def test_instants_within_what_identifies_rows_are_refused(trial: Trial) -> None:
    trial.connection.execute(
        "create or replace table prepared as select * replace ([now(), now()] as row_id) from prepared"
    )
    with pytest.raises(duckdb.Error, match=r"row_id.* holds times with a time zone, .* give as_utc of each"):
        trial.build("sampled")


def test_rows_outside_the_condition_are_neither_counted_nor_dropped(project: PackageProject) -> None:
    rows = project.rows("from sampled_training_rows")
    training = [row for row in rows if row["split"] == "train"]
    positives = sum(row["outcome"] for row in training)
    kept = [row["weight"] for row in training if not row["outcome"] and row["weight"]]
    assert len(kept) == positives
    assert sum(kept) == pytest.approx(len(training) - positives, rel=1e-13)
    assert {row["weight"] for row in rows if row["split"] != "train"} == {1.0}


def test_few_negatives_are_all_kept_and_one_stands_for_all_where_there_is_no_positive(trial: Trial) -> None:
    def weights(outcomes: list[bool | None]) -> list[float | None]:
        trial.create("prepared", [(str(n), "train", 0, 0, 0, "a", o) for n, o in enumerate(outcomes)])
        trial.build("sampled")
        return [row["weight"] for row in trial.rows("from sampled")]

    assert weights([True, False, False]) == [1.0, 1.0, 1.0]
    assert Counter(weights([False] * 10)) == {10.0: 1, None: 9}
    assert weights([True, None]) == [1.0, None]
    assert weights([]) == []


def test_balanced_labels_weigh_the_same_in_all(trial: Trial) -> None:
    def weights(*rows: tuple[str, str | None, bool | None]) -> list[tuple[float | None, float | None]]:
        trial.create(
            "prepared", [(str(n), split, 0, 0, 0, kind, o) for n, (split, kind, o) in enumerate(rows)]
        )
        trial.build("balanced")
        return [
            (row["weight"], row["training_weight"])
            for row in trial.rows("from balanced order by row_id::int")
        ]

    assert weights(
        ("train", "food", True),
        ("train", "food", False),
        ("train", "fuel", False),
        ("test", "food", True),
        ("train", "travel", False),
        ("test", None, None),
    ) == [(5 / 9, 2.0), (5 / 9, 2 / 3), (5 / 3, 2 / 3), (5 / 9, 2.0), (5 / 3, 2 / 3), (None, None)]
    assert weights(("train", "food", False), ("test", "food", True)) == [(1.0, 1.0), (1.0, None)]
    assert weights() == []


# --- splits in time -----------------------------------------------------------------------------------------


def parts(trial: Trial, model: str, moments: list[datetime | None]) -> list[str | None]:
    trial.create("moments", [(moment,) for moment in moments])
    trial.build(model)
    return [row["part"] for row in trial.rows(f"from {model}")]


def test_a_split_is_sharp_to_the_microsecond(trial: Trial) -> None:
    boundary = datetime(2025, 3, 1)
    moments = [datetime.min, boundary - MICROSECOND, boundary, datetime(9999, 1, 1), None]
    assert parts(trial, "two_parts", moments) == ["train", "train", "test", "test", None]


def test_an_embargo_takes_out_what_was_not_known_at_the_boundary(trial: Trial) -> None:
    first, second, embargo = datetime(2025, 3, 1), datetime(2025, 6, 1, 12, 0, 0, 500000), 45 * DAY
    expected = {
        datetime(2020, 1, 1): "train",
        first - embargo - MICROSECOND: "train",
        first - embargo: "embargo",
        first - MICROSECOND: "embargo",
        first: "validation",
        second - embargo - MICROSECOND: "validation",
        second - embargo: "embargo",
        second - MICROSECOND: "embargo",
        second: "test",
        datetime(9999, 1, 1): "test",
        None: None,
    }
    assert parts(trial, "three_parts", list(expected)) == list(expected.values())


def test_a_share_of_time_is_that_share_of_the_span(project: PackageProject) -> None:
    start, span = MOMENTS[0][0], 200 * DAY
    assert project.rows("from shares") == [
        {"quarter": start + span / 4, "third": start + MICROSECOND * (span // MICROSECOND // 3)}
    ]
    counts = Counter(row["part"] for row in project.rows("from parts_by_share"))
    assert counts == {"train": 100, "validation": 50, "test": 51}


def test_of_no_time_there_are_no_parts(trial: Trial) -> None:
    assert parts(trial, "parts_by_share", []) == []
    assert parts(trial, "parts_by_share", [datetime(2025, 1, 1)]) == ["test"]


# --- mistakes -----------------------------------------------------------------------------------------------

MISTAKES = {
    "no_boundary": ("temporal_split('seen_at', [], '45d')", "needs a list of one boundary"),
    "three_boundaries": (
        "temporal_split('seen_at', ['a', 'b', 'c'], '45d')",
        "needs a list of one boundary",
    ),
    "text_for_boundaries": ("temporal_split('at', '2025-01-01', '45d')", "needs a list of one boundary"),
    "boundaries_that_descend": (
        "temporal_split('seen_at', ['2025-01-02', '2025-01-01T12:00'], '45d')",
        "the boundaries 2025-01-02, 2025-01-01T12:00 of temporal_split must ascend",
    ),
    "equal_boundaries": (
        "temporal_split('seen_at', ['2025-01-02', '2025-01-02 00:00:00'], '45d')",
        "of temporal_split must ascend",
    ),
    "strange_embargo": ("temporal_split('seen_at', ['2025-01-02'], '6w')", "the window 6w is unknown"),
    "endless_embargo": (
        "temporal_split('seen_at', ['2025-01-02'], 'all')",
        "the embargo all would leave nothing",
    ),
    "share_of_percent": ("share_of_time('rows', 'at', 25)", "the share 25 of share_of_time must be a number"),
    "share_of_text": ("share_of_time('rows', 'at', '0.5')", "must be a number between 0 and 1"),
    "sample_without_id": ("downsample('outcome', 10, 42)", "downsample needs row_id"),
    "ratio_of_nil": (
        "downsample('outcome', 0, 42, 'id')",
        "the ratio 0 of downsample must be a number above 0",
    ),
    "no_steps": (
        "fit_preprocessing('rows', {})",
        "given no steps: allowed are standard_scale, min_max_scale",
    ),
    "unknown_method": (
        "fit_preprocessing('rows', {'robust_scale': ['a']})",
        "the method robust_scale is unknown: allowed are standard_scale, min_max_scale, quantile_bin, "
        "one_hot, target_encode",
    ),
    "text_for_columns": (
        "fit_preprocessing('rows', {'standard_scale': 'amount'})",
        "standard_scale needs columns, of which columns is a list, and nothing else",
    ),
    "unknown_option": (
        "fit_preprocessing('rows', {'standard_scale': {'columns': ['a'], 'ddof': 1}})",
        "standard_scale needs columns, of which columns is a list, and nothing else",
    ),
    "missing_option": (
        "fit_preprocessing('rows', {'quantile_bin': ['a']})",
        "quantile_bin needs columns, bins, of which columns is a list, and nothing else",
    ),
    "one_bin": (
        "fit_preprocessing('rows', {'quantile_bin': {'columns': ['a'], 'bins': 1}})",
        "the bins 1 of quantile_bin must be a whole number from 2",
    ),
    "no_category": (
        "fit_preprocessing('rows', {'one_hot': {'columns': ['a'], 'max_categories': 0}})",
        "the max_categories 0 of one_hot must be a whole number from 1",
    ),
    "one_fold": (
        "fit_preprocessing('rows', {'target_encode': "
        "{'columns': ['a'], 'target': 'b', 'smoothing': 1, 'folds': 1, 'row_id': 'c'}})",
        "the folds 1 of target_encode must be a whole number from 2",
    ),
    "no_smoothing": (
        "fit_preprocessing('rows', {'target_encode': "
        "{'columns': ['a'], 'target': 'b', 'smoothing': 0, 'folds': 2, 'row_id': 'c'}})",
        "the smoothing 0 of target_encode must be a number above 0",
    ),
    "no_categories": ("one_hot('kind', 'prm', [])", "one_hot of kind needs a list of categories"),
    "categories_of_one_name": (
        "one_hot('kind', 'prm', ['a b', 'A-B'])",
        "two columns of one_hot would have one name: kind_a_b, kind_a_b, kind_other",
    ),
    "category_called_other": ("one_hot('kind', 'prm', ['Other'])", "would have one name: kind_other"),
}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> str:
    trial = make_package_project(tmp_path_factory.mktemp("mistakes") / "project")
    for name, (call, _) in MISTAKES.items():
        trial.write_model(name, "{% if execute %}{{ assay." + call + " }}{% endif %}")
    run = trial.dbt("run", "--select", *MISTAKES)
    assert run.returncode != 0
    return " ".join(run.stdout.split())


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_an_error_that_names_the_model(complaints: str, name: str) -> None:
    found = re.search(rf"{name}: ((?:(?!{name}).)*)", complaints)
    assert found
    assert MISTAKES[name][1] in found[1]


def test_another_duckdb_draws_the_same_rows(project: PackageProject, tmp_path: Path) -> None:
    newest = OTHER_DUCKDBS[-1]
    other = PackageProject(Path(shutil.copytree(project.root, tmp_path / "project")))
    drawn = [name for name in MODELS if name.startswith("sampled")]
    ran = other.dbt("run", "--select", *drawn, environment=environment_with_duckdb(newest))
    assert ran.returncode == 0, ran.stdout
    assert_same_tables(other.path, project.path, drawn, newest)
