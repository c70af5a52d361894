"""A few tests of builds, once more with what they share in a lake; `pytest --lake` takes all tests there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest
from built_once import built_once
from small_project import SmallProject, make_built_project
from test_build import (
    test_a_failing_contract_stops_publishing_and_is_named,
    test_as_of_builds_the_past_beside_the_present,
    test_full_refresh_rebuilds_from_bronze_alone,
)
from test_changed_builds import test_what_failed_is_built_until_it_passes
from test_status import test_after_a_build_it_says_what_is_there
from warehouse import ON_LAKE

from assay.project.lake import is_lake

__all__ = [
    "test_a_failing_contract_stops_publishing_and_is_named",
    "test_after_a_build_it_says_what_is_there",
    "test_as_of_builds_the_past_beside_the_present",
    "test_full_refresh_rebuilds_from_bronze_alone",
    "test_what_failed_is_built_until_it_passes",
]


@pytest.fixture(scope="module", autouse=True)
def _on_a_lake() -> Iterator[None]:
    with mock.patch.dict(os.environ, {ON_LAKE: "1"}):
        yield


@pytest.fixture(scope="module")
def built_project(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project of `conftest.py`, in a lake."""
    return SmallProject(built_once(tmp_path_factory, "small_project_in_a_lake", make_built_project))


def test_what_these_tests_build_is_a_lake(project: SmallProject) -> None:
    assert is_lake(project.warehouse)
    assert list(project.warehouse.parent.rglob("*.parquet"))
    assert not list(project.root.glob("data/assay*.duckdb"))
