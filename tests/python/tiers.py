"""Two tiers of tests: those that rest on a build, and all others, which `make test-unit` runs.

Whatever starts dbt, be it a test or a fixture, asks for the fixture `builds`. A test that starts dbt without
asking fails. What takes seconds without dbt asks as well, because the first tier is to end soon.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from typing import Any

import pytest
from built_once import folder_of_all
from dbt.cli.main import dbtRunner
from dbt_here import share_parsed

# A process that is dbt, Assay or pip.
_STARTS_A_BUILD = re.compile(r"/dbt |dbt\.cli|assay\.cli|-m pip")
_invoke = dbtRunner.invoke
_may_build = True


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a test or fixture asks for that starts dbt, or takes seconds."""
    share_parsed(folder_of_all(tmp_path_factory) / "parsed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark tests that rest on a build, so that `-m 'not builds'` leaves them out; put long files first."""
    # Whoever is given one of them last keeps all others waiting.
    items.sort(key=lambda item: item.get_closest_marker("minutes") is None)
    for item in items:
        if "builds" in item.fixturenames:
            item.add_marker("builds")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Function) -> Generator[None, object, object]:
    """Let the test start dbt only if it is marked."""
    global _may_build
    _may_build = item.get_closest_marker("builds") is not None
    try:
        return (yield)
    finally:
        _may_build = True


def _refuse_without_mark(what: str) -> None:
    if not _may_build:
        pytest.fail(f"{what} is started: the test, or its fixture that does so, has to ask for `builds`")


def _watch_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        command = arguments[1] if isinstance(arguments[1], str) else " ".join(map(str, arguments[1]))
        if _STARTS_A_BUILD.search(command):
            _refuse_without_mark(f"`{command}`")


def _watched_invoke(runner: dbtRunner, *arguments: Any, **options: Any) -> Any:
    _refuse_without_mark("dbt")
    return _invoke(runner, *arguments, **options)


sys.addaudithook(_watch_processes)
dbtRunner.invoke = _watched_invoke  # type: ignore[method-assign]
