"""Work in a project's folder, wherever the program was started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from assay.core.disk import keep_new_files_private
from assay.core.fault import known_errors_as_faults

if TYPE_CHECKING:
    from rich.console import Console

    from assay.console.progress import Display
    from assay.core.places import Places

Found = TypeVar("Found")
# A process has one current folder, and dbt one state: calls of several threads wait for each other.
_ALONE = RLock()


class ProjectFolder:
    """The folder of a project, and where progress is shown.

    Args:
        root: the folder, absolute.
        console: where progress is shown; standard error without it, and the cell's output in a notebook.
    """

    def __init__(self, root: Path, *, console: Console | None = None) -> None:
        self.root = root
        self._console = console

    @property
    def console(self) -> Console:
        """Where progress is shown."""
        if self._console is None:
            from assay.console.tables import PlainConsole

            self._console = PlainConsole(stderr=True)
        return self._console

    @contextmanager
    def places(self) -> Iterator[Places]:
        """Be in the project's folder while the block runs, and know where its files lie."""
        from assay.core.places import find_places

        with working_in(self.root):
            yield find_places()

    def display(self) -> Display:
        """Return what shows progress."""
        from assay.console.progress import display_on

        return display_on(self.console)

    def warn(self, problems: Iterable[str]) -> None:
        """Show what went wrong beside what was asked for."""
        for problem in problems:
            self.console.print(f"Warning: {problem}", markup=False, soft_wrap=True)

    def as_given(self, path: str | Path) -> str:
        """Return a path that somebody gave in the current folder, as it is called in the project's."""
        return str(path) if Path.cwd() == self.root else str(Path(path).absolute())


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


def run_beside_loop(function: Callable[[], Found]) -> Found:
    """Call a function that runs an event loop; in a thread of its own where one runs already."""
    # Imported here: most commands do without, and all would wait for it.
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()
