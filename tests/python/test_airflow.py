"""The example of a DAG is parsed and run by Airflow itself, with a stand-in for Assay's command."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from side_packages import own_environment

PROJECT = Path(__file__).parents[2]
_VERSION = "3.3.2"
# Writes down what it is called with, and ends with the exit code of a build that a file holds.
_ASSAY = """#!/bin/sh
echo "$*" >> calls
if [ "$1" = build ]; then exit "$(cat build_ends_with)"; fi
"""


@dataclass(frozen=True)
class Airflow:
    """Airflow, and the folder in which it calls Assay."""

    commands: Path
    folder: Path

    def call(self, *arguments: str, program: str = "airflow") -> subprocess.CompletedProcess[str]:
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("AIRFLOW", "ASSAY_"))
            },
            "PATH": f"{self.commands}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "examples" / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "ASSAY_COMMAND": str(self.folder / "assay"),
            "ASSAY_PROJECT": str(self.folder),
            "ASSAY_TRAINING_SETS": "trn_fraud",
        }
        command = [str(self.commands / program), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def run(self, build_ends_with: int) -> tuple[list[str], str]:
        """Run the DAG; return what was called of Assay, and what Airflow says of the run."""
        (self.folder / "build_ends_with").write_text(str(build_ends_with))
        (self.folder / "calls").write_text("")
        done = self.call("dags", "test", "assay_daily")
        return (self.folder / "calls").read_text().splitlines(), done.stdout + done.stderr


@pytest.fixture(scope="module")
def airflow(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    packages = (f"apache-airflow-core=={_VERSION}", "apache-airflow-providers-standard")
    found = Airflow(own_environment(f"airflow-{_VERSION}", *packages), tmp_path_factory.mktemp("airflow"))
    (found.folder / "assay").write_text(_ASSAY)
    (found.folder / "assay").chmod(0o755)
    made = found.call("db", "migrate")
    assert made.returncode == 0, made.stderr
    return found


def test_airflow_builds_first_and_then_does_what_rests_on_it(airflow: Airflow) -> None:
    calls, told = airflow.run(build_ends_with=0)
    assert calls[0] == "build --wait 0"
    assert sorted(calls[1:]) == ["alerts check", "report", "training-set create trn_fraud"]
    assert "> successful" in told


def test_a_build_that_fails_is_not_tried_again_and_is_reported(airflow: Airflow) -> None:
    calls, told = airflow.run(build_ends_with=1)
    assert calls[0] == "build --wait 0"
    assert sorted(calls[1:]) == ["alerts check", "report"]
    assert "> failed" in told


def test_only_a_locked_warehouse_is_tried_again(airflow: Airflow) -> None:
    for code, error in (
        (0, "None"),
        (1, "AirflowFailException"),
        (2, "AirflowFailException"),
        (3, "RuntimeError"),
    ):
        (airflow.folder / "build_ends_with").write_text(str(code))
        script = f"""
import sys
sys.path.insert(0, {str(PROJECT / "examples" / "airflow")!r})
from assay_daily import assay
try:
    assay("build")
    print("None")
except Exception as error:
    print(type(error).__name__)
"""
        done = airflow.call("-c", script, program="python")
        assert done.stdout.split()[-1:] == [error], done.stderr
