"""Vectors from an endpoint: what may pass is tried again, and what does not is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from embedding_endpoint import KEY, EmbeddingEndpoint, embedding_endpoint, vector_of

from assay.core.fault import MISUSED, Fault
from assay.documents.embeddings import embed_chunks
from assay.embedding import endpoint as module
from assay.embedding.cache import Cached
from assay.embedding.endpoint import Endpoint
from assay.embedding.vectors import TextFault


@pytest.fixture
def server() -> Iterator[EmbeddingEndpoint]:
    with embedding_endpoint() as found:
        yield found


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(module.time, "sleep", found.append)
    return found


def maker(server: EmbeddingEndpoint, query: str = "", key: str | None = KEY) -> Endpoint:
    return Endpoint(f"{server.address}{query}#small", key)


def unit(text: str, dimension: int = 8) -> Any:
    vector = np.array(vector_of(text, dimension))
    return vector / np.linalg.norm(vector)


def test_texts_are_embedded_in_batches_and_in_their_order(
    server: EmbeddingEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    texts = ["one", "two and", "three and more"]
    found = maker(server).embed(texts)
    np.testing.assert_allclose(found, [unit(text) for text in texts], atol=1e-6)
    assert [each["input"] for each in server.asked if each["input"] != ["assay"]] == [texts[:2], texts[2:]]
    assert {each["model"] for each in server.asked} == {"small"}
    assert maker(server).embed([]).shape == (0, 8)


def test_the_dimension_is_the_declared_one_or_that_of_the_first_answer(server: EmbeddingEndpoint) -> None:
    declared = maker(server, "?dimensions=4&max_tokens=512")
    assert (declared.dimension, declared.max_tokens) == (4, 512)
    assert server.asked == []
    assert declared.embed(["a"]).shape == (1, 4)
    assert server.asked[0]["dimensions"] == 4
    assert maker(server).dimension == 8
    assert "dimensions" not in server.asked[-1]


def test_another_dimension_is_another_model(server: EmbeddingEndpoint) -> None:
    first = maker(server)
    first.embed(["a"])
    server.dimension = 6
    with pytest.raises(Fault, match="a vector of 6 numbers where its vectors have 8") as fault:
        first.embed(["a"])
    assert not isinstance(fault.value, TextFault)
    assert maker(server).digest != first.digest
    assert maker(server).digest == maker(server, "?dimensions=6").digest


def test_an_endpoint_that_does_not_keep_to_the_declared_dimension_is_told(server: EmbeddingEndpoint) -> None:
    server.change = lambda rows: {"data": [{**row, "embedding": row["embedding"][:3]} for row in rows]}
    with pytest.raises(Fault, match="a vector of 3 numbers where its vectors have 4"):
        maker(server, "?dimensions=4").embed(["a"])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(status: int, server: EmbeddingEndpoint, pauses: list[float]) -> None:
    server.trouble = [(status, {}), (status, {"Retry-After": "7"}), (status, {"Retry-After": "tomorrow"})]
    np.testing.assert_allclose(maker(server, "?dimensions=8").embed(["a"]), [unit("a")], atol=1e-6)
    assert pauses == [0.5, 7, 14]


def test_what_does_not_pass_is_told(server: EmbeddingEndpoint, pauses: list[float]) -> None:
    server.trouble = [(503, {})] * 9
    with pytest.raises(Fault, match=r"answers 503: trouble 503\. \(tried 5 times\)"):
        maker(server).embed(["a"])
    assert pauses == [0.5, 1, 2, 4]


def test_an_endpoint_that_is_away_is_told(pauses: list[float]) -> None:
    with embedding_endpoint() as server:
        pass
    with pytest.raises(Fault, match=r"/v1/embeddings cannot be reached \(tried 5 times\)"):
        maker(server).embed(["a"])
    assert len(pauses) == 4


def test_a_slow_endpoint_is_asked_again_and_then_told(
    server: EmbeddingEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS_TO_ANSWER", 0.2)
    asking = maker(server)
    assert asking.dimension == 8
    server.silent = 1
    np.testing.assert_allclose(asking.embed(["a"]), [unit("a")], atol=1e-6)
    server.silent = 9
    with pytest.raises(Fault, match=r"did not answer within 0\.2 s \(tried 5 times\)"):
        asking.embed(["a"])


def test_an_answer_that_breaks_off_is_asked_for_again(server: EmbeddingEndpoint, pauses: list[float]) -> None:
    server.cut = 2
    np.testing.assert_allclose(maker(server, "?dimensions=8").embed(["a"]), [unit("a")], atol=1e-6)
    assert pauses == [0.5, 1]
    server.cut = 9
    with pytest.raises(Fault, match=r"broke off its answer \(tried 5 times\)"):
        maker(server).embed(["a"])


def test_a_key_may_end_in_a_line_end_and_is_never_repeated(server: EmbeddingEndpoint) -> None:
    assert maker(server, key=f" {KEY}\r\n").dimension == 8
    for key in ("s3cret\nx", "s3cr…et", "s3cret\x7f"):
        with pytest.raises(Fault, match="ASSAY_EMBEDDING_KEY holds characters that no key has") as fault:
            maker(server, key=key)
        assert "s3cr" not in str(fault.value)


def test_a_wrong_key_is_told_at_once(server: EmbeddingEndpoint) -> None:
    for key in ("wrong", None):
        with pytest.raises(Fault, match=r"refuses the key \(401\): set ASSAY_EMBEDDING_KEY") as fault:
            maker(server, key=key).embed(["a"])
        assert fault.value.exit_code == MISUSED
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [307, 308, 404])
def test_a_wrong_address_is_told_and_no_redirect_is_followed(status: int, server: EmbeddingEndpoint) -> None:
    server.trouble = [(status, {"Location": f"{server.address}/elsewhere"})]
    with pytest.raises(Fault, match=rf"answers {status} for the model small.*Is ASSAY_EMBEDDING right\?"):
        maker(server).embed(["a"])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: {"data": rows[1:]}, "1 vectors for 2 texts"),
        (lambda rows: {"data": [rows[0], rows[0]]}, "1 vectors for 2 texts"),
        (lambda rows: {"data": [*rows, {"index": 2, "embedding": [1.0]}]}, "3 vectors for 2 texts"),
        (lambda rows: {"data": [{**row, "index": row["index"] + 1} for row in rows]}, "not theirs"),
        (lambda rows: {"data": [{**row, "embedding": "AAAA"} for row in rows]}, "0 vectors for 2 texts"),
        (lambda rows: {"found": rows}, "something else than embeddings"),
        (lambda rows: {"data": None}, "something else than embeddings"),
        (lambda rows: [1], "something else than embeddings"),
        (lambda rows: b"<html>", "something else than embeddings"),
        (lambda rows: b"[" * 100_000, "something else than embeddings"),
        (
            lambda rows: {"data": [{**rows[0], "index": None}, rows[1]]},
            "2 vectors for 2 texts, or not theirs",
        ),
        (lambda rows: {"data": [{**rows[0], "index": "0"}, rows[1]]}, "2 vectors for 2 texts, or not theirs"),
        (
            lambda rows: {"data": [{**row, "embedding": [[number] for number in range(8)]} for row in rows]},
            "something else than numbers",
        ),
    ],
)
def test_answers_that_are_none_are_told(change: Any, message: str, server: EmbeddingEndpoint) -> None:
    server.change = change
    with pytest.raises(Fault, match=message):
        maker(server, "?dimensions=8").embed(["a", "b"])


def test_vectors_that_are_not_finite_are_the_texts_own_problem(
    server: EmbeddingEndpoint, tmp_path: Path
) -> None:
    def change(rows: list[dict[str, Any]]) -> Any:
        for row in rows:
            if "nan" in server.asked[-1]["input"][row["index"]]:
                row["embedding"] = [float("nan")] * 8
        return {"data": rows}

    server.change = change
    found = Cached(maker(server), tmp_path / "cache.sqlite").embed_each(["a", "a nan", "b", "c"])
    assert list(found.problems) == [1]
    assert "not finite" in found.problems[1]
    assert found.made == 3
    np.testing.assert_allclose(found.vectors[[0, 2, 3]], [unit(text) for text in "abc"], atol=1e-6)


def test_a_text_that_the_endpoint_refuses_does_not_stop_the_others(
    server: EmbeddingEndpoint, tmp_path: Path
) -> None:
    server.refuses = lambda text: len(text) > 100
    found = Cached(maker(server), tmp_path / "cache.sqlite").embed_each(["a", "x" * 101, " ", "b"])
    assert sorted(found.problems) == [1, 2]
    assert "too long" in found.problems[1]
    assert "empty" in found.problems[2]


def test_an_endpoint_that_refuses_everything_is_no_problem_of_texts(
    server: EmbeddingEndpoint, tmp_path: Path
) -> None:
    server.refuses = lambda text: True
    for query in ("", "?dimensions=8"):
        with pytest.raises(Fault, match="answers 400 for the model small: too long") as fault:
            Cached(maker(server, query), tmp_path / "cache.sqlite").embed_each(["a", "b"])
        assert not isinstance(fault.value, TextFault)


def test_an_endpoint_that_goes_away_between_batches_leaves_what_was_made(
    server: EmbeddingEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.embedding.cache._BATCH", 2)
    asking = maker(server, "?dimensions=8")
    server.change = lambda rows: server.trouble.extend([(503, {})] * 5) or {"data": rows}
    with pytest.raises(Fault, match="What is embedded until now is kept"):
        Cached(asking, tmp_path / "cache.sqlite").embed(["a", "b", "c", "d"])
    server.change = lambda rows: {"data": rows}
    found = Cached(asking, tmp_path / "cache.sqlite").embed_each(["a", "b", "c", "d"])
    assert (found.hits, found.made) == (2, 2)


def test_a_text_that_was_refused_is_tried_again_by_the_next_build(
    server: EmbeddingEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_EMBEDDING", f"{server.address}?dimensions=8#small")
    monkeypatch.setenv("ASSAY_EMBEDDING_KEY", KEY)
    monkeypatch.setenv("ASSAY_WAREHOUSE", str(tmp_path / "assay.duckdb"))
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    monkeypatch.chdir(tmp_path)
    texts = "chunk_hash varchar, title varchar, heading_path varchar, text varchar"
    with duckdb.connect() as session:
        session.execute(f"create table chunks ({texts})")
        session.execute("insert into chunks values ('a', null, '', 'fit'), ('b', 'Odd', '', 'text')")

        def build(done: str | None) -> dict[str, tuple[bool, bool]]:
            found = embed_chunks(session, session.table("chunks"), done=done).read_all()
            return {
                row["chunk_hash"]: (row["vector"] is None, row["problem"] is None)
                for row in found.to_pylist()
            }

        server.refuses = lambda text: "Odd" in text
        assert build(None) == {"a": (False, True), "b": (True, False)}
        session.execute(
            "create table done (chunk_hash varchar, model varchar, vector float[8], problem varchar)"
        )
        session.register("made", embed_chunks(session, session.table("chunks"), done=None).read_all())
        session.execute("insert into done from made")
        assert build("done") == {"b": (True, False)}
        server.refuses = lambda text: False
        assert build("done") == {"b": (False, True)}
        assert session.sql("select chunk_hash from done").fetchall() == [("a",)]
