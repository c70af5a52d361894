"""Make dbt_packages/ ready: from dbt's package hub where it can be reached, else with the stand-in.

Run in the root of the project: `python -m assay.setup_packages`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import requests
from dbt.clients.registry import DEFAULT_REGISTRY_BASE_URL

_PACKAGES = Path("dbt_packages")
_PACKAGE = "dbt_expectations"
_STAND_IN = Path(__file__).parent / "stand_ins" / _PACKAGE
_SECONDS_TO_REACH = 4.0
_SECONDS_TO_INSTALL = 120.0


def main() -> None:
    """Install the dbt packages of the project in the current folder, unless they are there."""
    if (_PACKAGES / _PACKAGE).is_dir():
        return
    if not hub_can_be_reached():
        _install_stand_in("dbt's package hub cannot be reached")
    elif reason := _install_from_hub():
        _install_stand_in(f"dbt deps failed ({reason})")


def hub_can_be_reached() -> bool:
    """Whether dbt's package hub answers within a few seconds."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            requests.head(str(DEFAULT_REGISTRY_BASE_URL), timeout=_SECONDS_TO_REACH).raise_for_status()
        except requests.RequestException:
            return
        answers.append(True)

    # Looking up a name has no time limit of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_SECONDS_TO_REACH)
    return bool(answers)


def _install_from_hub() -> str:
    """Run `dbt deps`; return why it failed, nothing where it did not. Its traceback helps nobody."""
    command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "deps"]
    try:
        run = subprocess.run(
            command, timeout=_SECONDS_TO_INSTALL, check=False, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_SECONDS_TO_INSTALL:.0f} s"
    lines = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    return (lines[-1] if lines else f"exit code {run.returncode}") if run.returncode else ""


def _install_stand_in(reason: str) -> None:
    # A dbt deps that failed may have left half of it.
    shutil.rmtree(_PACKAGES / _PACKAGE, ignore_errors=True)
    shutil.copytree(_STAND_IN, _PACKAGES / _PACKAGE)
    tests = len(list((_STAND_IN / "macros").glob("exp*.sql")))
    print(
        f"Note: {reason}, so {_PACKAGES / _PACKAGE} holds Assay's stand-in for the package {_PACKAGE}: "
        f"the {tests} of its tests that Assay uses, under the same names.\n"
        f"      To switch to the package once the hub can be reached: rm -r {_PACKAGES} && dbt deps"
    )


if __name__ == "__main__":
    main()
