"""Tell faults as messages, and end the command with their exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from assay.runs.fault import Fault


@contextmanager
def faults_as_messages() -> Iterator[None]:
    """Print a fault that ends the block, and exit."""
    try:
        yield
    except Fault as fault:
        print(f"Error: {fault}", file=sys.stderr)
        raise typer.Exit(fault.exit_code) from None
