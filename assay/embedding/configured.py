"""Find which maker of vectors is configured."""

from __future__ import annotations

import os
from functools import cache

from assay.core.fault import MISUSED, Fault
from assay.embedding.maker import KEY_VARIABLE, VARIABLE, Maker, without_secrets

STATIC = "static"
_FOLDER_OR_NAME = "sentence-transformers:"


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
        f"{VARIABLE}={without_secrets(said)} names no maker of embeddings: write {STATIC}, "
        f"{_FOLDER_OR_NAME}NAME_OR_FOLDER, or https://HOST/v1#MODEL.",
        MISUSED,
    )
