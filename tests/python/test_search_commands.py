"""`assay search` and `project.search`; how well a search finds, against what is known."""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from search_index import Chunk, index_of
from typer.testing import CliRunner, Result

from assay.api.project import Project, open_project
from assay.cli import app
from assay.core.fault import Fault
from assay.search.evaluate import evaluate
from assay.search.judgements import Query, read_judgements, read_queries
from assay.search.query import Index, open_index

CHUNKS = [
    Chunk("refunds", "A refund takes\nfive days.", title="Money", heading_path="Refunds", tags=["money"]),
    Chunk("refunds", "Refunds go to the card.", 2, title="Money", tags=["money"]),
    Chunk("shelf", "Mount the shelf [bold] with screws.", source="manuals", valid_from=datetime(2025, 6, 1)),
    Chunk("parcel", "Send the parcel back for a refund.", source="tickets", title="[red]Ticket[/red]"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_WAREHOUSE", raising=False)
    monkeypatch.delenv("ASSAY_EMBEDDING", raising=False)
    Path("dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "data" / "published").mkdir(parents=True)
    index_of(tmp_path / "data" / "published", CHUNKS)
    return open_project(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["search", *arguments])


def test_a_search_prints_what_it_found(project: Project) -> None:
    found = run("refunds", "--mode", "text", "--filter", "tags contains 'money'")
    assert found.exit_code == 0
    assert found.stdout == (
        " 1. Money > Refunds\n"
        "    chunk 1 of refunds, help; score 0.4833, words: rank 1 (0.48)\n"
        "    A *refund* takes five days.\n"
        " 2. Money\n"
        "    chunk 2 of refunds, help; score 0.42, words: rank 2 (0.42)\n"
        "    *Refunds* go to the card.\n"
    )


def test_options_may_stand_before_the_query(project: Project) -> None:
    found = run("-k", "1", "--mode", "vector", "refunds")
    assert found.exit_code == 0
    assert found.stdout.count("chunk ") == 1
    assert "vector: rank 1" in found.stdout
    assert "words" not in found.stdout


def test_what_looks_like_a_command_or_markup_is_searched_for_too(project: Project) -> None:
    assert run("--", "evaluate").exit_code == 0
    found = run("shelf [/red] parcel", "--mode", "text")
    assert found.exit_code == 0
    assert "[red]Ticket[/red]" in found.stdout
    assert "[bold] with" in found.stdout


def test_texts_do_nothing_to_the_terminal(project: Project) -> None:
    index_of(
        Path("data/published"), [Chunk("a\x1b[2J", "A refund\x1b]0;x\x07 and \x9b2J.", title="\x1b[31mRed")]
    )
    found = run("refund", "--mode", "text")
    assert found.exit_code == 0
    assert not {"\x1b", "\x07", "\x9b"} & set(found.stdout)
    assert "*refund*\ufffd]0;x\ufffd and" in found.stdout


def test_what_cannot_be_searched_for_is_told(project: Project) -> None:
    for arguments, message in (
        ((" ",), "The query is empty"),
        (("x", "--filter", "author = 'x'"), "a column 'author'"),
        (("x", "--as-of", "yesterday"), "--as-of yesterday is not a time"),
        (("x", "--as-of", "2999-01-01"), "lies in the future"),
        (("x", "-k", "0"), "1 to 1,000"),
        (("x", "--rerank", "no_module:f"), "The reranker 'no_module:f' cannot be had"),
    ):
        found = run(*arguments)
        assert (found.exit_code, message in " ".join(found.stderr.split())) == (2, True), found.stderr
    assert "Nothing is found." in run("xyzzy", "--mode", "text").stdout
    assert "only words that all texts have" in run("to be or not to be", "--mode", "text").stdout


def test_without_documents_the_command_says_so(project: Project) -> None:
    Path("data/published/search.duckdb").unlink()
    found = run("refund")
    assert (found.exit_code, "build a project that has documents" in found.stderr) == (2, True)


def test_python_has_the_same(project: Project) -> None:
    found = project.search("refund", mode="text", k=2)
    assert [(each.document_id, each.chunk_number) for each in found] == [("refunds", 1), ("refunds", 2)]
    assert found.answer.terms == ["refund"]
    assert found.to_frame().to_pandas()["document_id"].tolist() == ["refunds", "refunds"]
    assert "*refund*" in repr(found)
    assert [each.document_id for each in project.search("shelf", mode="text")] == ["shelf"]
    assert list(project.search("shelf", mode="text", as_of="2025-05-01")) == []
    assert list(project.search("shelf", mode="text", as_of=datetime(2025, 5, 1))) == []
    by_name = project.search(
        "refund", rerank=lambda query, results: [each.document_id == "shelf" for each in results]
    )
    assert by_name[0].document_id == "shelf"


def test_a_reranker_lies_beside_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    Path("rerankers_of_the_shop.py").write_text(
        "def last_name(query, results):\n    return [ord(each.document_id[0]) for each in results]\n"
    )
    found = run("refund", "--rerank", "rerankers_of_the_shop:last_name", "-k", "1")
    assert (found.exit_code, "of shelf" in found.stdout) == (0, True), found.stderr


def test_a_build_between_two_searches_is_seen(project: Project) -> None:
    assert len(project.search("refund", mode="text")) == 3
    index_of(Path("data/published"), CHUNKS[:1])
    assert len(project.search("refund", mode="text")) == 1


# Evaluation


def write(name: str, *rows: dict[str, Any]) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return Path(name)


def test_an_evaluation_prints_a_row_for_each_mode(project: Project) -> None:
    write("queries.jsonl", {"_id": "1", "text": "refund card"}, {"_id": "2", "text": "x", "metadata": {}})
    Path("judgements.tsv").write_text(
        "query-id\tcorpus-id\tscore\n1\trefunds\t2\n1\tparcel\t1\n1\tnever\t1\n1\tshelf\t0\n"
    )
    found = run("evaluate", "--queries", "queries.jsonl", "--judgements", "judgements.tsv")
    assert found.exit_code == 0, found.stderr
    rows = [line.split() for line in found.stdout.splitlines()]
    ndcg = (2 + 1 / math.log2(3)) / (2 + 1 / math.log2(3) + 1 / 2)
    assert ["mode", "nDCG@10", "recall@100", "MRR@100"] in rows
    assert ["text", f"{ndcg:.3f}", "0.667", "1.000"] in rows
    assert [row[0] for row in rows if row and row[0] in ("hybrid", "vector", "text")] == [
        "hybrid",
        "vector",
        "text",
    ]
    assert "Not asked, as no document is judged relevant to them: 1." in found.stdout
    assert "1 relevant document is not in the index" in found.stdout
    same = project.evaluate_search("queries.jsonl", "judgements.tsv", modes=["text"]).found
    assert [each.mode for each in same.modes] == ["text"]
    assert same.modes[0].ndcg == pytest.approx(ndcg)


def test_cranfields_shape_is_read_as_well(project: Project) -> None:
    write("queries.jsonl.gz", {"query_id": 1, "orig_id": 7, "text": "refund\n"})
    write(
        "qrels.jsonl.gz",
        {"query_id": 1, "doc_id": 4, "relevance": 2},
        {"query_id": 1, "doc_id": 5, "relevance": -1},
    )
    assert read_queries(Path("queries.jsonl.gz")) == [Query("1", "refund\n", None)]
    assert read_judgements(Path("qrels.jsonl.gz")) == {"1": {"4": 2.0, "5": -1.0}}


def test_a_query_with_half_a_character_is_asked_without_it(project: Project) -> None:
    Path("q.jsonl").write_text('{"_id": "1", "text": "\\ud800 refund"}')
    Path("j.tsv").write_text("query-id\tcorpus-id\tscore\n1\trefunds\t1\n")
    found = project.evaluate_search("q.jsonl", "j.tsv").found
    assert [each.recall for each in found.modes] == [1.0, 1.0, 1.0]


def test_a_field_that_is_too_long_is_told(project: Project) -> None:
    write("q.jsonl", {"_id": "1", "text": "refund"})
    Path("j.tsv").write_text("query-id\tcorpus-id\tscore\n1\t" + "x" * 2_000 + "\t1\n")
    before = csv.field_size_limit(1_000)
    try:
        with pytest.raises(Fault, match=r"j\.tsv cannot be read: field larger"):
            project.evaluate_search("q.jsonl", "j.tsv")
    finally:
        csv.field_size_limit(before)


def index_at(folder: Path, *chunks: Chunk) -> Index:
    index_of(folder, chunks)
    return open_index(folder / "search.duckdb")


def test_a_document_stands_where_its_best_chunk_does(tmp_path: Path) -> None:
    index = index_at(
        tmp_path,
        Chunk("a", "refund refund"),
        Chunk("a", "refund card", 2),
        Chunk("b", "refund and many other words about parcels and shelves"),
    )
    found = evaluate(index, [Query("q", "refund", None)], {"q": {"b": 1}}, k=2, modes=["text"])
    assert (found.modes[0].mrr, found.modes[0].recall) == (0.5, 1.0)
    assert found.modes[0].ndcg == pytest.approx(1 / math.log2(3))
    assert (
        evaluate(index, [Query("q", "refund", None)], {"q": {"b": 1}}, k=1, modes=["text"]).modes[0].recall
        == 0
    )


def test_a_query_with_a_time_is_answered_as_of_it(tmp_path: Path) -> None:
    index = index_at(
        tmp_path,
        Chunk("old", "The refund takes nine days, or ten.", valid_to=datetime(2025, 6, 1)),
        Chunk("new", "refund", valid_from=datetime(2025, 6, 1)),
    )
    judgements = {"q": {"old": 1.0}}
    then = evaluate(index, [Query("q", "refund", datetime(2025, 3, 1))], judgements)
    now = evaluate(index, [Query("q", "refund", None)], judgements)
    assert [each.mrr for each in then.modes] == [1.0, 1.0, 1.0]
    assert [each.recall for each in now.modes] == [0.0, 0.0, 0.0]
    # It was there once, so the judgement is no mistake.
    assert now.missing == 0


@pytest.mark.parametrize(
    ("queries", "judgements", "message"),
    [
        ("", '{"query-id": "1", "corpus-id": "a", "score": 1}', r"q\.jsonl holds no query"),
        ("{", "", r"q\.jsonl:1 is no JSON"),
        ("[]", "", r"q\.jsonl:1 is no JSON object"),
        ('{"text": "x"}', "", r"q\.jsonl:1 has no _id or query_id"),
        ('{"_id": "1"}', "", r"q\.jsonl:1 has no text"),
        ('{"_id": "1", "text": "x"}\n{"_id": 1, "text": "y"}', "", r"q\.jsonl:2: the query '1' stands twice"),
        ('{"_id": "1", "text": " "}', "", r"q\.jsonl:1: The query is empty"),
        ('{"_id": "1", "text": "' + "x " * 1001 + '"}', "", r"q\.jsonl:1: The query has 1,001 words"),
        ("[" * 100_000, "", r"q\.jsonl:1 is no JSON"),
        (
            '{"_id": "1", "text": "\\ud800 refund"}',
            '{"query-id": "1", "corpus-id": "a", "score": Infinity}',
            "the score inf is no number",
        ),
        (
            '{"_id": "1", "text": "x"}',
            '{"query-id": "1", "corpus-id": "a", "score": "nan"}',
            "the score 'nan' is no number",
        ),
        ('{"_id": "1", "text": "x", "asked_at": "once"}', "", "asked_at 'once' is no time"),
        ('{"_id": "1", "text": "x"}', '{"query-id": "1", "score": 1}', r"j\.jsonl:1 has no corpus-id"),
        (
            '{"_id": "1", "text": "x"}',
            '{"query-id": "1", "corpus-id": "a", "score": "x"}',
            "the score 'x' is no number",
        ),
        (
            '{"_id": "1", "text": "x"}',
            '{"query-id": "1", "corpus-id": "a", "score": 1}\n{"query-id": 1, "corpus-id": "a", "score": 0}',
            r"j\.jsonl:2: of the query '1', 'a' has another score above",
        ),
        (
            '{"_id": "1", "text": "x"}',
            '{"query-id": "2", "corpus-id": "a", "score": 1}',
            "do their ids match",
        ),
        (
            '{"_id": "1", "text": "x"}',
            '{"query-id": "1", "corpus-id": "a", "score": 0}',
            "do their ids match",
        ),
    ],
)
def test_files_that_are_none_are_told(queries: str, judgements: str, message: str, project: Project) -> None:
    Path("q.jsonl").write_text(queries)
    Path("j.jsonl").write_text(judgements)
    with pytest.raises(Fault, match=message):
        project.evaluate_search("q.jsonl", "j.jsonl")


def test_a_judgement_is_told_by_its_line_and_may_stand_twice(tmp_path: Path) -> None:
    file = tmp_path / "j.tsv"
    file.write_text("query-id\tcorpus-id\tscore\n\n1\ta\t2\n\n1\ta\t2.0\n1\tb\tmuch\n")
    with pytest.raises(Fault, match=r"j\.tsv:6: the score 'much' is no number"):
        read_judgements(file)
    file.write_text(file.read_text().replace("much", "1"))
    assert read_judgements(file) == {"1": {"a": 2.0, "b": 1.0}}


def test_missing_and_broken_files_are_told(project: Project) -> None:
    with pytest.raises(Fault, match=r"no file .*nowhere\.jsonl"):
        project.evaluate_search("nowhere.jsonl", "j.jsonl")
    Path("q.jsonl.gz").write_bytes(b"no gzip")
    Path("broken.jsonl.gz").write_bytes(gzip.compress(b"x" * 100)[:10] + b"\xff" * 20)
    Path("q.jsonl").write_bytes(b'{"_id": "1", "text": "\xff"}')
    for name in ("q.jsonl.gz", "broken.jsonl.gz", "q.jsonl"):
        with pytest.raises(Fault, match="cannot be read"):
            project.evaluate_search(name, "j.jsonl")
