"""The worked examples run on what is published, and find more than the obvious does."""

from __future__ import annotations

import subprocess
import sys

import pytest
from warehouse import PROJECT, Warehouse

from assay.demo import generate
from assay.runs.publish import publish

SETS = ("trn_fraud", "trn_churn", "trn_recommendation")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[float]]:
    """Average precision, ROC AUC and log loss by training set and guess, as the script prints them.

    Of a demo long enough to have rows left for testing once the embargoes are over.
    """
    folder = tmp_path_factory.mktemp("examples")
    generate(folder / "landing", customers=500, days=300, events=3000)
    warehouse = Warehouse(folder, folder / "landing")
    warehouse.build(
        "--select", *(f"+{name}" for name in SETS), "--resource-type", "model", "snapshot", "seed"
    )
    publish(warehouse.path, folder / "gold.duckdb", set(SETS))
    run = subprocess.run(
        [sys.executable, PROJECT / "docs" / "examples" / "train.py", folder / "gold.duckdb"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rows = [line.strip("| ").split(" | ") for line in run.stdout.splitlines()[2:]]
    return {(table, guess): [float(figure) for figure in figures] for table, guess, *figures in rows}


def test_each_training_set_is_scored_three_times(scores: dict[tuple[str, str], list[float]]) -> None:
    guesses = {name: [guess for table, guess in scores if table == name] for name in SETS}
    assert guesses == {
        "trn_fraud": ["prior", "amount", "model"],
        "trn_churn": ["prior", "recency", "model"],
        "trn_recommendation": ["prior", "popularity", "model"],
    }
    for name in SETS:
        assert scores[name, "prior"][1] == 0.5


def test_the_fraud_model_beats_the_obvious(scores: dict[tuple[str, str], list[float]]) -> None:
    model, amount, prior = (scores["trn_fraud", guess] for guess in ("model", "amount", "prior"))
    assert 0 < prior[0] < 0.05
    assert model[0] > 20 * prior[0]
    assert model[0] >= amount[0]
    assert model[1] > 0.95
    assert model[2] < amount[2] < prior[2]


@pytest.mark.parametrize("name", ["trn_churn", "trn_recommendation"])
def test_the_other_models_rank_better_than_chance(
    name: str, scores: dict[tuple[str, str], list[float]]
) -> None:
    assert scores[name, "model"][0] > scores[name, "prior"][0]
    assert scores[name, "model"][1] > 0.5
