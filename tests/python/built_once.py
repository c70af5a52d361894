"""What is built once for all processes that run tests, and copied by each."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def folder_of_all(factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all processes that run tests.

    With pytest-xdist each has a folder of its own in the one of them all.
    """
    base = factory.getbasetemp()
    of_all = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "built_once"
    of_all.mkdir(exist_ok=True)
    return of_all


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """Return a copy, for this process alone, of a folder that `build` makes in the first that asks.

    The others wait for it. Where it fails, the next one tries again.

    Args:
        factory: says where the folders of tests lie.
        name: of the folder.
        build: makes the folder that it is given.
    """
    of_all = folder_of_all(factory)
    original, ready = of_all / name, of_all / f"{name}.ready"
    with ready.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(original, ignore_errors=True)
            build(original)
            ready.touch()
    return Path(shutil.copytree(original, factory.mktemp(name) / name))
