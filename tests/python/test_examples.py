"""The worked examples run on what is published, and find more than the obvious does."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import pytest
from warehouse import PROJECT, Warehouse

from assay.build.publish import publish
from assay.project.products import Products
from example import generate

pytestmark = pytest.mark.usefixtures("builds")

GUESSES = {
    "trn_fraud": ["prior", "amount", "model"],
    "trn_churn": ["prior", "recency", "model"],
    "trn_recommendation": ["prior", "popularity", "model"],
}


class Score(NamedTuple):
    """The first two the more the better, the last the less."""

    average_precision: float
    roc_auc: float
    log_loss: float


Scores = dict[tuple[str, str], Score]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """Scores by training set and guess, as the script prints them.

    Of a demo long enough to have rows left for testing once the embargoes are over, frauds among them; what
    drifts after the training rows is no measure of the script.
    """
    folder = tmp_path_factory.mktemp("examples")
    generate(folder / "landing", customers=1000, days=365, events=50_000, drift=False)
    warehouse = Warehouse(folder, folder / "landing")
    warehouse.build(
        "--select", *(f"+{name}" for name in GUESSES), "--resource-type", "model", "snapshot", "seed"
    )
    publish(warehouse.path, folder / "gold.duckdb", Products({name: name for name in GUESSES}))
    run = subprocess.run(
        [sys.executable, PROJECT / "docs" / "examples" / "train.py", folder / "gold.duckdb"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rows = [line.strip("| ").split(" | ") for line in run.stdout.splitlines()[2:]]
    return {(table, guess): Score(*map(float, figures)) for table, guess, *figures in rows}


def test_each_training_set_is_scored_three_times(scores: Scores) -> None:
    assert list(scores) == [(name, guess) for name, guesses in GUESSES.items() for guess in guesses]
    # The prior is the same for every row.
    assert {scores[name, "prior"].roc_auc for name in GUESSES} == {0.5}


@pytest.mark.parametrize("name", GUESSES)
def test_the_model_beats_the_rule_and_the_prior(name: str, scores: Scores) -> None:
    prior, rule, model = (scores[name, guess] for guess in GUESSES[name])
    assert model.average_precision > max(rule.average_precision, prior.average_precision)
    assert model.roc_auc > max(rule.roc_auc, prior.roc_auc)
    # Probabilities are of the world as it is, not of the weighted one.
    assert model.log_loss < min(rule.log_loss, prior.log_loss)


def test_planted_frauds_are_found(scores: Scores) -> None:
    assert scores["trn_fraud", "prior"].average_precision < 0.05
    assert scores["trn_fraud", "model"].average_precision > 0.9
