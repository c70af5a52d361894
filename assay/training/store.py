"""Store versions: a folder for each beside the warehouse, put in place whole or not at all."""

from __future__ import annotations

import csv
import difflib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from assay.console.progress import Display
from assay.core.disk import sync
from assay.core.fault import MISUSED, Fault
from assay.core.lock import Holder, locked
from assay.core.places import Places
from assay.training.code import Feature, describe_unknown_set, hash_of_code
from assay.training.source import read_published_sets

DATA = "data.parquet"
# Of a corpus: each row that was read, with what became of it.
DOCUMENTS = "documents.parquet"

_FOLDER = "training_sets"
_MANIFEST = "manifest.json"
_FILES = "files.csv"
_ERASED = "erased.json"
_DIGITS = 12


@dataclass(frozen=True)
class VersionColumn:
    """A column of a version with its DuckDB `type`, and `sha256` of its values in the order of the rows."""

    name: str
    type: str
    description: str
    sha256: str


@dataclass(frozen=True)
class Split:
    """How many rows have one value of `split`.

    `outcome_rate` is the mean of `outcome`, if there is one. `tokens` is how many a corpus has in it.
    """

    split: str
    rows: int
    outcome_rate: float | None
    tokens: int | None = None


@dataclass(frozen=True)
class Corpus:
    """How the texts of a version were chosen for training a language model.

    `format` is the shape of its rows, `shape` names the columns of it. Each of the `read` rows has one
    outcome: `kept`, or the reason why not. `masked` counts replaced personal data by kind. `settings` are as
    declared, with what is not declared filled in. `documents_hash` covers the table of all rows read.
    """

    format: str
    shape: list[str]
    settings: dict[str, Any]
    read: int
    outcomes: dict[str, int]
    masked: dict[str, int]
    tokens: int
    tokenizer: str
    documents_hash: str


@dataclass(frozen=True)
class InputFile:
    """A loaded file; `file_id` is derived from path and content."""

    file_id: int
    source_file: str
    content_sha256: str
    row_count: int


@dataclass(frozen=True)
class VersionManifest:
    """The description of a version. Times are UTC, naive.

    `as_of` is the moment that a person asked for or, if `is_as_of_given` is false, the latest moment at which
    any of its input became available. `input_hash` covers the files in files.csv. `run_id` is the build's,
    `code_version` its git commit, None without git. `content_hash` covers rows and types; the version's name
    is made from that, and of a corpus from `corpus` beside it. `lake_snapshot` is the number of the lake's
    snapshot that the rows were taken or rebuilt from; None if the warehouse is one file.
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
    corpus: Corpus | None = None
    lake_snapshot: int | None = None

    @property
    def code_hash(self) -> str:
        """One hash for all parts of the code."""
        return hash_of_code(self.code)


@dataclass(frozen=True)
class Version:
    """A version and its folder."""

    manifest: VersionManifest
    folder: Path

    @property
    def data(self) -> Path:
        """The file with the rows, in the order of the primary key."""
        return self.folder / DATA

    @property
    def documents(self) -> Path:
        """The file with all rows that a corpus was chosen from, and why each was kept or not."""
        return self.folder / DOCUMENTS

    @property
    def erased(self) -> Path:
        """The file that says how many rows were removed, of people or as too old; most have none."""
        return self.folder / _ERASED

    @property
    def erased_rows(self) -> int:
        """How many rows were removed: of people who were forgotten, or too old."""
        try:
            return int(json.loads(self.erased.read_text(encoding="utf-8"))["rows"])
        except FileNotFoundError:
            return 0

    @property
    def input_files(self) -> dict[int, InputFile]:
        """The files that the version was made from, by their ids.

        Raises:
            Fault: the list of files is missing or broken.
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


