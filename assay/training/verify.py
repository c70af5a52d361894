"""Verify that a version is intact, is rebuilt to the bit, and has no leak (`assay training-set verify`)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.places import Places
from assay.core.words import counted
from assay.leakage import Check
from assay.training.content import read_content
from assay.training.diff import Difference, diff
from assay.training.recipe import TRAINING_SETS, Recipe
from assay.training.source import rebuilt
from assay.training.store import Version, VersionStore, name_version


@dataclass(frozen=True)
class Mismatch:
    """A mismatch of a version with its files or its rebuild; `difference` says how rows differ, if so."""

    check: str
    message: str
    difference: Difference | None = None


@dataclass
class Verification:
    """The outcome: a version that is rebuilt to the bit and leak-free has no findings and no `leaks`.

    Leaks are looked for in the rebuilt version, so `leaks` is empty if that differs, or if the checks could
    not run for the reason in `unchecked`.
    """

    findings: list[Mismatch] = field(default_factory=list)
    leaks: list[Check] = field(default_factory=list)
    unchecked: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether there are mismatches or leaks."""
        return bool(self.findings) or any(check.findings for check in self.leaks)

    @property
    def is_proven(self) -> bool:
        """Whether nothing is wrong and each column could be checked: none depends on data without a time."""
        return not (self.has_failed or self.unchecked or any(check.not_erasable for check in self.leaks))


def verify(
    version: Version, places: Places, display: Display, recipe: Recipe = TRAINING_SETS
) -> Verification:
    """Check the stored files, rebuild the version from the same files and moment, and look for leaks.

    Raises:
        Fault: the store or the warehouse cannot be locked or read, or the version is of another key.
    """
    findings = _check_stored(version)
    return Verification(findings) if findings else _check_rebuilt(version, places, display, recipe)


def _check_stored(version: Version) -> list[Mismatch]:
    manifest = version.manifest
    if version.erased.exists():
        rows = version.erased_rows
        gone = f"{counted(rows, 'row')} of it" if rows else "rows that it was made of"
        return [
            Mismatch(
                "stored",
                f"The version is no longer whole: {gone} {'is' if rows == 1 else 'are'} removed, of people "
                "who were forgotten, or too old to be kept. Create a new version.",
            )
        ]
    try:
        content = read_content(version.data)
    except (Fault, duckdb.Error, pa.ArrowException, OSError) as error:
        return [_describe_unreadable(version.data, error)]
    named = name_version(manifest.name, manifest.content_hash, manifest.corpus)
    if not named == manifest.version == version.folder.name:
        return [
            Mismatch("stored", f"{version.folder} holds a manifest of {manifest.version}, content {named}.")
        ]
    if content.hash == manifest.content_hash:
        return _check_documents(version)
    stored = {column.name: column.sha256 for column in content.columns}
    others = [column.name for column in manifest.columns if stored.get(column.name) != column.sha256]
    return [
        Mismatch(
            "stored",
            f"{version.data} is not what the version was made with: it has {content.rows:,} rows of "
            f"{manifest.rows:,}, and other values in {', '.join(others) or 'columns it should not have'}. "
            "Remove the version's folder, and create it again.",
        )
    ]


def _describe_unreadable(file: Path, error: Exception) -> Mismatch:
    """Return what is said of a file that cannot be read.

    Raises:
        Fault: a key is missing or another one, of which the version has no part.
    """
    if isinstance(error, Fault) and error.exit_code == MISUSED:
        raise error
    return Mismatch("stored", f"{file} cannot be read: {known_fault(error) or error}")


def _check_documents(version: Version) -> list[Mismatch]:
    """Check the table of what a corpus was chosen from."""
    if version.manifest.corpus is None:
        return []
    try:
        found = read_content(version.documents).hash
    except (Fault, duckdb.Error, pa.ArrowException, OSError) as error:
        return [_describe_unreadable(version.documents, error)]
    if found == version.manifest.corpus.documents_hash:
        return []
    message = f"{version.documents} is not what the version was made with."
    return [Mismatch("stored", f"{message} Remove the version's folder, and create it again.")]


def _check_rebuilt(version: Version, places: Places, display: Display, recipe: Recipe) -> Verification:
    manifest = version.manifest
    command = f"assay training-set verify {manifest.version}"
    with VersionStore(places).workshop(command, display) as workshop, ExitStack() as stack:
        (workshop / "rebuilt").mkdir()
        (workshop / "version").mkdir()
        try:
            source = stack.enter_context(
                rebuilt(
                    manifest.name,
                    places,
                    workshop / "rebuilt",
                    display,
                    command=command,
                    as_of=manifest.as_of if manifest.is_as_of_given else None,
                    files=version.input_files,
                    beside=recipe.beside,
                )
            )
            again = recipe.take(manifest.name, source, workshop / "version")
        except Fault as fault:
            return Verification([Mismatch("rebuilt", f"It cannot be built again. {fault}")])
        if again.manifest.version != manifest.version:
            difference = diff(version, again)
            why = "; ".join(difference.reasons) or "files, moment, code and engine are the same"
            told = f"Built again, it is {again.manifest.version}. Why: {why}."
            return Verification([Mismatch("rebuilt", told, difference)])
        try:
            return Verification(leaks=recipe.find_leaks(again, source, display))
        except Fault as fault:
            if fault.exit_code != MISUSED:
                raise
            return Verification(unchecked=str(fault))
