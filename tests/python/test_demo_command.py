"""`assay demo` lands data where it is told, and touches nothing that is there already."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from small_project import SmallProject

SMALL = ("--customers", "5", "--days", "3", "--events", "20", "--start", "2024-02-28")


@pytest.fixture(autouse=True)
def in_a_project(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").touch()


def test_demo_data_lands_where_it_is_told_and_is_counted(tmp_path: Path) -> None:
    demo = SmallProject(tmp_path).assay("demo", *SMALL, "--out", "new/landing")
    assert demo.exit_code == 0, demo.stderr
    assert re.search(r"web/events +\d+ +\d+", demo.stdout), demo.stdout
    assert list((tmp_path / "new/landing/catalog/price_list").glob("landed_at=2024-*"))


@pytest.mark.usefixtures("builds")
def test_what_drifts_is_told_or_left_out(tmp_path: Path) -> None:
    year = ("--customers", "5", "--days", "365", "--events", "400")
    demo = SmallProject(tmp_path).assay("demo", *year, "--out", "drifting")
    assert demo.exit_code == 0, demo.stderr
    told = " ".join(demo.stdout.split())
    assert "To be found in payments/card_transactions.amt, 2025-08-01 to 2025-09-30: A new acquirer" in told
    plain = SmallProject(tmp_path).assay("demo", *year, "--no-drift", "--out", "plain")
    assert plain.exit_code == 0, plain.stderr
    assert "To be found" not in plain.stdout
    assert json.loads((tmp_path / "plain" / "_demo.json").read_text())["drift"] == []


def test_demo_data_goes_to_the_landing_folder_of_the_project(tmp_path: Path) -> None:
    assert SmallProject(tmp_path).assay("demo", *SMALL).exit_code == 0
    assert (tmp_path / "data/landing/web/events").is_dir()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "landing" / "mine.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    demo = SmallProject(tmp_path).assay("demo", *SMALL, "--out", "landing")
    assert (demo.exit_code, demo.stdout) == (2, "")
    assert "landing is not an empty folder" in demo.stderr
    assert [path.name for path in mine.parent.iterdir()] == ["mine.csv"]


@pytest.mark.parametrize("option", ["--customers", "--days"])
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, option: str) -> None:
    demo = SmallProject(tmp_path).assay("demo", option, "0", "--out", "landing")
    assert demo.exit_code == 2
    assert f"{option.strip('-')} must be at least 1" in demo.stderr
