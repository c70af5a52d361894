"""Read the embedded model's files, and count tokens as its tokenizer does, offline."""

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
    return [
        len(encoding.ids)
        for start in range(0, len(texts), _BATCH)
        for encoding in read_tokenizer().encode_batch_fast(
            list(texts[start : start + _BATCH]), add_special_tokens=False
        )
    ]


@cache
def read_tokenizer() -> Any:
    """Return the tokenizer of the embedded model, which neither cuts nor pads texts.

    Raises:
        Fault: the extra `search` is not installed.
    """
    with extra_needed("search", "To count tokens"):
        from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(tokenizer_file()))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenizer_file() -> Path:
    """Return the file of the embedded model's tokenizer.

    Raises:
        Fault: the extra `search` is not installed.
    """
    return _folder() / "tokenizers" / "l2_supercat_tokenizer_config.json"


def weights_file() -> Path:
    """Return the file of the embedded model's vectors, one for each token.

    Raises:
        Fault: the extra `search` is not installed.
    """
    return _folder() / "weights" / "l2_supercat_256.safetensors"


def _folder() -> Path:
    # To import the package would set up logging for the whole process.
    with extra_needed("search", "The embedded model"):
        found = find_spec("wordllama")
        if found is None or not found.origin:
            raise ModuleNotFoundError("No module named 'wordllama'", name="wordllama")
    return Path(found.origin).parent
