"""Versions of training sets: read them, rebuild them, compare them, export them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.frame import Frame
from assay.api.printed import Found, PrintedList
from assay.core.fault import MISUSED, Fault
from assay.core.words import counted

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from assay.api.folder import ProjectFolder
    from assay.console.progress import Display
    from assay.training.diff import Difference
    from assay.training.export import Shard
    from assay.training.mlflow import Logged
    from assay.training.recipe import Recipe
    from assay.training.store import Corpus, Version, VersionManifest
    from assay.training.verify import Verification

_SPLIT = "split"
_ROWS_A_BATCH = 122_880


class TrainingSet(Frame):
    """A version of a training set: its rows, in the order of its primary key, and what is known of it.

    Args:
        version: as found in the project's folder, which is the current one.
        project: the project's folder.
    """

    def __init__(self, version: Version, project: ProjectFolder) -> None:
        self._version, self._project = version, project
        super().__init__(partial(_rows_of, replace(version, folder=version.folder.absolute())))

    @property
    def name(self) -> str:
        """The training set's name."""
        return self._version.manifest.name

    @property
    def version(self) -> str:
        """The version's name, `<training set>@<hash of its content>`."""
        return self._version.manifest.version

    @property
    def card(self) -> Card:
        """What is known of the version: columns, features, splits, and what it was made from."""
        return Card(self._version)

    @property
    def features(self) -> list[str]:
        """The columns that are features; `.card` tells of which view each is."""
        return [feature.column for feature in self._version.manifest.features]

    def splits(self) -> dict[str, Frame]:
        """Return the rows of each value of `split`, by that value.

        Raises:
            Fault: the training set has no splits.
        """
        splits = [each.split for each in self._version.manifest.splits]
        if not splits:
            raise Fault(f"{self.version} has no splits: its model has no column split.", MISUSED)
        return {split: Frame(partial(self._rows_of_split, split)) for split in splits}

    def verify(self, *, strict: bool = False) -> Verified:
        """Build the version again, to the bit, and look for leaks.

        Args:
            strict: whether it fails as well where a column rests on what has no time: it may leak.

        Returns:
            What differs and leaks; `failed` tells whether anything does.

        Raises:
            Fault: it cannot be built again.
        """
        from assay.training.verify import verify

        with self._project.places() as places, self._project.display() as display:
            verification = verify(self._version, places, display, self._recipe(display))
        return Verified(self._version, verification, self._project.root, strict=strict)

    def log(self, uri: str, *, run_id: str | None = None) -> Found[Logged]:
        """Log the version to MLflow, as a dataset that a run trains on; a second time changes nothing.

        Args:
            uri: of MLflow's tracking server, such as `http://localhost:5000`.
            run_id: the run that trains on it; one that has the version's name without it.

        Returns:
            What was logged; `found.record.model_run_id` is the run.

        Raises:
            Fault: MLflow cannot be reached, refuses, or has no such run.
        """
        from assay.training.display import print_logged
        from assay.training.mlflow import log_version

        with self._project.places() as places:
            logged = log_version(self._version, places.ledger, uri, run_id, str(self.card))
        return Found(logged, print_logged, self._project.root)

    def export(
        self,
        out: str | Path,
        *,
        format: str = "parquet",
        shards: int = 1,
        split: str | None = None,
        columns: Sequence[str] = (),
    ) -> PrintedList[Shard]:
        """Write the rows as files: mixed, and the same bytes every time; return the files.

        Args:
            out: a new or empty folder.
            format: of the files: `parquet`, `csv`, `jsonl`, `arrow`, `tfrecord` or `npy`.
            shards: how many files, for readers side by side.
            split: the only split whose rows are written; all without it.
            columns: the only columns that are written, in this order; all without any.

        Raises:
            Fault: the folder holds something, there is no such format, split or column, or a column does not
                fit the format.
        """
        from assay.training.display import print_exported
        from assay.training.export import export

        folder = Path(self._project.as_given(out))
        with self._project.places(), self._project.display() as display:
            written = export(self._version, format, shards, folder, split, display, columns=columns)
        return PrintedList(
            written,
            lambda files, console: print_exported(self._version, format, files, folder, console),
            self._project.root,
        )

    def diff(self, later: TrainingSet) -> Found[Difference]:
        """Tell which rows and columns differ in another version of the same training set, and why.

        Raises:
            Fault: it is a version of another training set.
        """
        from assay.training.diff import diff
        from assay.training.display import print_diff

        before, after = self._version, later._version
        with self._project.places():
            difference = diff(before, after)
        return Found(
            difference,
            lambda found, console: print_diff(before, after, found, console),
            self._project.root,
        )

    def _recipe(self, display: Display) -> Recipe:
        """Return how a version of its kind is made."""
        from assay.corpus.create import recipe_of_version
        from assay.training.recipe import TRAINING_SETS

        return (
            recipe_of_version(self._version, display.say) if self._version.manifest.corpus else TRAINING_SETS
        )

    def _rows_of_split(self, split: str) -> pa.Table:
        import pyarrow.compute as pc

        rows = self.to_arrow()
        return rows.filter(pc.equal(rows[_SPLIT], split))

    def _title(self) -> str:
        return f"{self.version}: {super()._title()}"


