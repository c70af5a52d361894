"""The feature server answers as the store does, and tells clearly what it cannot answer."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastapi.testclient import TestClient
from feature_server import serving, settings_in, start, until_ready
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from online_stores import query
from redis_server import free_port
from search_index import Chunk, index_of
from warehouse import PROJECT

from assay.core.fault import Fault
from assay.core.moment import now
from assay.online.stores.open import open_store
from assay.online.stores.store import Entity
from assay.online.sync import sync
from assay.server.app import make_app
from assay.server.keys import FILE, KeyRing
from assay.server.landing_log import PREDICTIONS, LandingLog, hand_over_leftovers
from assay.server.settings import Settings

VELOCITY, PAIRS = "ftr_card__velocity", "ftr_card_merchant__pairs"


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    return settings_in(tmp_path, store_url)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(settings)) as client:
        yield client


@pytest.fixture(scope="module")
def card(published: Path) -> tuple[str, str, dict[str, Any]]:
    """A card, the last instant that its view knows of, and what it was then."""
    [(known_until,)] = query(
        published, "select known_until from gold.srv_catalog where feature_view = ?", [VELOCITY]
    )
    [(card_id, count, amount)] = query(
        published,
        f"select card_id, transaction_count_all, amount_sum_30d from gold.srv_{VELOCITY} "
        "where valid_from <= $1 and $1 < valid_to order by card_id limit 1",
        [known_until],
    )
    return card_id, known_until.isoformat(), {"transaction_count_all": count, "amount_sum_30d": float(amount)}


# --- features -----------------------------------------------------------------------------------------------


def test_one_entity_is_answered_by_name(client: TestClient, card: tuple[str, str, dict[str, Any]]) -> None:
    card_id, at, expected = card
    answer = client.post(
        "/features/get",
        json={"user_id": card_id, "feature_groups": [VELOCITY], "inputs": {"amount": 10}, "as_of": at},
    )
    assert answer.status_code == 200
    found = answer.json()
    assert {name: found["features"][name] for name in expected} == expected
    assert found["features"]["amount_to_average_30d"] > 0
    # What needs an input that is not given is left out, and named.
    assert "kilometres_from_last" not in found["features"]
    assert found["left_out"][VELOCITY]["kilometres_from_last"] == ["merchant_latitude", "merchant_longitude"]
    assert found["timestamp"] == f"{at}Z"
    assert found["cache_hit"] is True
    assert set(found["statuses"]) == set(found["features"])
    assert found["store"][VELOCITY]["known_until"] == f"{at}Z"
    assert found["store"][VELOCITY]["age_seconds"] > 0


def test_an_entity_nobody_knows_gets_declared_defaults_and_they_are_marked(client: TestClient) -> None:
    found = client.post("/features/get", json={"user_id": "nobody", "feature_groups": [VELOCITY]}).json()
    assert found["cache_hit"] is False
    assert found["features"]["transaction_count_1h"] == 0
    assert found["statuses"]["transaction_count_1h"] == "NOT_FOUND"
    assert "transaction_count_1h" in found["defaults"]
    assert found["features"]["amount_max_1h"] is None
    assert found["event_timestamps"] == {VELOCITY: None}


def test_views_that_share_names_are_told_apart(client: TestClient) -> None:
    keys = {"card_id": "1", "merchant_id": "m", "category": "c"}
    groups = [PAIRS, "ftr_card__categories"]
    found = client.post("/features/get", json={"keys": keys, "feature_groups": groups}).json()["features"]
    assert f"{PAIRS}__transaction_count_90d" in found
    assert "ftr_card__categories__transaction_count_90d" in found
    assert "category_amount_sum_90d" in found
    assert "transaction_count_90d" not in found


def test_many_entities_are_answered_as_feast_does(
    client: TestClient, card: tuple[str, str, dict[str, Any]]
) -> None:
    card_id, at, expected = card
    body = {
        "features": [f"{VELOCITY}:{name}" for name in expected],
        "entities": {"card_id": [card_id, "nobody"]},
        "full_feature_names": True,
        "as_of": at,
    }
    found = client.post("/get-online-features", json=body).json()
    assert found["metadata"]["feature_names"] == ["card_id", *(f"{VELOCITY}__{name}" for name in expected)]
    ids, *results = found["results"]
    assert (ids["values"], ids["statuses"]) == ([card_id, "nobody"], ["PRESENT", "PRESENT"])
    assert [result["values"][0] for result in results] == list(expected.values())
    assert all(result["statuses"] == ["PRESENT", "NOT_FOUND"] for result in results)
    assert all(result["event_timestamps"][1] == "1970-01-01T00:00:00Z" for result in results)
    assert all(len(result["event_timestamps"]) == 2 for result in results)
    named = client.post("/get-online-features", json=body | {"full_feature_names": False}).json()
    assert named["metadata"]["feature_names"] == ["card_id", *expected]


def test_feasts_own_clients_are_answered(client: TestClient) -> None:
    """What the Python client of Feast 0.67 with the online store `remote` sends, and all that it reads."""
    entities = {"entities": {"card_id": ["nobody", "1"]}, "include_feature_view_version_metadata": False}
    asked = {"features": [f"{VELOCITY}:transaction_count_all"], "full_feature_names": False}
    service = {"feature_service": VELOCITY, "full_feature_names": True}
    for body, name in ((asked, "transaction_count_all"), (service, f"{VELOCITY}__transaction_count_all")):
        found = client.post(FEAST, json=entities | body).json()
        position = found["metadata"]["feature_names"].index(name)
        result = found["results"][position]
        assert {len(result[part]) for part in ("values", "statuses", "event_timestamps")} == {2}
        for each in found["results"]:
            assert set(each["statuses"]) <= {"PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"}
            for moment in each["event_timestamps"]:
                assert datetime.fromisoformat(moment.replace("Z", "+00:00")).tzinfo
    # As Feast's documentation shows it, without a type.
    assert client.post(FEAST, content=json.dumps(entities | asked)).status_code == 200


def test_a_training_set_is_served_as_it_trains(client: TestClient, published: Path) -> None:
    """Each column that it has of features, derived ones too, by its name and in its order."""
    spines = {"trn_fraud": "lbl_fraud", "trn_churn": "lbl_churn", "trn_recommendation": "lbl_next_purchase"}
    columns = "select list(column_name order by column_index) from duckdb_columns() where table_name = ?"
    given = {
        "card_id": ["1"], "merchant_id": ["2"], "category": ["c"], "customer_id": ["4"], "product_id": ["p"],
        "amount": [10], "merchant_latitude": [1], "merchant_longitude": [2],
    }  # fmt: skip
    for name, spine in spines.items():
        [(trained,)], [(of_spine,)] = (query(published, columns, [table]) for table in (name, spine))
        expected = [each for each in trained if each not in (*of_spine, "split", "weight")]
        keys = {key: values for key, values in given.items() if key in of_spine}
        if name == "trn_recommendation":
            # What the set joins to derive a similarity from it, and leaves out, comes with the request.
            keys["product_vector"] = [[0.0625] * 256]
        answer = client.post(FEAST, json={"feature_service": name, "entities": keys})
        assert answer.status_code == 200, answer.text
        names = answer.json()["metadata"]["feature_names"]
        assert [each for each in names if each not in keys] == expected


def test_a_feature_service_is_a_whole_view(client: TestClient) -> None:
    body = {"feature_service": PAIRS, "entities": {"card_id": ["1"], "merchant_id": ["2"]}, "features": None}
    found = client.post("/get-online-features", json=body).json()
    assert found["metadata"]["feature_names"][:3] == ["card_id", "merchant_id", "transaction_count_90d"]
    assert "is_new_merchant" in found["metadata"]["feature_names"]


GET, FEAST = "/features/get", "/get-online-features"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (
            GET,
            {"user_id": "1", "feature_groups": ["ftr_card"]},
            422,
            "There is no feature view ftr_card online",
        ),
        (GET, {"user_id": "1", "feature_groups": [f"{VELOCITY}:x"]}, 422, f"{VELOCITY} has no feature x"),
        (GET, {"user_id": "1", "feature_groups": []}, 422, "feature_groups"),
        (GET, {"user_id": "1"}, 422, "A request holds user_id, keys, feature_groups"),
        (GET, {"user_id": "1", "feature_groups": [VELOCITY], "groups": 1}, 422, "groups"),
        (
            GET,
            {"user_id": True, "feature_groups": [VELOCITY]},
            422,
            "user_id: it should be a text or a whole",
        ),
        (GET, {"user_id": "1", "feature_groups": [f"{VELOCITY}:"]}, 422, "names no feature after its colon"),
        (GET, {"user_id": "1", "feature_groups": [VELOCITY, "ftr_customer__purchases"]}, 422, "by keys"),
        (
            GET,
            {"user_id": "1", "feature_groups": [VELOCITY], "as_of": "9999-12-31T23:59:59-12:00"},
            422,
            "is not a time",
        ),
        (GET, {"feature_groups": [VELOCITY]}, 422, "either by user_id or by keys"),
        (GET, {"user_id": "1", "feature_groups": [PAIRS]}, 422, "name the entity by keys"),
        (GET, {"keys": {"card": "1"}, "feature_groups": [VELOCITY]}, 422, "card is no key or input"),
        (GET, {"keys": {}, "feature_groups": [VELOCITY]}, 422, "card_id is missing"),
        (GET, {"user_id": "1", "feature_groups": [VELOCITY, VELOCITY]}, 422, "is asked for twice"),
        (GET, {"user_id": "1", "feature_groups": [VELOCITY], "as_of": "soon"}, 422, "'soon' is not a time"),
        (GET, {"user_id": "1", "feature_groups": [VELOCITY], "as_of": "2001-01-01"}, 422, "lies before"),
        (GET, {"user_id": "1", "feature_groups": [VELOCITY], "inputs": {"amount": "x"}}, 422, "decimal"),
        (GET, {"user_id": "1", "feature_groups": [VELOCITY], "inputs": {"amount": [1]}}, 422, "decimal"),
        (FEAST, {"features": [f"{VELOCITY}:x"], "entities": {}}, 422, "entities holds none"),
        (FEAST, {"features": [f"{VELOCITY}:x"], "entities": {"card_id": []}}, 422, "entities holds none"),
        (FEAST, {"features": [VELOCITY], "entities": {"card_id": ["1"]}}, 422, "write view:feature"),
        (FEAST, {"entities": {"card_id": ["1"]}}, 422, "either by features or by feature_service"),
        (FEAST, {"features": ["a:b"], "entities": {"a": ["1"], "b": []}}, 422, "as many values"),
        (FEAST, {"features": ["a:b"], "entities": {"a": "1"}}, 422, "entities.a"),
        (FEAST, {"features": ["a:b"], "entities": {"a": ["1"] * 1001}}, 422, "at most 1000"),
        (FEAST, [], 422, "The body: it should be an object. A request holds entities"),
        (
            FEAST,
            {"feature_service": "fraud", "entities": {"card_id": ["1"]}},
            404,
            "There is no feature service fraud, which here is a training set's name or a feature view's",
        ),
        (
            FEAST,
            {
                "features": [f"{PAIRS}:transaction_count_90d", "ftr_card__categories:transaction_count_90d"],
                "entities": {"card_id": ["1"], "merchant_id": ["2"], "category": ["c"]},
            },
            422,
            "transaction_count_90d would stand for several views",
        ),
    ],
)
def test_what_cannot_be_answered_is_told(
    client: TestClient, path: str, body: Any, status: int, message: str
) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert message in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"{", "application/json", 400, "The body is no JSON"),
        (b"", "application/json", 400, "The body is no JSON"),
        (b"\xff", "application/json", 400, "The body is no JSON"),
        (b'{"user_id": NaN}', "application/json", 400, "NaN is no number in JSON"),
        (b"[" * 100_000, "application/json", 400, "The body is no JSON"),
        (b'{"user_id": "1", "user_id": "2"}', "application/json", 400, "user_id stands twice"),
        (b"user_id=1", "application/x-www-form-urlencoded", 415, "application/json"),
        (b" " * (1 << 21), "application/json", 413, "larger than"),
    ],
)
def test_a_body_that_is_none_is_told(
    client: TestClient, content: bytes, kind: str, status: int, message: str
) -> None:
    answer = client.post(GET, content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert message in answer.json()["detail"]


# --- catalog, operation -------------------------------------------------------------------------------------


def test_the_catalog_tells_what_is_declared(client: TestClient, published: Path) -> None:
    views = client.get("/feature-views").json()
    assert [(view["name"],) for view in views] == query(
        published, "select feature_view from gold.srv_catalog order by all"
    )
    view = client.get(f"/feature-views/{VELOCITY}").json()
    assert (view["owner"], view["entity"], view["keys"][0]["name"]) == ("risk", "card", "card_id")
    assert {"name": "transaction_count_1h", "type": "bigint", "default": "0"}.items() <= view["columns"][
        1
    ].items()
    assert (
        "asin"
        in next(each for each in view["derived"] if each["name"] == "kilometres_from_last")["expression"]
    )
    # A card's number is personal data.
    assert view["sample"] is None
    sample = client.get("/feature-views/ftr_customer__purchases").json()["sample"]
    known = "select count(*) > 0 from gold.srv_ftr_customer__purchases where customer_id = ?"
    assert query(published, known, sample) == [(True,)]
    answer = client.get("/feature-views/ftr_nothing")
    assert answer.status_code == 404
    assert VELOCITY in answer.json()["detail"]


def test_the_document_holds_for_whatever_is_asked(settings: Settings) -> None:
    """Schemathesis makes up requests of the documented shapes, and of others."""
    # It takes a second to load, and no other test needs it.
    import schemathesis
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    index_of(settings.search.parent, [Chunk("a", "A refund takes five days.", tags=["money"])])
    schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(settings))
    bounds = hypothesis_settings(
        max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        tried.add(operation.path)

        @bounds
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            # Of the right shape, names may still be of nothing that there is.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        ask()
    assert {
        GET,
        FEAST,
        "/search",
        "/search/document",
        "/feature-views/{name}",
        "/health",
        "/ready",
        "/metrics",
    } <= tried


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def test_the_document_is_whole(guarded: TestClient, client: TestClient) -> None:
    found = guarded.get("/openapi.json").json()
    assert {reference.rpartition("/")[2] for reference in references(found)} <= found["components"][
        "schemas"
    ].keys()
    # Clients that are made of it know how to send a key, where one is asked for.
    assert set(found["components"]["securitySchemes"]) == {"bearer", "header"}
    assert found["paths"][GET]["post"]["security"]
    assert "security" not in found["paths"]["/health"]["get"]
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


def test_the_document_is_as_it_was(guarded: TestClient) -> None:
    """Clients are made of it: whoever means to change it changes the file too."""
    found = guarded.get("/openapi.json").text
    expected = json.loads((Path(__file__).parent / "fixtures" / "openapi.json").read_text())
    expected["info"]["version"] = version("assay")
    assert found == json.dumps(expected, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("body", ["good", "{", "{}", "unknown", "nothing"])
@pytest.mark.parametrize("path", [GET, FEAST])
def test_the_short_way_answers_as_the_framework_does(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch, path: str, body: str
) -> None:
    """The same function answers; here without the middleware that calls it at once."""
    asked: dict[str, Any] = {"user_id": "1", "feature_groups": [VELOCITY], "as_of": "2030-01-01"}
    unknown: dict[str, Any] = {"user_id": "1", "feature_groups": ["ftr_none"]}
    if path == FEAST:
        asked = {"entities": {"card_id": ["1"]}, "feature_service": VELOCITY, "as_of": "2030-01-01"}
        unknown = {"entities": {"card_id": ["1"]}, "features": ["ftr_none:a"]}
    content = {"good": json.dumps(asked), "unknown": json.dumps(unknown), "nothing": ""}.get(body, body)

    def answer(of: TestClient) -> tuple[int, Any, Any]:
        found = of.post(path, content=content, headers={"X-Request-ID": "r"})
        headers = {name: value for name, value in found.headers.items() if name != "content-length"}
        return found.status_code, headers, re.sub(r'"age_seconds":[0-9.]+', "", found.text)

    shortly = answer(client)
    monkeypatch.setattr("assay.server.app.Direct", lambda app, **_: app)
    with TestClient(make_app(settings)) as plain:
        assert answer(plain) == shortly


def test_figures_count_requests_and_values(client: TestClient) -> None:
    def figure(line: str) -> float:
        text = client.get("/metrics").text
        return next((float(each.split()[-1]) for each in text.splitlines() if each.startswith(line)), 0.0)

    served = f'assay_feature_values_total{{status="NOT_FOUND",view="{VELOCITY}"}}'
    refused = 'assay_requests_total{path="/features/get",status="422"}'
    before = figure(served), figure(refused)
    client.post(GET, json={"user_id": "nobody", "feature_groups": [f"{VELOCITY}:amount_sum_1h"]})
    client.post(GET, json={"user_id": "nobody", "feature_groups": ["nothing"]})
    assert (figure(served), figure(refused)) == (before[0] + 1, before[1] + 1)
    assert figure(f'assay_store_age_seconds{{view="{VELOCITY}"}}') > 0


def test_requests_are_logged_under_their_ids(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.post(
        GET, json={"user_id": "1", "feature_groups": ["x"]}, headers={"X-Request-ID": "mine-1"}
    )
    assert answer.headers["x-request-id"] == "mine-1"
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["request_id"], line["path"], line["status"]) == ("mine-1", GET, 422)
    other = client.get("/health", headers={"X-Request-ID": "a\tb" * 100}).headers["x-request-id"]
    assert len(other) == 32


def test_a_request_that_takes_too_long_is_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(replace(settings, seconds=0.05))

    async def slow(*_: Any) -> Any:
        await asyncio.sleep(5)

    monkeypatch.setattr("assay.online.stores.sqlite.SqliteStore.read", slow)
    with TestClient(app) as client:
        started = time.monotonic()
        answer = client.get("/ready")
    assert (answer.status_code, time.monotonic() - started < 2) == (503, True)
    assert "longer than 0.05 s" in answer.json()["detail"]


def test_without_a_store_it_says_so_and_serves_once_there_is_one(
    settings: Settings, published: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.sqlite"
    with TestClient(make_app(replace(settings, store=f"sqlite:{path}"))) as client:
        body = {"user_id": "1", "feature_groups": [VELOCITY]}
        assert client.get("/health").status_code == 200
        for answer in (client.get("/ready"), client.post(GET, json=body), client.get("/feature-views")):
            assert answer.status_code == 503
            assert "assay online sync" in answer.json()["detail"]
        sync(published, open_store(f"sqlite:{path}"))
        assert client.get("/ready").status_code == 200
        assert client.post(GET, json=body).status_code == 200
        path.write_bytes(b"broken")
        Path(f"{path}-wal").unlink(missing_ok=True)
        assert client.post(GET, json=body).status_code in (200, 503)
        path.unlink()
        assert client.post(GET, json=body).status_code == 503
        sync(published, open_store(f"sqlite:{path}"))
        assert client.post(GET, json=body).status_code == 200


# --- access -------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(replace(settings, with_keys=True))) as client:
        yield client


def ask_with(client: TestClient, key: str | None, view: str = VELOCITY) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return client.post(GET, json={"user_id": "1", "feature_groups": [view]}, headers=headers)


def test_a_key_opens_the_views_it_is_for(guarded: TestClient, settings: Settings) -> None:
    key = KeyRing(settings.folder).create("shop", [VELOCITY], None)
    assert ask_with(guarded, key).status_code == 200
    assert guarded.get("/feature-views", headers={"X-API-Key": key}).json()[0]["name"] == VELOCITY
    assert len(guarded.get("/feature-views", headers={"X-API-Key": key}).json()) == 1
    # Whether there is such a view is not told.
    for view in (PAIRS, "ftr_nothing"):
        shown = guarded.get(f"/feature-views/{view}", headers={"X-API-Key": key})
        for answer in (ask_with(guarded, key, view), shown):
            assert (answer.status_code, answer.json()) == (
                403,
                {"detail": f"This API key is not for {view}."},
            )
    everything = KeyRing(settings.folder).create("admin", ["*"], None)
    assert ask_with(guarded, everything, PAIRS).status_code == 422
    assert ask_with(guarded, everything).status_code == 200


def test_what_is_no_valid_key_opens_nothing(guarded: TestClient, settings: Settings) -> None:
    ring = KeyRing(settings.folder)
    revoked, expired = ring.create("left", ["*"], None), ring.create("old", ["*"], now() + timedelta(hours=1))
    valid = ring.create("shop", ["*"], None)
    assert ask_with(guarded, revoked).status_code == 200
    ring.revoke("left")
    stored = json.loads((settings.folder / FILE).read_text())
    stored[1]["expires_at"] = (now() - timedelta(seconds=1)).isoformat()
    (settings.folder / FILE).write_text(json.dumps(stored))
    others = [None, "", "x", "assay_", revoked, expired, valid[:-1], valid + "x", valid.replace("_", "-")]
    answers = [ask_with(guarded, key) for key in others]
    assert [answer.status_code for answer in answers] == [401] * len(others)
    assert len({answer.text for answer in answers}) == 1
    assert ask_with(guarded, valid).status_code == 200
    assert guarded.get("/feature-views").status_code == 401
    assert guarded.get("/health").status_code == guarded.get("/ready").status_code == 200


def test_keys_are_kept_as_hashes(settings: Settings) -> None:
    key = KeyRing(settings.folder).create("shop", ["*"], None)
    file = settings.folder / FILE
    assert key.rpartition("_")[2] not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(Fault, match="has a key that is valid"):
        KeyRing(settings.folder).create("shop", ["*"], None)
    with pytest.raises(Fault, match="nobody has no valid key: there are shop"):
        KeyRing(settings.folder).revoke("nobody")


def test_who_read_what_is_written_down(guarded: TestClient, settings: Settings) -> None:
    key = KeyRing(settings.folder).create("shop", ["*"], None)
    ask_with(guarded, key)
    ask_with(guarded, None)
    ask_with(guarded, KeyRing(settings.folder).create("clerk", [PAIRS], None))
    body = {"features": [f"{VELOCITY}:amount_sum_1h"], "entities": {"card_id": ["1", "2", "3"]}}
    headers = {"X-API-Key": key, "X-Request-ID": "mine"}
    guarded.post(FEAST, json=body, headers=headers)
    lines = [json.loads(line) for line in (settings.folder / "audit.jsonl").read_text().splitlines()]
    refused = [line for line in lines if "refused_at" in line]
    assert [(line["reader"], line["status"]) for line in refused] == [(None, 401), ("clerk", 403)]
    read = [line for line in lines if "read_at" in line]
    assert [(line["reader"], line["views"], line["entities"]) for line in read] == [
        ("shop", [VELOCITY], 1),
        ("shop", [VELOCITY], 3),
    ]
    assert read[1]["request_id"] == "mine"


# --- the process --------------------------------------------------------------------------------------------


def test_workers_serve_until_they_are_told_to_stop(store_url: str, tmp_path: Path) -> None:
    port = free_port()
    server = start(tmp_path, "--port", str(port), "--workers", "2", "--store", store_url)
    try:
        until_ready(port)
        url = f"http://127.0.0.1:{port}"
        body = {"user_id": "nobody", "feature_groups": [f"{VELOCITY}:amount_sum_1h"]}
        for _ in range(20):
            assert httpx.post(f"{url}{GET}", json=body).status_code == 200
        # Of both workers together.
        counted = 'assay_requests_total{path="/features/get",status="200"} 20.0'
        assert counted in httpx.get(f"{url}/metrics").text
        again = start(tmp_path, "--port", str(port), "--store", store_url)
        _, error = again.communicate(timeout=60)
        assert again.returncode == 1
        assert f"127.0.0.1:{port} cannot be listened at" in error
    finally:
        server.send_signal(signal.SIGTERM)
        output, error = server.communicate(timeout=30)
    assert server.returncode in (0, -signal.SIGTERM)
    assert "Warning: no API key is asked for" in output
    assert all(json.loads(line) for line in error.splitlines() if line.startswith("{"))


def test_memory_does_not_grow_with_the_entities(store_url: str, tmp_path: Path) -> None:
    view = open_store(store_url).catalog()[PAIRS]
    [(stretch,)] = sqlite3.connect(store_url.removeprefix("sqlite:")).execute(
        "select stretch from entities inner join catalog on id = view where feature_view = ? limit 1", [PAIRS]
    )
    resident = {}
    for entities in (100, 200_000):
        folder = tmp_path / str(entities)
        folder.mkdir()
        store = open_store(f"sqlite:{folder / 'online.sqlite'}")
        keys = [f'["{number}","m"]' for number in range(entities)]
        store.write(view, [[Entity(key, 1, stretch) for key in keys]], [], instead_of=None)
        with serving(folder, store.url) as (address, process):
            for start_at in range(0, 20_000, 1000):
                cards = [str(number % entities) for number in range(start_at, start_at + 1000)]
                body = {"feature_service": PAIRS, "entities": {"card_id": cards, "merchant_id": ["m"] * 1000}}
                answer = httpx.post(f"{address}{FEAST}", json=body)
                assert answer.json()["results"][2]["statuses"] == ["PRESENT"] * 1000
            resident[entities] = psutil.Process(process).memory_info().rss
    held = (tmp_path / "200000" / "online.sqlite").stat().st_size
    assert held > 30 << 20
    assert resident[200_000] - resident[100] < held / 3


def test_beyond_this_machine_keys_are_asked_for(store_url: str, tmp_path: Path) -> None:
    server = start(tmp_path, "--host", "0.0.0.0", "--port", str(free_port()), "--store", store_url)
    _, error = server.communicate(timeout=60)
    assert server.returncode == 2
    assert "assay keys create" in error
    KeyRing(tmp_path / "data" / "serving").create("shop", ["*"], None)
    port = free_port()
    server = start(tmp_path, "--host", "0.0.0.0", "--port", str(port), "--store", store_url)
    try:
        until_ready(port)
        body = {"user_id": "1", "feature_groups": [VELOCITY]}
        assert httpx.post(f"http://127.0.0.1:{port}{GET}", json=body).status_code == 401
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_a_store_that_is_written_to_serves_one_build_or_the_other(
    settings: Settings, published: Path, card: tuple[str, str, dict[str, Any]], tmp_path: Path
) -> None:
    """A reader that has begun sees what it began with; the next sees what was written."""
    card_id, at, expected = card
    path = tmp_path / "own.sqlite"
    sync(published, open_store(f"sqlite:{path}"))
    with TestClient(make_app(replace(settings, store=f"sqlite:{path}"))) as client:
        body = {"user_id": card_id, "feature_groups": [f"{VELOCITY}:transaction_count_all"], "as_of": at}
        count = expected["transaction_count_all"]
        assert client.post(GET, json=body).json()["features"] == {"transaction_count_all": count}
        with sqlite3.connect(path) as connection:
            connection.execute("update catalog set run_id = 'another'")
            connection.execute("update stamp set value = 'another'")
        answer = client.post(GET, json=body).json()
        assert answer["store"][VELOCITY]["run_id"] == "another"
        assert answer["features"] == {"transaction_count_all": count}


def test_the_clock_set_back_before_the_last_knowledge_gives_no_value(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.server.plan.now", lambda: datetime(2020, 1, 1))
    answer = client.post(GET, json={"user_id": "1", "feature_groups": [VELOCITY]})
    assert answer.status_code == 422
    assert "lies before" in answer.json()["detail"]


# --- predictions --------------------------------------------------------------------------------------------


def predict(client: TestClient, **changed: Any) -> httpx.Response:
    body = {"model": "m", "label": "lbl_fraud", "label_id": "t", "score": 0.7}
    return client.post("/predictions", json=body | changed)


SERVED = {
    "feature_view": VELOCITY,
    "keys": {"card_id": "1"},
    "as_of": "2025-01-01",
    "features": {"transaction_count_1h": 0},
}


def test_predictions_land_as_they_were_told(settings: Settings) -> None:
    with TestClient(make_app(settings)) as client:
        assert predict(
            client, prediction_id="p1", score=1, predicted_at="2025-06-01T02:00:00+02:00"
        ).json() == {"prediction_id": "p1"}
        made_up = predict(client).json()["prediction_id"]
        for wrong in (
            {"score": 1.1},
            {"score": "0.5"},
            {"label_id": ""},
            {"predicted_at": "soon"},
            {"predicted_at": "2999-01-01"},
            {"x": 1},
            {"served": [SERVED | {"feature_view": "ftr_nothing"}]},
            {"served": [SERVED | {"keys": {"card": "1"}}]},
            {"served": [SERVED | {"features": {"nothing": 1}}]},
            {"served": [SERVED | {"as_of": "soon"}]},
        ):
            assert predict(client, **wrong).status_code == 422, wrong
        assert predict(client, served=[SERVED]).status_code == 200
        folder = settings.landing / "serving" / "predictions"
        # What a build would load while the file is open: nothing.
        assert [path.name[0] for path in folder.iterdir()] == ["_"]
    [file] = folder.glob("predictions-*.jsonl")
    first, second, with_served = map(json.loads, file.read_text().splitlines())
    assert with_served["served"] == [SERVED | {"inputs": {}}]
    assert (first["prediction_id"], first["score"], first["threshold"]) == ("p1", 1.0, 0.5)
    assert first["predicted_at"] == "2025-06-01T00:00:00Z"
    assert second["prediction_id"] == made_up


def test_what_a_dead_server_left_open_is_handed_over(settings: Settings) -> None:
    folder = settings.landing / "serving" / "predictions"
    folder.mkdir(parents=True)
    (folder / "_open-dead.jsonl").write_text("{}\n")
    living = LandingLog(settings.landing, PREDICTIONS)
    living.note(b"{}\n")
    assert hand_over_leftovers(settings.landing) == 1
    assert sorted(path.name.partition("-")[0] for path in folder.iterdir()) == ["_open", "predictions"]
    # What was open is still written to.
    living.note(b"{}\n")
    living.hand_over()
    assert hand_over_leftovers(settings.landing) == 0
    assert sorted(path.read_text().count("\n") for path in folder.iterdir()) == [1, 2]


def test_a_file_that_somebody_removed_is_told_once_and_another_is_opened(settings: Settings) -> None:
    log = LandingLog(settings.landing, PREDICTIONS)
    log.note(b"{}\n")
    folder = settings.landing / "serving" / "predictions"
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="_open-"):
        log.hand_over_if_due()
    log.hand_over_if_due()
    log.note(b"{}\n")
    log.hand_over()
    [file] = folder.iterdir()
    assert (file.name.partition("-")[0], file.read_text()) == ("predictions", "{}\n")


def test_served_features_need_a_key_that_is_for_them(guarded: TestClient, settings: Settings) -> None:
    key = KeyRing(settings.folder).create("shop", [VELOCITY], None, ["m"])
    body = {"model": "m", "label": "lbl_fraud", "label_id": "t", "score": 0.7}
    for view, status in ((VELOCITY, 200), (PAIRS, 403)):
        told = body | {"served": [SERVED | {"feature_view": view}]}
        assert guarded.post("/predictions", json=told, headers={"X-API-Key": key}).status_code == status
    assert guarded.post("/predictions", json=body).status_code == 401


# --- those who watch it -------------------------------------------------------------------------------------


def test_the_dashboard_shows_figures_that_there_are(client: TestClient) -> None:
    client.post(GET, json={"user_id": "nobody", "feature_groups": [VELOCITY]})
    known = set(re.findall(r"^(assay_\w+)\b", client.get("/metrics").text, re.MULTILINE))
    dashboard = json.loads((PROJECT / "docs" / "grafana" / "assay.json").read_text())
    shown = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"assay_\w+", target["expr"])
    }
    assert shown <= known
    assert {"assay_requests_total", "assay_store_age_seconds", "assay_feature_values_total"} <= shown


def test_requests_are_traced_where_a_collector_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(gzip_or_plain(self))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with TestClient(make_app(settings)) as client:
            client.post(GET, json={"user_id": "nobody", "feature_groups": [VELOCITY]})
            client.get("/health")
            deadline = time.monotonic() + 20
            while not received and time.monotonic() < deadline:
                time.sleep(0.05)
        collector.shutdown()
    spans = b"".join(received)
    assert b"POST /features/get" in spans
    assert b"/health" not in spans


def gzip_or_plain(request: BaseHTTPRequestHandler) -> bytes:
    body = request.rfile.read(int(request.headers["content-length"]))
    return gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
