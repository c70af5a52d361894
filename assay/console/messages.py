"""Print faults as messages, and end the command with their exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from assay.core.disk import keep_new_files_private
from assay.core.fault import FAILED, Fault, known_errors_as_faults
from assay.core.moment import in_file_name, now


class CommandLine(typer.Typer):
    """Commands that end with one line where nobody has foreseen an error; its traceback goes to a file."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command of this process."""
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            print(f"Error: {_tell_unforeseen(error)}", file=sys.stderr)
            sys.exit(FAILED)


def _tell_unforeseen(error: Exception) -> str:
    """Write the traceback of an error into the folder of logs, and return what is to be said."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    whole = "".join(traceback.format_exception(error))
    if not Path("dbt_project.yml").is_file():
        return f"{what}\n{whole}"
    file = Path(os.environ.get("DBT_LOG_PATH") or "logs") / f"error-{in_file_name(now())}.txt"
    try:
        keep_new_files_private()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(whole, encoding="utf-8")
    except OSError:
        return f"{what}\n{whole}"
    return (
        f"{what}\nAssay does not know this error. The traceback is in {file}: send it along if you report it."
    )


@contextmanager
def faults_as_messages(tell: Callable[[Fault], None] | None = None) -> Iterator[None]:
    """Print a fault or a known error that ends the block, or pass it to `tell`, and exit with its code."""
    try:
        with known_errors_as_faults():
            yield
    except Fault as fault:
        if tell:
            tell(fault)
        else:
            print(f"Error: {fault}", file=sys.stderr)
        raise typer.Exit(fault.exit_code) from None
