"""What makes vectors of texts, and which maker is configured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

from assay.core.fault import MISUSED, Fault

if TYPE_CHECKING:
    from assay.embedding.vectors import Vectors

VARIABLE = "ASSAY_EMBEDDING"
KEY_VARIABLE = "ASSAY_EMBEDDING_KEY"
STATIC = "static"
_FOLDER_OR_NAME = "sentence-transformers:"


class Maker(Protocol):
    """A model that makes vectors of texts; it is loaded when it is first asked something.

    Attributes:
        name: for people.
        digest: a hash of the model: two makers of the same digest make the same vectors.
        dimension: how many numbers a vector has.
        max_tokens: of a text, how much of it is embedded.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def digest(self) -> str: ...  # noqa: D102

    @property
    def dimension(self) -> int: ...  # noqa: D102

    @property
    def max_tokens(self) -> int: ...  # noqa: D102

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return a vector of length 1 for each text, in their order.

        Raises:
            TextFault: of a text no vector can be made.
            Fault: the model does not work.
        """

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""


def configured_maker() -> Maker:
    """Return the maker that ASSAY_EMBEDDING names: once in a process, and not loaded yet.

    It is `static` (or unset) for the embedded model, `sentence-transformers:NAME_OR_FOLDER`, or the address
    of an endpoint and the name of its model, `https://HOST/v1#MODEL`, with its key in ASSAY_EMBEDDING_KEY.

    Raises:
        Fault: the variable says something else.
    """
    return _maker(os.environ.get(VARIABLE) or STATIC, os.environ.get(KEY_VARIABLE) or None)


@cache
def _maker(said: str, key: str | None) -> Maker:
    if said == STATIC:
        from assay.embedding.static import StaticModel

        return StaticModel()
    if said.startswith(_FOLDER_OR_NAME) and (model := said.removeprefix(_FOLDER_OR_NAME)):
        from assay.embedding.sentence_transformer import SentenceTransformerModel

        return SentenceTransformerModel(model)
    if said.startswith(("http://", "https://")):
        from assay.embedding.endpoint import Endpoint

        return Endpoint(said, key)
    raise Fault(
        f"{VARIABLE}={said} names no maker of embeddings: write {STATIC}, {_FOLDER_OR_NAME}NAME_OR_FOLDER, "
        "or https://HOST/v1#MODEL.",
        MISUSED,
    )
