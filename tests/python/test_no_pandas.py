"""Where pandas is not installed, DuckDB's parameters cost what they do where it is."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec

import duckdb
import pytest

from assay.core import no_pandas


class Looks:
    """Stands where Python's own finders stand, and counts how often they are asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        self.asked[name] += 1
        return None


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """A process without pandas."""
    found = Looks()
    for name in [name for name in sys.modules if name.partition(".")[0] == "pandas"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(PathFinder, "find_spec", staticmethod(lambda name, *_: None))
    monkeypatch.setattr(sys, "meta_path", [no_pandas.PandasFinder(), found])
    return found


def test_an_import_of_what_is_not_installed_ends_at_once(looks: Looks) -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'pandas'") as raised:
        import_module("pandas")
    assert raised.value.name == "pandas"
    assert looks.asked == {}


def test_who_only_looks_is_told_so(looks: Looks) -> None:
    assert find_spec("pandas") is None
    assert find_spec("another_module") is None
    assert looks.asked == {"pandas": 1, "another_module": 1}


def test_what_is_installed_meanwhile_is_found(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.0
    monkeypatch.setattr(no_pandas.time, "monotonic", lambda: seconds)
    with pytest.raises(ModuleNotFoundError):
        import_module("pandas")
    monkeypatch.setattr(PathFinder, "find_spec", staticmethod(lambda name, *_: ModuleSpec(name, None)))
    seconds = 2.0
    with pytest.raises(ModuleNotFoundError):
        import_module("pandas")
    assert looks.asked == {"pandas": 1}


def test_the_finder_is_there_once() -> None:
    no_pandas.hasten_imports_of_pandas()
    assert [type(each) for each in sys.meta_path].count(no_pandas.PandasFinder) == 1


def test_the_values_of_a_parameter_are_looked_for_by_no_other_finder() -> None:
    """In a process of its own: the client keeps pandas once it has found it."""
    code = """
import sys
class Looks:
    asked = 0
    def find_spec(self, name, path=None, target=None):
        Looks.asked += name == "pandas"
        if name == "pandas":
            raise ModuleNotFoundError(name)
import importlib.machinery
own = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, *rest: None if name == "pandas" else own(name, *rest)
sys.meta_path.insert(0, Looks())
import duckdb
import assay.core
duckdb.execute("select ?", [[1.5] * 384]).fetchall()
print(Looks.asked)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "0"
    assert duckdb.execute("select ?", [[1.5]]).fetchall() == [([1.5],)]
