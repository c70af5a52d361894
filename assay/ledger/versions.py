"""Record which versions of Assay built a warehouse, and refuse to build it with an older version."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from packaging.version import Version

from assay.core.fault import MISUSED, Fault
from assay.core.moment import now
from assay.ledger.file import LedgerTable

VERSIONS = LedgerTable("versions", "version varchar primary key, first_used_at timestamp not null")


def find_installed_version() -> str:
    """Return the version of the installed Assay."""
    return version("assay")


def find_newest_version(ledger: Path) -> str | None:
    """Return the newest version that a ledger records as having built; None if it records none.

    Raises:
        Fault: another program keeps the ledger open.
    """
    found = [str(name) for (name,) in VERSIONS.read(ledger, "select version from versions")]
    return max(found, key=Version, default=None)


def refuse_older_version(ledger: Path) -> None:
    """Check that no newer version than the installed one has built the warehouse of a ledger.

    Raises:
        Fault: a newer version has, or another program keeps the ledger open.
    """
    newest, installed = find_newest_version(ledger), find_installed_version()
    if newest and Version(newest) > Version(installed):
        raise Fault(
            f"Assay {newest} has built here, and {installed} is installed, which may not know what a newer "
            f"one wrote. Install assay=={newest} or a newer one, and try again.",
            MISUSED,
        )


def note_version(ledger: Path) -> None:
    """Record in the ledger that the installed version builds its warehouse.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    VERSIONS.write(ledger, [{"version": find_installed_version(), "first_used_at": now()}], over=False)
