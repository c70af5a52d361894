"""A version of a training set, as programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from assay.api.frame import Frame
from assay.core.fault import MISUSED, Fault
from assay.core.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from assay.training.store import Version, VersionManifest

_SPLIT = "split"


class TrainingSet(Frame):
    """A version of a training set: its rows, in the order of its primary key, and what is known of it.

    Args:
        version: as found in the project's folder, which is the current one.
    """

    def __init__(self, version: Version) -> None:
        self._version = replace(version, folder=version.folder.absolute())
        super().__init__(partial(_rows_of, self._version))

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
        return Card(self._version.manifest)

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

    def _rows_of_split(self, split: str) -> pa.Table:
        import pyarrow.compute as pc

        rows = self.to_arrow()
        return rows.filter(pc.equal(rows[_SPLIT], split))

    def _title(self) -> str:
        return f"{self.version}: {super()._title()}"


@dataclass(frozen=True)
class Card:
    """What is known of a version; a notebook shows it as Markdown.

    `manifest` has all of it for programs. Times are UTC, naive.
    """

    manifest: VersionManifest

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
        lines += [
            "",
            f"Made from {counted(manifest.input_files, 'file')} with {counted(manifest.input_rows, 'row')}, "
            f"in run {manifest.run_id} of commit {manifest.code_version or 'unknown'}, by {manifest.engine}. "
            f"Hash of the content: {manifest.content_hash}.",
        ]
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        return str(self)

    __repr__ = __str__


def _rows_of(version: Version) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(version.data)
    except (OSError, pa.ArrowException) as error:
        raise Fault(
            f"{version.data} cannot be read ({error}): remove {version.folder}, and create it again."
        ) from error


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
