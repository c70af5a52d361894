"""What a make target installs is all that its folder imports, so that each works in a fresh clone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions, requires, version
from pathlib import Path
from sys import stdlib_module_names

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from small_project import SmallProject

from assay.core.extensions import find_extension
from assay.core.fault import Fault
from assay.init.project import init_project

ROOT = Path(__file__).parents[2]
# These run in an environment of the tool that they measure.
ELSEWHERE = {"drift_evidently.py", "online_feast.py"}
OWN = {"assay", "benchmarks", "example"}


@cache
def installed_with(name: str, extra: str = "") -> frozenset[str]:
    """Return the distributions that come with one, its own extras among them.

    Of one that is not installed here it alone is known.
    """
    found = {canonicalize_name(name)}
    try:
        needs = requires(name) or []
    except PackageNotFoundError:
        return frozenset(found)
    for text in needs:
        need = Requirement(text)
        if need.marker is None or need.marker.evaluate({"extra": extra}):
            wanted = ["", *need.extras]
            found |= set().union(*(installed_with(canonicalize_name(need.name), each) for each in wanted))
    return frozenset(found)


def modules_of(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("benchmarks", ("bench", "example")), ("example", ("example", "serve", "broker"))],
)
def test_extras_hold_what_a_folder_imports(folder: str, extras: tuple[str, ...]) -> None:
    files = [file for file in (ROOT / folder).rglob("*.py") if file.name not in ELSEWHERE]
    imported = {module for file in files for module in modules_of(file.read_text())}
    known = set().union(*(installed_with("assay", extra) for extra in ("", *extras)))
    others = imported - stdlib_module_names - OWN - {file.stem for file in files}
    # A module that is not installed here has the name of its distribution.
    makers = packages_distributions()
    assert {
        each for each in others if known.isdisjoint(map(canonicalize_name, makers.get(each, [each])))
    } == set()
    assert len(others) > 1


def test_benchmarks_have_the_extras_of_the_commands_that_they_run() -> None:
    calls = [
        node
        for file in (ROOT / "benchmarks").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run_assay"
    ]
    commands = {call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)}
    extras = commands.intersection(metadata("assay").get_all("Provides-Extra", []))
    assert "report" in extras
    there = installed_with("assay", "bench")
    assert [name for name in sorted(extras) if not installed_with("assay", name) <= there] == []


def test_an_extension_of_another_version_is_told_with_what_can_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Extensions come as packages for some versions of DuckDB alone, so it is DuckDB that has to follow."""
    theirs = version("duckdb-extension-ducklake")
    monkeypatch.setattr("duckdb.__version__", "9.9.9")
    with pytest.raises(Fault, match=re.escape(f"pip install duckdb=={theirs}.")):
        find_extension("ducklake", extra="lake", by="A lake")


def test_a_lake_without_its_extra_is_told_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_project(tmp_path / "shop")
    monkeypatch.setattr("assay.core.extensions.find_spec", lambda _: None)
    project = SmallProject(tmp_path / "shop", {"ASSAY_TARGET": "lake"})
    built = project.assay("build")
    assert built.exit_code == 2
    assert "A lake needs duckdb-extension-sqlite_scanner, which is not installed" in built.stderr
    assert "pip install 'assay[lake]'" in built.stderr
    assert not (project.root / "data" / "lake").exists()
    assert "Building" not in built.stdout
