"""What a build follows from: a change of it is noticed, and what is no part of it is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.project.code_files import Code, read_code


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MY_NAME", "MADE_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, content in {
        "dbt_project.yml": "name: shop\n",
        "profiles.yml": "shop: {outputs: {dev: {type: duckdb, module_paths: [../lib]}}}\n",
        "models/fct.sql": "select 1 as a\n",
        "tests/generic/few.sql": "{% test few(model) %} select 1 {% endtest %}\n",
        "tests/all.sql": "select 1\n",
        "seeds/kinds.csv": "kind\n'MY_NAME'\n",
        "solo.py": "N = 1\n",
        "lone/made.py": "N = 1\n",
        "pack/__init__.py": "",
        "pack/inner/made.py": "N = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def changed(change: Callable[[], object]) -> tuple[bool, bool]:
    """Whether a change is one of settings, which any node may depend on, and of single nodes."""
    before: Code = read_code()
    change()
    after = read_code()
    return before.settings != after.settings, before.nodes != after.nodes


@pytest.mark.parametrize(
    "file", ["models/fct.sql", "models/own.py", "tests/all.sql", "seeds/kinds.csv", "models/_docs.md"]
)
def test_files_of_nodes_concern_single_nodes(root: Path, file: str) -> None:
    assert changed(lambda: (root / file).write_text("changed")) == (False, True)


@pytest.mark.parametrize(
    "file",
    [
        *("tests/generic/few.sql", "macros/own.sql", "profiles.yml", "packages.yml", ".dbtignore"),
        *("solo.py", "lone/made.py", "pack/inner/made.py"),
        *("dbt_packages/dates/macros/now.sql", "contracts/erp.yaml"),
    ],
)
def test_what_any_node_may_use_concerns_all(root: Path, file: str) -> None:
    def change() -> None:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / "dbt_packages" / "dates").mkdir(parents=True, exist_ok=True)
        (root / "dbt_packages" / "dates" / "dbt_project.yml").write_text("name: dates\n")
        (root / file).write_text("changed: 1")

    (root / "dbt_packages" / "dates").mkdir(parents=True)
    (root / "dbt_packages" / "dates" / "dbt_project.yml").write_text("name: dates\n")
    assert changed(change) == (True, False)


def test_who_is_told_changes_no_table(root: Path) -> None:
    assert changed(lambda: (root / "alerts.yml").write_text("channels: [{type: stdout}]\n")) == (False, False)


def test_an_experiment_changes_the_tables_that_judge_it_and_no_others(root: Path) -> None:
    assert changed(lambda: (root / "experiments.yml").write_text("experiments: []\n")) == (False, True)


def test_folders_that_profiles_add_to_pythons_are_read(root: Path) -> None:
    lib = root / "lib"
    (root / "profiles.yml").write_text(f"shop: {{outputs: {{dev: {{module_paths: ['{lib}']}}}}}}\n")
    (lib / "deep").mkdir(parents=True)
    assert changed(lambda: (lib / "deep" / "made.py").write_text("N = 2")) == (True, False)


@pytest.mark.parametrize("name", [".hidden.sql", "#fct.sql#", "~fct.sql", ".#fct.sql"])
def test_files_of_editors_are_left_alone(root: Path, name: str) -> None:
    # Emacs marks an open file by a link to nowhere.
    assert changed(lambda: (root / "models" / name).symlink_to("me@host.1")) == (False, False)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("models/fct.sql", "select '{{ env_var('MY_NAME') }}'"),
        ("models/fct.sql", "{% set name = 'MY_NAME' %} select '{{ env_var(name) }}'"),
        (
            "models/fct.sql",
            "select '{{ env_var('MY_' ~ 'NAME') }}' as a, '{{ env_var(prefix ~ '_NAME') }}' as b",
        ),
        ("models/own.py", "import os\nN = os.environ['MY_NAME']"),
        ("lone/made.py", 'import os\nN = os.getenv("MY_NAME")'),
    ],
)
def test_variables_that_code_reads_are_settings(
    root: Path, monkeypatch: pytest.MonkeyPatch, file: str, code: str
) -> None:
    assert changed(lambda: monkeypatch.setenv("MY_NAME", "1")) == (False, False)
    (root / file).write_text(code)
    assert changed(lambda: monkeypatch.setenv("MY_NAME", "2")) == (True, False)
    assert changed(lambda: monkeypatch.setenv("SHLVL", "9")) == (False, False)


def test_a_key_that_is_changed_builds_nothing_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed(lambda: monkeypatch.setenv("ASSAY_EMBEDDING_KEY", "another")) == (False, False)
    assert changed(lambda: monkeypatch.setenv("ASSAY_EMBEDDING", "static")) == (True, False)


def test_what_words_are_joined_with_is_no_variable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "models/fct.sql").write_text("select '{{ ['a', 'b'] | join('_') }}'")
    assert changed(lambda: monkeypatch.setenv("_", "/usr/bin/make")) == (False, False)


def test_another_version_of_a_package_is_a_setting(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = root / "site-packages"
    place.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(place)])
    assert changed(lambda: (place / "scikit_learn-9.9.dist-info").mkdir()) == (True, False)
