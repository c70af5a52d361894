"""What was served and scored comes back: models are judged by late labels, features by the offline join."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from feature_server import settings_in
from online_stores import parsed, publish_all, query
from warehouse import Warehouse

from assay.core.fault import Fault
from assay.core.places import find_places
from assay.lineage.trace import trace
from assay.lineage.traced import TracedFile, TracedPrediction
from assay.online.stores.open import open_store
from assay.online.sync import sync
from assay.parity.logged import check_logged
from assay.project.project import Project
from assay.server.app import make_app
from example import generate

pytestmark = pytest.mark.usefixtures("builds")

VELOCITY = "ftr_card__velocity"


Told = tuple[Warehouse, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A demo, built again after a server was told of predictions; and what it was told."""
    folder = tmp_path_factory.mktemp("predictions")
    landing = folder / "landing"
    # Frauds are known after 45 days.
    generate(landing, customers=30, days=60, events=500)
    warehouse = Warehouse(folder, landing)
    warehouse.build("--exclude-resource-type", "test", "unit_test")
    published = publish_all(warehouse, folder / "before.duckdb")
    store = f"sqlite:{folder / 'online.sqlite'}"
    sync(published, open_store(store))
    labels = query(
        published,
        "select transaction_id, card_id, outcome from gold.lbl_fraud order by outcome desc, 1 limit 200",
    )
    [(known_until,)] = query(
        published, "select known_until from gold.srv_catalog where feature_view = ?", [VELOCITY]
    )
    predictions = []
    with TestClient(make_app(settings_in(folder, store, landing))) as client:
        for number, (transaction_id, card_id, outcome) in enumerate(labels):
            as_of = (known_until + timedelta(hours=number)).isoformat()
            keys, inputs = {"card_id": card_id}, {"amount": 10.5 + number}
            groups = {"keys": keys, "inputs": inputs, "feature_groups": [VELOCITY], "as_of": as_of}
            features = client.post("/features/get", json=groups).json()["features"]
            prediction = {
                "prediction_id": f"p{number}",
                "model": "rule",
                "label": "lbl_fraud",
                "label_id": transaction_id,
                "score": number % 10 / 10,
                "predicted_at": f"2025-03-{1 + number % 2:02}T12:00:00Z",
                "served": [
                    {
                        "feature_view": VELOCITY,
                        "keys": keys,
                        "inputs": inputs,
                        "as_of": as_of,
                        "features": features,
                    }
                ],
            }
            assert client.post("/predictions", json=prediction).status_code == 200
            predictions.append(prediction | {"outcome": outcome})
        assert client.post("/predictions", json=prediction).status_code == 200
        unknown = {
            "prediction_id": "late",
            "model": "rule",
            "label": "lbl_fraud",
            "label_id": "no",
            "score": 0.9,
        }
        client.post("/predictions", json=unknown | {"predicted_at": "2025-03-01T12:00:00Z"})
    warehouse.build(
        "--select", "brz_files", "brz_serving__predictions+", "--exclude-resource-type", "unit_test"
    )
    return warehouse, predictions


def test_models_are_judged_by_outcomes(told: Told) -> None:
    warehouse, predictions = told
    for day in (1, 2):
        of_day = [each for each in predictions if each["predicted_at"].startswith(f"2025-03-0{day}")]
        late = day == 1
        counts = {
            (predicted, outcome): sum(
                (each["score"] >= 0.5, each["outcome"]) == (predicted, outcome) for each in of_day
            )
            for predicted in (True, False)
            for outcome in (True, False)
        }
        [row] = warehouse.query(
            "select prediction_count, outcome_count, true_positive_count, false_positive_count, "
            "false_negative_count, true_negative_count, precision, recall, false_positive_rate "
            f"from gold.mon_predictions where predicted_on = '{date(2025, 3, day)}'"
        )
        assert row[:2] == (len(of_day) + late, len(of_day))
        assert row[2:6] == tuple(counts.values())
        true_positives, false_positives, false_negatives, true_negatives = counts.values()
        assert row[6:] == (
            true_positives / (true_positives + false_positives),
            true_positives / (true_positives + false_negatives) if true_positives + false_negatives else None,
            false_positives / (false_positives + true_negatives),
        )


def test_a_prediction_that_was_sent_twice_counts_once(told: Told) -> None:
    warehouse, predictions = told
    assert warehouse.query("select count(*) from silver.slv_predictions") == [(len(predictions) + 1,)]
    assert warehouse.query("select count(*), any_value(rule_ids) from silver.slv_predictions__rejected") == [
        (1, ["duplicate_prediction"])
    ]


@pytest.fixture
def project(told: Told) -> Iterator[Project]:
    with parsed(told[0]) as project:
        yield project


def test_what_was_served_is_what_a_training_set_joins(told: Told, project: Project, tmp_path: Path) -> None:
    warehouse, predictions = told
    published = publish_all(warehouse, tmp_path / "gold.duckdb")
    found = check_logged(project, published)
    assert [each for each in found if each.differs] == []
    assert {each.feature for each in found} == set(predictions[0]["served"][0]["features"])
    assert {each.compared for each in found} == {len(predictions)}
    # A value that was served wrong is found.
    query(
        published,
        "update gold.mon_served_features set features = ? where prediction_id = 'p0'",
        [json.dumps({"transaction_count_all": -1})],
    )
    [wrong] = [each for each in check_logged(project, published) if each.differs]
    assert (wrong.feature, wrong.mismatched) == ("transaction_count_all", 1)
    assert "prediction p0" in wrong.examples[0]


def test_without_logged_features_there_is_nothing_to_compare(
    told: Told, project: Project, tmp_path: Path
) -> None:
    published = publish_all(told[0], tmp_path / "gold.duckdb")
    query(published, "delete from gold.mon_served_features")
    with pytest.raises(Fault, match="No served features are in the warehouse"):
        check_logged(project, published)


def test_what_was_served_leads_to_its_lines_and_these_lead_back(told: Told, project: Project) -> None:
    warehouse, predictions = told
    places = find_places()
    name, card = predictions[0]["prediction_id"], predictions[0]["served"][0]["keys"]["card_id"]
    [(transactions,)] = warehouse.query(
        "select count(*) from silver.slv_card_transactions__checked "
        f"where rule_ids is null and card_id = '{card}'"
    )
    [found] = trace(places, name).found
    assert isinstance(found, TracedPrediction)
    assert found.source_file
    assert found.row_number
    assert found.source_file.startswith("serving/predictions/")
    told_lines = (warehouse.landing / found.source_file).read_text().splitlines()
    assert json.loads(told_lines[found.row_number - 1])["prediction_id"] == name
    entered = {
        (str(each.source_file), number) for each in found.views[0].landed for number in each.row_numbers
    }
    assert len(entered) == transactions > 1
    for file, number in entered:
        with gzip.open(warehouse.landing / file, "rt") as lines:
            assert card in lines.read().splitlines()[number - 1]
    [back] = trace(places, min(entered)[0]).found
    assert isinstance(back, TracedFile)
    assert name in back.served.examples
