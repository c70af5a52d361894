"""A history has the same rows whichever way it is read, with every DuckDB that may be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from rendered_histories import render_histories
from side_packages import OTHER_DUCKDBS, environment_with_duckdb

pytestmark = pytest.mark.usefixtures("builds")

EVENTS = "windowed_history(source('plant', 'events'), ['card_id'], 'event_at', 'available_at'"
CALLS = {
    "windows": EVENTS + ", {'amount': ['count', 'sum']}, ['1h', '24h', '7d'])",
    "unbounded": EVENTS + ", {'amount': ['sum', 'max']}, ['24h', 'all'])",
    "extremes": EVENTS + ", {'amount': ['max', 'last', 'distinct_count']}, ['7d'])",
    "changes": "change_history(source('plant', 'events'), ['card_id'], 'event_at', ['amount'], 'is_gone')",
    "versions_of_cards": "snapshot_history(source('plant', 'versions'), ['card_id'], ['amount'])",
}


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    rendered = render_histories(folder / "project", CALLS)
    path = folder / "queries.json"
    path.write_text(json.dumps({name: history.rows for name, history in rendered.items()}))
    return path


@pytest.mark.parametrize("version", [duckdb.__version__, *OTHER_DUCKDBS])
def test_streams_views_and_tables_of_a_history_have_the_same_rows(
    queries: Path, tmp_path: Path, version: str
) -> None:
    """`over ()` takes rows as a sort leaves them, which SQL does not promise: this test sees to it."""
    script = Path(__file__).with_name("read_histories.py")
    run = subprocess.run(
        [sys.executable, str(script), str(queries), str(tmp_path)],
        env=environment_with_duckdb(version),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.splitlines() == [f"DuckDB {version}"], run.stdout + run.stderr
