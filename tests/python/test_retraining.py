"""What needs retraining is told with its figures, counted from what was trained on, and taken once."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from math import sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import yaml
from small_project import PROJECT, SmallProject, make_small_project

from assay.core.fault import Fault
from assay.retraining.due import Verdict
from assay.retraining.take import take_versions

pytestmark = pytest.mark.usefixtures("builds")

KNOWN_UNTIL = datetime(2025, 12, 31)
# How many rows trained, and how many outcomes of others became known since.
SETS = {
    "trn_drifting": (40, 10),
    "trn_worse": (40, 10),
    "trn_chance": (40, 10),
    "trn_quiet": (40, 10),
    "trn_bare": (0, 0),
}
TRAINED_UNTIL = datetime(2025, 6, 30)

MODELS = PROJECT / "models" / "platform"


def values(rows: list[tuple[Any, ...]], columns: str) -> str:
    """SQL of rows that stand in for a table."""

    def literal(value: Any) -> str:
        if value is None:
            return "null"
        if isinstance(value, datetime):
            return f"timestamp '{value}'"
        if isinstance(value, date):
            return f"date '{value}'"
        return repr(value)

    listed = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    return f"select * from (values {listed}) as listed ({columns})"


def training_rows(trained: int, new: int) -> list[tuple[Any, ...]]:
    rows = [
        (f"t{number}", TRAINED_UNTIL - timedelta(days=trained - 1 - number), "train")
        for number in range(trained)
    ]
    rows += [(f"n{number}", TRAINED_UNTIL + timedelta(days=1 + number), "test") for number in range(new)]
    return [(name, at, at + timedelta(days=2), split) for name, at, split in rows]


def drift_rows() -> list[tuple[Any, ...]]:
    def month(number: int, verdicts: list[str], reference: str = "trn_drifting") -> list[tuple[Any, ...]]:
        ends = date(2025, number + 1, 1)
        return [
            ("ftr_v", f"f{place}", f"2025-{number:02}", ends, reference, 0.1 * place, verdict)
            for place, verdict in enumerate(verdicts)
        ]

    return [
        # A month that is over and forgiven, the one that counts, and one that nobody can judge yet.
        *month(9, ["drift"] * 4),
        *month(10, ["stable", "drift", "watch", "drift", "too early"]),
        *month(11, ["too early"] * 5),
        *month(10, ["stable"] * 4, "trn_quiet"),
        *month(10, ["drift"] * 4, "rolling"),
    ]


def predicted_days() -> list[tuple[Any, ...]]:
    """Counts a day of model and label: outcomes, true and false positives, false negatives."""
    rows: list[tuple[Any, ...]] = []

    def month(label: str, model: str, first: date, counts: tuple[int, int, int, int], days: int = 30) -> None:
        rows.extend((model, label, first + timedelta(days=day), *counts) for day in range(days))

    # An older model did worse, which is past.
    month("lbl_worse", "old", date(2025, 1, 1), (10, 1, 1, 5))
    month("lbl_worse", "new", date(2025, 7, 1), (10, 4, 1, 1))
    month("lbl_worse", "new", date(2025, 9, 1), (10, 2, 1, 3))
    # Twelve of twenty against eight of twenty may be chance.
    month("lbl_chance", "new", date(2025, 7, 1), (10, 6, 1, 4), days=2)
    month("lbl_chance", "new", date(2025, 7, 3), (10, 0, 0, 0), days=28)
    month("lbl_chance", "new", date(2025, 9, 1), (10, 0, 0, 0), days=28)
    month("lbl_chance", "new", date(2025, 9, 29), (10, 4, 1, 6), days=2)
    # A month alone has nothing before it.
    month("lbl_quiet", "new", date(2025, 7, 1), (10, 1, 9, 9))
    return rows


def write_models(project: SmallProject, names: list[str]) -> None:
    gold = project.root / "models" / "own" / "gold"
    types = {
        "row_id": "varchar",
        "prediction_at": "timestamp",
        "outcome_known_at": "timestamp",
        "split": "varchar",
    }
    typed = ", ".join(f"{column}::{type} as {column}" for column, type in types.items())
    columns = "".join(f"\n      - {{name: {column}, data_type: {type}}}" for column, type in types.items())
    key = "\n    constraints:\n      - {type: primary_key, columns: [row_id]}"
    entries = []
    for name in names:
        label = name.replace("trn_", "lbl_")
        rows = values(training_rows(*SETS[name]) or [(None,) * 4], ", ".join(types))
        (gold / f"{label}.sql").write_text(
            # Versions tell up to when silver was known, of which training sets are made.
            f"select {typed} from ({rows}) as rows_of where row_id is not null "
            "and exists (select 1 from {{ ref('slv_order_lines') }})"
        )
        (gold / f"{name}.sql").write_text(f"select * from {{{{ ref('{label}') }}}}")
        entries += [
            f"  - name: {name}{key}\n    columns:{columns}",
            f"  - name: {label}\n    columns:{columns}",
        ]
    loose = "\n    config: {contract: {enforced: false}}"
    found = ("mon_feature_drift", "mon_predictions", "mon_freshness")
    entries += [f"  - name: {name}{loose}" for name in found]
    (gold / "_retraining__models.yml").write_text("models:\n" + "\n".join(entries) + "\n")
    columns = '"view", feature, "window", window_to, reference, psi, verdict'
    (gold / "mon_feature_drift.sql").write_text(values(drift_rows(), columns))
    columns = "model_name, label_name, predicted_on, outcome_count, true_positive_count, false_positive_count"
    (gold / "mon_predictions.sql").write_text(values(predicted_days(), f"{columns}, false_negative_count"))
    (gold / "mon_freshness.sql").write_text(f"select timestamp '{KNOWN_UNTIL}' as known_until")
    copy_models(project.root / "models" / "platform")


def copy_models(target: Path) -> None:
    """Copy the platform's models of retraining, with what its YAML says of them."""
    for folder in (Path("monitoring"), Path("gold", "monitoring")):
        (target / folder).mkdir(parents=True)
        for path in (MODELS / folder).glob("mon_retraining*.sql"):
            shutil.copy(path, target / folder)
        described = yaml.safe_load((MODELS / folder / "_monitoring__models.yml").read_text())["models"]
        kept = [each for each in described if each["name"].startswith("mon_retraining")]
        (target / folder / "_monitoring__models.yml").write_text(yaml.safe_dump({"models": kept}))
    shutil.copy(MODELS / "gold" / "_gold__groups.yml", target / "gold")


