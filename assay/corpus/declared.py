"""Read what a model declares of its corpus, under `config.meta.corpus`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from assay.core.fault import MISUSED, Fault
from assay.core.sql import folded
from assay.corpus.evaluation import hash_of_file, relation_of_file
from assay.corpus.quality import Quality
from assay.project.conventions import CORPUS, TABLES
from assay.project.graph import Manifest, Node, relation_of
from assay.project.personal import is_personal
from assay.training.code import DeclaredSet, SetInManifest
from assay.training.source import Source

KIND = "corpora"
_SPLITS = {"train": 0.9, "validation": 0.05, "test": 0.05}
# What a corpus is computed by, beside the code of this package.
_LIBRARIES = ("rensa", "py3langid", "tokenizers")


@dataclass(frozen=True)
class Settings:
    """How the texts of a corpus are chosen.

    `document` is the column whose rows stay together. `splits` are shares. `near_duplicates` is from which
    similarity on a text is a copy; None for exact copies alone. `evaluation` names models and files.
    `tokenizer` is a file; None for that of the configured embeddings.
    """

    document: str = "document_id"
    splits: Mapping[str, float] = field(default_factory=lambda: dict(_SPLITS))
    near_duplicates: float | None = 0.8
    quality: Quality = field(default_factory=Quality)
    evaluation: Sequence[str] = ()
    tokenizer: str | None = None

    @classmethod
    def of(cls, declared: Mapping[str, Any], model: str) -> Settings:
        """Read the settings that a model declares, whose words dbt's plugin has checked.

        Raises:
            Fault: the shares of the splits do not make a whole.
        """
        given = {name: value for name, value in declared.items() if name != "quality"}
        settings = cls(**given, quality=Quality(**(declared.get("quality") or {})))
        if not math.isclose(sum(settings.splits.values()), 1.0):
            raise Fault(
                f"{model}: the shares in config.meta.corpus.splits make "
                f"{sum(settings.splits.values()):g}, not 1.",
                MISUSED,
            )
        return settings

    def as_json(self) -> dict[str, Any]:
        """Return them as a version's manifest keeps them."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found


class CorpusInManifest(SetInManifest):
    """A corpus and everything upstream of it, from dbt's manifest of the current project.

    Raises:
        Fault: the manifest has no such corpus, it declares no primary key, or its settings are wrong.
    """

    def __init__(self, manifest: dict[str, Any] | Manifest, name: str) -> None:
        super().__init__(manifest, name, KIND)
        self.settings = Settings.of(self._node["config"]["meta"][CORPUS], name)
        nodes = _tables(self._manifest)
        models = {each: nodes[each] for each in self.settings.evaluation if each in nodes}
        self.beside = tuple(models)
        self.evaluation_models = {each: relation_of(node) for each, node in models.items()}

    @property
    def personal(self) -> list[str]:
        """The columns that the YAML declares personal, folded, as the table may write them otherwise."""
        found = {folded(str(each["name"])) for each in self._node["columns"].values() if is_personal(each)}
        return sorted(found)


@dataclass(frozen=True)
class DeclaredCorpus(DeclaredSet):
    """What a corpus declares; see the properties of `CorpusInManifest` of the same names."""

    settings: Settings
    personal: list[str]
    evaluation_models: dict[str, str]

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Return what was kept of one, as `asdict` writes it."""
        settings = values["settings"]
        quality = Quality(**settings["quality"])
        return super().read(values | {"settings": Settings(**settings | {"quality": quality})})

    def find_evaluation(self) -> dict[str, str]:
        """Return the relation of each evaluation set in SQL, by the name that the user gave it.

        Raises:
            Fault: there is neither a model nor a file of a name.
        """
        return {
            name: self.evaluation_models.get(name) or relation_of_file(name)
            for name in self.settings.evaluation
        }

    def hash_choice(self) -> dict[str, str]:
        """Return hashes of files, libraries and code that the choice of texts rests on.

        Raises:
            Fault: a file is not there.
        """
        files = [name for name in self.settings.evaluation if name not in self.evaluation_models]
        files += [self.settings.tokenizer] if self.settings.tokenizer else []
        own = "".join(file.read_text() for file in sorted(Path(__file__).parent.glob("*.py")))
        return {
            **{f"file {name}": hash_of_file(name) for name in files},
            **{f"package {name}": _version(name) for name in _LIBRARIES},
            "assay.corpus": hashlib.sha256(own.encode()).hexdigest(),
        }


def read_corpus(manifest: dict[str, Any] | Manifest, name: str) -> DeclaredCorpus:
    """Return what a corpus of a manifest declares.

    Raises:
        Fault: the manifest has no such corpus, it declares no primary key, or its settings are wrong.
    """
    return DeclaredCorpus.of(CorpusInManifest(manifest, name))


def find_corpus(source: Source, name: str) -> DeclaredCorpus:
    """Return what a corpus declares in the warehouse that it is taken from.

    Raises:
        Fault: there is no such corpus, it declares no primary key, or its settings are wrong.
    """
    if source.build:
        return DeclaredCorpus.read(source.build.declared[KIND][name])
    return read_corpus(source.manifest, name)


def _tables(manifest: Manifest) -> dict[str, Node]:
    return {node["name"]: node for node in manifest.nodes.values() if node["resource_type"] in TABLES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