def name_version(name: str, content_hash: str, corpus: Corpus | None = None) -> str:
    """Return the name of a version from its content hash; of a corpus also from what was left out of it."""
    if corpus:
        content_hash = hashlib.sha256(f"{content_hash}\n{corpus.documents_hash}".encode()).hexdigest()
    return f"{name}@{content_hash[:_DIGITS]}"


def write_version(folder: Path, manifest: VersionManifest, files: list[InputFile]) -> Version:
    """Write the manifest and the list of files to `folder`, beside the rows."""
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
        Fault: the manifest is missing or broken.
    """
    try:
        values = json.loads((folder / _MANIFEST).read_text())
        del values["code_hash"]
        values["columns"] = [VersionColumn(**each) for each in values["columns"]]
        values["splits"] = [Split(**each) for each in values["splits"]]
        values["features"] = [Feature(**each) for each in values["features"]]
        if corpus := values.get("corpus"):
            values["corpus"] = Corpus(**corpus)
        for moment in ("as_of", "created_at"):
            values[moment] = datetime.fromisoformat(values[moment])
        return Version(VersionManifest(**values), folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Fault(
            f"{folder / _MANIFEST} cannot be read ({error}): remove {folder}, and create it again."
        ) from error


def find_named(text: str, versions: Sequence[Version]) -> Version | None:
    """Return the version that a text names: the newest of a set, or the one that begins with `set@...`.

    Args:
        text: the name of a training set, or as much of a version's name as no other has, with `@`.
        versions: all there are, oldest first.

    Raises:
        Fault: more than one begins so.
    """
    if "@" not in text:
        return next((each for each in reversed(versions) if each.manifest.name == text), None)
    matching = {each.manifest.version: each for each in versions if each.manifest.version.startswith(text)}
    if text not in matching and len(matching) > 1:
        raise Fault(f"{text} is not one version: {', '.join(matching)} begin so.", MISUSED)
    return matching.get(text) or next(iter(matching.values()), None)


class VersionStore:
    """The versions beside a warehouse."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.folder = places.main_warehouse.parent / _FOLDER

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        folders = [each for each in self.folder.glob("*@*") if not each.name.startswith(".")]
        return sorted(map(read_version, folders), key=lambda version: version.manifest.created_at)

    def find(self, text: str) -> Version:
        """Return a version: the newest of a training set, or the only one whose name begins with `set@...`.

        Raises:
            Fault: there is none, or more than one begins so.
        """
        versions = self.versions()
        if found := find_named(text, versions):
            return found
        if "@" not in text:
            raise self._unknown_set(text)
        if not versions:
            raise Fault("There are no versions yet. To make one: assay training-set create NAME", MISUSED)
        near = difflib.get_close_matches(text, [each.manifest.version for each in versions], n=1)
        nearest = f" The nearest is {near[0]}." if near else ""
        raise Fault(f"There is no version {text}.{nearest} All: assay training-set list", MISUSED)

    def _unknown_set(self, name: str) -> Fault:
        known = read_published_sets(self._places)
        if name in known:
            return Fault(f"{name} has no version yet. To make one: assay training-set create {name}", MISUSED)
        return Fault(describe_unknown_set(name, known), MISUSED)

    @contextmanager
    def workshop(self, command: str, display: Display) -> Iterator[Path]:
        """Lock the store, and provide an empty folder in it to work in, which is removed afterwards.

        Raises:
            Fault: another process held the store for ten minutes.
        """

        def waiting(holder: Holder | None) -> None:
            display.say(f"Waiting for another process: {holder or 'it has just begun'}")

        with locked(self.folder, command=command, wait=600, on_wait=waiting):
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".*"):
                # Left by a run that was killed: a running process would hold the lock.
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(prefix=".", dir=self.folder) as folder:
                yield Path(folder)

    def keep(self, version: Version) -> Version:
        """Put a version in place in one step; the caller must hold the store's lock."""
        for file in version.folder.iterdir():
            sync(file)
        target = self.folder / version.manifest.version
        version.folder.rename(target)
        sync(self.folder)
        return Version(version.manifest, target)