def set_limits(project: SmallProject, limits: str) -> None:
    path = project.root / "dbt_project.yml"
    text = path.read_text()
    start = text.index("  retrain_when:")
    end = text.index("  # A past moment")
    path.write_text(f"{text[:start]}  retrain_when: {limits}\n{text[end:]}")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    project = make_small_project(tmp_path_factory.mktemp("retraining") / "project")
    write_models(project, list(SETS))
    ended = project.assay("build")
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    return project


@pytest.fixture
def project(built: SmallProject, tmp_path: Path) -> SmallProject:
    return SmallProject(Path(shutil.copytree(built.root, tmp_path / "project")))


def verdicts(project: SmallProject) -> dict[str, dict[str, Any]]:
    with duckdb.connect() as connection:
        connection.execute(f"attach '{project.warehouse}' as opened (read_only)")
        cursor = connection.execute("from opened.gold.mon_retraining")
        names = [column[0] for column in cursor.description or []]
        return {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


def test_drift_is_that_of_the_newest_window_that_could_be_judged(built: SmallProject) -> None:
    found = verdicts(built)
    drifting = found["trn_drifting"]
    assert (drifting["drift_window"], drifting["feature_count"], drifting["drifting_count"]) == (
        "2025-10",
        4,
        2,
    )
    assert (drifting["retrain"], drifting["drifting_share"]) == (True, 0.5)
    assert drifting["reason"] == "2 of 4 features (50 %) have drifted in 2025-10: ftr_v.f3, ftr_v.f1"
    quiet = found["trn_quiet"]
    assert (quiet["retrain"], quiet["feature_count"], quiet["drifting_share"]) == (False, 4, 0)
    assert quiet["reason"].startswith("no reason to retrain; age and new rows are judged by assay retraining")
    assert found["trn_worse"]["feature_count"] is None


def test_lost_precision_and_recall_are_those_of_the_newest_model(built: SmallProject) -> None:
    worse = verdicts(built)["trn_worse"]
    assert worse["model_name"] == "new"
    assert worse["outcome_count"] == 300
    assert (worse["precision_before"], worse["recall_before"]) == (pytest.approx(4 / 5), pytest.approx(4 / 5))
    assert (worse["precision_now"], worse["recall_now"]) == (pytest.approx(2 / 3), pytest.approx(2 / 5))
    # 30 days each: 150 and 90 predicted, 180 of them true.
    pooled = (120 + 60) / (150 + 90)
    assert worse["precision_chance"] == pytest.approx(3 * sqrt(pooled * (1 - pooled) * (1 / 150 + 1 / 90)))
    assert worse["precision_lost"] < worse["precision_chance"]
    assert (worse["retrain"], worse["has_lost_precision"], worse["has_lost_recall"]) == (True, False, True)
    assert worse["reason"] == "recall of new fell from 80.0 % to 40.0 %"


def test_what_may_be_chance_calls_for_nothing(built: SmallProject) -> None:
    chance = verdicts(built)["trn_chance"]
    assert chance["recall_lost"] == pytest.approx(0.2)
    assert chance["recall_chance"] == pytest.approx(3 * sqrt(0.25 * 2 / 20))
    assert (chance["has_lost_recall"], chance["retrain"]) == (False, False)


def test_evidence_that_is_absent_calls_for_nothing(built: SmallProject) -> None:
    found = verdicts(built)
    assert found["trn_quiet"]["precision_lost"] is None
    bare = found["trn_bare"]
    assert (bare["trained_until"], bare["trained_rows"], bare["new_rows"]) == (None, 0, 0)
    assert (bare["age_days"], bare["new_rows_share"], bare["retrain"]) == (None, None, False)


def test_what_a_moving_split_trains_on_is_never_old(built: SmallProject) -> None:
    quiet = verdicts(built)["trn_quiet"]
    assert (quiet["counted_from"], quiet["trained_until"]) == ("training rows", TRAINED_UNTIL)
    assert quiet["age_days"] == (KNOWN_UNTIL - TRAINED_UNTIL).days == 184
    # Of those that train, the outcomes of the last two days were not known yet.
    assert (quiet["trained_rows"], quiet["new_rows"]) == (40, 12)
    assert (quiet["is_old"], quiet["has_new_rows"]) == (False, False)


def test_limits_of_a_training_set_go_before_those_of_all(project: SmallProject) -> None:
    quiet = "trn_quiet: {trained_until: 2025-06-30, age: 183d, new_rows_share: 0.3}"
    chance = "trn_chance: {trained_until: 2025-06-30}"
    own = f"training_sets: {{{quiet}, {chance}}}"
    set_limits(project, f"{{age: 184d, new_rows_share: null, drifting_share: 0.51, {own}}}")
    assert project.assay("build").exit_code == 0
    found = verdicts(project)
    assert found["trn_quiet"]["counted_from"] == "declared"
    assert found["trn_quiet"]["reason"] == (
        "what was trained is 184 days old; 12 labelled rows are new, 30 % of the 40 trained on"
    )
    assert {name for name, each in found.items() if each["retrain"]} == {"trn_quiet"}
    assert found["trn_chance"]["reason"] == "no reason to retrain"


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        ("{age: 90d, ages: 3}", "retrain_when has ages for trn_bare: allowed are"),
        (
            "{training_sets: {trn_quite: {age: 90d}}}",
            "retrain_when has limits for trn_quite, which is no training set: there are trn_bare, ",
        ),
    ],
)
def test_a_limit_of_nothing_is_refused(project: SmallProject, limits: str, refusal: str) -> None:
    set_limits(project, limits)
    compiled = project.dbt("compile", "--select", "mon_retraining")
    assert compiled.returncode != 0
    assert refusal in " ".join(compiled.stdout.split())


