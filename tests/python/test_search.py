"""Search: words, vectors and both; what may be seen; the file that is searched."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unicodedata import ucd_3_2_0

import duckdb
import numpy as np
import pytest
from search_index import EVER, Chunk, index_of, write_gold

from assay.core.extensions import load_extension
from assay.core.fault import Fault
from assay.embedding.static import StaticModel
from assay.embedding.vectors import unit_vectors
from assay.search import frequencies, ranking, words
from assay.search import index as index_module
from assay.search.index import write_index
from assay.search.query import Index, open_index
from assay.search.rerank import read_reranker
from assay.search.results import Result
from assay.search.visible import Scope

CHUNKS = [
    Chunk("refunds", "A refund takes five days. Refunds go to the card you paid with.", tags=["money"]),
    Chunk("returns", "Send the parcel back within 30 days, and your money is returned.", tags=["money"]),
    Chunk("shelf", "Mount the shelf on a brick wall with the screws.", source="manuals", title="Shelf X200"),
    Chunk("shelf", "It carries 40 kilograms.", 2, source="manuals", title="Shelf X200", heading_path="Load"),
    Chunk("café", "The café is naïve about déjà vu.", source="blog"),
]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    index_of(tmp_path, CHUNKS)
    return open_index(tmp_path / "search.duckdb")


def found(index: Index, query: str, **how: Any) -> list[tuple[str, int]]:
    return [(each.document_id, each.chunk_number) for each in index.search(query, **how).results]


def names(index: Index, query: str, **how: Any) -> list[str]:
    return [name for name, _ in found(index, query, **how)]


# Words


def test_words_are_found_by_their_stems_without_case_and_accents(index: Index) -> None:
    assert names(index, "refunding", mode="text") == ["refunds"]
    assert names(index, "CAFE", mode="text") == ["café"]
    assert names(index, "de\u0301ja\u0300", mode="text") == ["café"]
    assert names(index, "x200", mode="text") == ["shelf", "shelf"]
    assert found(index, "kilogram load", mode="text") == [("shelf", 2)]
    assert index.search("The refunds, refunding", mode="text").terms == ["refund"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("한국어 문서", "한국어"),
        ("हिन्दी में दस्तावेज़", "हिन्दी"),
        ("เอกสาร ภาษาไทย", "ภาษาไทย"),
        ("A wall of 20 m² at most", "M²"),
        ("שָׁלוֹם לך", "שלום"),
        ("\u0397 \u039f\u0394\u039f\u03a3", "\u039f\u0394\u039f\u03a3"),
        ("\uff21\uff22\uff23 の", "\uff41\uff42\uff43"),
        ("Diyarbak\u0131r İstanbul", "istanbul"),
    ],
)
def test_words_of_all_scripts_are_found_and_marked(text: str, query: str, tmp_path: Path) -> None:
    index_of(tmp_path, [Chunk("a", text), Chunk("b", "other words")])
    (result,) = open_index(tmp_path / "search.duckdb").search(query, mode="text").results
    [(begin, end)] = result.marks
    assert result.snippet[begin:end] in text.split()


def test_characters_between_which_no_spaces_stand_are_words(tmp_path: Path) -> None:
    index_of(tmp_path, [Chunk("a", "我想退款。"), Chunk("b", "退货需要多久。"), Chunk("c", "がんばって")])
    index = open_index(tmp_path / "search.duckdb")
    assert names(index, "退款", mode="text") == ["a", "b"]
    assert names(index, "ガ がん", mode="text") == ["c"]
    (result, _) = index.search("退款", mode="text").results
    assert [result.snippet[begin:end] for begin, end in result.marks] == ["退", "款"]


def test_words_are_the_same_in_sql_and_in_python() -> None:
    """Of each character that both have known for long, within a word."""
    codes = [*range(0x20, 0x10000), 0x20000, 0x2F800]
    letters = [chr(each) for each in codes if ucd_3_2_0.category(chr(each))[0] in "LMNPSZ"]
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select text, list_filter({words.words_of('text')}, lambda word: word <> '') "
            "from (select unnest($1::varchar[]) as text)",
            [[f"Xa{each}b" for each in letters]],
        ).fetchall()
    assert len(rows) > 50_000
    assert [text for text, found in rows if found != words._WORD.findall(words._plain(text))] == []


def test_a_query_without_a_word_to_search_for_finds_nothing_by_words(index: Index) -> None:
    answer = index.search("to be or not to be", mode="text")
    assert (answer.results, answer.terms, answer.vector_way) == ([], [], None)
    assert index.search("xyzzy", mode="text").results == []


def test_words_that_were_asked_for_before_are_found_however_many_are_kept(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_MOST_KEPT", 2)
    for query in ("refund apple pear plum", "refund cherry", "refunds cherry peach", "refund"):
        assert names(index, query, mode="text") == ["refunds"]


def test_words_of_any_length_are_searched_for_and_only_short_ones_kept(index: Index) -> None:
    connection = index._newest().cursor()
    vocabulary = words.Vocabulary(connection)
    terms = vocabulary.find(connection, f"refunding {'x' * 100_000}")
    assert [(each.term[:6], sorted(each.words)) for each in terms] == [
        ("refund", ["refund", "refunds"]),
        ("xxxxxx", []),
    ]
    assert list(vocabulary._known) == ["refunding"]


def test_bm25_is_that_of_duckdb(tmp_path: Path) -> None:
    words = ["refund", "parcel", "money", "shelf", "screw", "wall", "card", "day", "brick", "load"]
    rng = np.random.default_rng(1)
    chunks = [
        Chunk(f"d{number:03}", " ".join(rng.choice(words, rng.integers(3, 30), p=rng.dirichlet([0.5] * 10))))
        for number in range(200)
    ]
    index_of(tmp_path, chunks)
    index = open_index(tmp_path / "search.duckdb")
    with duckdb.connect() as connection:
        load_extension(connection, "fts", extra="search", by="Search")
        connection.execute("create table texts (id varchar, body varchar)")
        connection.executemany(
            "insert into texts values (?, ?)", [[each.document_id, each.text] for each in chunks]
        )
        connection.execute("pragma create_fts_index('texts', 'id', 'body')")
        for query in ("refund", "shelf screws on walls", "money money parcels"):
            theirs = connection.execute(
                "select id, score from (select id, fts_main_texts.match_bm25(id, ?) as score from texts) "
                "where score is not null order by score desc, id limit 50",
                [query],
            ).fetchall()
            ours = index.search(query, mode="text", k=50).results
            # Theirs takes the logarithm to the base of ten.
            np.testing.assert_allclose(
                [each.score for each in ours], [score * math.log(10) for _, score in theirs], rtol=1e-9
            )
            assert {each.document_id for each in ours} == {name for name, _ in theirs}


# Vectors, and both


def test_vectors_find_what_means_the_same(index: Index) -> None:
    first, *_ = index.search("getting one's cash back", mode="vector").results
    assert first.document_id in ("returns", "refunds")
    model = StaticModel()
    query = model.embed(["getting one's cash back"])[0]
    expected = model.embed([each.embedded for each in CHUNKS]) @ query
    answer = index.search("getting one's cash back", mode="vector")
    assert answer.vector_way == "exact"
    np.testing.assert_allclose(
        [each.score for each in answer.results], sorted(expected, reverse=True), rtol=1e-5
    )


def test_the_parts_of_a_result_are_told(index: Index) -> None:
    answer = index.search("refund for money", k=2)
    by_name = {each.document_id: each for each in answer.results}
    words = {each.document_id: each for each in index.search("refund for money", mode="text").results}
    vectors = {each.document_id: each for each in index.search("refund for money", mode="vector").results}
    for name, each in by_name.items():
        assert (each.text_score, each.text_rank) == (words[name].score, words[name].text_rank)
        assert (each.vector_score, each.vector_rank) == (vectors[name].score, vectors[name].vector_rank)
        assert each.text_rank is not None
        assert each.vector_rank is not None
        assert each.score == pytest.approx(1 / (10 + each.text_rank) + 0.5 / (10 + each.vector_rank))
    assert [each.score for each in answer.results] == sorted(
        (e.score for e in by_name.values()), reverse=True
    )
    assert words["refunds"].vector_rank is None
    assert vectors["refunds"].text_rank is None


def test_a_chunk_knows_where_it_stands(index: Index) -> None:
    (result,) = index.search("kilograms", mode="text").results
    assert (result.document_id, result.chunk_number, result.source) == ("shelf", 2, "manuals")
    assert (result.title, result.heading_path, result.tags) == ("Shelf X200", "Load", [])
    assert (result.start_at, result.end_at, result.text) == (0, 24, "It carries 40 kilograms.")
    assert (result.valid_from, result.updated_at) == (datetime(2025, 1, 1), datetime(2025, 1, 1))


def test_a_chunk_without_a_vector_is_found_by_its_words(tmp_path: Path) -> None:
    counts = index_of(tmp_path, CHUNKS, is_embedded=lambda chunk: chunk.document_id != "refunds")
    assert (counts.chunks, counts.without_vector) == (5, 1)
    index = open_index(tmp_path / "search.duckdb")
    assert names(index, "refunds")[0] == "refunds"
    assert "refunds" not in names(index, "refunds", mode="vector")


def test_equal_scores_are_in_the_order_of_documents_and_twice_is_the_same(tmp_path: Path) -> None:
    chunks = [Chunk(f"d{number:02}", "Every parcel has a label.") for number in reversed(range(30))]
    index_of(tmp_path, chunks)
    for mode in ("text", "vector", "hybrid"):
        first = open_index(tmp_path / "search.duckdb").search("a label on parcels", mode=mode)
        assert [each.document_id for each in first.results] == [f"d{number:02}" for number in range(10)]
        assert open_index(tmp_path / "search.duckdb").search("a label on parcels", mode=mode) == first


# What is asked for


@pytest.mark.parametrize("query", ["", "  \n", "\0"])
def test_an_empty_query_is_refused(query: str, index: Index) -> None:
    with pytest.raises(Fault, match="The query is empty"):
        index.search(query)


def test_queries_of_any_kind_are_answered_or_refused(index: Index) -> None:
    with pytest.raises(Fault, match="10,000 words, and 1,000 are the most"):
        index.search("word " * 10_000)
    with pytest.raises(Fault, match="1,001 words, and 1,000 are the most"):
        index.search(",".join(f"w{number}" for number in range(1_001)))
    assert names(index, "refund " * 1_000)[0] == "refunds"
    for query in (
        "'; drop table chunks; --",
        "日本語",
        "$query ? %s {x}",
        "refund\0days",
        "\ud800 refund",
        "'",
    ):
        assert len(index.search(query).results) == 5
    for k in (0, -1, 1_001):
        with pytest.raises(Fault, match="1 to 1,000 results"):
            index.search("x", k=k)
    with pytest.raises(Fault, match="no mode 'both': there are hybrid, vector, text"):
        index.search("x", mode="both")


def test_filters_come_before_the_cut(index: Index, tmp_path: Path) -> None:
    assert names(index, "money", filter="tags contains 'money' and source = 'help'") == ["returns", "refunds"]
    assert names(index, "money", filter="source = 'manuals'", mode="vector") == ["shelf", "shelf"]
    assert names(index, "money", filter="source = 'nowhere'") == []
    chunks = [Chunk(f"d{number:04}", f"A refund of order {number}.") for number in range(1_000)]
    rare = [
        Chunk(f"e{number:04}", "Parcels, shelves, and a refund at last.", source="rare")
        for number in range(10)
    ]
    index_of(tmp_path, [*chunks, *rare])
    for mode in ("text", "vector", "hybrid"):
        everything = names(index, "refund of order 7", mode=mode)
        assert not any(name.startswith("e") for name in everything)
        assert len(names(index, "refund of order 7", mode=mode, filter="source = 'rare'")) == 10


# What may be seen


def history() -> list[Chunk]:
    old, new = datetime(2025, 1, 1), datetime(2025, 6, 1)
    return [
        Chunk("a", "The refund takes nine days.", valid_from=old, valid_to=new),
        Chunk("a", "The refund takes five days.", valid_from=new),
        Chunk("b", "A shelf.", valid_from=old, valid_to=new),
        Chunk("c", "A parcel and a refund.", valid_from=new),
    ]


def test_as_of_a_moment_nothing_later_is_seen(tmp_path: Path) -> None:
    index_of(tmp_path, history())
    index = open_index(tmp_path / "search.duckdb")
    then = datetime(2025, 3, 1)
    for mode in ("text", "vector", "hybrid"):
        texts = [each.text for each in index.search("refund nine shelf", mode=mode, as_of=then).results]
        assert sorted(texts) == ["A shelf.", "The refund takes nine days."]
        texts = [each.text for each in index.search("refund", mode=mode).results]
        assert sorted(texts) == ["A parcel and a refund.", "The refund takes five days."]
        assert index.search("refund", mode=mode, as_of=datetime(2024, 1, 1)).results == []
        # The begin of a state belongs to it, and its end does not.
        assert len(index.search("refund shelf", mode=mode, as_of=datetime(2025, 6, 1)).results) == 2


def test_as_of_a_moment_it_is_not_known_what_arrives_again_later(tmp_path: Path) -> None:
    march, june = datetime(2025, 3, 1), datetime(2025, 6, 1)
    index_of(tmp_path, [Chunk("a", "refund", again_at=(march, june)), Chunk("b", "refund of a card")])
    index = open_index(tmp_path / "search.duckdb")
    late = "updated_at >= '2025-03-01'"
    for moment, updated_at in (
        (datetime(2025, 2, 1), datetime(2025, 1, 1)),
        (march, march),
        (datetime(2025, 5, 1), march),
        (june, june),
        (None, june),
    ):
        for mode in ("text", "vector", "hybrid"):
            results = index.search("refund", mode=mode, as_of=moment).results
            arrived = {each.document_id: each.updated_at for each in results}
            assert arrived == {"a": updated_at, "b": datetime(2025, 1, 1)}
            found = names(index, "refund", mode=mode, as_of=moment, filter=late)
            assert found == (["a"] if updated_at >= march else [])
        document = index.document("a", as_of=moment)
        assert document is not None
        assert document.chunks[0].updated_at == updated_at


def test_as_of_a_moment_scores_are_those_of_an_index_of_that_moment(tmp_path: Path) -> None:
    then = datetime(2025, 3, 1)
    rng = np.random.default_rng(2)
    chunks = []
    for number in range(60):
        begin = datetime(2025, 1 + number % 5, 1)
        text = " ".join(rng.choice(["refund", "parcel", "shelf", "wall", "card"], 6))
        chunks.append(Chunk(f"d{number:02}", text, valid_from=begin, valid_to=datetime(2025, 6, 1)))
        chunks.append(Chunk(f"d{number:02}", f"{text} later card", valid_from=datetime(2025, 6, 1)))
    (tmp_path / "then").mkdir()
    index_of(tmp_path, chunks)
    index_of(tmp_path / "then", [each for each in chunks if each.valid_from <= then < each.valid_to])
    all_times, that_time = (open_index(each / "search.duckdb") for each in (tmp_path, tmp_path / "then"))
    for mode in ("text", "vector", "hybrid"):
        for query in ("refund card", "a shelf on the wall"):
            expected = that_time.search(query, mode=mode, as_of=then).results
            assert expected
            assert all_times.search(query, mode=mode, as_of=then).results == expected


@pytest.mark.parametrize("most", [1, 64_000_000])
def test_searches_of_one_index_do_not_change_each_other(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted for one search is kept for others that see and want the same, and for no others."""
    monkeypatch.setattr(frequencies, "_MOST_BYTES", most)
    index_of(tmp_path, [*history(), *CHUNKS])
    asked: list[dict[str, Any]] = [
        {},
        {"as_of": datetime(2025, 3, 1)},
        {"as_of": datetime(2025, 7, 1)},
        {"scope": Scope(sources=frozenset({"help"}))},
        {"scope": Scope(sources=frozenset({"manuals"}))},
        {"scope": Scope(tags=frozenset({"money"}))},
        {"hidden": {"a": EVER}},
        {"filter": "source = 'manuals'"},
        {"filter": "source != 'manuals'"},
    ]
    queries = ("refund", "a shelf for the parcel", "refund of a parcel")
    file = tmp_path / "search.duckdb"
    alone = [open_index(file).search(query, **how).results for query in queries for how in asked]
    assert len({str(each) for each in alone}) > len(asked)
    index = open_index(file)
    for _ in range(2):
        assert [index.search(query, **how).results for query in queries for how in asked] == alone


