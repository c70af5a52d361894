"""Show people what was written for documents, and what was landed of a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from assay.console.tables import line
from assay.core.words import counted
from assay.documents.delete import DeletedDocument, Deletion
from assay.documents.land import LandedFolder

_SHOWN = 10


def print_written(files: Sequence[Path], console: Console) -> None:
    """Print the files that were written for documents, and what to do next."""
    for file in files:
        line(console, f"Wrote {file}")
    if not files:
        line(console, "The models of documents are there already.")
    line(console, "Next: assay documents land FOLDER --source NAME, then assay build")


def print_landed_folder(landed: LandedFolder, is_loaded: bool, console: Console) -> None:
    """Print how many documents landed, which could not be read, and what to do next.

    Args:
        landed: what was landed.
        is_loaded: whether builds load documents.
        console: where it is printed.
    """
    kinds = (("new", landed.new), ("changed", landed.changed), ("deleted", landed.deleted))
    counts = [f"{len(names):,} {kind}" for kind, names in kinds if names]
    if landed.unchanged:
        counts.append(f"{landed.unchanged:,} unchanged")
    outcome = f"Landed {landed.file}" if landed.file else "Nothing landed."
    told = f"{', '.join(counts)}. " if counts else ""
    line(console, f"{landed.source}: {told}{outcome}")
    for name, problem in list(landed.unreadable.items())[:_SHOWN]:
        line(console, f"Not readable: {name}: {problem}")
    if len(landed.unreadable) > _SHOWN:
        line(console, f"Not readable: {len(landed.unreadable) - _SHOWN:,} more")
    if landed.unreadable:
        line(console, "They land all the same, and silver keeps them in quarantine.")
    for name in landed.withdrawn[:_SHOWN]:
        line(console, f"Not landed, as the document was deleted: {name}")
    if len(landed.withdrawn) > _SHOWN:
        line(console, f"Not landed, as the documents were deleted: {len(landed.withdrawn) - _SHOWN:,} more")
    if landed.withdrawn:
        line(console, "Remove the files; a file of the name that comes later is a new document.")
    if landed.passed_over:
        shown = ", ".join(landed.passed_over[:3]) + ", ..." * (len(landed.passed_over) > 3)
        told = f"{counted(len(landed.passed_over), 'name')} ({shown})"
        line(console, f"Passed over, as no documents or as they begin with an underscore: {told}")
    if landed.file:
        line(
            console,
            "To load them: assay build" if is_loaded else "No model loads them yet: assay documents add",
        )


def print_deleted(documents: Sequence[DeletedDocument], console: Console) -> None:
    """Print which documents are deleted, which were, which nobody knows, and what to do next."""
    for deletion in Deletion:
        for each in documents:
            if each.deletion is deletion:
                line(console, f"{deletion.capitalize()}: {each.document_id}")
    if any(each.deletion is Deletion.deleted for each in documents):
        line(console, "Searches do not show them any more. To publish without them: assay build")
    if any(each.deletion is Deletion.unknown for each in documents):
        line(console, "Unknown are documents that are not published: build first if they have just landed.")
