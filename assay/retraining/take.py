"""Take a version of each training set that needs retraining (`assay retraining --create`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.console.progress import Display
from assay.core.fault import Fault
from assay.core.moment import now
from assay.retraining.due import Verdict
from assay.retraining.record import Retraining, record_retraining
from assay.training.create import create


def take_versions(found: Sequence[Verdict], ledger: Path, display: Display) -> list[Verdict]:
    """Take a version of each training set that is due, and record why.

    If a run is killed in between, the next run finds its version: the same content is the same version.

    Raises:
        Fault: some training sets cannot give a version; versions of all others are taken.
    """
    taken: list[Verdict] = []
    faults: list[str] = []
    for verdict in found:
        try:
            taken.append(_taken(verdict, ledger, display) if verdict.is_due else verdict)
        except Fault as fault:
            faults.append(f"{verdict.training_set}: {fault}")
    if faults:
        versions = [verdict.taken for verdict in taken if verdict.taken]
        others = f"\nVersions of the others: {', '.join(versions)}" if versions else ""
        raise Fault("No version could be taken of\n  " + "\n  ".join(faults) + others)
    return taken


def _taken(verdict: Verdict, ledger: Path, display: Display) -> Verdict:
    version, _ = create(verdict.training_set, None, display)
    name = version.manifest.version
    if verdict.known_until is not None:
        record_retraining(
            ledger, Retraining(verdict.training_set, verdict.known_until, name, verdict.reason, now())
        )
    return replace(verdict, taken=name)
