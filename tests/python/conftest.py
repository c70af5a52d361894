"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.demo import generate


@pytest.fixture(scope="session")
def demo_landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of the demo company, small enough to build in seconds."""
    landing = tmp_path_factory.mktemp("demo") / "landing"
    generate(landing, customers=60, days=30, events=3000)
    return landing
