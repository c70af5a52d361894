"""Print which files are encrypted, and what a rotation wrote."""

from __future__ import annotations

from rich.console import Console

from assay.build.encryption import NOW, OLD, EncryptionState, Rotated
from assay.console.tables import line, table_titled
from assay.core.encryption import BEFORE, VARIABLE
from assay.core.words import counted

_MEGABYTE = 1_000_000
_KEYS = {NOW: "the one that is set", OLD: f"the one in {BEFORE}", None: "-"}


def print_states(state: EncryptionState, console: Console) -> None:
    """Print a row for each file, and what to do about plain ones."""
    table = table_titled("Files at rest", is_wide=True)
    table.add_column("file", overflow="fold")
    table.add_column("MB", justify="right")
    table.add_column("state", no_wrap=True)
    table.add_column("key", overflow="fold")
    for each in state.files:
        told = "encrypted" if each.is_encrypted else "plain" if each.can_be else f"plain: {each.remedy}"
        key = _KEYS.get(each.key, "another")
        table.add_row(str(each.path), f"{each.size / _MEGABYTE:,.1f}", told, key)
    console.print(table)
    for why in state.unread:
        line(console, f"Warning: one is not among them: {why}")
    line(console, f"Key: {state.fingerprint or f'none is set ({VARIABLE})'}")
    todo = [each for each in state.files if each.can_be and each.key != NOW]
    if todo and state.fingerprint:
        line(console, f"To write {counted(len(todo), 'file')} with the key: assay encrypt rotate")


def print_rotated(done: Rotated, console: Console) -> None:
    """Print how many files were written with the key."""
    line(console, f"Key: {done.fingerprint}")
    line(console, f"Written with it: {counted(len(done.written), 'file')}")
    line(console, f"Had it already: {counted(len(done.as_they_were), 'file')}")
