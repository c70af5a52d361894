"""`assay drift` compares with what a version of a training set trained on, whatever has been built since."""

from __future__ import annotations

import pytest
from small_project import SmallProject
from training_project import folder, rows_of, succeed

VIEW = "ftr_product__lines"


@pytest.fixture
def grown(training: SmallProject) -> SmallProject:
    """The training project after a day on which all pieces are nines."""
    training.land(7, *[9] * 60)
    succeed(training, "build")
    return training


def trained(project: SmallProject) -> int:
    return sum(row["split"] == "train" for row in rows_of(project))


def said(project: SmallProject, *arguments: str) -> str:
    ended = project.assay("drift", *arguments)
    assert ended.exit_code == 1, ended.stdout + ended.stderr
    return " ".join(ended.stdout.split())


def test_a_training_set_is_compared_with_what_was_trained_on(grown: SmallProject) -> None:
    version = folder(grown, "trn_lines@").name
    told = said(grown, "--table", "trn_lines", "--reference", version[:14], "--current", "2025-01-07")
    assert f"trn_lines: 2025-01-07..2025-01-08 against {version}, the rows it trains on" in told
    assert f"{trained(grown)} rows of the reference, 60 current ones." in told
    assert "trn_lines.quantity" in told.partition("features drift:")[2]


def test_a_view_is_compared_by_the_columns_it_has_in_the_version(grown: SmallProject) -> None:
    version = folder(grown, "trn_lines@").name
    told = said(grown, "--reference", version, "--current", "2025-01-07")
    assert f"{VIEW}: 2025-01-07..2025-01-08 against {version}" in told
    assert f"{trained(grown)} rows of the reference" in told
    # Of one view alone, for the version has features of no other.
    assert f"1 of 1 features drift: {VIEW}.quantity_max_7d." in told


def test_a_table_that_was_not_trained_on_cannot_be_compared(training: SmallProject) -> None:
    ended = training.assay("drift", "--table", "fct_lines", "--reference", "trn_lines@")
    assert ended.exit_code == 2
    assert "has no column of fct_lines that could be compared" in ended.stderr
    ended = training.assay("drift", "--reference", "trn_nothing@1")
    assert ended.exit_code == 2
    assert "There is no version trn_nothing@1" in ended.stderr
