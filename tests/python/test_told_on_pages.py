"""Figures, lengths of time and contracts, as pages tell of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from assay.core.words import figure, value
from assay.ledger.contracts import ContractState, describe_contracts
from assay.project.conventions import STAMP
from assay.project.products import Products
from assay.report.sections.contracts import contracts_section

SINCE = datetime(2026, 1, 2, 3, 4)
NOTHING_PROMISED = "promises no completeness, delay or volume; rows that break its rules are rejected"


@pytest.mark.parametrize(
    ("number", "told"), [(1950.0, "1950"), (0.5, "0.5"), (12345.678, "12,345.7"), (None, "\N{EN DASH}")]
)
def test_a_year_is_no_number_of_thousands(number: float | None, told: str) -> None:
    assert figure(number) == told


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (timedelta(days=106, hours=3, minutes=29, microseconds=2_208_491), "106 days 3 hours"),
        (-timedelta(hours=1, seconds=5), "-1 hour"),
        (timedelta(seconds=2.25), "2.25 s"),
    ],
)
def test_a_length_of_time_has_two_units(length: timedelta, told: str) -> None:
    assert value(length) == told


def test_a_table_without_group_has_no_contract_and_a_source_without_promise_has_one() -> None:
    def model(name: str, group: str | None) -> SimpleNamespace:
        config = SimpleNamespace(group=group, meta={STAMP: {"layer": "gold"}})
        node = SimpleNamespace(
            unique_id=f"model.shop.{name}", alias=name, config=config, resource_type="model"
        )
        return SimpleNamespace(node=node, status="success")

    products = Products({"fct_lines": "lines", "trn_defect": "trn_defect"})
    sources = [
        {"source_name": "rental", "config": {"meta": {"owner": "bikes", "contract_rules": [{}]}}},
        {"source_name": "bare", "config": {"meta": {}}},
    ]
    found = describe_contracts(
        [model("fct_lines", "lines"), model("trn_defect", None)], products, {}, [], sources
    )
    assert found == [
        ContractState("rental", "source", "bikes", "kept", NOTHING_PROMISED),
        ContractState("lines", "product", None, "kept", None),
        ContractState("trn_defect", "table", None, "kept", None),
    ]
    assert contracts_section([(each, SINCE) for each in found]).lead == (
        "All 2 contracts are kept. 1 table of gold has none."
    )


def test_where_no_contract_is_declared_it_is_said_how_to_write_one() -> None:
    section = contracts_section([(ContractState("fct_lines", "table", None, "kept", None), SINCE)])
    assert section.lead == "There is no contract yet. 1 table of gold has none."
    assert "assay contracts adopt fct_lines" in str(section.blocks)
