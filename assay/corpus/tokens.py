"""Count the tokens of texts, by the tokenizer that a corpus names or that of the configured embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.corpus.evaluation import hash_of_file
from assay.embedding.configured import configured_maker


@dataclass(frozen=True)
class Tokenizer:
    """Counts tokens; `name` has the hash of what it counts by."""

    name: str
    count: Callable[[Sequence[str]], list[int]]


def find_tokenizer(file: str | None) -> Tokenizer:
    """Return the tokenizer of a file of Hugging Face's tokenizers; without it, that of the embeddings.

    Raises:
        Fault: the file is missing or no tokenizer, or a package is not installed.
    """
    if file is None:
        maker = configured_maker()
        return Tokenizer(
            f"{maker.name}@{maker.digest[:12]}", lambda texts: [maker.count_tokens(each) for each in texts]
        )
    with extra_needed("corpus", by="To count tokens"):
        import tokenizers
    if not Path(file).is_file():
        raise Fault(f"There is no tokenizer {file}, which config.meta.corpus.tokenizer names.", MISUSED)
    try:
        tokenizer = tokenizers.Tokenizer.from_file(file)
    except Exception as error:  # What the library raises is no class of its own.
        raise Fault(f"{file} is no tokenizer.json of Hugging Face's tokenizers: {error}", MISUSED) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        found = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(each.ids) for each in found]

    return Tokenizer(f"{Path(file).name}@{hash_of_file(file)[:12]}", count)