class CreatedTrainingSet(TrainingSet):
    """A version that was asked for: `is_new` tells whether there was none of its content.

    Args:
        version: as found in the project's folder, which is the current one.
        project: the project's folder.
        is_new: whether it is.
    """

    def __init__(self, version: Version, project: ProjectFolder, *, is_new: bool) -> None:
        super().__init__(version, project)
        self.is_new = is_new

    def print(self, console: Console) -> None:
        """Print what it is, and what to do with it, as the command does."""
        from assay.training.display import print_created

        print_created(self._version, self.is_new, console)


class CreatedCorpus(CreatedTrainingSet):
    """A version of a corpus that was asked for, and the files of JSON lines that were written of it.

    Args:
        version: as found in the project's folder, which is the current one.
        project: the project's folder.
        is_new: whether there was none of its content.
        files: those that were written.
        out: their folder.
    """

    def __init__(
        self, version: Version, project: ProjectFolder, *, is_new: bool, files: Sequence[Shard], out: Path
    ) -> None:
        super().__init__(version, project, is_new=is_new)
        self.files, self._out = list(files), out
        self._documents = version.documents.absolute()

    def documents(self) -> Frame:
        """Return all rows that were read, with what became of each, and what was measured of it."""
        return Frame(partial(_read_rows, self._documents, self._version.folder))

    def print(self, console: Console) -> None:
        """Print what it is, and where its files are, as the command does."""
        from assay.training.display import print_exported

        super().print(console)
        print_exported(self._version, "jsonl", self.files, self._out, console)


class Verified(Found["Verification"]):
    """Whether a version was rebuilt to the bit, and whether anything leaks.

    Args:
        version: that was built again.
        verification: what differs and leaks.
        folder: the project's.
        strict: whether it fails where a column may leak.
    """

    def __init__(self, version: Version, verification: Verification, folder: Path, *, strict: bool) -> None:
        from assay.training.display import print_verified

        super().__init__(
            verification,
            lambda found, console: print_verified(version, found, console, strict=strict),
            folder,
        )
        self.failed = verification.has_failed or (strict and not verification.is_proven)


class Card:
    """What is known of a version; a notebook shows it as Markdown.

    Args:
        version: of the training set.
    """

    def __init__(self, version: Version) -> None:
        self._version = version

    @property
    def manifest(self) -> VersionManifest:
        """All of it for programs; times are UTC, naive."""
        return self._version.manifest

    def print(self, console: Console) -> None:
        """Print it, as the command does."""
        from assay.training.display import print_version

        print_version(self._version, console)

    def __str__(self) -> str:
        manifest = self.manifest
        views = {feature.column: f"{feature.view}:{feature.name}" for feature in manifest.features}
        rows = [
            (column.name, column.type, views.get(column.name, ""), " ".join(column.description.split()))
            for column in manifest.columns
        ]
        lines = [
            f"# {manifest.version}",
            "",
            f"{counted(manifest.rows, 'row')}, one for each {', '.join(manifest.primary_key)}, as of "
            f"{manifest.as_of} (UTC).",
            "",
            *_table(("column", "type", "feature", "description"), rows),
        ]
        if manifest.splits:
            splits = [
                (
                    each.split,
                    f"{each.rows:,}",
                    "" if each.outcome_rate is None else f"{each.outcome_rate:.4f}",
                )
                for each in manifest.splits
            ]
            lines += ["", *_table(("split", "rows", "mean of outcome"), splits)]
        if manifest.corpus:
            lines += ["", *_table(("outcome", "rows"), _outcomes(manifest.corpus))]
        number = manifest.lake_snapshot
        snapshot = "" if number is None else f" and snapshot {number} of the lake,"
        lines += [
            "",
            f"Made from {counted(manifest.input_files, 'file')} with {counted(manifest.input_rows, 'row')}, "
            f"in run {manifest.run_id}{snapshot} of commit {manifest.code_version or 'unknown'}, "
            f"by {manifest.engine}. "
            f"Hash of the content: {manifest.content_hash}.",
        ]
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        return str(self)

    __repr__ = __str__


def _rows_of(version: Version) -> pa.Table:
    return _read_rows(version.data, version.folder)


def _read_rows(file: Path, folder: Path) -> pa.Table:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    from assay.core.parquet import is_encrypted_parquet, parquet_batches

    try:
        if not is_encrypted_parquet(file):
            return pq.read_table(file)
        with parquet_batches(file, _ROWS_A_BATCH) as batches:
            return batches.read_all()
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        raise Fault(f"{file} cannot be read ({error}): remove {folder}, and create it again.") from error


def _outcomes(corpus: Corpus) -> list[tuple[str, str]]:
    counts = {"read": corpus.read, **corpus.outcomes, "tokens of those kept": corpus.tokens}
    return [(name.replace("_", " "), f"{count:,}") for name, count in counts.items()]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
