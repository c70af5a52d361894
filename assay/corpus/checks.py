"""Look for texts of one split in another, the slow and certain way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from assay.core.parquet import parquet_batches, rows_of_parquet
from assay.core.sql import quoted
from assay.corpus.shapes import texts_of
from assay.corpus.words import folded_text, shingles_of
from assay.leakage import Check
from assay.training.store import Version

SAMPLE = 200
_ROWS = 2_000


def check_corpus(version: Version, sample: int = SAMPLE) -> list[Check]:
    """Check that no document is in two splits, and no text is a copy of one of another split.

    Args:
        version: of a corpus.
        sample: how many texts are compared with all others.
    """
    corpus = version.manifest.corpus
    assert corpus is not None
    checks = [_check_documents(version, corpus.settings["document"])] if version.manifest.splits else []
    if corpus.settings["near_duplicates"]:
        checks.append(_check_copies(version, corpus.settings["near_duplicates"], sample))
    return checks


def _check_documents(version: Version, document: str) -> Check:
    check = Check("documents in one split", version.manifest.rows)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select {quoted(document)}::varchar, list(distinct split order by split) as splits "
            f"from {rows_of_parquet(version.data)} group by 1 having len(splits) > 1 order by 1"
        ).fetchall()
    if found:
        name, splits = found[0]
        check.found(
            document,
            len(found),
            {document: name},
            ", ".join(splits),
            "one split",
            "Report this: splits are made by the document.",
        )
    return check


@dataclass
class _Sampled:
    key: dict[str, Any]
    split: str | None
    shingles: int


def _check_copies(version: Version, similarity: float, sample: int) -> Check:
    """Compare a sample with all texts, shingle by shingle, without the index that copies are found by."""
    sampled: list[_Sampled] = []
    holders: defaultdict[str, list[int]] = defaultdict(list)
    # Every so many rows, as rows have no order that texts follow.
    step = max(version.manifest.rows // sample, 1)
    for number, (key, split, shingles) in enumerate(_rows_of(version)):
        if number % step == 0:
            for shingle in shingles:
                holders[shingle].append(len(sampled))
            sampled.append(_Sampled(key, split, len(shingles)))
    check = Check(f"copies, {len(sampled)} texts", version.manifest.rows)
    for key, split, shingles in _rows_of(version):
        shared = Counter(place for each in shingles for place in holders.get(each, ()))
        for place, count in sorted(shared.items()):
            other = sampled[place]
            found = count / (len(shingles) + other.shingles - count)
            if found >= similarity and key != other.key:
                check.found(
                    "(row)",
                    1,
                    key,
                    f"{found:.3f} similar to {', '.join(map(str, other.key.values()))}",
                    f"less than {similarity:g}",
                    "The index of near-duplicates misses one of a thousand: lower "
                    "config.meta.corpus.near_duplicates a little.",
                    is_warning=split == other.split,
                )
    return check


def _rows_of(version: Version) -> Iterator[tuple[dict[str, Any], str | None, set[str]]]:
    corpus = version.manifest.corpus
    assert corpus is not None
    with parquet_batches(version.data, _ROWS) as batches:
        for batch in batches:
            for row in batch.to_pylist():
                whole = "\n".join(texts_of({name: row[name] for name in corpus.shape}))
                key = {name: row[name] for name in version.manifest.primary_key}
                yield key, row.get("split"), shingles_of(folded_text(whole))
