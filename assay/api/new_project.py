"""Begin a project."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from assay.api.printed import PrintedList
from assay.core.fault import known_errors_as_faults


def create_project(folder: str | Path, *, example: str = "none") -> PrintedList[Path]:
    """Write a dbt project of your own, on which `build` works at once; open it with `assay.open(folder)`.

    Args:
        folder: a new one, or one without a dbt project.
        example: `retail` has the models of an invented retailer, `none` is empty.

    Returns:
        The files, relative to the folder.

    Raises:
        Fault: the example is unknown, the folder's name gives no name for a project, or files are there
            already that would be written.
    """
    from assay.init.display import print_new_project
    from assay.init.project import init_project

    given = Path(folder)
    with known_errors_as_faults():
        files = init_project(given, example)
    is_here = given.absolute() == Path.cwd()
    return PrintedList(
        files, partial(print_new_project, folder=given, example=example, is_here=is_here), given.absolute()
    )
