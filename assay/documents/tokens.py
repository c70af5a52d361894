"""Count tokens as a tokenizer of language models does, offline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assay.core.fault import extra_needed

# Of texts whose tokens are kept at the same time: an encoded text takes a kilobyte.
_BATCH = 4096


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Return how many tokens each text has, without the marks that models put around texts.

    The tokenizer is the one of the embedded model; others cut most texts into as many tokens, more or less.

    Raises:
        Fault: the extra `search` is not installed.
    """
    tokenizer = _tokenizer()
    return [
        len(encoding.ids)
        for start in range(0, len(texts), _BATCH)
        for encoding in tokenizer.encode_batch_fast(
            list(texts[start : start + _BATCH]), add_special_tokens=False
        )
    ]


@cache
def _tokenizer() -> Any:
    with extra_needed("search", "To cut documents into chunks"):
        from tokenizers import Tokenizer

        found = find_spec("wordllama")
        if found is None or not found.origin:
            raise ModuleNotFoundError("No module named 'wordllama'", name="wordllama")
    tokenizer = Tokenizer.from_file(
        str(Path(found.origin).parent / "tokenizers" / "l2_supercat_tokenizer_config.json")
    )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
