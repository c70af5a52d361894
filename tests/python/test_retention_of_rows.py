"""`assay retain` removes rows that are too old by their own time: proved by the bytes of all files."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from unittest import mock

import pytest
from small_project import HEADER, PROJECT, SmallProject
from test_erasure import OTHER, PERSON, Killed, files_with
from test_erasure_resumed import tables_with

COUNTS = (
    "select source_file like '%mixed%', line_count, blank_line_count, row_line_count, erased_line_count, "
    "row_count, erased_row_count from bronze.brz_files order by source_file"
)


@pytest.fixture
def aged(project_as_built: SmallProject) -> SmallProject:
    """The small project, whose contract keeps rows since 3 January 2025, with a file that has older ones."""
    days = (datetime.now(UTC).date() - date(2025, 1, 3)).days
    contract = (PROJECT / "contracts" / "example" / "erp.odcs.yaml").read_text()
    promised = f"  - {{property: retention, value: {days}, unit: d, element: order_lines.InvoiceDate}}\n"
    (project_as_built.root / "contracts").mkdir(exist_ok=True)
    (project_as_built.root / "contracts" / "erp.odcs.yaml").write_text(contract + promised)
    path = project_as_built.landing / "erp" / "order_lines" / "landed_at=2025-01-05T02-00-00" / "mixed.csv"
    path.parent.mkdir(parents=True)
    path.write_text(
        HEADER
        + f"1001,P1,a thing,1,2025-01-02 08:00:00,1.50,{PERSON},France\n"
        + f'1002,P2,"two\nlines",2,2025-01-02 09:00:00,1.50,{PERSON},France\n'
        + f"1003,P3,a thing,3,2025-01-04 10:00:00,1.50,{OTHER},France\n"
        + f"1004,P3,a thing,3,some day,1.50,{OTHER},France\n"
    )
    built = project_as_built.assay("build")
    assert built.exit_code == 0, built.output
    return project_as_built


def test_old_rows_go_from_everything_and_a_kill_is_mended(aged: SmallProject) -> None:
    held = tables_with(aged, PERSON)
    assert len(held) == 2
    files = files_with(aged.landing, PERSON)
    dry = aged.assay("retain", "--dry-run")
    assert dry.exit_code == 0, dry.output
    said = " ".join(dry.output.split())
    for part in (
        *("landing.erp__order_lines 7", "silver.slv_order_lines__checked built anew", "gold.fct_lines"),
        *("publication", "1 row of landing.erp__order_lines: InvoiceDate is no time that can be read"),
        "Nothing is changed. 7 landed rows would be removed, 3 landed files rewritten.",
    ):
        assert part in said, dry.output
    assert tables_with(aged, PERSON) == held
    assert files_with(aged.landing, PERSON) == files

    with (
        mock.patch("assay.erasure.carry_out.rewrite_warehouse", side_effect=Killed),
        pytest.raises(Killed),
    ):
        aged.assay("retain")
    assert files_with(aged.landing, PERSON) == []
    done = aged.assay("build")
    assert done.exit_code == 0, done.output
    assert tables_with(aged, PERSON) == []
    assert files_with(aged.root, PERSON) == []
    assert len(tables_with(aged, OTHER)) == 2
    assert aged.query(COUNTS) == [
        *((False, 4, 0, 0, 3, 0, 3), (False, 3, 0, 0, 2, 0, 2)),
        (True, 6, 0, 2, 3, 2, 2),
    ]
    assert aged.query("select order_id from silver.slv_order_lines__checked order by all") == [
        ("1003",),
        ("1004",),
    ]
    assert aged.query("select count(*) from gold.fct_lines", file=aged.published) == [(1,)]
    assert [each.name for each in (aged.published.parent / "kept").iterdir()] == [
        run_id for (run_id,) in aged.query("from published.publication select run_id", file=aged.published)
    ]
    ledger = aged.root / "data" / "ops.duckdb"
    [(entity, reason, rows, count)] = aged.query(
        "select entity, reason, row_count, file_count from erasures", file=ledger
    )
    assert (entity, rows, count) == ("landing.erp__order_lines", 7, 3)
    assert "InvoiceDate, contracts" + os.sep in reason
    again = aged.assay("retain")
    assert again.exit_code == 0, again.output
    assert "No landed row that can go is older than its contract keeps it." in again.output