def told(project: SmallProject, *options: str) -> tuple[int, str]:
    ended = project.assay("retraining", *options)
    return ended.exit_code, " ".join(ended.stdout.split())


def test_the_command_counts_from_the_version_taken_last(project: SmallProject) -> None:
    created = project.assay("training-set", "create", "trn_quiet")
    assert created.exit_code == 0, created.stdout
    code, said = told(project)
    assert code == 1
    # Order lines, which came last, are of January: all outcomes of the set are known only since.
    [(as_of,)] = project.query("select max(available_at) from silver.slv_order_lines__checked")
    age = (KNOWN_UNTIL - as_of) / timedelta(days=1)
    assert "old; 50 labelled rows are new, 125 % of the 40 trained on" in said
    assert f"is {age:.0f} days old" in said
    without = "no reason to retrain; no version was created yet, so age and new rows are not judged"
    assert f"trn_bare: {without}: assay training-set create trn_bare" in said
    assert "trn_quiet: no reason" not in said


def test_what_is_due_is_taken_once_and_written_down(project: SmallProject) -> None:
    code, said = told(project)
    assert code == 1
    assert "assay retraining --create" in said
    code, said = told(project, "--create")
    assert code == 0, said
    versions = sorted(path.name for path in (project.root / "data" / "training_sets").glob("*@*"))
    assert [name.partition("@")[0] for name in versions] == ["trn_drifting", "trn_worse"]
    ledger = project.root / "data" / "ops.duckdb"
    written = project.query("from retraining order by training_set", file=ledger)
    assert [(row[0], row[1], row[2]) for row in written] == [
        (name.partition("@")[0], KNOWN_UNTIL, name) for name in versions
    ]
    assert written[0][3].startswith("2 of 4 features (50 %) have drifted in 2025-10")
    assert told(project, "--create")[0] == 0
    code, said = told(project)
    assert code == 0
    assert f"(taken for it: {versions[0]})" in said
    assert project.query("from retraining order by training_set", file=ledger) == written
    assert sorted(path.name for path in (project.root / "data" / "training_sets").glob("*@*")) == versions


