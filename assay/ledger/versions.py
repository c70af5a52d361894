"""Which versions of Assay have built here: an older one does not build over what a newer one wrote."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

from assay.core.fault import MISUSED, Fault
from assay.core.moment import now
from assay.ledger.file import LedgerTable

VERSIONS = LedgerTable("versions", "version varchar primary key, first_used_at timestamp not null")


def installed_version() -> str:
    """Return the version of Assay that is installed."""
    return version("assay")


def newest_version(ledger: Path) -> str | None:
    """Return the newest version that has built beside a ledger, None where none has said so.

    Raises:
        Fault: another program keeps the ledger open.
    """
    found = [str(name) for (name,) in VERSIONS.read(ledger, "select version from versions")]
    return max(found, key=Version, default=None)


def refuse_older_version(ledger: Path) -> None:
    """Check that no newer version than the installed one has built beside a ledger.

    Raises:
        Fault: one has, or another program keeps the ledger open.
    """
    newest, installed = newest_version(ledger), installed_version()
    if newest and Version(newest) > Version(installed):
        raise Fault(
            f"Assay {newest} has built here, and {installed} is installed, which may not know what a newer "
            f"one wrote. Install assay=={newest} or a newer one, and try again.",
            MISUSED,
        )


def note_version(ledger: Path) -> None:
    """Note that the installed version builds beside a ledger.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    VERSIONS.write(ledger, [{"version": installed_version(), "first_used_at": now()}], over=False)
