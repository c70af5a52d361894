"""A process of tests that is lost costs no other test, and does not keep the run waiting."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("builds")

_FILE = """
import os, time
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(3))
def test_it(number):
    time.sleep(0.1)
    if {condition}:
        Path("lost").touch()
        os.kill(os.getpid(), 9)
"""


def run(folder: Path, condition: str, files: Collection[int] = (19,)) -> str:
    """Run twenty files of three tests by two processes; the second test of some may end its process."""
    for number in range(20):
        file = folder / f"test_{number:02}.py"
        ends = f"number == 1 and {condition}" if number in files else "False"
        file.write_text(_FILE.format(condition=ends))
    helpers = Path(__file__).parent
    options = "-n 2 --dist loadfile --no-loadscope-reorder -p watched_workers -p no:schemathesis"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options.split()],
        cwd=folder,
        env={"PYTHONPATH": str(helpers), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


def test_a_test_whose_process_is_lost_runs_once_more(tmp_path: Path) -> None:
    printed = run(tmp_path, "not Path('lost').exists()")
    assert "60 passed, 1 rerun" in printed
    assert "ended with code -9" in printed


def test_a_test_that_always_ends_its_process_has_failed_and_all_others_run(tmp_path: Path) -> None:
    printed = run(tmp_path, "True")
    assert "1 failed, 59 passed, 1 rerun" in printed


def test_two_processes_are_lost_at_once_and_all_tests_run(tmp_path: Path) -> None:
    # Of those that replace them, the second collects its tests long after the first.
    (tmp_path / "conftest.py").write_text(
        "import os, time\ndef pytest_collection_modifyitems():\n"
        "    time.sleep({'gw2': 2, 'gw3': 4}.get(os.environ.get('PYTEST_XDIST_WORKER'), 0))\n"
    )
    together = "os.environ['PYTEST_XDIST_WORKER'] in ('gw0', 'gw1') and not time.sleep(1)"
    printed = run(tmp_path, together, files=(0, 1))
    assert "60 passed, 2 rerun" in printed
