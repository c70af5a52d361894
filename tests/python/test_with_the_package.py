"""A project that has Assay as a package gets everything of it, for tables that no landing zone brought.

Its gold is called mart, its warehouse and profile have names of their own, and it switches nothing off.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from small_project import PROJECT, SmallProject

TABLES = {"fct_trips", "ftr_van__use", "lbl_busy", "trn_busy"}
_TRIPS = """
create schema depot;
create table depot.trips as
select
    'T' || i as trip_id,
    'V' || i % 12 as van_id,
    (20 + i * 7 % 90)::integer as kilometres,
    timestamp '2026-01-01' + to_hours(i * 5) + to_minutes(i * 13 % 60) as ended_at,
    ended_at + interval '3 minutes' as known_at
from range(900) as numbers (i)
"""


@dataclass(frozen=True)
class Fleet(SmallProject):
    """The project, whose warehouse is where its profile says."""

    @property
    def warehouse(self) -> Path:
        return self.root / "fleet.duckdb"

    @property
    def published(self) -> Path:
        return self.root / "published" / "assay.duckdb"

    def ran(self, *arguments: str) -> str:
        ended = self.assay(*arguments)
        assert ended.exit_code == 0, ended.stdout + ended.stderr
        return str(ended.stdout)


@pytest.fixture(scope="module")
def fleet(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    root = tmp_path_factory.mktemp("fleet") / "project"
    shutil.copytree(Path(__file__).parent / "fleet", root)
    packages = root / "dbt_packages"
    packages.mkdir()
    # As `dbt deps` lays out a package that is `local:`.
    (packages / "assay").symlink_to(PROJECT)
    (packages / "dbt_expectations").symlink_to(PROJECT / "assay" / "stand_ins" / "dbt_expectations")
    project = Fleet(root)
    with duckdb.connect(str(project.warehouse)) as connection:
        connection.execute(_TRIPS)
    project.ran("build")
    project.ran("training-set", "create", "trn_busy")
    return project


def test_the_warehouse_is_that_of_the_profile_and_no_landing_zone_is_asked_for(fleet: Fleet) -> None:
    assert not (fleet.root / "data").exists()
    with duckdb.connect(str(fleet.warehouse), read_only=True) as connection:
        assert connection.sql("select count(*) from main_mart.fct_trips").fetchall() == [(900,)]
        assert connection.sql("select count(*) from bronze.brz_files").fetchall() == [(0,)]


def test_tables_of_the_layer_that_is_called_mart_are_published(fleet: Fleet) -> None:
    with duckdb.connect(str(fleet.published), read_only=True) as connection:
        found = connection.sql("select schema_name, table_name from duckdb_tables()").fetchall()
    assert {table for schema, table in found if schema == "main_mart"} == TABLES
    assert {"mon_quality", "srv_catalog", "srv_ftr_van__use"} <= {table for _, table in found}


def test_tables_of_the_project_are_watched(fleet: Fleet) -> None:
    with duckdb.connect(str(fleet.warehouse), read_only=True) as connection:
        watched = {row[0] for row in connection.sql("select table_name from gold.mon_quality").fetchall()}
    assert watched >= TABLES


def test_a_version_is_rebuilt_from_the_sources_of_the_project(fleet: Fleet) -> None:
    version = re.search(r"trn_busy@\w+", fleet.ran("training-set", "list"))
    assert version
    told = fleet.ran("training-set", "verify", version[0])
    assert "was rebuilt to the bit" in told
    assert "made of the source depot.trips" in " ".join(told.split())


def test_features_are_online_and_equal_to_those_offline(fleet: Fleet) -> None:
    assert "ftr_van__use" in fleet.ran("online", "sync")
    assert "values are equal" in fleet.ran("parity", "--samples", "20")


def test_drift_retraining_and_report_tell_of_the_project(fleet: Fleet) -> None:
    assert re.search(r"trip_count_7d +stable", fleet.ran("drift"))
    assert "trn_busy" in fleet.assay("retraining").stdout
    fleet.ran("report")
    assert "trn_busy" in (fleet.root / "report" / "index.html").read_text()


def test_contracts_are_adopted_and_hold(fleet: Fleet) -> None:
    for number, table in enumerate(sorted(TABLES)):
        owner = () if number else ("--owner", "dispatch")
        fleet.ran("contracts", "adopt", table, "--product", "fleet", *owner)
    fleet.ran("contracts", "sync")
    told = fleet.assay("contracts", "check")
    assert told.exit_code == 0, told.stdout
    # Another tool's checks run on the published file, whose tables it knows by the contract's server.
    tested = subprocess.run(
        [Path(sys.executable).with_name("datacontract"), "test", "contracts/fleet.odcs.yaml"],
        cwd=fleet.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"valid. Ran [1-9]\d+ checks", tested.stdout)
