"""Train a model on each training set, and compare it with the obvious on the rows that come after.

`python docs/examples/train.py data/published/assay.duckdb` prints a table, which docs/examples.md explains.
Needs scikit-learn, which the extra `examples` brings.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Numbers = NDArray[np.float64]

# What a row is about, and what became of it: no features.
LABELS = ("prediction_at", "outcome", "outcome_known_at", "split", "weight")


@dataclass(frozen=True)
class Example:
    """A training set; `rule` is the one column that anybody would sort by, in words `said`."""

    table: str
    rule: str
    said: str


EXAMPLES = (
    Example("trn_fraud", "amount", "amount"),
    Example("trn_churn", "days_since_last_purchase", "recency"),
    Example("trn_recommendation", "product_unit_sum_28d", "popularity"),
)


@dataclass(frozen=True)
class Split:
    """Rows of one split, in the order of their ids: features by column, outcomes (0, 1) and weights."""

    features: dict[str, Numbers]
    outcome: Numbers
    weight: Numbers

    def matrix(self, features: list[str]) -> Numbers:
        """Return the values of features, a column each."""
        return np.column_stack([self.features[feature] for feature in features])


@dataclass(frozen=True)
class Score:
    """How good a guess is on the test split: the first two the more, the last the less."""

    average_precision: float
    roc_auc: float
    log_loss: float


def read_split(connection: duckdb.DuckDBPyConnection, table: str, split: str) -> Split:
    """Read a split with every feature as a number: of text, its place among the values seen in training."""
    columns = {name: kind for name, kind, *_ in connection.sql(f"describe gold.{table}").fetchall()}
    features = [name for name in columns if name not in LABELS and not name.endswith("_id")]
    values = {
        name: f"list_position((select list(distinct {name} order by {name}) from training), {name})"
        if columns[name] == "VARCHAR"
        else name
        for name in (*features, "outcome", "weight")
    }
    rows = connection.execute(
        f"""
        with training as (select * from gold.{table} where split = 'train')
        select {", ".join(f"({value})::double as {name}" for name, value in values.items())}
        from gold.{table}
        where split = $1
        order by {next(iter(columns))}
        """,
        [split],
    ).fetchnumpy()
    numbers = {name: np.ma.filled(np.ma.asarray(column), np.nan) for name, column in rows.items()}
    return Split({name: numbers[name] for name in features}, numbers["outcome"], numbers["weight"])


def model_guess(train: Split, test: Split) -> Numbers:
    """Fit boosted trees on the weighted training rows, and return probabilities for the test rows."""
    # Without web events, say, some features are always 0 or NULL.
    varying = [feature for feature, values in train.features.items() if np.unique(values).size > 1]
    model = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.05,
        # The same customers stand in churn week after week: larger trees would learn them by heart.
        max_leaf_nodes=3,
        min_samples_leaf=50,
        l2_regularization=10,
        early_stopping=False,
    )
    model.fit(train.matrix(varying), train.outcome, sample_weight=train.weight)
    odds = np.exp(model.decision_function(test.matrix(varying)))
    # Weighted, both outcomes looked equally frequent: back to how frequent they were.
    odds *= train.outcome.sum() / (1 - train.outcome).sum()
    return np.asarray(odds / (1 + odds))


def rule_guess(rule: str, train: Split, test: Split) -> Numbers:
    """Turn one column into probabilities, by a logistic curve fitted on the training rows."""
    curve = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    curve.fit(train.features[rule].reshape(-1, 1), train.outcome)
    return np.asarray(curve.predict_proba(test.features[rule].reshape(-1, 1))[:, 1])


def score(guess: Numbers, test: Split) -> Score:
    """Compare guesses with what came true."""
    return Score(
        float(average_precision_score(test.outcome, guess)),
        float(roc_auc_score(test.outcome, guess)),
        float(log_loss(test.outcome, guess)),
    )


def scores(connection: duckdb.DuckDBPyConnection, example: Example) -> dict[str, Score]:
    """Return the scores of the training rows' mean, of the rule and of the model."""
    train, test = (read_split(connection, example.table, split) for split in ("train", "test"))
    return {
        "prior": score(np.full(len(test.outcome), train.outcome.mean()), test),
        example.said: score(rule_guess(example.rule, train, test), test),
        "model": score(model_guess(train, test), test),
    }


def score_rows(file: Path) -> dict[str, float]:
    """Return the scores of the model on a training set's rows; `assay diff` compares those of two versions.

    Args:
        file: the rows, as Parquet.
    """
    with duckdb.connect() as connection:
        connection.execute("create schema gold")
        connection.from_parquet(str(file)).create("gold.rows")
        train, test = (read_split(connection, "rows", split) for split in ("train", "test"))
    return asdict(score(model_guess(train, test), test))


def main() -> None:
    """Print the scores of all training sets of a published file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gold", type=Path, help="what `make build` published: data/published/assay.duckdb")
    arguments = parser.parse_args()
    with duckdb.connect() as connection:
        connection.execute(f"attach '{arguments.gold}' as published (read_only)")
        connection.execute("use published")
        print("| training set | guess | average precision | ROC AUC | log loss |\n|---|---|---|---|---|")
        for example in EXAMPLES:
            for guess, reached in scores(connection, example).items():
                figures = (reached.average_precision, reached.roc_auc, reached.log_loss)
                print(
                    f"| {example.table} | {guess} |", " | ".join(f"{figure:.4f}" for figure in figures), "|"
                )


if __name__ == "__main__":
    main()
