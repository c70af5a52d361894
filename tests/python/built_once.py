"""What is built once for all processes that run tests, and copied by each."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """Return a copy, for this process alone, of a folder that `build` makes in the first that asks.

    The others wait for it. Where it fails, the next one tries again.

    Args:
        factory: says where the folders of tests lie.
        name: of the folder.
        build: makes the folder that it is given.
    """
    # With pytest-xdist each process has a folder of its own in the one of them all.
    of_all = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        of_all = of_all.parent
    original, ready = of_all / "built_once" / name, of_all / "built_once" / f"{name}.ready"
    original.parent.mkdir(exist_ok=True)
    with ready.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(original, ignore_errors=True)
            build(original)
            ready.touch()
    return Path(shutil.copytree(original, factory.mktemp(name) / name))
