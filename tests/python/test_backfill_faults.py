"""A backfill that was ended before its build, two at once, and files that could not be loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from small_project import HEADER, MOST_PIECES, SmallProject, make_small_project

from assay.backfill.plan import BackfillPlan, plan_backfill
from assay.backfill.run import land_backfill
from assay.core.moment import now
from assay.core.places import Places, find_places
from assay.ledger.backfills import read_backfills
from assay.ledger.runs import Run, record

SOURCE = "erp.order_lines"
INTERVAL = (SOURCE, "--from", "2024-12-01", "--to", "2024-12-02")


@contextmanager
def at(project: SmallProject) -> Iterator[Places]:
    with chdir(project.root):
        yield find_places()


def export(folder: Path, number: int) -> Path:
    """Write a file with an order line of the past."""
    folder.mkdir(exist_ok=True)
    file = folder / "export.csv"
    file.write_text(f"{HEADER}{number},P1,a thing,2,2024-12-01 08:00:00,1.50,7,France\n")
    return file


def plan(places: Places, file: Path) -> BackfillPlan:
    return plan_backfill(places, SOURCE, *INTERVAL[2::2], [file], None)


def landed(project: SmallProject) -> list[Path]:
    return sorted(file for file in project.landing.rglob("*/backfilled=*/*") if file.is_file())


def told(project: SmallProject, *arguments: str, code: int = 0) -> str:
    result = project.assay("backfill", *arguments)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_one_that_was_ended_before_its_build_goes_on(project: SmallProject, tmp_path: Path) -> None:
    file = export(tmp_path / "exports", 1)
    with at(project) as places:
        land_backfill(places, plan(places, file), "ended")
    there = landed(project)
    with at(project) as places:
        [again] = plan(places, file).files
    assert (again.landed_as, again.waits) == (there[0].relative_to(project.landing).as_posix(), True)
    assert "has landed already" in told(project, "plan", *INTERVAL, "--files", str(file))
    assert " 1 1 0 0 " in told(project, "run", *INTERVAL, "--files", str(file))
    assert landed(project) == there
    assert "Loaded before, not again: 1 file" in told(project, "run", *INTERVAL, "--files", str(file))
    # What counts otherwise is another backfill.
    with at(project) as places:
        land_backfill(places, plan(places, export(tmp_path / "others", 2)), "ended")
        other = plan_backfill(
            places, SOURCE, *INTERVAL[2::2], [tmp_path / "others" / "export.csv"], "event+1h"
        )
    assert not other.waiting


def test_what_failed_is_told_and_ends_with_code_1(project: SmallProject, tmp_path: Path) -> None:
    headless = tmp_path / "headless.csv"
    headless.write_text("a,b\n1,2\n")
    said = told(project, "run", *INTERVAL, "--files", str(headless), code=1)
    assert "The build failed" not in said
    assert project.query("select status from landing.files where ends_with(source_file, 'headless.csv')") == [
        ("failed",)
    ]
    file = export(tmp_path / "exports", 1)
    file.write_text(file.read_text().replace(",2,2024", f",{MOST_PIECES + 1},2024"))
    said = told(project, "run", *INTERVAL, "--files", str(file), code=1)
    assert " 1 1 0 0 " in said
    [(run_id,)] = project.query(
        "select left(run_id, 8) from runs order by started_at desc limit 1",
        file=project.root / "data" / "ops.duckdb",
    )
    assert re.search(rf"The build failed: 1 of \d+ nodes failed.* assay runs show {run_id}", said)


@pytest.mark.usefixtures("builds")
def test_of_a_model_that_was_never_built_it_is_told_that_nothing_is_kept(tmp_path: Path) -> None:
    project = make_small_project(tmp_path / "project")
    bronze = project.root / "models" / "example" / "bronze" / "brz_erp__order_lines.sql"
    bronze.write_text(f"{bronze.read_text()}\nwhere nothing")
    assert project.assay("build").exit_code == 1
    said = told(project, "run", *INTERVAL, "--files", str(export(tmp_path / "exports", 1)), code=1)
    assert " 1 0 1 0 " in said
    assert "The build failed" in said


def test_how_long_models_took_is_that_of_this_warehouse(project: SmallProject, tmp_path: Path) -> None:
    file = export(tmp_path / "exports", 1)
    with at(project) as places:
        before = plan(places, file).seconds
        record(places.ledger, Run("past", "as_of.duckdb", now(), "assay build", {}, status="succeeded"))
        assert before
        assert plan(places, file).seconds == before


def test_two_that_begin_in_the_same_second_are_kept_apart(project: SmallProject, tmp_path: Path) -> None:
    with at(project) as places:
        one = plan(places, export(tmp_path / "one", 1))
        other = replace(
            plan(places, export(tmp_path / "other", 2)), landed_at=one.landed_at, folder=one.folder
        )
        names = [*land_backfill(places, one, "one"), *land_backfill(places, other, "other")]
        assert [each.reason for each in read_backfills(places.ledger)] == ["other", "one"]
        assert [each.files for each in read_backfills(places.ledger)] == [names[1:], names[:1]]
    assert [(project.landing / name).read_text() for name in names] == [
        (tmp_path / each / "export.csv").read_text() for each in ("one", "other")
    ]


def test_what_could_not_be_loaded_is_refused(project: SmallProject, tmp_path: Path) -> None:
    lines = export(tmp_path / "exports", 1).rename(tmp_path / "export.jsonl")
    said = told(project, "plan", *INTERVAL, "--files", str(lines), code=2)
    assert "The name ends in .jsonl, but erp/order_lines takes .csv, .parquet, .tsv" in said
    year = now().year + 1
    begin, end = f"{year}-01-01", f"{year}-01-02"
    said = told(
        project, "plan", SOURCE, "--from", begin, "--to", end, "--files", str(export(tmp_path, 1)), code=2
    )
    assert f"--from {begin} lies in the future" in said
    assert landed(project) == []
