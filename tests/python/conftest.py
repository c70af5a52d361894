"""Fixtures that several test files share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import quick_typer  # noqa: F401
from built_once import built_once
from chromium import CHROMIUM
from corpus_project import make_corpus_project
from kafka_broker import broker, kafka, own_kafka
from online_stores import publish_all
from playwright.sync_api import Browser, sync_playwright
from postgres_server import catalog_server, shared_postgres
from report_page import make_broken_project
from slowest_files import pytest_terminal_summary
from small_project import SmallProject, copy_as_built, make_built_project
from tiers import builds, pytest_collection_modifyitems, pytest_runtest_protocol
from training_project import make_training_project
from warehouse import ON_LAKE, Warehouse
from watched_workers import (
    pytest_handlecrashitem,
    pytest_runtest_logfinish,
    pytest_runtest_logstart,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_testnodedown,
    pytest_xdist_make_scheduler,
)

from assay.online.stores.open import open_store
from assay.online.sync import sync
from example import generate

__all__ = [
    "broker",
    "builds",
    "catalog_server",
    "kafka",
    "own_kafka",
    "pytest_collection_modifyitems",
    "pytest_handlecrashitem",
    "pytest_runtest_logfinish",
    "pytest_runtest_logstart",
    "pytest_runtest_protocol",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_terminal_summary",
    "pytest_testnodedown",
    "pytest_xdist_make_scheduler",
    "shared_postgres",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a person run the tests with what they share in a lake."""
    parser.addoption("--lake", action="store_true", help="build what tests share in a lake, not in a file")


def pytest_configure(config: pytest.Config) -> None:
    """Tell the shared projects where they are built."""
    if config.getoption("--lake"):
        os.environ[ON_LAKE] = "1"


def pytest_collection_finish() -> None:
    """Keep what all imports have made out of each later search for garbage, and search seldom.

    dbt makes millions of objects that live on: a tenth of a build went by in looking through them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000_000, 10, 10)


@pytest.fixture(scope="session")
def built_demo(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A month of the demo company, built and published in one run; for tests that only read it."""
    folder = built_once(tmp_path_factory, "built_demo", _build_demo)
    return Warehouse(folder, folder / "landing")


def _build_demo(folder: Path) -> None:
    # Small enough to build in seconds.
    generate(folder / "landing", customers=60, days=30, events=3000)
    Warehouse(folder, folder / "landing").build_and_publish()


@pytest.fixture(scope="session")
def published(built_demo: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build of the demo published; to copy, not to change."""
    return publish_all(built_demo, tmp_path_factory.mktemp("published") / "gold.duckdb")


@pytest.fixture(scope="session")
def store_url(published: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store in SQLite that holds it; only to read."""
    url = f"sqlite:{tmp_path_factory.mktemp('store') / 'online.sqlite'}"
    sync(published, open_store(url))
    return url


@pytest.fixture(scope="session")
def built_project(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project, built and published once; copy it before you change it."""
    return SmallProject(built_once(tmp_path_factory, "small_project", make_built_project))


@pytest.fixture
def project(built_project: SmallProject, tmp_path: Path) -> SmallProject:
    """A copy of the small project, built and published, for one test to do with as it likes."""
    return SmallProject(Path(shutil.copytree(built_project.root, tmp_path / "project")))


@pytest.fixture
def project_as_built(built_project: SmallProject, tmp_path: Path) -> SmallProject:
    """Such a copy, whose first build builds what has changed; that of `project` builds everything."""
    return copy_as_built(built_project, tmp_path / "project")


@pytest.fixture(scope="session")
def built_broken(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project, built well, and then with lines that fail a test; only to read and to copy."""
    return SmallProject(built_once(tmp_path_factory, "broken_project", make_broken_project))


@pytest.fixture(scope="session")
def built_training(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project with two training sets, built and published, with a version of each; only to read."""
    return SmallProject(built_once(tmp_path_factory, "training_project", make_training_project))


@pytest.fixture
def training(built_training: SmallProject, tmp_path: Path) -> SmallProject:
    """A copy of it, for one test to do with as it likes."""
    return SmallProject(Path(shutil.copytree(built_training.root, tmp_path / "project")))


@pytest.fixture(scope="session")
def built_corpus(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project with a corpus, built and published; only to read, and to take versions of."""
    return SmallProject(built_once(tmp_path_factory, "corpus_project", make_corpus_project))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; with the mark `needs_chromium` alone."""
    with sync_playwright() as playwright:
        # As root, Chromium starts without its sandbox alone.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
