"""`assay doctor` says how each thing is, and what to do where it is not well."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from assay.core.moment import now
from assay.core.places import Places
from assay.doctor import checks
from assay.doctor.checks import run_checks
from assay.landing.load import SCHEMA
from assay.ledger.runs import Run, record
from assay.project.warehouse import connect


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Of a project that dbt need not parse: that check is for the tests of builds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_ONLINE_STORE", raising=False)
    project = SimpleNamespace(name="shop", models=[], landing_tables={})
    monkeypatch.setattr(checks, "Project", lambda: project)
    Path("dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    Path("dbt_packages/dbt_expectations").mkdir(parents=True)
    return Places(Path("landing"), Path("data/warehouse.duckdb"))


def found(places: Places) -> dict[str, tuple[str, str, str]]:
    return {each.name: (each.state, each.detail, each.remedy) for each in run_checks(places)}


def test_a_project_that_is_not_built_yet_is_well(places: Places) -> None:
    told = found(places)
    assert {name: state for name, (state, _, _) in told.items() if state != "ok"} == {}
    assert list(told) == list(checks._CHECKS)
    assert told["warehouse"][2] == told["builds"][2] == "assay build"


def test_models_that_lie_in_no_layer_are_told_with_how_to_put_them_into_gold(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model(name: str, schema: str, layer: str | None, package: str = "shop") -> SimpleNamespace:
        meta = {"assay": {"layer": layer} if layer else {}}
        config = SimpleNamespace(schema=schema, meta=meta)
        return SimpleNamespace(name=name, package_name=package, schema=f"main_{schema}", config=config)

    models = [
        *(model(f"fct_{letter}", "mart", None) for letter in "dbac"),
        *(model("slv_a", "silver", "silver"), model("mon_drift__states", "monitoring", None, "assay")),
    ]
    project = SimpleNamespace(name="shop", models=models, landing_tables={})
    monkeypatch.setattr(checks, "Project", lambda: project)
    state, detail, remedy = found(places)["layers"]
    assert (state, detail) == (
        "warning",
        "models in these schemas are neither published nor monitored: mart (fct_a, fct_b, fct_c and 1 more)",
    )
    assert "vars: {layers: {gold: mart}} in dbt_project.yml" in remedy


def test_packages_that_are_missing_are_named(places: Places) -> None:
    shutil.rmtree("dbt_packages")
    assert found(places)["packages"] == ("problem", "there is no dbt_packages/dbt_expectations", "assay deps")


def test_a_folder_that_no_source_declares_is_told_with_the_command_that_adds_it(places: Places) -> None:
    Path("landing/crm/accounts").mkdir(parents=True)
    Path("landing/crm/accounts/a.csv").write_text("a\n1\n")
    state, detail, remedy = found(places)["landing"]
    assert (state, detail) == ("warning", "no source is declared for crm/accounts")
    assert remedy == "assay source add crm.accounts landing/crm/accounts/*"


def test_the_size_of_a_lake_is_that_of_its_files(places: Places) -> None:
    lake = replace(places, main_warehouse=Path("data/lake.sqlite"))
    with connect(lake.warehouse, read_only=False) as connection:
        connection.execute("create table numbers as select uuid() as number from range(250_000)")
    assert found(lake)["warehouse"][:2] == ("ok", "data/lake.sqlite: 1 table, 4 MB")


def test_a_warehouse_that_is_none_is_a_problem_and_the_other_checks_go_on(places: Places) -> None:
    places.main_warehouse.parent.mkdir()
    places.main_warehouse.write_text("not a database" * 100)
    told = found(places)
    assert told["warehouse"][0] == "problem"
    assert "is not a DuckDB file" in told["warehouse"][1]
    assert told["disk"][0] == "ok"


def test_files_that_could_not_be_loaded_are_told(places: Places) -> None:
    places.main_warehouse.parent.mkdir()
    with duckdb.connect(str(places.main_warehouse)) as connection:
        connection.execute(SCHEMA)
        connection.execute(
            "insert into landing.files select 1, 'crm', 'accounts', 'crm/accounts/a.csv', 1, 9, 'h', now(), "
            "'failed', 'The header is not CSV', 0, 0, 0, 0, 0, 0, [], now(), 'r', 0, 0"
        )
    told = [(each.name, each.state, each.detail) for each in run_checks(places)]
    assert ("warehouse", "warning", "1 file could not be loaded") in told


def test_a_build_that_failed_is_told_with_where_to_look(places: Places) -> None:
    places.main_warehouse.parent.mkdir()
    record(places.ledger, Run("0123456789", "w", now(), "assay build", {}, status="failed"))
    state, detail, remedy = found(places)["builds"]
    assert (state, remedy) == ("problem", "assay runs show 01234567")
    assert "failed" in detail


def test_clocks_that_disagree_are_told(places: Places) -> None:
    later = now() + timedelta(hours=2)
    folder = Path(f"landing/crm/accounts/landed_at={later:%Y-%m-%dT%H-%M-%S}")
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("a\n1\n")
    assert found(places)["clock"][:2] == (
        "warning",
        f"1 file landed later than now, such as {folder.relative_to('landing')}/a.csv",
    )


def test_a_disk_that_is_nearly_full_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**8))
    state, _, remedy = found(places)["disk"]
    assert state == "warning"
    assert "free space" in remedy


def test_personal_data_without_a_key_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    node = SimpleNamespace(config=SimpleNamespace(meta={"pii": {"email": "hash"}}))
    project = SimpleNamespace(name="shop", models=[], landing_tables={("crm", "accounts"): node})
    monkeypatch.setattr(checks, "Project", lambda: project)
    monkeypatch.delenv("ASSAY_PII_KEY", raising=False)
    state, detail, _ = found(places)["personal data"]
    assert (state, detail) == ("warning", "declared in crm.accounts, and ASSAY_PII_KEY is not set")
    monkeypatch.setenv("ASSAY_PII_KEY", "k" * 32)
    assert found(places)["personal data"][0] == "ok"


def test_what_an_older_version_cannot_read_is_told(places: Places) -> None:
    places.main_warehouse.parent.mkdir()
    with duckdb.connect(str(places.ledger)) as connection:
        connection.execute("create table versions (version varchar primary key, first_used_at timestamp)")
        connection.execute("insert into versions values ('99.0', now())")
    state, detail, _ = found(places)["builds"]
    assert state == "problem"
    assert "Assay 99.0 has built here" in detail


def test_a_requirement_that_is_not_met_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "requires", lambda _: ["duckdb>=99", "nothing-of-it", "x; extra == 'y'"])
    state, detail, _ = found(places)["environment"]
    assert state == "problem"
    assert "duckdb>=99 (there is 1." in detail
    assert "nothing-of-it (there is none)" in detail
