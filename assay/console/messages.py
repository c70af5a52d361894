"""Tell faults as messages, and end the command with their exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from assay.core.fault import Fault, known_fault


@contextmanager
def faults_as_messages(tell: Callable[[Fault], None] | None = None) -> Iterator[None]:
    """Print a fault that ends the block, or `tell` of it, and exit; so for other errors that are known."""
    try:
        with _refusals_of_the_disk():
            yield
    except Exception as error:
        fault = known_fault(error)
        if fault is None:
            raise
        if tell:
            tell(fault)
        else:
            print(f"Error: {fault}", file=sys.stderr)
        raise typer.Exit(fault.exit_code) from None


@contextmanager
def _refusals_of_the_disk() -> Iterator[None]:
    """Say which file the system refuses to read or write, and why, where nobody has said it better."""
    try:
        yield
    except OSError as error:
        # Whoever read the output has stopped to.
        if error.errno == errno.EPIPE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise known_fault(error) or Fault(f"{where}{error.strerror or error}.") from error
