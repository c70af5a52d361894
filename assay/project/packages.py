"""Make dbt's packages ready: a link to the installed Assay, and dbt-expectations or its stand-in."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

from assay.core.yaml_text import read_yaml

#: The path by which a project's `packages.yml` names Assay: a link to the dbt project of the installed Assay,
#: so that the file holds no path of one machine.
LINK = Path(".assay", "package")
_PACKAGES = Path("dbt_packages")
_ASSAY = _PACKAGES / "assay"
_PACKAGE = "dbt_expectations"
_ROOT = Path(__file__).parents[1]
_STAND_IN = _ROOT / "stand_ins" / _PACKAGE
_SECONDS_TO_REACH = 4.0
_SECONDS_TO_INSTALL = 120.0


def package_folder() -> Path:
    """Return the folder of Assay's own dbt project: the one in the wheel, or the installed checkout."""
    installed = _ROOT / "dbt_project"
    return installed if installed.is_dir() else _ROOT.parent


def make_packages_ready() -> None:
    """Install the packages of the project in the current folder, and link the installed Assay.

    Packages that are already there stay; only a link to another Assay is replaced.
    """
    links = links_assay()
    if links:
        _point(LINK, package_folder())
    if (_PACKAGES / _PACKAGE).is_dir() and (not links or _is_linked()):
        return
    if not hub_can_be_reached():
        _install_stand_in("dbt's package hub cannot be reached")
    elif reason := _install_from_hub():
        _install_stand_in(f"dbt deps failed ({reason})")


def make_linked_packages_ready() -> None:
    """Make packages ready if the project links the installed Assay; others run `dbt deps` themselves."""
    if links_assay():
        make_packages_ready()


def links_assay() -> bool:
    """Tell whether the project's packages.yml links the installed Assay, as `assay init` writes it."""
    file = Path("packages.yml")
    declared = read_yaml(file.read_text(encoding="utf-8")) if file.is_file() else None
    packages = declared.get("packages") if isinstance(declared, dict) else None
    return any(isinstance(each, dict) and each.get("local") == LINK.as_posix() for each in packages or [])


def hub_can_be_reached() -> bool:
    """Tell whether dbt's package hub answers within a few seconds."""
    # Not needed where the packages are ready, which is nearly always.
    import requests
    from dbt.clients.registry import DEFAULT_REGISTRY_BASE_URL

    answers: list[bool] = []

    def ask() -> None:
        try:
            requests.head(str(DEFAULT_REGISTRY_BASE_URL), timeout=_SECONDS_TO_REACH).raise_for_status()
        except requests.RequestException:
            return
        answers.append(True)

    # The lookup of a host name has no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_SECONDS_TO_REACH)
    return bool(answers)


def _is_linked() -> bool:
    return _ASSAY.is_dir() and _ASSAY.resolve() == package_folder().resolve()


def _point(link: Path, target: Path) -> None:
    """Make a link point to a target, unless it points there already."""
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _install_from_hub() -> str:
    """Run `dbt deps`; return why it failed, without the traceback, or an empty text."""
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
    if links_assay():
        _point(_ASSAY, Path("..", LINK))
        if (_PACKAGES / _PACKAGE).is_dir():
            return
    # A failed dbt deps may have left an incomplete package.
    shutil.rmtree(_PACKAGES / _PACKAGE, ignore_errors=True)
    shutil.copytree(_STAND_IN, _PACKAGES / _PACKAGE)
    tests = len(list((_STAND_IN / "macros").glob("exp*.sql")))
    print(
        f"Note: {reason}, so {_PACKAGES / _PACKAGE} holds Assay's stand-in for the package {_PACKAGE}: "
        f"the {tests} of its tests that Assay uses, under the same names.\n"
        f"      To switch to the package once the hub can be reached: rm -r {_PACKAGES} && dbt deps"
    )
