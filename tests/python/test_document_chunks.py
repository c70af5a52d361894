"""Documents are cut into chunks by their structure, within a number of tokens, and nothing is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.documents.chunk import Chunk, embedding_text, split_document
from assay.embedding.tokens import count_tokens

ROWS = [f"| {number} | value {number} |" for number in range(12)]
TABLE = "\n".join(["| a | b |", "|---|---|", *ROWS])
CODE = "\n".join(["```python", "def f(x):", "    y = x + 1", "", "    return y", "```"])
SENTENCES = [f"Sentence number {number} says that it is number {number}." for number in range(12)]
GUIDE = f"""A preface.

# Returns

What you bought can go back.

## How long

{" ".join(SENTENCES)}

## What it costs

{TABLE}

It is free.

{CODE}

### Abroad

Two pounds.
"""


def split(body: str, limit: int = 120, overlap: int = 0) -> list[Chunk]:
    return split_document(body, limit=limit, overlap=overlap)


def test_a_chunk_knows_its_place_and_the_headings_above_it() -> None:
    chunks = split(GUIDE)
    assert [(chunk.chunk_number, chunk.heading_path) for chunk in chunks] == [
        (1, ""),
        (2, "Returns"),
        (3, "Returns > How long"),
        (4, "Returns > How long"),
        (5, "Returns > What it costs"),
        (6, "Returns > What it costs"),
        (7, "Returns > What it costs > Abroad"),
    ]
    assert all(GUIDE[chunk.start_at : chunk.end_at] == chunk.text for chunk in chunks)
    assert all(count_tokens([chunk.text]) == [chunk.tokens] for chunk in chunks)


def test_a_section_stands_with_the_one_above_it_where_both_fit() -> None:
    [whole] = split("# A\n\nOne.\n\n## B\n\nTwo.\n\n### C\n\nThree.")
    assert whole.heading_path == "A"
    # Sections beside each other are about different things.
    assert [chunk.heading_path for chunk in split("# A\n\nOne.\n\n# B\n\nTwo.")] == ["A", "B"]
    assert [chunk.heading_path for chunk in split("Zero.\n\n# A\n\n# B\n\n## C\n\nTwo.", 8)] == [
        "",
        "A",
        "B",
        "B > C",
    ]


def test_a_heading_of_any_length_does_not_fill_each_chunk() -> None:
    chunks = split("# " + "word " * 50_000 + "\n\nText.", 100)
    assert "".join(chunk.text for chunk in chunks).count("word") == 50_000
    assert {len(chunk.heading_path) for chunk in chunks} == {200}
    assert chunks[-1].heading_path == ("word " * 40)[:199] + "…"


def test_paragraphs_are_cut_between_sentences() -> None:
    chunks = split(" ".join(SENTENCES), limit=50)
    assert len(chunks) > 2
    assert " ".join(chunk.text for chunk in chunks) == " ".join(SENTENCES)
    assert all(chunk.text.endswith(".") and chunk.text.startswith("Sentence") for chunk in chunks)


def test_a_chunk_repeats_whole_sentences_of_the_one_before() -> None:
    chunks = split(" ".join(SENTENCES), limit=50, overlap=20)
    for before, after in pairwise(chunks):
        shared = before.text[after.start_at - before.start_at :]
        assert shared
        assert shared in SENTENCES
        assert after.text.startswith(shared)
        assert after.end_at > before.end_at
    plain = split(" ".join(SENTENCES), limit=50)
    assert all(after.start_at >= before.end_at for before, after in pairwise(plain))
    # Not across headings.
    [first, second] = split("# A\n\nOne.\n\n# B\n\nTwo.", overlap=20)
    assert first.end_at <= second.start_at


@pytest.mark.parametrize("whole", [TABLE, CODE])
def test_tables_and_code_stay_whole_where_they_fit(whole: str) -> None:
    limit = count_tokens([whole])[0] + 3
    for before in range(1, 7):
        body = " ".join(SENTENCES[:before]) + f"\n\n{whole}\n\n" + " ".join(SENTENCES)
        assert sum(whole in chunk.text for chunk in split(body, limit, 10)) == 1


def test_what_is_too_long_is_cut_between_lines_or_words() -> None:
    chunks = split(TABLE, limit=60)
    assert "\n".join(chunk.text for chunk in chunks) == TABLE
    chunks = split("word " * 500, limit=50)
    assert all(set(chunk.text.split()) == {"word"} for chunk in chunks)
    assert sum(chunk.text.count("word") for chunk in chunks) == 500
    chunks = split("字" * 500, limit=50)
    assert "".join(chunk.text for chunk in chunks) == "字" * 500


@pytest.mark.parametrize("body", ["", " ", "\n\n", "\t\r\n"])
def test_an_empty_document_has_no_chunk(body: str) -> None:
    assert split(body) == []


@pytest.mark.parametrize(("limit", "overlap"), [(7, 0), (20, 10), (20, -1)])
def test_limits_that_cannot_be_kept_are_refused(limit: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=f"chunks of {limit} tokens cannot overlap by {overlap}"):
        split("a", limit, overlap)


def test_title_and_headings_are_searched_with_the_text() -> None:
    assert embedding_text("Help", "Returns > How long", "30 days.") == "Help\nReturns > How long\n30 days."
    assert embedding_text(None, "", "30 days.") == "30 days."


PIECES = st.sampled_from(
    ["# A", "## B\n", "text. ", "More text!\n", "\n\n", "\r\n", "\r", TABLE, CODE, "```", "- item\n", "<div>",
     "    code\n", "字。", "\x00", "[a]: http://b\n", "\u2028", "x" * 40, " ", "\t", "> quote\n",
     "| a |\n|--|\n", "😀" * 9]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(body=st.lists(PIECES, max_size=25).map("".join), limit=st.integers(8, 60), overlap=st.integers(0, 3))
def test_nothing_is_lost_and_no_chunk_is_too_long(body: str, limit: int, overlap: int) -> None:
    chunks = split_document(body, limit=limit, overlap=overlap)
    covered = {at for chunk in chunks for at in range(chunk.start_at, chunk.end_at)}
    assert not "".join(letter for at, letter in enumerate(body) if at not in covered).strip()
    assert all(chunk.tokens <= limit or chunk.end_at - chunk.start_at == 1 for chunk in chunks)
    assert all(chunk.text == body[chunk.start_at : chunk.end_at] and chunk.text.strip() for chunk in chunks)
    assert [chunk.chunk_number for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert all(before.end_at < after.end_at for before, after in pairwise(chunks))
