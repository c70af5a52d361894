"""The embedded model: a text has the mean of its tokens' vectors. It needs no network, and no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from assay.core.fault import extra_needed
from assay.embedding.tokens import count_tokens, read_tokenizer, tokenizer_file, weights_file
from assay.embedding.vectors import TextFault, Vectors, unit_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH = 1024
_TOKENS_AT_A_TIME = 1 << 16


class StaticModel:
    """Word vectors that WordLlama's wheel carries, 256 numbers for each of 32,000 tokens."""

    name = "static"
    # It takes any text.
    max_tokens = 2**31 - 1

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the model's files."""
        found = hashlib.sha256()
        for file in (tokenizer_file(), weights_file()):
            found.update(hashlib.sha256(file.read_bytes()).digest())
        return found.hexdigest()

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return int(self._weights.shape[1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts.

        Raises:
            TextFault: a text has no token.
            Fault: the extra `search` is not installed.
        """
        means: list[Any] = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            for encoding in read_tokenizer().encode_batch_fast(batch, add_special_tokens=False):
                if not encoding.ids:
                    raise TextFault("A text that is empty has no embedding.")
                means.append(self._mean(encoding.ids))
        return unit_vectors(means, count=len(texts), dimension=self.dimension, maker="The embedded model")

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        return count_tokens([text])[0]

    def _mean(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        import numpy as np

        if len(tokens) <= _TOKENS_AT_A_TIME:
            mean: NDArray[np.float32] = self._weights[tokens].mean(axis=0)
        else:
            # A kilobyte for each token of a text of megabytes would fill the memory.
            counts = np.bincount(tokens, minlength=len(self._weights)).astype(np.float32)
            mean = (counts @ self._weights / len(tokens)).astype(np.float32)
        return mean

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        with extra_needed("search", "The embedded model"):
            import numpy as np
            from safetensors import safe_open
        with safe_open(str(weights_file()), framework="numpy") as weights:
            found: NDArray[np.float32] = weights.get_tensor("embedding.weight").astype(np.float32)
        return found
