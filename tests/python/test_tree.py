"""The arrows of the package run one way: a package imports only what stands on lower floors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "assay"
# From the ground up; each may import what stands before it.
FLOORS = [
    *("core", "pii", "console", "project"),
    *("landing", "ledger", "contracts"),
    *("embedding", "documents", "search"),
    *("features", "generate", "leakage", "training", "corpus"),
    *("online", "parity", "drift", "retraining", "gaps"),
    *("alerts", "lineage", "server", "report", "catalog", "stream", "backfill", "dlt"),
    *("build", "diff", "init", "doctor", "api", "dagster", "cli"),
]


def imports_of(code: str) -> Iterator[str]:
    """Yield the packages of Assay that a file imports, those for type checking too."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            # The package itself stands above all of them: it is what users import.
            assert "assay" not in [alias.name for alias in node.names]
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("assay."))


def arrows_back(package: str, code: str) -> list[str]:
    return [name for name in imports_of(code) if FLOORS.index(name) > FLOORS.index(package)]


@pytest.mark.parametrize("package", FLOORS)
def test_a_package_imports_what_stands_below_it_alone(package: str) -> None:
    files = sorted((PACKAGE / package).rglob("*.py"))
    assert files
    found = {str(file.relative_to(PACKAGE)): arrows_back(package, file.read_text()) for file in files}
    assert {file: names for file, names in found.items() if names} == {}


def test_commands_call_the_interface_alone() -> None:
    files = sorted((PACKAGE / "cli").glob("*.py"))
    found = {file.name: {*imports_of(file.read_text())} - {"api", "cli", "console", "core"} for file in files}
    assert {name: names for name, names in found.items() if names} == {}


def test_each_package_has_its_floor() -> None:
    assert {file.parent.name for file in PACKAGE.glob("*/__init__.py")} == set(FLOORS)


def test_an_arrow_back_is_seen_in_every_form_of_import() -> None:
    for lower, higher in pairwise(FLOORS):
        for form in (
            f"from assay.{higher} import anything",
            f"from assay import {higher}",
            f"import assay.{higher}.deep.down",
            f"def late():\n    from assay.{higher}.deep import anything",
            f"if TYPE_CHECKING:\n    from assay.{higher}.deep import anything",
        ):
            assert arrows_back(lower, form) == [higher]
        assert arrows_back(higher, f"from assay.{lower} import anything") == []


def test_a_class_name_has_one_meaning() -> None:
    # The server's answers have the names of its document.
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "answer_shapes.py"]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    names = [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    assert [names.count(name) for name in ("Column", "Finding", "Manifest", "Store")] == [1, 1, 1, 1]
