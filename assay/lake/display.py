"""Show on a terminal what was exported, and what a lake is made of."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted, listed
from assay.lake.catalog import Compacted, Expired, LakeState, Snapshot
from assay.lake.export import Exported

_MEGABYTE = 1_000_000


def print_exported(exported: Exported, console: Console) -> None:
    """Print what an export did."""
    what = f"{exported.table}, {counted(exported.rows, 'row')}"
    version = f"{exported.format}, version {exported.version}"
    if exported.is_new:
        changes = f"{exported.added:,} new, {exported.removed:,} gone"
        told = f"{what} ({changes}), is in {exported.place} as {version}."
    else:
        told = f"{what}, is unchanged in {exported.place} ({version}). Nothing was written."
    console.print(told, markup=False, soft_wrap=True, highlight=False)


def print_state(state: LakeState, console: Console) -> None:
    """Print what a lake is made of now."""
    table = table_titled(f"Tables of {state.catalog}", is_wide=True)
    table.add_column("table", overflow="fold")
    for name in ("files", "MB"):
        table.add_column(name, justify="right")
    for each in state.tables:
        table.add_row(each.name, f"{each.files:,}", f"{each.size / _MEGABYTE:,.1f}")
    console.print(table)
    newest = state.newest
    line(console, f"Files of Parquet lie in {state.data}.")
    line(
        console,
        f"{counted(state.snapshots, 'snapshot')}; the newest is {newest.number}, of "
        f"{newest.made_at:%Y-%m-%d %H:%M:%S} UTC.",
    )


def print_snapshots(snapshots: Sequence[Snapshot], console: Console) -> None:
    """Print the snapshots that are kept, newest first."""
    table = table_titled("Snapshots that are kept (UTC)", is_wide=True)
    table.add_column("snapshot", justify="right")
    table.add_column("made", no_wrap=True)
    table.add_column("names", overflow="fold")
    table.add_column("left by build", overflow="fold")
    table.add_column("changes", overflow="fold", ratio=1)
    for each in snapshots:
        made = f"{each.made_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(each.number), made, ", ".join(each.tags), each.run_id or "", each.changes)
    console.print(table)
    line(
        console, "Training sets are made as of those that a build has left: assay training-set create --as-of"
    )


def print_tagged(snapshot: Snapshot, console: Console) -> None:
    """Print what a snapshot is called now."""
    made = f"{snapshot.made_at:%Y-%m-%d %H:%M:%S} UTC"
    line(console, f"Snapshot {snapshot.number}, of {made}, is called {listed(snapshot.tags)}.")


def print_compacted(done: Compacted, console: Console) -> None:
    """Print how many files were merged."""
    if not done.merged:
        line(console, "No file was to be merged: nothing is changed.")
        return
    line(console, f"{counted(done.merged, 'file')} became {done.into:,}; values are as they were.")
    line(console, "Earlier snapshots keep the old files: assay lake expire --older-than 7d")


def print_expired(done: Expired, console: Console) -> None:
    """Print how many snapshots and files are gone."""
    gone, files = counted(done.snapshots, "snapshot"), counted(done.files, "file")
    line(console, f"Removed {gone} and {files}.")
    if done.kept:
        line(console, f"Kept because they have a name: {listed(done.kept)}.")
