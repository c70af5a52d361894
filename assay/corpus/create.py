"""Make versions of corpora, and write them as JSON lines (`assay corpus create`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from assay.console.progress import Display
from assay.core.fault import Fault
from assay.corpus.checks import check_corpus
from assay.corpus.declared import CorpusInManifest
from assay.corpus.take import Made, take_corpus
from assay.project.project import Project
from assay.training.create import create_version
from assay.training.export import Shard, export
from assay.training.recipe import Recipe
from assay.training.source import Source
from assay.training.store import Version


def create_corpus(name: str, made: Made, as_of: datetime | None, display: Display) -> tuple[Version, bool]:
    """Make a version of a corpus of the project in the current folder.

    Returns:
        The version, and whether it is new: the same content is the same version.

    Raises:
        Fault: there is no such corpus, it cannot be built, or keeps no text.
    """
    return create_version(name, as_of, display, recipe_of(name, made, display.say))


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
            built = CorpusInManifest(source.manifest, name)
        except Fault:
            return False
        # What is personal since the last build is masked, or refused, from now on.
        return (built.settings, built.personal) == (declared.settings, declared.personal)

    return Recipe(
        "corpus create",
        partial(take_corpus, made=made, say=say),
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
