"""Work in a project's folder, wherever the program was started."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from pathlib import Path
from threading import RLock
from typing import TypeVar

from assay.core.disk import keep_new_files_private
from assay.core.fault import known_errors_as_faults

Found = TypeVar("Found")
# A process has one current folder, and dbt one state: calls of several threads wait for each other.
_ALONE = RLock()


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Be in a folder while the block runs, alone of all threads that ask for one; new files are private.

    Raises:
        Fault: the block ends with an error that is known.
    """
    with known_errors_as_faults(), _ALONE, chdir(folder):
        before = os.umask(0o077)
        os.umask(before)
        keep_new_files_private()
        try:
            yield
        finally:
            os.umask(before)


def beside_loop(function: Callable[[], Found]) -> Found:
    """Call a function that runs an event loop; in a thread of its own where one runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()
