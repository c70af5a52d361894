"""`assay init` writes a project of one's own, which has the installed Assay as a package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from small_project import PROJECT, SmallProject

from assay.core.fault import Fault
from assay.core.places import find_lake_file
from assay.init.project import init_project
from assay.project import packages
from assay.project.packages import LINK, links_assay, package_folder


@pytest.fixture(autouse=True)
def _hub_is_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "hub_can_be_reached", lambda: False)


@pytest.fixture(scope="module")
def empty(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A new project without a source, built."""
    root = tmp_path_factory.mktemp("init") / "my-shop"
    init_project(root)
    project = SmallProject(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packages, "hub_can_be_reached", lambda: False)
        built = project.assay("build")
    assert built.exit_code == 0, built.stdout + built.stderr
    return project


def test_a_new_project_builds_and_publishes_the_platforms_tables(empty: SmallProject) -> None:
    published = empty.query(
        "select table_name from duckdb_tables() where schema_name = 'gold'", file=empty.published
    )
    assert {"mon_quality", "mon_freshness", "srv_catalog"} <= {name for (name,) in published}
    assert empty.query("select count(*) from bronze.brz_files") == [(0,)]


_WITH_A_KEY = """
models:
  - name: fct_visits
    description: Visits.
    constraints:
      - {type: primary_key, columns: [visit_id]}
    columns:
      - {name: visit_id, data_type: integer, description: Number., constraints: [{type: not_null}]}
"""


def test_its_gold_keeps_keys_in_a_lake_too(builds: None, tmp_path: Path) -> None:
    init_project(tmp_path / "shop")
    project = SmallProject(tmp_path / "shop", {"ASSAY_TARGET": "lake"})
    gold = project.root / "models" / "gold"
    gold.mkdir(exist_ok=True)
    (gold / "_gold__models.yml").write_text(_WITH_A_KEY)
    (gold / "fct_visits.sql").write_text("select 1 as visit_id")
    built = project.assay("build", "--select", "fct_visits")
    assert built.exit_code == 0, built.stdout + built.stderr
    # As projects have it that were made before.
    (gold / "fct_visits.sql").write_text("{{ config(materialized='table') }} select 1 as visit_id")
    refused = project.assay("build", "--select", "fct_visits")
    assert refused.exit_code == 1
    assert "Write `+materialized: replaced` under gold" in refused.stdout


def test_it_has_the_installed_assay_as_a_package_that_nobody_copies(empty: SmallProject) -> None:
    package = empty.root / "dbt_packages" / "assay"
    assert package.is_symlink()
    assert package.resolve() == package_folder().resolve()
    files = {str(path) for path in empty.root.rglob("*") if path.is_file()}
    assert not [
        path
        for path in files
        if "mon_quality" in path and not Path(path).is_relative_to(empty.root / "target")
    ]


def test_plain_dbt_parses_it_without_a_warning(empty: SmallProject) -> None:
    silenced = ["UnsupportedConstraintMaterialization", "UnusedResourceConfigPath"]
    strict = json.dumps({"error": "all", "silence": silenced})
    parsed = empty.dbt("--warn-error-options", strict, "--no-partial-parse", "parse")
    assert parsed.returncode == 0, parsed.stdout


def test_a_link_to_another_assay_is_set_right(empty: SmallProject, tmp_path: Path) -> None:
    link = empty.root / LINK
    link.unlink()
    link.symlink_to(tmp_path)
    with chdir(empty.root):
        packages.make_linked_packages_ready()
    assert link.resolve() == package_folder().resolve()


@pytest.mark.parametrize(
    ("folder", "name"),
    [("shop", "shop"), ("My Shop-2", "my_shop_2"), ("assay", "assay_features"), ("dbt", "dbt_features")],
)
def test_a_project_is_called_like_its_folder(folder: str, name: str, tmp_path: Path) -> None:
    init_project(tmp_path / folder)
    declared = yaml.safe_load((tmp_path / folder / "dbt_project.yml").read_text())
    profiles = yaml.safe_load((tmp_path / folder / "profiles.yml").read_text())
    assert (declared["name"], declared["profile"], list(profiles)) == (name, name, [name])
    assert list(declared["models"]) == [name]


def test_a_new_project_may_have_its_lake_in_postgres_as_assay_itself(tmp_path: Path) -> None:
    init_project(tmp_path / "shop")
    new, own = (
        yaml.safe_load((root / "profiles.yml").read_text())[name]["outputs"]["lake"]
        for root, name in ((tmp_path / "shop", "shop"), (PROJECT, "assay"))
    )
    assert new == own
    # One of before would take an address of Postgres for a file.
    with pytest.raises(Fault, match=r"output `lake` of profiles\.yml is of an Assay that knew no"):
        find_lake_file("ducklake:sqlite:postgres:host=db dbname=shop")


@pytest.mark.parametrize("folder", ["7eleven", "___", "日本"])
def test_a_folder_whose_name_is_no_projects_is_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="gives no name for a project"):
        init_project(tmp_path / folder)
    assert not (tmp_path / folder).exists()


def test_files_that_are_there_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    (root / "macros").mkdir(parents=True)
    (root / "README.md").write_text("mine")
    with pytest.raises(Fault, match=r"has README\.md already: nothing is written"):
        init_project(root)
    assert sorted(path.name for path in root.rglob("*")) == ["README.md", "macros"]
    assert (root / "README.md").read_text() == "mine"


def test_other_files_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "shop" / ".venv").mkdir(parents=True)
    (tmp_path / "shop" / "sample.csv").write_text("a\n1\n")
    assert Path("dbt_project.yml") in init_project(tmp_path / "shop")
    assert (tmp_path / "shop" / "sample.csv").read_text() == "a\n1\n"


def test_an_unknown_example_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="There is no example 'bank': there are none, retail"):
        init_project(tmp_path / "shop", "bank")


def test_code_is_for_everybody_to_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files = init_project(tmp_path / "shop")
    finally:
        os.umask(before)
    assert {(tmp_path / "shop" / file).stat().st_mode & 0o777 for file in files} == {0o644}


def test_a_project_that_links_no_assay_keeps_its_packages_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("packages.yml").write_text("packages: [{package: metaplane/dbt_expectations, version: 0.10.8}]")
    packages.make_linked_packages_ready()
    assert not links_assay()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packages.yml"]


def test_the_example_is_copied_whole_and_parses(builds: None, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    init_project(root, "retail")
    parts = {"models": "models/example", "contracts": "contracts/example", "example": "example"}
    for copied, part in parts.items():
        original = {
            path.relative_to(PROJECT / part)
            for path in (PROJECT / part).rglob("*.*")
            if path.suffix != ".pyc"
        }
        assert {path for path in original if not (root / copied / path).exists()} == set()
    parsed = SmallProject(root).assay("features", "list")
    assert parsed.exit_code == 0, parsed.stdout + parsed.stderr
    assert "ftr_card__velocity" in parsed.stdout


def test_the_wheel_alone_is_enough(builds: None, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "DBT_"))
    }
    environment["PYTHONPATH"] = str(installed)

    def ran(*arguments: str, folder: Path) -> str:
        call = [sys.executable, "-c", "from assay.cli import app; app()", *arguments]
        ended = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    ran("init", "shop", folder=tmp_path)
    root = tmp_path / "shop"
    assert "There is no feature view yet" in ran("features", "list", folder=root)
    assert (root / "dbt_packages" / "assay").resolve() == installed / "assay" / "dbt_project"
