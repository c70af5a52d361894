"""Take away what dlt leaves half done where its process was killed between two of its steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from assay.landing.dlt_layout import MARK, completed_loads


def mend_dataset(dataset: Path) -> None:
    """Remove notes of dlt that were being written when its process was killed; dlt writes them again.

    Args:
        dataset: the folder of dlt's dataset.
    """
    if dataset.exists() and not completed_loads(dataset) and not _is_whole(dataset / MARK):
        # The folder is made before the mark, and dlt makes no folder that is there.
        shutil.rmtree(dataset)
    for note in dataset.glob("_dlt_*/*.jsonl"):
        if not _is_whole(note):
            note.unlink()


def _is_whole(note: Path) -> bool:
    """Tell whether a note of dlt is there, and is JSON to its end."""
    try:
        json.loads(note.read_bytes())
    except (ValueError, FileNotFoundError):
        return False
    return True


def mend_packages(pipeline: Path) -> None:
    """Take away load packages that are there twice, and those that are complete and still wait to be loaded.

    Args:
        pipeline: the folder in which dlt works.
    """
    extracted, load = pipeline / "normalize" / "extracted", pipeline / "load"
    for package in (load / "normalized").glob("*"):
        if (extracted / package.name).exists():
            shutil.rmtree(extracted / package.name)
        if (package / "package_completed.json").exists():
            package.rename(load / "loaded" / package.name)
