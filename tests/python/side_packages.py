"""Packages beside those in use: other versions of DuckDB, and what needs an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

# The newest of each series that `pyproject.toml` allows, beside the one that is pinned.
OTHER_DUCKDBS = ("1.5.6", "2.0.1")


def environment_with_duckdb(version: str) -> dict[str, str]:
    """The environment of a Python that imports this DuckDB, which is installed once, under `sys.prefix`.

    Skips the test where the package index cannot be reached.
    """
    if version == duckdb.__version__:
        return dict(os.environ)
    return environment_beside(f"duckdb-{version}", f"duckdb=={version}")


def environment_beside(name: str, *packages: str) -> dict[str, str]:
    """The environment of a Python that imports these packages too, installed once, without what they need.

    Skips the test where the package index cannot be reached.
    """
    folder = Path(sys.prefix) / "side" / name
    if not folder.exists():
        unready = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(unready)]
        run = subprocess.run([*command, *packages], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            pytest.skip(f"{name} cannot be installed here: {run.stderr.strip().splitlines()[-1:]}")
        unready.rename(folder)
    return {**os.environ, "PYTHONPATH": str(folder)}


def own_environment(name: str, *packages: str) -> Path:
    """Return the folder of commands of an environment with these packages, made once, under `sys.prefix`.

    Skips the test where the package index cannot be reached.
    """
    folder = Path(sys.prefix) / "side" / name
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            pytest.skip(f"{name} cannot be installed here: {run.stderr.strip().splitlines()[-1:]}")
        (folder / "ready").touch()
    return folder / "bin"


def assert_same_tables(found: Path, wanted: Path, tables: Sequence[str], version: str) -> None:
    """Compare tables of two DuckDB files, which this version of DuckDB reads."""
    compare = f"""
import duckdb
assert duckdb.__version__ == {version!r}
connection = duckdb.connect()
connection.execute("attach {str(found)!r} as found (read_only)")
connection.execute("attach {str(wanted)!r} as wanted (read_only)")
for name in {list(tables)}:
    for left, right in (("found", "wanted"), ("wanted", "found")):
        sql = f"from {{left}}.{{name}} except all from {{right}}.{{name}} limit 3"
        rows = connection.execute(sql).fetchall()
        assert rows == [], (name, left, rows)
"""
    compared = subprocess.run(
        [sys.executable, "-c", compare],
        env=environment_with_duckdb(version),
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0, compared.stderr
