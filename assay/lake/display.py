"""Show on a terminal what was exported."""

from __future__ import annotations

from rich.console import Console

from assay.core.words import counted
from assay.lake.export import Exported


def print_exported(exported: Exported, console: Console) -> None:
    """Print what an export did."""
    what = f"{exported.table}, {counted(exported.rows, 'row')}"
    version = f"{exported.format}, version {exported.version}"
    if exported.is_new:
        changes = f"{exported.added:,} new, {exported.removed:,} gone"
        told = f"{what} ({changes}), is in {exported.folder} as {version}."
    else:
        told = f"{what}, is unchanged in {exported.folder} ({version}). Nothing was written."
    console.print(told, markup=False, soft_wrap=True, highlight=False)