def test_what_is_kept_takes_bytes_also_where_little_or_nothing_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each moment and each filter there is something to keep, and callers think of new ones for ever."""
    monkeypatch.setattr(frequencies, "_MOST_BYTES", 100_000)
    index_of(tmp_path, [Chunk(f"d{number:03}", f"refund {number}") for number in range(500)])
    index = open_index(tmp_path / "search.duckdb")
    kept = index._newest().frequencies._populations._kept
    for number in range(100):
        then = datetime(2024, 1, 1) + timedelta(minutes=number)
        assert index.search("refund", mode="text", as_of=then).results == []
        assert len(kept) < 25
    for number in range(30):
        long = f"document_id = 'd007' or title = '{number:09000}'"
        assert names(index, "refund", mode="text", filter=long) == ["d007"]
    assert len(kept) < 10


def test_sources_and_hidden_documents_are_as_if_not_there(index: Index, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    index_of(tmp_path / "part", [each for each in CHUNKS if each.source == "help"])
    part = open_index(tmp_path / "part" / "search.duckdb")
    query = "money for the refund of a shelf"
    help_alone = Scope(frozenset({"help"}))
    for mode in ("text", "vector", "hybrid"):
        expected = part.search(query, mode=mode).results
        assert index.search(query, mode=mode, scope=help_alone).results == expected
        hidden = dict.fromkeys(("shelf", "café", "unknown"), EVER)
        assert index.search(query, mode=mode, hidden=hidden).results == expected
        assert index.search(query, mode=mode, scope=Scope(frozenset())).results == []
        # A filter cannot widen it.
        assert names(index, query, mode=mode, scope=help_alone, filter="source = 'manuals'") == []
        either = "source = 'manuals' or source != 'manuals'"
        assert index.search(query, mode=mode, scope=help_alone, filter=either).results == expected


def test_tags_in_scope_are_as_if_there_were_no_others(index: Index, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    index_of(tmp_path / "part", [each for each in CHUNKS if "money" in each.tags])
    part = open_index(tmp_path / "part" / "search.duckdb")
    query = "money for the refund of a shelf"
    for mode in ("text", "vector", "hybrid"):
        expected = part.search(query, mode=mode).results
        assert expected
        money = Scope(tags=frozenset({"money", "x"}))
        assert index.search(query, mode=mode, scope=money).results == expected
        money_of_manuals = Scope(frozenset({"manuals"}), frozenset({"money"}))
        assert names(index, query, mode=mode, scope=money_of_manuals) == []
    assert names(index, query, scope=Scope(tags=frozenset())) == []


def test_rights_are_those_of_what_documents_are_now(tmp_path: Path) -> None:
    june = datetime(2025, 6, 1)
    index_of(
        tmp_path,
        [
            Chunk("closed", "refund one", tags=["open"], valid_to=june),
            Chunk("closed", "refund two", tags=["secret"], valid_from=june),
            Chunk("moved", "refund three", source="board", valid_from=june, tags=["open"]),
            Chunk("moved", "refund four", tags=["open"], valid_to=june),
            Chunk("gone", "refund five", tags=["open"], valid_to=june),
            Chunk("there", "refund six", tags=["open"], valid_to=june),
            Chunk("there", "refund seven", tags=["open"], valid_from=june),
        ],
    )
    index = open_index(tmp_path / "search.duckdb")
    scope, then = Scope(frozenset({"help"}), frozenset({"open"})), datetime(2025, 3, 1)
    for mode in ("text", "vector", "hybrid"):
        texts = [each.text for each in index.search("refund", mode=mode, as_of=then, scope=scope).results]
        assert texts == ["refund six"]
        # Who may see all sees what is there now, and as it was; without a scope, what was there.
        assert "gone" not in names(index, "refund", mode=mode, as_of=then, scope=Scope())
        assert len(names(index, "refund", mode=mode, as_of=then, scope=Scope())) == 3
        assert len(names(index, "refund", mode=mode, as_of=then)) == 4
    assert index.document("closed", as_of=then, scope=scope) is None
    assert index.document("there", as_of=then, scope=scope) is not None


def test_the_past_of_a_document_that_was_gone_is_out_of_reach_though_one_of_its_name_came_later(
    tmp_path: Path,
) -> None:
    """Also when nobody hides it any more, because no publication that is kept has it."""
    march, may, june = datetime(2025, 3, 1), datetime(2025, 5, 1), datetime(2025, 6, 1)
    index_of(
        tmp_path,
        [
            Chunk("back", "refund with a secret", valid_to=may),
            Chunk("back", "refund without", valid_from=june),
            # What changes, grows and shrinks is there all the time.
            Chunk("stays", "refund one", valid_to=may),
            Chunk("stays", "refund two", valid_from=may, valid_to=june),
            Chunk("stays", "refund three", valid_from=june),
            Chunk("stays", "refund more", 2, valid_to=may),
            Chunk("stays", "refund again", 2, valid_from=june),
        ],
    )
    index = open_index(tmp_path / "search.duckdb")
    for mode in ("text", "vector", "hybrid"):
        for scope in (Scope(), Scope(frozenset({"help"}))):
            texts = [
                each.text for each in index.search("refund", mode=mode, as_of=march, scope=scope).results
            ]
            assert sorted(texts) == ["refund more", "refund one"]
            for moment in (june, datetime(2025, 6, 1, 0, 0, 0, 1)):
                later = index.search("refund", mode=mode, as_of=moment, scope=scope).results
                assert sorted(each.document_id for each in later) == ["back", "stays", "stays"]
        # Who reads the project's own files sees what was known.
        assert "back" in names(index, "refund", mode=mode, as_of=march)
    assert index.document("back", as_of=march, scope=Scope()) is None
    assert index.document("stays", as_of=march, scope=Scope()) is not None


def test_a_deletion_hides_what_was_known_before_it(tmp_path: Path) -> None:
    june, then = datetime(2025, 6, 1), datetime(2025, 3, 1)
    index_of(tmp_path, [Chunk("a", "refund", valid_from=datetime(2025, 1, 1)), Chunk("b", "refund card")])
    index = open_index(tmp_path / "search.duckdb")
    for mode in ("text", "vector", "hybrid"):
        assert names(index, "refund", mode=mode, hidden={"a": june}) == ["b"]
        assert names(index, "refund", mode=mode, hidden={"a": june}, as_of=june) == ["b"]
        # What was known then stays known to those who ask the project's own files.
        assert sorted(names(index, "refund", mode=mode, hidden={"a": june}, as_of=then)) == ["a", "b"]
        assert names(index, "refund", mode=mode, hidden={"a": june}, as_of=then, scope=Scope()) == ["b"]
        # What landed after the deletion is another document.
        assert sorted(names(index, "refund", mode=mode, hidden={"a": datetime(2025, 1, 1)})) == ["a", "b"]
    assert index.document("a", hidden={"a": june}) is None


def test_a_document_is_its_chunks_in_their_order(index: Index) -> None:
    shelf = index.document("shelf")
    assert shelf is not None
    assert (shelf.source, shelf.title, shelf.tags, shelf.chunks_in_all) == ("manuals", "Shelf X200", [], 2)
    assert [(each.chunk_number, each.heading_path, each.text) for each in shelf.chunks] == [
        (1, "", "Mount the shelf on a brick wall with the screws."),
        (2, "Load", "It carries 40 kilograms."),
    ]
    second = index.document("shelf", first=2)
    assert second is not None
    assert ([each.chunk_number for each in second.chunks], second.chunks_in_all) == ([2], 2)
    one = index.document("shelf", most=1)
    assert one is not None
    assert [each.chunk_number for each in one.chunks] == [1]
    assert index.document("nowhere") is None


# Snippets


def test_a_snippet_shows_what_was_searched_for(tmp_path: Path) -> None:
    filler = "Nothing of interest stands here. " * 40
    text = f"{filler}Here one word: parcel. {filler}The déjà vu of a Parcel, and its refunds! {filler}"
    index_of(tmp_path, [Chunk("a", text)])
    (result,) = open_index(tmp_path / "search.duckdb").search("refund a parcel, deja vu", mode="text").results
    marked = [result.snippet[begin:end] for begin, end in result.marks]
    assert marked == ["déjà", "vu", "Parcel", "refunds"]
    assert len(result.snippet) <= 242
    assert result.snippet[0] == result.snippet[-1] == "…"
    assert result.snippet[1:-1] in text


@pytest.mark.parametrize(
    "text", ["short refund", "x" * 1_000 + " refund", "refund " + "x" * 1_000, "refund" * 300]
)
def test_a_snippet_is_a_piece_of_the_text(text: str, tmp_path: Path) -> None:
    index_of(tmp_path, [Chunk("a", text)])
    (result,) = open_index(tmp_path / "search.duckdb").search("refund", mode="vector").results
    assert 0 < len(result.snippet) <= 242
    assert result.snippet.strip("…") in text
    assert [result.snippet[begin:end] for begin, end in result.marks] in (["refund"], [])
    assert bool(result.marks) == bool(re.search(r"\brefund\b", text))


# Reranking


def test_a_reranker_decides_among_the_best(index: Index) -> None:
    def shortest(query: str, results: Sequence[Result]) -> list[float]:
        assert query == "refund"
        return [-len(each.text) for each in results]

    assert [each.text for each in index.search("refund", rerank=shortest, k=1).results] == [CHUNKS[3].text]
    assert [each.score for each in index.search("refund", rerank=shortest, k=1).results] == [-24]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0], "1 scores for 5 results"),
        ([float("nan")] * 5, "not finite"),
        ("fails", "ValueError: could not"),
    ],
)
def test_a_reranker_that_fails_is_told(scores: Any, message: str, index: Index) -> None:
    with pytest.raises(Fault, match=message):
        index.search("refund", rerank=lambda query, results: scores)


def test_a_reranker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rerankers.py").write_text("NUMBER = 1\ndef best(query, results):\n    return [1.0]\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert read_reranker("my_rerankers:best")("x", []) == [1.0]
    for name in ("my_rerankers", "my_rerankers:worst", "no_such_module:best", "my_rerankers:NUMBER", ""):
        with pytest.raises(Fault, match="The reranker"):
            read_reranker(name)


# The file


def test_the_file_is_replaced_as_a_whole_and_who_reads_goes_on(index: Index, tmp_path: Path) -> None:
    file = tmp_path / "search.duckdb"
    before = file.stat().st_ino
    assert names(index, "shelf", mode="text", k=1) == ["shelf"]
    with duckdb.connect() as reader:
        reader.execute(f"attach '{file}' as old (read_only)")
        index_of(tmp_path, [Chunk("new", "A shelf of another kind.")])
        assert reader.execute("select count(*) from old.chunks").fetchall() == [(5,)]
    assert file.stat().st_ino != before
    assert names(index, "shelf", mode="text") == ["new"]
    assert [each.name for each in tmp_path.glob("*search*")] == ["search.duckdb"]
    assert [each.name for each in tmp_path.glob(".*")] == []


def test_an_index_that_cannot_be_written_leaves_the_old_one(index: Index, tmp_path: Path) -> None:
    gold = write_gold(tmp_path / "assay.duckdb", CHUNKS)
    with duckdb.connect(gold) as connection:
        connection.execute("update gold.doc_embeddings set model = 'other@1' where chunk_hash > '8'")
    with pytest.raises(
        Fault, match=r"several models, which cannot be compared: other@1 \(256 numbers\) and static"
    ):
        write_index(gold, tmp_path / "search.duckdb")
    with duckdb.connect(gold) as connection:
        connection.execute("drop table gold.doc_chunks")
    with pytest.raises(Fault, match=r"no table gold\.doc_chunks"):
        write_index(gold, tmp_path / "search.duckdb")
    assert len(index.search("shelf").results) == 5
    assert [each.name for each in tmp_path.glob(".*")] == []


def test_an_index_is_written_from_an_open_connection_too(tmp_path: Path) -> None:
    with duckdb.connect(write_gold(tmp_path / "assay.duckdb", CHUNKS)) as connection:
        counts = write_index(connection, tmp_path / "deep" / "search.duckdb")
    assert (counts.chunks, counts.states, counts.documents, counts.way) == (5, 5, 4, "exact")
    assert (counts.model, counts.dimension) == (f"static@{StaticModel().digest}", 256)


def test_an_index_is_of_the_file_that_is_there_though_the_last_one_is_open(tmp_path: Path) -> None:
    """As in a notebook that looks into what is published, and builds."""
    gold = write_gold(tmp_path / "assay.duckdb", CHUNKS[:1])
    with duckdb.connect(gold, read_only=True) as before:
        write_gold(tmp_path / "new.duckdb", CHUNKS).replace(gold)
        assert write_index(gold, tmp_path / "search.duckdb").chunks == len(CHUNKS)
        assert before.execute("select count(*) from gold.doc_chunks").fetchall() == [(1,)]


def test_without_documents_nothing_is_found(tmp_path: Path) -> None:
    assert index_of(tmp_path, []).chunks == 0
    index = open_index(tmp_path / "search.duckdb")
    assert index.search("refund", mode="text").results == []
    with pytest.raises(Fault, match="no vectors: search with --mode text"):
        index.search("refund")


def test_without_an_index_one_is_told_how_to_have_one(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"no index in .*search\.duckdb: build"):
        open_index(tmp_path / "search.duckdb")


def test_vectors_of_another_model_are_never_compared(index: Index, tmp_path: Path) -> None:
    class Other(StaticModel):
        name, digest = "other", "0" * 64

    with pytest.raises(Fault, match="vectors of the model static, and ASSAY_EMBEDDING names other"):
        open_index(tmp_path / "search.duckdb", Other()).search("refund")
    assert open_index(tmp_path / "search.duckdb", Other()).search("refund", mode="text").results


# Many vectors


class Clusters:
    """A model whose vectors lie around a few points, by the number in a text."""

    name, digest, dimension, max_tokens = "clusters", "ab", 16, 100

    def embed(self, texts: Sequence[str]) -> Any:
        rows = []
        for text in texts:
            rng = np.random.default_rng(int(re.findall(r"\d+", text)[0]))
            rows.append(np.eye(16)[rng.integers(16)] + 0.4 * rng.normal(size=16))
        return unit_vectors(rows, count=len(texts), dimension=16, maker="It")

    def count_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.mark.parametrize("way", ["hnsw", "ivfpq"])
def test_an_index_of_vectors_finds_what_a_scan_finds(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_HNSW_FROM", 1_000)
    monkeypatch.setenv("ASSAY_IVFPQ_FROM", "1000" if way == "ivfpq" else "1000000")
    past = [
        Chunk(f"d{number:04}", f"before {number}", valid_to=datetime(2025, 2, 1))
        for number in range(0, 2_000, 7)
    ]
    chunks = [
        Chunk(
            f"d{number:04}",
            f"number {number}",
            source="rare" if number % 100 == 0 else "most" if number % 3 else "some",
            valid_from=datetime(2025, 2, 1),
        )
        for number in range(2_000)
    ]
    assert index_of(tmp_path, [*past, *chunks], Clusters()).way == way
    index = open_index(tmp_path / "search.duckdb", Clusters())
    queries = [f"number {number}" for number in range(5_000, 5_040)]

    def answers(**how: Any) -> list[Any]:
        return [index.search(query, mode="vector", **how) for query in queries]

    def asked_by(limit: int, **how: Any) -> list[Any]:
        monkeypatch.setattr(ranking, "_EXACT_UP_TO", limit)
        return answers(**how)

    for how in (
        {},
        {"filter": "source = 'most'"},
        {"scope": Scope(frozenset({"most"}))},
        {"hidden": {"d0001": EVER}},
    ):
        exact, near = asked_by(10_000, **how), asked_by(100, **how)
        assert {each.vector_way for each in exact} == {"exact"}
        assert {each.vector_way for each in near} == {way}
        hits = [
            len({e.document_id for e in one.results} & {e.document_id for e in other.results})
            for one, other in zip(exact, near, strict=True)
        ]
        assert sum(hits) / len(hits) / 10 >= 0.9
        assert all(len(each.results) == 10 for each in near)
    # What a filter keeps few of is scanned, and so is the past.
    assert {(each.vector_way, len(each.results)) for each in answers(filter="source = 'rare'")} == {
        ("exact", 10)
    }
    assert {each.vector_way for each in answers(as_of=datetime(2025, 1, 15))} == {"exact"}


def test_vectors_that_are_too_few_to_be_coarse_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_IVFPQ_FROM", "0")
    for count, way in ((0, "exact"), (1, "exact"), (255, "exact"), (256, "ivfpq")):
        chunks = [Chunk(f"d{number:04}", f"number {number}") for number in range(count)]
        assert index_of(tmp_path, chunks, Clusters()).way == way
    found = open_index(tmp_path / "search.duckdb", Clusters()).search("number 7", mode="vector")
    assert found.results[0].document_id == "d0007"
    none = index_of(tmp_path, CHUNKS, is_embedded=lambda chunk: False)
    assert (none.way, none.without_vector) == ("exact", len(CHUNKS))


def test_the_size_from_which_vectors_are_coarse_is_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_IVFPQ_FROM", "many")
    with pytest.raises(Fault, match="ASSAY_IVFPQ_FROM=many is no number"):
        index_of(tmp_path, CHUNKS)
