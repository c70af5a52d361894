"""The cause of a difference between what was logged and what a training set joins."""

from __future__ import annotations

import json
from datetime import datetime

import duckdb
import pytest

from assay.online.definition import Build, OnlineView
from assay.parity.cause import likely_cause
from assay.parity.compare import compare
from assay.parity.sample import make_spine

VIEW = OnlineView.of(
    json.dumps(
        {
            "name": "ftr_bike__trips",
            "keys": [{"name": "bike", "type": "varchar"}],
            "columns": [{"name": "trip_count_7d", "type": "bigint"}],
            "derived": [{"name": "is_busy", "type": "boolean", "expression": "trip_count_7d > 5"}],
            "inputs": [],
            "max_age": None,
        }
    ),
    Build("run", None),
)
HISTORY = """
    (values
        ('B1', timestamp '2025-01-01', timestamp '2025-01-03', 1),
        ('B1', timestamp '2025-01-03', timestamp '2025-01-05', 2),
        ('B1', timestamp '2025-01-05', timestamp '9999-12-31', 3)
    ) as history (bike, valid_from, valid_to, trip_count_7d)
"""


@pytest.mark.parametrize(
    ("bike", "day", "served", "said"),
    [
        ("B1", 4, 1, "it is the value until 3 Jan 2025, 00:00 UTC: what gold has since then landed"),
        ("B1", 4, 3, "it is the value from 5 Jan 2025, 00:00 UTC on: it was asked for after as_of"),
        ("B1", 4, None, "nothing was online yet, though gold has it since 3 Jan 2025, 00:00 UTC"),
        ("B1", 4, 9, "gold never had this value for the entity: another definition"),
        ("B1", 4, 2, "older than max_age allows"),
        ("B2", 4, 1, "gold has no such entity: compare how the keys are written"),
    ],
)
def test_the_cause_is_found_in_the_states_of_the_entity(
    bike: str, day: int, served: int | None, said: str
) -> None:
    told = _cause(bike, datetime(2025, 1, day), "trip_count_7d", served)
    assert said in told.replace("\N{NO-BREAK SPACE}", " ")


def test_before_the_first_state_the_instant_is_in_doubt() -> None:
    assert "compare as_of" in _cause("B1", datetime(2024, 12, 1), "trip_count_7d", 1)


def test_of_a_derived_feature_its_inputs_are_compared_first() -> None:
    assert "features and inputs" in _cause("B1", datetime(2025, 1, 4), "is_busy", True)


def test_examples_of_a_comparison_tell_the_cause() -> None:
    found = compare("view", "feature", ["noon", "night"], [1, 2], [1, 3], lambda place: f"cause {place}")
    assert found.examples == ["night: online 2, offline 3; cause 1"]


def _cause(bike: str, at: datetime, feature: str, served: int | bool | None) -> str:
    with duckdb.connect() as connection:
        make_spine(connection, VIEW, [[0, bike, at]])
        connection.execute(f"create table history as select * from {HISTORY}")
        return likely_cause(connection, VIEW, "history", feature, (0, at), lambda value: value == served)
