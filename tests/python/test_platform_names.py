"""The platform speaks of no table of the example: another business has none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_names import names_found, names_of_the_example, text_files
from small_project import PROJECT

PLATFORM = [
    *(PROJECT / name for name in ("assay", "dbt_assay", "macros")),
    *(PROJECT / part / "platform" for part in ("models", "seeds", "contracts", "tests/dbt")),
]


@pytest.mark.parametrize("folder", PLATFORM, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_platform_names_no_table_of_the_example(folder: Path) -> None:
    names = names_of_the_example()
    assert {"fct_orders", "slv_customers__changes", "erp.order_lines", "erp__order_lines"} <= names
    assert [*names_found(text_files(folder), names)] == []


def test_a_name_of_the_example_is_found_as_a_whole_word() -> None:
    texts = [("here", "as in fct_orders, my_fct_orders and fct_orders_late"), ("there", "nothing")]
    assert [*names_found(texts, {"fct_orders"})] == ["here: fct_orders"]
