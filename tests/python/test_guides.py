"""What the README and the guides tell people to run is run, on the demo in a project of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest
import yaml
from feature_server import serving
from guides import PROJECT, Block, blocks
from small_project import SmallProject
from warehouse import Warehouse

import assay
from assay.project.warehouse import connect

# What a checkout has that commands read or write.
pytestmark = pytest.mark.minutes

_PARTS = (
    "analyses",
    "contracts",
    "dbt_packages",
    "docs",
    "macros",
    "models",
    "seeds",
    "snapshots",
    "tests/dbt",
)
_FILES = (".gitignore", "dbt_project.yml", "packages.yml", "profiles.yml")
# Of a month no outcome is known yet, so another training set stands for those of the demo.
_TRAINING_SETS = {"trn_fraud": "trn_lines"}


@pytest.fixture(scope="module")
def checkout(built_demo: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A copy of this project, with the demo as `make build` leaves it."""
    root = tmp_path_factory.mktemp("guides") / "project"
    for part in _PARTS:
        shutil.copytree(PROJECT / part, root / part)
    for name in _FILES:
        shutil.copy(PROJECT / name, root / name)
    shutil.copytree(built_demo.folder, root / "data")
    (root / "data" / "target").rename(root / "target")
    with duckdb.connect(root / "data" / "ops.duckdb") as ledger:
        # Where it was built; the copy is a warehouse of its own.
        ledger.execute("update runs set warehouse = 'data/assay.duckdb'")
    project = SmallProject(root)
    _commit(project)
    return project


def _commit(project: SmallProject) -> None:
    """Make the project a repository with a branch main."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    for words in (["init"], ["add", "-A"], ["commit", "-m", "begin"]):
        subprocess.run(["git", *who, *words], cwd=project.root, check=True, capture_output=True)


@pytest.fixture(scope="module")
def trained(built_training: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """A copy of the small project with training sets."""
    return SmallProject(
        Path(shutil.copytree(built_training.root, tmp_path_factory.mktemp("guides") / "training"))
    )


def test_every_block_has_a_language_by_which_it_is_run_or_not() -> None:
    known = ("sh", "python", "sql", "yaml", "text", "jinja", "{toctree}", "{eval-rst}")
    assert [str(block) for block in blocks() if block.language not in known] == []


@pytest.mark.parametrize(
    "block", [block for block in blocks("sh") if block.is_run and not block.is_of_runbook], ids=str
)
def test_commands_of_a_guide_run(block: Block, checkout: SmallProject, trained: SmallProject) -> None:
    for number, words in enumerate(block.commands, 1):
        expected = block.exit_code if number == len(block.commands) else 0
        if "training-set" in words:
            words = [_TRAINING_SETS.get(word, word) for word in words]
            code, told = _run(trained, words)
        else:
            code, told = _run(checkout, words)
        assert code == expected, f"{shlex.join(words)}\n{told}"


@pytest.mark.parametrize("block", [block for block in blocks("python") if block.is_run], ids=str)
def test_python_of_a_guide_runs(block: Block, checkout: SmallProject) -> None:
    code, told = _run(checkout, [sys.executable, "-c", block.text])
    assert code == 0, told


@pytest.mark.parametrize(
    "block", [block for block in blocks("sql") if block.is_run and "{{" not in block.text], ids=str
)
def test_sql_of_a_guide_runs(block: Block, checkout: SmallProject) -> None:
    if "assay.gold" in block.text:
        with duckdb.connect() as connection:
            connection.execute(f"attach '{checkout.published}' as assay (read_only)")
            connection.sql(block.text).fetchall()
    else:
        with connect(checkout.warehouse) as connection:
            connection.sql(block.text).fetchall()


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_of_a_guide_is_yaml(block: Block) -> None:
    assert yaml.safe_load(block.text)


def test_the_notebook_goes_from_landing_to_a_model(
    checkout: SmallProject,
    trained: SmallProject,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    notebook = checkout.root / "docs" / "notebooks" / "first-model.ipynb"
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    version = assay.open(trained.root).training_set(_TRAINING_SETS["trn_fraud"])
    client = assay.Client
    monkeypatch.chdir(notebook.parent)
    names: dict[str, Any] = {}
    with ExitStack() as server:

        def connect(_: str) -> assay.Client:
            address, _ = server.enter_context(serving(checkout.root, "sqlite:data/online.sqlite"))
            return client(address)

        server.enter_context(mock.patch.dict(os.environ, checkout.environment, clear=True))
        # What is built already stands for the build, and a server on a free port for the one of the text.
        server.enter_context(mock.patch.object(assay.Project, "build"))
        server.enter_context(mock.patch.object(assay.Project, "create_training_set", return_value=version))
        server.enter_context(mock.patch.object(assay, "Client", connect))
        for cell in cells:
            exec("".join(cell["source"]), names)
    assert capsys.readouterr().out.count("probability of fraud") == 1
    assert names["rows"].to_arrow()["seconds_since_last"].null_count > 0
    assert float(names["row"]["amount_sum_24h"]) == float(names["online"]["amount_sum_24h"])
    assert Path.cwd() == notebook.parent


def _run(project: SmallProject, words: list[str]) -> tuple[int, str]:
    """Run a command to its end; return its exit code and what it told."""
    if words[0] == "assay":
        result = project.assay(*words[1:])
        return result.exit_code, result.output
    scripts = Path(sys.executable).parent
    command = [str(scripts / words[0]) if (scripts / words[0]).exists() else words[0], *words[1:]]
    run = subprocess.run(
        command, cwd=project.root, env=project.environment, capture_output=True, text=True, check=False
    )
    return run.returncode, run.stdout + run.stderr
