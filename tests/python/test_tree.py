"""The arrows of the package run one way: a package imports only what stands on lower floors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "assay"
# From the ground up; each may import what stands before it.
FLOORS = [
    *("core", "bucket", "pii", "console", "project"),
    *("landing", "ledger", "contracts"),
    *("embedding", "documents", "search"),
    *("features", "generate", "leakage", "training", "corpus", "spark"),
    *("online", "parity", "drift", "retraining", "gaps", "experiments", "lake", "query"),
    *("alerts", "lineage", "server", "report", "catalog", "stream", "backfill", "dlt"),
    *("build", "erasure", "cost", "diff", "init", "doctor", "api", "dagster", "cli"),
]

# Where files of DuckDB are opened that are never encrypted: samples.
NO_WAREHOUSES = {("generate/sample.py", "database")}


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


def opened_files(code: str) -> Iterator[str]:
    """Yield the files that a module opens or attaches by itself, each as the expression that names it."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("duckdb"), attr="connect"), args=[file]):
                yield _inner(file)
            case ast.JoinedStr(values=[ast.Constant(str(start)), ast.FormattedValue(file), *_]) if re.search(
                r"\battach( database)?( if not exists)?\s*'?$", start.lower()
            ):
                yield _inner(file)


def _inner(expression: ast.expr) -> str:
    """Return what is made a text, as in `str(warehouse)`."""
    match expression:
        case ast.Call(func=ast.Name(), args=[inner]):
            return ast.unparse(inner)
    return ast.unparse(expression)


def test_the_warehouse_is_opened_in_one_place() -> None:
    found = {
        (str(file.relative_to(PACKAGE)), opened)
        for file in PACKAGE.rglob("*.py")
        for opened in opened_files(file.read_text())
    }
    in_one_place = {("project/warehouse.py", "warehouse"), ("core/encryption.py", "file")}
    in_one_place |= {("project/lake.py", "path_of(catalog)")}
    # Catalogs of lakes, of Postgres and SQLite.
    in_one_place |= {("project/lake_copies.py", "address_of(catalog)"), ("project/lake_copies.py", "copy")}
    assert found == NO_WAREHOUSES | in_one_place


def test_no_result_of_duckdb_is_left_unread() -> None:
    """DuckDB 2 registers no table, and makes no function, while rows of a query wait to be fetched."""
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        if "import duckdb" in (code := path.read_text()) and ".fetchone()" in code
    ]
    assert found == []


def test_a_file_that_is_opened_is_seen_in_every_form() -> None:
    for form in (
        "duckdb.connect(warehouse)",
        "duckdb.connect(str(warehouse), read_only=True)",
        'connection.execute(f"attach {warehouse} as whole")',
        'connection.execute(f"ATTACH {text(warehouse)} (read_only)")',
        "connection.execute(f\"use memory; attach if not exists '{warehouse}'\")",
    ):
        assert list(opened_files(form)) == ["warehouse"]
    assert list(opened_files("duckdb.connect()\nconnection.execute(\"attach ':memory:' as run\")")) == []
