"""A lake of ten increments holds what one build makes in a file, also after its files were merged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from built_once import built_once
from lake_contents import contents
from small_project import SmallProject
from test_lake import catalog_of, on_lake, write_twins

from assay.core.places import Places
from assay.lake.catalog import compact, expire
from assay.project.warehouse import connect

_NO_TESTS = ("--exclude-resource-type", "test")


def _build(project: SmallProject) -> None:
    run = project.dbt("build", *_NO_TESTS)
    assert run.returncode == 0, run.stdout + run.stderr


def _count_files(catalog: Path) -> int:
    """Count the files of Parquet that the newest snapshot takes."""
    with connect(catalog) as connection:
        found = connection.execute("select sum(file_count) from ducklake_table_info('assay')").fetchall()
    return int(found[0][0])


def _held(warehouse: Path) -> dict[str, object]:
    """Return the contents of silver, gold and snapshots; fingerprints of histories are no product."""
    return {
        name: held
        for name, held in contents(warehouse, as_in_lake=True).items()
        if name.startswith(("silver", "gold", "snapshots")) and not name.endswith("__input")
    }


def make_grown(root: Path) -> None:
    """Build ten days in a lake, day by day, whose files are merged in the middle; then all in a file."""
    project = write_twins(root)
    lake = on_lake(project)
    for increment in range(10):
        _build(lake)
        if increment == 4:
            compact(Places(project.landing, catalog_of(project)))
        if increment < 9:
            # Each day brings new products, and news of those that were there.
            project.land(10 + increment, *range(1, 3 + increment))
    _build(project)


@pytest.fixture(scope="module")
def grown(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    return SmallProject(built_once(tmp_path_factory, "grown_lake", make_grown))


def test_a_lake_of_ten_increments_equals_one_build_in_a_file(grown: SmallProject) -> None:
    of_file = _held(grown.warehouse)
    assert {
        *("silver.slv_order_lines", "silver.slv_added", "gold.fct_added", "gold.fct_days"),
        *("gold.ftr_product__lines", "gold.ftr_product__shape", "gold.trn_lines"),
    } <= {*of_file}
    # A snapshot captures what each run found, so one run finds less.
    del of_file["snapshots.snp_products"]
    of_lake = _held(catalog_of(grown))
    del of_lake["snapshots.snp_products"]
    assert of_lake == of_file


def test_a_table_keeps_its_definition_where_rows_alone_are_new(grown: SmallProject) -> None:
    """DuckLake reads its catalog anew after each change of a definition, and keeps all of them."""
    with closing(sqlite3.connect(catalog_of(grown))) as catalog:
        tables = dict(catalog.execute("select table_name, count(*) from ducklake_table group by 1"))
        views = dict(catalog.execute("select view_name, count(*) from ducklake_view group by 1"))
    kept = (
        *("fct_lines", "fct_listed", "fct_shapes", "trn_lines", "ftr_product__lines"),
        *("ftr_product__shape", "ftr_product__shape__input"),
    )
    assert {name: tables[name] for name in kept} == dict.fromkeys(kept, 1)
    assert views["slv_order_lines"] == 1


def test_merged_files_and_expired_snapshots_change_nothing(grown: SmallProject) -> None:
    catalog = catalog_of(grown)
    before, files, places = _held(catalog), _count_files(catalog), Places(grown.landing, catalog)
    assert compact(places).merged > 0
    assert expire(places, timedelta(0)).snapshots > 10
    assert _count_files(catalog) < files
    assert _held(catalog) == before
    _build(on_lake(grown))
    assert _held(catalog) == before
