"""Any model of sentence-transformers: a folder, or a name on its hub."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.embedding.vectors import Vectors, unit_vectors

_EXTRA, _BY = "sentence-transformers", "A model of sentence-transformers"
# The same weights in other forms, which are not read.
_NOT_READ = ["*.onnx", "onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack"]
_UNLIMITED = 2**31 - 1


class SentenceTransformerModel:
    """A model of sentence-transformers, on the CPU.

    Args:
        model: its folder, or its name, which is fetched where the hub can be reached and is kept there.
    """

    def __init__(self, model: str) -> None:
        self._named = model

    @property
    def name(self) -> str:
        """The model's name, or its folder's."""
        return Path(self._named).name if Path(self._named).is_dir() else self._named

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the model's files."""
        found = hashlib.sha256()
        for file in sorted(each for each in self._folder.rglob("*") if each.is_file()):
            name = file.relative_to(self._folder)
            # What fetched the model notes there when it did.
            if any(part.startswith(".") for part in name.parts):
                continue
            found.update(str(name).encode() + b"\0")
            with file.open("rb") as content:
                found.update(hashlib.file_digest(content, "sha256").digest())
        return found.hexdigest()

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return int(self._model.get_embedding_dimension())

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text the model takes; what is behind is not in the vector."""
        return int(self._model.max_seq_length or _UNLIMITED)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts; of one with more than `max_tokens`, that of its begin.

        Raises:
            TextFault: a vector is not finite.
            Fault: the model cannot be loaded.
        """
        found = self._model.encode(list(texts), convert_to_numpy=True, show_progress_bar=False)
        return unit_vectors(found, count=len(texts), dimension=self.dimension, maker=f"Model {self.name}")

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, the marks around it included."""
        return len(self._model.tokenizer(text, truncation=False)["input_ids"])

    @cached_property
    def _folder(self) -> Path:
        if Path(self._named).is_dir():
            return Path(self._named)
        with extra_needed(_EXTRA, _BY):
            from huggingface_hub import snapshot_download
        name = self._named if "/" in self._named else f"sentence-transformers/{self._named}"
        try:
            return Path(snapshot_download(name, ignore_patterns=_NOT_READ))
        # It has dozens of errors of its own, of the network's and of the disk's.
        except Exception as error:
            raise Fault(
                f"ASSAY_EMBEDDING: the model {self._named} is no folder here, and cannot be fetched "
                f"({error}). Name a folder that holds the model.",
                MISUSED,
            ) from error

    @cached_property
    def _model(self) -> Any:
        with extra_needed(_EXTRA, _BY):
            from sentence_transformers import SentenceTransformer
        folder = self._folder
        try:
            return SentenceTransformer(str(folder), device="cpu")
        # Of a folder that is none, each of the libraries below raises its own.
        except Exception as error:
            raise Fault(
                f"ASSAY_EMBEDDING: {folder} cannot be loaded as a model of sentence-transformers: {error}",
                MISUSED,
            ) from error
