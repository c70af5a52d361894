"""Print faults as messages, and end the command with their exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from assay.core.fault import Fault, known_errors_as_faults


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
