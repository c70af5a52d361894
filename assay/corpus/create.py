"""Make versions of corpora, and write them as JSON lines (`assay corpus create`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from assay.console.progress import Display
from assay.core.fault import Fault
from assay.corpus.checks import check_corpus
from assay.corpus.declared import KIND, CorpusInManifest, find_corpus
from assay.corpus.take import Made, take_corpus
from assay.project.project import Project
from assay.training.create import create_version
from assay.training.export import Shard, export
from assay.training.recipe import Recipe
from assay.training.source import Source
from assay.training.store import Version


def create_corpus(
    name: str, made: Made, as_of: datetime | None, display: Display, *, snapshot: int | None = None
) -> tuple[Version, bool]:
    """Make a version of a corpus of the project in the current folder.

    Args:
        name: of the corpus.
        made: what is asked of it.
        as_of: the moment of which it is to know (UTC); None for all that is known.
        display: shows the progress.
        snapshot: the number of the snapshot of a lake whose rows it is to have; None for the newest.

    Returns:
        The version, and whether it is new: the same content is the same version.

    Raises:
        Fault: there is no such corpus, it cannot be built, or keeps no text.
    """
    recipe = recipe_of(name, made, display.say)
    return create_version(name, as_of, display, recipe, snapshot=snapshot)


def recipe_of(name: str, made: Made, say: Callable[[str], None]) -> Recipe:
    """Return how versions of a corpus are made.

    Args:
        name: of the corpus.
        made: what is asked of it.
        say: told what goes on.

    Raises:
        Fault: there is no such corpus, or its settings are wrong.
    """
    declared = CorpusInManifest(Project().manifest, name)

    def is_current(source: Source) -> bool:
        try:
            built = find_corpus(source, name)
        except Fault:
            return False
        # What is personal since the last build is masked, or refused, from now on.
        return (built.settings.as_json(), built.personal) == (
            declared.settings.as_json(),
            declared.personal,
        )

    return Recipe(
        "corpus create",
        KIND,
        # It counts for snapshots too, which were built when less was known to be personal.
        partial(take_corpus, made=made, say=say, also_personal=declared.personal),
        lambda version, source, display: check_corpus(version),
        declared.beside,
        is_current,
    )


def recipe_of_version(version: Version, say: Callable[[str], None]) -> Recipe:
    """Return how a version of a corpus is made again.

    Raises:
        Fault: there is no such corpus any more, or its settings are wrong.
    """
    corpus = version.manifest.corpus
    assert corpus is not None
    return recipe_of(version.manifest.name, Made(corpus.format, bool(version.manifest.splits)), say)


def write_corpus(
    version: Version, shards: int, out: Path, compression: str | None, display: Display
) -> list[Shard]:
    """Write the rows as JSON lines that hold the shape alone, each split in files of its own.

    Raises:
        Fault: the folder holds something, or there are fewer rows than shards.
    """
    corpus = version.manifest.corpus
    assert corpus is not None
    return export(
        version,
        "jsonl",
        shards,
        out,
        None,
        display,
        columns=corpus.shape,
        compression=compression,
        apart=True,
    )
