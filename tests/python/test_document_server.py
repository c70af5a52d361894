"""The feature server searches documents: what it finds, for whom, and what it says where it cannot."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from embedding_endpoint import KEY, EmbeddingEndpoint, embedding_endpoint
from fastapi.testclient import TestClient
from feature_server import settings_in
from search_index import Chunk, index_of
from typer.testing import CliRunner, Result

from assay.api.project import open_project
from assay.cli import app
from assay.embedding.endpoint import Endpoint
from assay.embedding.static import StaticModel
from assay.search.query import open_index
from assay.search.tombstones import Tombstones
from assay.search.visible import Scope
from assay.server.app import make_app
from assay.server.audit import FILE as AUDIT
from assay.server.keys import KeyRing
from assay.server.settings import Settings

JUNE = datetime(2025, 6, 1)
CHUNKS = [
    Chunk("help/refunds.md", "A refund takes five days.", title="Money", heading_path="Refunds", tags=["a"]),
    Chunk("help/refunds.md", "Refunds go to the card 💳 you paid with.", 2, title="Money", tags=["a"]),
    Chunk("help/staff.md", "The refund is approved by staff.", tags=["staff"]),
    Chunk("manuals/shelf", "Mount the shelf. No refund of screws.", source="manuals", tags=["a"]),
    Chunk("old", "A refund took nine days.", valid_to=JUNE),
    Chunk("new", "A refund by voucher.", source="manuals", valid_from=JUNE),
]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("ASSAY_EMBEDDING", raising=False)
    index_of(tmp_path, CHUNKS)
    return settings_in(tmp_path, f"sqlite:{tmp_path / 'online.sqlite'}")


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(settings)) as client:
        yield client


@pytest.fixture
def guarded(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(replace(settings, with_keys=True))) as client:
        yield client


def key_for(settings: Settings, name: str, *sources: str, tags: tuple[str, ...] = ("*",)) -> dict[str, str]:
    return {"X-API-Key": KeyRing(settings.folder).create(name, [], None, sources=sources, tags=tags)}


def ask(client: TestClient, query: str = "refund", headers: Any = None, **more: Any) -> httpx.Response:
    return client.post("/search", json={"query": query, **more}, headers=headers)


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return sorted({each["document_id"] for each in answer.json()["results"]})


def audited(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (settings.folder / AUDIT).read_text().splitlines()]


# --- answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["text", "vector", "hybrid"])
def test_the_server_finds_what_the_index_does(client: TestClient, settings: Settings, mode: str) -> None:
    how: dict[str, Any] = {"k": 3, "mode": mode, "filter": "source = 'help'"}
    expected = open_index(settings.search).search("refund of money", **how)
    found = ask(client, "refund of money", **how).json()
    assert (found["terms"], found["vector_way"]) == (expected.terms, expected.vector_way)
    assert len(found["results"]) == 3
    for got, result in zip(found["results"], expected.results, strict=True):
        assert "text" not in got
        for name, value in got.items():
            expected_value = getattr(result, name)
            if isinstance(expected_value, datetime):
                expected_value = f"{expected_value.isoformat()}Z"
            assert value == (
                [list(each) for each in expected_value] if name == "marks" else expected_value
            ), name


def test_the_past_is_answered_of_documents_that_are_still_there(client: TestClient) -> None:
    assert names(ask(client, as_of="2025-03-01")) == ["help/refunds.md", "help/staff.md", "manuals/shelf"]
    assert "new" in names(ask(client))
    assert names(ask(client, as_of="2024-01-01")) == []


def test_a_document_is_shown_chunk_by_chunk(client: TestClient) -> None:
    asked = {"document_id": "help/refunds.md"}
    found = client.post("/search/document", json=asked).json()
    chunks = found.pop("chunks")
    assert found == {
        "document_id": "help/refunds.md",
        "source": "help",
        "title": "Money",
        "tags": ["a"],
        "chunks_in_all": 2,
    }
    assert [(each["chunk_number"], each["text"]) for each in chunks] == [
        (1, CHUNKS[0].text),
        (2, CHUNKS[1].text),
    ]
    assert chunks[0]["valid_from"] == "2025-01-01T00:00:00Z"
    second = client.post("/search/document", json=asked | {"first_chunk": 2}).json()
    assert [each["chunk_number"] for each in second["chunks"]] == [2]
    for more in ({"first_chunk": 3}, {"document_id": "nowhere"}, {"as_of": "2024-01-01"}):
        assert client.post("/search/document", json=asked | more).status_code == 404


def test_a_new_publication_is_answered_without_a_restart(client: TestClient, settings: Settings) -> None:
    assert "help/staff.md" in names(ask(client, mode="text"))
    index_of(settings.search.parent, [Chunk("other", "refund")])
    assert names(ask(client, mode="text")) == ["other"]


def test_who_searches_while_builds_publish_has_the_old_index_or_the_new_one(
    client: TestClient, settings: Settings
) -> None:
    seen = []

    def search() -> None:
        seen.extend(tuple(names(ask(client, mode="text", k=1000))) for _ in range(40))

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(4):
        index_of(settings.search.parent, [Chunk(f"d{number}-{each}", "refund") for each in range(number + 2)])
    for thread in threads:
        thread.join()
    whole = {tuple(f"d{number}-{each}" for each in range(number + 2)) for number in range(4)}
    first = ("help/refunds.md", "help/staff.md", "manuals/shelf", "new")
    assert len(seen) == 120
    assert set(seen) <= whole | {first}


# --- what cannot be asked -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"query": ""}, 422, "The query is empty"),
        ({"query": " \n\0"}, 422, "The query is empty"),
        ({"query": "word " * 10_000}, 422, "The query has 10,000 words, and 1,000 are the most"),
        ({}, 422, "query: Field required"),
        ({"query": "x", "k": 0}, 422, "k: Input should be greater than or equal to 1"),
        ({"query": "x", "k": 1001}, 422, "k: Input should be less than or equal to 1000"),
        ({"query": "x", "k": 1.5}, 422, "k"),
        ({"query": "x", "k": "5"}, 422, "k"),
        ({"query": "x", "mode": "magic"}, 422, "mode: Input should be 'hybrid', 'vector' or 'text'"),
        ({"query": "x", "sources": ["*"]}, 422, "sources: it is unknown"),
        ({"query": "x", "filter": "author = 'x'"}, 422, "a column 'author'"),
        ({"query": "x", "filter": "text = 'x'"}, 422, "a column 'text'"),
        ({"query": "x", "filter": "source = 'x'; drop table chunks"}, 422, "The filter cannot be read at ';"),
        ({"query": "x", "filter": "source = 'x' or 1 = 1"}, 422, "a column"),
        ({"query": "x", "filter": "source in (select source from chunks)"}, 422, "a value in single quotes"),
        ({"query": "x", "filter": "source = ''' or true --"}, 422, "The filter cannot be read"),
        ({"query": "x", "filter": "(" * 60 + "source = 'x'"}, 422, "nests more than 50 levels deep"),
        ({"query": "x", "filter": "source = '" + "x" * 10_000 + "'"}, 422, "10,000 are the most"),
        ({"query": "x", "as_of": "soon"}, 422, "'soon' is not a time"),
        ({"query": "x", "as_of": "2999-01-01"}, 422, "lies in the future"),
        ({"query": "x" * (1 << 20)}, 413, "larger than 1048576 bytes"),
    ],
)
def test_what_cannot_be_asked_is_told(
    client: TestClient, body: dict[str, Any], status: int, message: str
) -> None:
    answer = client.post("/search", json=body)
    assert (answer.status_code, message in answer.json()["detail"]) == (status, True), answer.text


@pytest.mark.parametrize("body", ["{", '{"query": NaN}', '{"query": "x", "k": NaN}', '{"query": "\\ud800"}'])
def test_a_body_that_is_none_is_told(client: TestClient, body: str) -> None:
    assert client.post("/search", content=body).status_code == 400
    assert client.post("/search", content=body, headers={"content-type": "text/plain"}).status_code == 415


@pytest.mark.parametrize(
    "query", ["to be or not to be", "' or 1=1 --", "x" * 100_000, "\0refund\0", "💳 ﷽", "word " * 1000, "%_*"]
)
def test_odd_queries_are_answered(client: TestClient, query: str) -> None:
    for mode in ("text", "vector", "hybrid"):
        found = ask(client, query, mode=mode)
        assert found.status_code == 200, found.text
        scores = [each["score"] for each in found.json()["results"]]
        assert all(map(math.isfinite, scores))


def test_values_in_filters_are_values(client: TestClient) -> None:
    for value in ("'' or true --", "x\0y", "$sources", "%", "💳"):
        assert names(ask(client, filter=f"source = '{value}'")) == []


# --- where nothing can be searched --------------------------------------------------------------------------


def test_without_an_index_the_server_says_what_to_run(client: TestClient, settings: Settings) -> None:
    settings.search.unlink()
    for answer in (ask(client), client.post("/search/document", json={"document_id": "x"})):
        assert answer.status_code == 503
        assert "assay documents add, then assay build" in answer.json()["detail"]
        assert str(settings.search.parent) not in answer.text
    index_of(settings.search.parent, CHUNKS)
    assert ask(client).status_code == 200
    settings.search.write_bytes(b"broken")
    answer = ask(client)
    assert (answer.status_code, "cannot be read: build again" in answer.text) == (503, True)
    assert "assay_search_unavailable_total" in client.get("/metrics").text


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        ("/search", "drop table postings"),
        ("/search/document", "drop index chunk_by_id; alter table chunks drop column heading_path"),
    ],
)
def test_an_index_that_is_damaged_is_told_though_it_can_be_opened(
    client: TestClient, settings: Settings, tmp_path: Path, path: str, damage: str
) -> None:
    """What is not there is found where it is read, as is a block with another content than its checksum."""
    (tmp_path / "damaged").mkdir()
    index_of(tmp_path / "damaged", CHUNKS)
    damaged = tmp_path / "damaged" / "search.duckdb"
    with duckdb.connect(damaged) as connection:
        connection.execute(damage)
    damaged.replace(settings.search)
    asked = {"query": "refund", "mode": "text"} if path == "/search" else {"document_id": "new"}
    answer = client.post(path, json=asked)
    assert (answer.status_code, "cannot be read: build again" in answer.text) == (503, True), answer.text


def test_without_the_extra_the_server_starts_and_says_what_to_install(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.core.extensions.find_spec", lambda name: None)
    answer = ask(client)
    assert answer.status_code == 503
    assert "pip install 'assay[search]'" in answer.json()["detail"]
    assert client.get("/health").status_code == 200


def test_vectors_of_another_model_are_never_compared(client: TestClient, settings: Settings) -> None:
    class Other(StaticModel):
        name, digest = "other", "0" * 64

    index_of(settings.search.parent, CHUNKS, Other())
    for mode in ("vector", "hybrid"):
        answer = ask(client, mode=mode)
        assert answer.status_code == 503
        assert "another model than the server's ASSAY_EMBEDDING names" in answer.json()["detail"]
    assert "new" in names(ask(client, mode="text"))


def test_without_vectors_words_are_searched(client: TestClient, settings: Settings) -> None:
    index_of(settings.search.parent, CHUNKS, is_embedded=lambda chunk: False)
    answer = ask(client)
    assert (answer.status_code, "has no vectors: search with mode text" in answer.text) == (503, True)
    assert "new" in names(ask(client, mode="text"))


@pytest.fixture
def endpoint(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingEndpoint]:
    """The endpoint whose vectors the index has; the server is configured to ask it."""
    with embedding_endpoint() as endpoint:
        address = f"{endpoint.address}?dimensions=8#small"
        index_of(settings.search.parent, CHUNKS, Endpoint(address, KEY))
        monkeypatch.setenv("ASSAY_EMBEDDING", address)
        monkeypatch.setenv("ASSAY_EMBEDDING_KEY", KEY)
        yield endpoint


def test_an_endpoint_that_fails_is_told_and_words_are_searched(
    client: TestClient, endpoint: EmbeddingEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "new" in names(ask(client))
    nan = [{"index": 0, "embedding": [math.nan] * 8}]
    for trouble, change in (
        ([(401, {})], endpoint.change),
        ([], lambda rows: {"data": nan}),
        ([], lambda rows: {"data": [{"index": 0, "embedding": [1.0] * 9}]}),
    ):
        endpoint.trouble, endpoint.change = trouble, change
        for mode in ("hybrid", "vector"):
            endpoint.trouble = list(trouble)
            answer = ask(client, mode=mode)
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("The query's vector cannot be made")
            assert "mode text" in answer.json()["detail"]
            assert "127.0.0.1" not in answer.text
            # Those who run the server read why.
            assert endpoint.address in capsys.readouterr().err
        assert "new" in names(ask(client, mode="text"))


def test_an_endpoint_that_is_silent_holds_up_nobody_who_searches_by_words(
    settings: Settings, endpoint: EmbeddingEndpoint
) -> None:
    with TestClient(make_app(replace(settings, seconds=3.0))) as client:
        endpoint.silent = 100
        for _ in range(3):
            answer = ask(client)
            assert (answer.status_code, "mode text needs no vector" in answer.text) == (503, True)
        assert "new" in names(ask(client, mode="text"))
        endpoint.ends.set()


# --- access -------------------------------------------------------------------------------------------------


def test_a_key_sees_the_sources_and_tags_it_is_for(guarded: TestClient, settings: Settings) -> None:
    helped = key_for(settings, "shop", "help")
    assert names(ask(guarded, headers=helped)) == ["help/refunds.md", "help/staff.md"]
    tagged = key_for(settings, "public", "help", "manuals", tags=("a",))
    assert names(ask(guarded, headers=tagged)) == ["help/refunds.md", "manuals/shelf"]
    everything = key_for(settings, "admin", "*")
    assert len(names(ask(guarded, headers=everything))) == 4
    # A filter narrows what the key is for, and widens nothing.
    for widening in ("source = 'manuals'", "source != 'x' or source = 'x'", "not source = 'x'"):
        assert "manuals/shelf" not in names(ask(guarded, headers=helped, filter=widening))
    # Whether there is a document that the key is not for is not told.
    answers = [
        guarded.post("/search/document", json={"document_id": each}, headers=helped)
        for each in ("manuals/shelf", "nowhere")
    ]
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].json() == answers[1].json()
    found = guarded.post("/search/document", json={"document_id": "help/staff.md"}, headers=tagged)
    assert found.status_code == 404
    assert guarded.post("/search/document", json={"document_id": "help/staff.md"}, headers=helped).is_success


@pytest.mark.parametrize("mode", ["text", "vector", "hybrid"])
def test_scores_tell_nothing_of_what_a_key_is_not_for(
    guarded: TestClient, settings: Settings, tmp_path: Path, mode: str
) -> None:
    (tmp_path / "part").mkdir()
    index_of(tmp_path / "part", [each for each in CHUNKS if each.source == "help" and "a" in each.tags])
    alone = open_index(tmp_path / "part" / "search.duckdb").search("refund days", mode=mode, scope=Scope())
    key = key_for(settings, "shop", "help", tags=("a",))
    found = ask(guarded, "refund days", key, mode=mode).json()
    assert [each["score"] for each in found["results"]] == [each.score for each in alone.results]
    assert len(alone.results) == 2


def test_a_key_without_documents_searches_none(guarded: TestClient, settings: Settings) -> None:
    viewer = {"X-API-Key": KeyRing(settings.folder).create("viewer", ["*"], None)}
    for answer in (
        ask(guarded, headers=viewer),
        guarded.post("/search/document", json={"document_id": "new"}, headers=viewer),
    ):
        assert (answer.status_code, answer.json()) == (
            403,
            {"detail": "This API key is not for documents."},
        )
    assert ask(guarded).status_code == 401
    assert guarded.post("/search/document", json={"document_id": "new"}).status_code == 401
    # Keys that were made before there was search open no documents.
    stored = json.loads((settings.folder / "api_keys.json").read_text())
    for each in stored:
        del each["sources"], each["tags"]
    (settings.folder / "api_keys.json").write_text(json.dumps(stored))
    assert ask(guarded, headers=viewer).status_code == 403


def test_keys_for_documents_are_made_and_listed(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_WAREHOUSE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    Path("dbt_project.yml").touch()

    def keys(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["keys", *arguments])

    made = keys("create", "shop", "--sources", "help, manuals", "--tags", "a,b")
    assert made.exit_code == 0, made.stderr
    assert keys("create", "all", "--sources", "*").exit_code == 0
    listed = [line.split() for line in keys("list").stdout.splitlines()]
    assert any("help, manuals with a or b" in " ".join(line) for line in listed)
    folder = tmp_path / "data" / "serving"
    with TestClient(make_app(replace(settings, folder=folder, with_keys=True))) as client:
        found = ask(client, headers={"X-API-Key": made.stdout.strip()})
        assert names(found) == ["help/refunds.md", "manuals/shelf"]
    for arguments, message in (
        (("--tags", "a"), "--tags is for documents of some sources"),
        (("--sources", " ,"), "--sources names none"),
        (("--sources", "help", "--tags", ","), "--tags names none"),
        ((), "or --sources SOURCE,..."),
    ):
        refused = keys("create", "x", *arguments)
        assert (refused.exit_code, message in " ".join(refused.stderr.split())) == (2, True), refused.stderr


def test_a_key_for_one_source_and_one_tag_is_for_these(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ASSAY_WAREHOUSE", "ASSAY_ONLINE_STORE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dbt_project.yml").touch()
    key = open_project(tmp_path).keys.create("shop", sources="help", tags="staff")
    folder = tmp_path / "data" / "serving"
    with TestClient(make_app(replace(settings, folder=folder, with_keys=True))) as client:
        assert names(ask(client, headers={"X-API-Key": key})) == ["help/staff.md"]


def test_who_searched_is_written_down_and_counted(guarded: TestClient, settings: Settings) -> None:
    key = key_for(settings, "shop", "help")
    ask(guarded, "approved refund", headers=key, mode="text")
    guarded.post("/search/document", json={"document_id": "help/staff.md"}, headers=key)
    ask(guarded)
    searched, shown, refused = audited(settings)
    assert (searched["reader"], searched["documents"]) == ("shop", ["help/staff.md", "help/refunds.md"])
    assert (shown["path"], shown["documents"]) == ("/search/document", ["help/staff.md"])
    assert (refused["path"], refused["status"]) == ("/search", 401)
    # What people search for may be personal.
    assert "approved" not in json.dumps(searched)
    figures = guarded.get("/metrics").text
    assert 'assay_requests_total{path="/search",status="200"}' in figures
    assert 'assay_requests_total{path="/search/document",status="200"}' in figures


# --- deletions ----------------------------------------------------------------------------------------------


def test_a_deleted_document_is_gone_at_once(client: TestClient, settings: Settings) -> None:
    assert "help/staff.md" in names(ask(client))
    Tombstones(settings.deleted).add({"help/staff.md": JUNE})
    for mode in ("text", "vector", "hybrid"):
        assert "help/staff.md" not in names(ask(client, mode=mode))
        assert "help/staff.md" not in names(ask(client, mode=mode, as_of="2025-03-01"))
    asked = {"document_id": "help/staff.md"}
    assert client.post("/search/document", json=asked).status_code == 404
    settings.deleted.write_text("broken")
    answer = ask(client)
    assert (answer.status_code, "log says why" in answer.text) == (503, True)
