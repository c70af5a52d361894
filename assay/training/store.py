"""Where versions lie: a folder for each beside the warehouse, put in place whole or not at all."""

from __future__ import annotations

import csv
import difflib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from assay.console.progress import Display
from assay.core.disk import sync
from assay.core.fault import MISUSED, Fault
from assay.core.lock import Holder, locked
from assay.core.places import Places
from assay.training.code import Feature, hash_of_code, unknown_set

DATA = "data.parquet"

_FOLDER = "training_sets"
_MANIFEST = "manifest.json"
_FILES = "files.csv"
_DIGITS = 12


@dataclass(frozen=True)
class VersionColumn:
    """A column of a version; `type` as DuckDB has it, `sha256` of its values in the order of the rows."""

    name: str
    type: str
    description: str
    sha256: str


@dataclass(frozen=True)
class Split:
    """Rows of one value of `split`; `outcome_rate` is the mean of `outcome`, where there is one."""

    split: str
    rows: int
    outcome_rate: float | None


@dataclass(frozen=True)
class InputFile:
    """A file that had been loaded. `file_id` is made from path and content."""

    file_id: int
    source_file: str
    content_sha256: str
    row_count: int


@dataclass(frozen=True)
class VersionManifest:
    """All that is known of a version. Times are UTC, naive.

    `as_of` is the moment it was asked for, and else, where `is_as_of_given` is false, the latest moment at
    which anything it was made from became available. `input_hash` is of the files in files.csv, `run_id` that
    of the build, `code_version` its git commit, None without git. The content hash is of rows and types; the
    version's name is made from it, and from nothing else.
    """

    version: str
    name: str
    content_hash: str
    rows: int
    primary_key: list[str]
    columns: list[VersionColumn]
    splits: list[Split]
    features: list[Feature]
    as_of: datetime
    is_as_of_given: bool
    code: dict[str, str]
    code_version: str | None
    engine: str
    run_id: str
    input_files: int
    input_rows: int
    input_hash: str
    created_at: datetime

    @property
    def code_hash(self) -> str:
        """One hash for all of the code."""
        return hash_of_code(self.code)


@dataclass(frozen=True)
class Version:
    """A version and the folder it lies in."""

    manifest: VersionManifest
    folder: Path

    @property
    def data(self) -> Path:
        """The rows, in the order of the primary key."""
        return self.folder / DATA

    @property
    def input_files(self) -> dict[int, InputFile]:
        """The files it was made from, by number.

        Raises:
            Fault: the list is gone or broken.
        """
        try:
            with (self.folder / _FILES).open(newline="") as stream:
                found = [
                    InputFile(int(row[0]), row[1], row[2], int(row[3]))
                    for row in list(csv.reader(stream))[1:]
                ]
        except (OSError, ValueError, IndexError) as error:
            raise Fault(f"{self.folder / _FILES} cannot be read: {error}") from error
        return {file.file_id: file for file in found}


def version_named(name: str, content_hash: str) -> str:
    """Return what a version of this content is called."""
    return f"{name}@{content_hash[:_DIGITS]}"


def write_version(folder: Path, manifest: VersionManifest, files: list[InputFile]) -> Version:
    """Put the manifest and the list of files beside the rows in `folder`."""
    with (folder / _FILES).open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(InputFile.__dataclass_fields__)
        writer.writerows(asdict(file).values() for file in files)
    values = asdict(manifest) | {"code_hash": manifest.code_hash}
    (folder / _MANIFEST).write_text(json.dumps(values, indent=2, default=str, ensure_ascii=False) + "\n")
    return Version(manifest, folder)


def read_version(folder: Path) -> Version:
    """Read a version's manifest.

    Raises:
        Fault: it is gone or broken.
    """
    try:
        values = json.loads((folder / _MANIFEST).read_text())
        del values["code_hash"]
        values["columns"] = [VersionColumn(**each) for each in values["columns"]]
        values["splits"] = [Split(**each) for each in values["splits"]]
        values["features"] = [Feature(**each) for each in values["features"]]
        for moment in ("as_of", "created_at"):
            values[moment] = datetime.fromisoformat(values[moment])
        return Version(VersionManifest(**values), folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Fault(
            f"{folder / _MANIFEST} cannot be read ({error}): remove {folder}, and create it anew."
        ) from error


class VersionStore:
    """The versions beside a warehouse."""

    def __init__(self, places: Places) -> None:
        self.folder = places.main_warehouse.parent / _FOLDER

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        folders = [each for each in self.folder.glob("*@*") if not each.name.startswith(".")]
        return sorted(map(read_version, folders), key=lambda version: version.manifest.created_at)

    def find(self, text: str) -> Version:
        """Return the version of this name, or the only one whose name begins so.

        Raises:
            Fault: there is none, or more than one.
        """
        versions = {version.manifest.version: version for version in self.versions()}
        if text in versions:
            return versions[text]
        if not versions:
            raise Fault("There are no versions yet. To make one: assay training-set create NAME", MISUSED)
        matching = [name for name in versions if name.startswith(text)]
        if len(matching) == 1:
            return versions[matching[0]]
        if matching:
            raise Fault(f"{text} is not one version: {', '.join(matching)} begin so.", MISUSED)
        near = difflib.get_close_matches(text, versions, n=1)
        nearest = f" The nearest is {near[0]}." if near else ""
        raise Fault(f"There is no version {text}.{nearest} All: assay training-set list", MISUSED)

    def newest(self, name: str, known: list[str]) -> Version:
        """Return the newest version of a training set.

        Raises:
            Fault: it has none, or there is no such set.
        """
        versions = [version for version in self.versions() if version.manifest.name == name]
        if versions:
            return versions[-1]
        if name in known:
            raise Fault(f"{name} has no version yet. To make one: assay training-set create {name}", MISUSED)
        raise Fault(unknown_set(name, known), MISUSED)

    @contextmanager
    def workshop(self, command: str, display: Display) -> Iterator[Path]:
        """Hold the store alone, with an empty folder in it to work in, which is gone afterwards.

        Raises:
            Fault: another process held the store for ten minutes.
        """

        def waiting(holder: Holder | None) -> None:
            display.say(f"Waiting for another process: {holder or 'it has just begun'}")

        with locked(self.folder, command=command, wait=600, on_wait=waiting):
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".*"):
                # Of a run that was killed: whoever works here holds the lock.
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(prefix=".", dir=self.folder) as folder:
                yield Path(folder)

    def keep(self, version: Version) -> Version:
        """Put a version in place in one step; the store must be held."""
        for file in version.folder.iterdir():
            sync(file)
        target = self.folder / version.manifest.version
        version.folder.rename(target)
        sync(self.folder)
        return Version(version.manifest, target)
