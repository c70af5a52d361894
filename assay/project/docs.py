"""Write dbt's documentation of the project as one HTML file."""

from __future__ import annotations

import shutil
from pathlib import Path

from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.places import Places
from assay.project.dbt_run import Watcher, run_dbt
from assay.project.failures import plain_message
from assay.project.packages import make_linked_packages_ready


def write_docs(places: Places, watcher: Watcher) -> Path:
    """Write dbt's documentation into one HTML file, which needs no network; return its path.

    Raises:
        Fault: there is no warehouse yet, or dbt cannot describe the project.
    """
    if not places.warehouse.exists():
        raise Fault(f"There is no warehouse {places.warehouse} yet. To build it: assay build", MISUSED)
    make_linked_packages_ready()
    command = ["docs", "generate", "--static"]
    outcome = run_dbt(command, warehouse=places.warehouse, on_start=lambda _: None, watcher=watcher)
    if not outcome.succeeded:
        error = str(outcome.exception or "see logs/dbt.log")
        raise known_fault(error) or Fault(f"dbt could not describe the project: {plain_message(error)}")
    shutil.copyfile(places.docs.with_name("static_index.html"), places.docs)
    return places.docs
