"""What makes vectors of texts, and the variables that name it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assay.embedding.vectors import Vectors

VARIABLE = "ASSAY_EMBEDDING"
KEY_VARIABLE = "ASSAY_EMBEDDING_KEY"
# What an address asks for, but for what endpoints take, may be a key.
_ASKED = re.compile(r"([?&](?!dimensions=|max_tokens=)[^=&#]*=)[^&#]*")


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


def without_secrets(address: str) -> str:
    """Return an address to be shown: who wrote a password or a key into it is not to find it in logs."""
    return _ASKED.sub(r"\1...", address.rsplit("@", 1)[-1])