def test_without_a_model_of_the_evidence_it_is_said_what_is_missing(tmp_path: Path) -> None:
    project = make_small_project(tmp_path / "project")
    assert "Nothing is published yet" in project.assay("retraining").stderr
    assert project.assay("build").exit_code == 0
    ended = project.assay("retraining")
    assert ended.exit_code == 1
    assert "There is no mon_retraining in" in ended.stderr


def test_evidence_that_is_held_back_is_told_of_with_the_reason(project: SmallProject) -> None:
    ledger = project.root / "data" / "ops.duckdb"
    with duckdb.connect(str(ledger)) as connection:
        connection.execute(
            "update contracts set status = 'held back', why = 'monitoring.mon_drift__x failed' "
            "where contract = 'retraining'"
        )
    why = "gold.mon_retraining is held back: monitoring.mon_drift__x failed."
    told = " ".join(project.assay("retraining").stdout.split())
    assert "trn_drifting: 2 of 4 features" in told
    assert f"{why} These verdicts rest on what an earlier build published." in told
    for change, said in (
        ("delete from", "is of an earlier build, and knows no training set."),
        ("drop table", "No build has published it yet."),
    ):
        with duckdb.connect(str(project.published)) as connection:
            connection.execute(f"{change} gold.mon_retraining")
        refused = project.assay("retraining")
        assert refused.exit_code == 1
        said_of_it = " ".join(refused.stderr.split())
        assert why in said_of_it
        assert said in said_of_it
        assert "assay runs show" in said_of_it


def test_a_training_set_that_cannot_be_taken_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def create(name: str, *_: Any) -> tuple[Any, bool]:
        if name == "trn_keyless":
            raise Fault("trn_keyless declares no primary key.")
        return SimpleNamespace(manifest=SimpleNamespace(version=f"{name}@1")), True

    monkeypatch.setattr("assay.retraining.take.create", create)
    names = ("trn_drifting", "trn_keyless", "trn_worse")
    due = [Verdict(name, True, "old", None, None, None, 0, None, None, None) for name in names]
    with pytest.raises(Fault) as raised:
        take_versions(due, tmp_path / "ops.duckdb", SimpleNamespace())  # type: ignore[arg-type]
    assert str(raised.value).splitlines() == [
        "No version could be taken of",
        "  trn_keyless: trn_keyless declares no primary key.",
        "Versions of the others: trn_drifting@1, trn_worse@1",
    ]
