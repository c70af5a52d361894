"""`assay view add`, `label add`, `training-set add`: what each writes, what it refuses, and that it works."""

from __future__ import annotations

from typing import Any

import pytest

from assay.core.fault import Fault
from assay.generate.view import ViewSpec, _checked_windows, _measures, _names, measures_in

VISITS = {
    "visit_id": "varchar",
    "patient_id": "varchar",
    "kind": "varchar",
    "fee": "decimal(18, 2)",
    "weight": "double",
    "Total Cost": "integer",
    "event_at": "timestamp",
    "available_at": "timestamp",
}


def spec_of(measures: str, windows: str = "1h,7d", model: str = "slv_visits") -> ViewSpec:
    found = list(_measures(measures_in(measures), VISITS, model))
    return ViewSpec(model, ["patient_id"], "event_at", "available_at", found, windows.split(","))


def test_a_view_is_one_call_of_windowed_history() -> None:
    assert spec_of("fee:sum,avg; *:count").sql == (
        "{{ assay.windowed_history(\n"
        "    ref('slv_visits'),\n"
        "    entity_keys=['patient_id'],\n"
        "    event_at='event_at',\n"
        "    available_at='available_at',\n"
        "    measures={\n"
        "        'fee': ['sum', 'avg'],\n"
        "        'visit': ['count'],\n"
        "    },\n"
        "    windows=['1h', '7d']\n"
        ") }}\n"
    )


MEASURES = {
    "of what names things, without _id": (
        "visit_id:distinct_count",
        "'visit': {'expression': 'visit_id', 'aggregates': ['distinct_count']}",
    ),
    "a column that is counted alone": (
        "kind:count",
        "'kind': {'expression': 'kind', 'aggregates': ['count']}",
    ),
    "floating-point numbers are summed exactly": (
        "weight:avg,max",
        "'weight': {'expression': 'weight::decimal(18, 6)', 'aggregates': ['avg', 'max']}",
    ),
    "a name that needs quotes": (
        "Total Cost:sum",
        "'total_cost': {'expression': '\"Total Cost\"', 'aggregates': ['sum']}",
    ),
}


@pytest.mark.parametrize("kind", MEASURES)
def test_a_measure_is_written_as_a_person_would(kind: str) -> None:
    measures, wanted = MEASURES[kind]
    assert f"        {wanted},\n" in spec_of(measures).sql


REFUSED: dict[str, tuple[Any, str]] = {
    "no column": (lambda: spec_of("fees:sum"), "slv_visits has no such column: there are visit_id, "),
    "no aggregate": (lambda: spec_of("fee:total"), "fee:total is unknown: there are count, sum, avg,"),
    "no number": (lambda: spec_of("kind:avg"), "kind:avg needs a number, and kind is varchar. Of it there"),
    "rows summed": (lambda: spec_of("*:sum"), "rows can only be counted"),
    "no colon": (lambda: spec_of("fee"), "write a column and what is made of it, as amount:sum,avg"),
    "twice": (lambda: spec_of("fee:sum;fee:avg"), "fee stands twice"),
    "nothing between": (lambda: spec_of("fee:sum;;"), "name at least one, each once, with ';' in between"),
    "no window": (
        lambda: _checked_windows(["1w"]),
        "--windows 1w is unknown: write a whole number and s, m,",
    ),
    "a window twice": (lambda: _checked_windows(["1h", "1h"]), "name at least one, each once"),
    "no name": (lambda: _names("Visits", ["patient_id"]), "Visits' is no name"),
    "too long": (lambda: _names("v" * 60, ["patient_id"]), "at most 55 characters"),
    "no entity": (lambda: _names("ftr_visits", ["patient_id"]), "'ftr_visits' is no name of a view"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_is_refused_with_what_there_is(kind: str) -> None:
    asked, message = REFUSED[kind]
    with pytest.raises(Fault) as fault:
        asked()
    assert message in str(fault.value)
    assert fault.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "keys", "wanted"),
    [
        ("visits", ["patient_id"], ("ftr_patient__visits", "patient")),
        ("ftr_guest__stays", ["patient_id"], ("ftr_guest__stays", "guest")),
        ("pairs", ["customer_id", "product_id"], ("ftr_customer_product__pairs", "customer_product")),
    ],
)
def test_a_view_is_named_by_its_entity(name: str, keys: list[str], wanted: tuple[str, str]) -> None:
    assert _names(name, keys) == wanted
