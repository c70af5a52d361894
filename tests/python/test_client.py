"""The client asks the feature server, and says what goes wrong in the server's words."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas
import pytest
import uvicorn
from feature_server import settings_in
from published_by_hand import ONE, PAIR, make_published, publish_view
from redis_server import free_port

import assay
from assay.online.stores.open import open_store
from assay.online.sync import sync
from assay.server.app import make_app
from assay.server.keys import KeyRing
from assay.server.settings import Settings

PRICES = "ftr_thing__prices"
AT = datetime(2025, 6, 1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("client")
    published = make_published(folder / "published.duckdb")
    publish_view(
        published,
        PRICES,
        {"thing_id": "varchar"},
        {"price": "decimal(30, 10)", "sold_at": "timestamp"},
        "select 't1' as thing_id, 12345678901234567890.0123456789 as price, "
        "timestamp '2024-12-31 10:00' as sold_at",
        derived=[{"name": "doubled", "type": "decimal(38, 2)", "expression": "2 * amount"}],
        inputs=[{"name": "amount", "type": "decimal(30, 2)"}],
    )
    url = f"sqlite:{folder / 'online.sqlite'}"
    sync(published, open_store(url))
    return settings_in(folder, url)


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(make_app(settings), port=port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def url(settings: Settings) -> Iterator[str]:
    with served(settings) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[assay.Client]:
    with assay.Client(url) as client:
        yield client


def test_one_entity(client: assay.Client) -> None:
    found = client.get(ONE, "t3", at=AT)
    assert dict(found) == {"total": 6}
    assert found.statuses == {"total": "PRESENT"}
    assert found.timestamp == "2025-06-01T00:00:00Z"
    assert found.store[ONE]["run_id"] == "run"
    assert dict(client.get([f"{PAIR}:total"], {"a": "a2", "b": 2}, at="2025-06-01")) == {"total": 5}
    unknown = client.get(ONE, "nobody", at=AT)
    assert (dict(unknown), unknown.statuses, unknown.defaults) == (
        {"total": 0},
        {"total": "NOT_FOUND"},
        ["total"],
    )
    assert "NOT_FOUND, default" in unknown._repr_html_()


def test_what_is_asked_is_exact(client: assay.Client) -> None:
    amount = Decimal("1234567890123456789.25")
    found = client.get(PRICES, "t1", inputs={"amount": amount}, at=AT)
    assert found["sold_at"] == "2024-12-31T10:00:00Z"
    assert found["doubled"] == pytest.approx(2 * float(amount))
    assert client.get(PRICES, "t1", at=AT).left_out == {PRICES: {"doubled": ["amount"]}}


def test_many_entities_come_in_their_order(client: assay.Client) -> None:
    frame = pandas.DataFrame({"thing_id": ["t2", "nobody", "t1"]})
    expected = {"thing_id": ["t2", "nobody", "t1"], "total": [5, 0, 4]}
    assert client.get_many([f"{ONE}:total"], frame, at=AT).to_arrow().to_pydict() == expected
    assert client.get_many(ONE, frame.to_dict("list"), at=AT).to_arrow().to_pydict() == expected
    assert client.get_many([f"{ONE}:total"], frame, full_names=True, at=AT).columns == [
        "thing_id",
        f"{ONE}__total",
    ]


def test_an_entity_is_assigned_to_an_arm(client: assay.Client, settings: Settings) -> None:
    settings.experiments.write_text(
        "experiments:\n  - {name: delivery, entity: thing, arms: {a: 1, b: 0}, metrics: [m], "
        "start: 2025-06-01, attribution: 1d}\n"
    )
    assert client.assign("delivery", "t1", exposed=False) == "a"
    assert client.assign("delivery", 7, exposure_id="e1") == "a"
    told = [path.read_text() for path in (settings.landing / "serving" / "exposures").iterdir()]
    assert [json.loads(line)["exposure_id"] for text in told for line in text.splitlines()] == ["e1"]
    with pytest.raises(assay.Fault, match="There is no experiment returns: there are delivery"):
        client.assign("returns", "t1")


def test_predictions_land(client: assay.Client, settings: Settings) -> None:
    features = client.get(ONE, "t3", at=AT)
    served = {
        "feature_view": ONE,
        "keys": {"thing_id": "t3"},
        "as_of": features.timestamp,
        "features": dict(features),
    }
    given = client.log_prediction(
        model="m", label="lbl_sold", label_id="7", score=0.25, prediction_id="p1", served=[served]
    )
    assert given == "p1"
    told = [
        line
        for file in (settings.landing / "serving" / "predictions").rglob("*")
        if file.is_file()
        for line in file.read_text().splitlines()
    ]
    assert [json.loads(line)["served"][0]["features"] for line in told] == [{"total": 6}]


def test_what_is_online_is_listed(client: assay.Client) -> None:
    assert [view["name"] for view in client.feature_views()] == [PAIR, ONE, PRICES]
    assert client.feature_view(ONE)["keys"][0]["name"] == "thing_id"


def test_refusals_are_the_servers_own_words(client: assay.Client) -> None:
    for ask, status, said in (
        (lambda: client.get("ftr_nothing", "t1"), 422, "There is no feature view ftr_nothing online"),
        (lambda: client.feature_view("a/b"), 404, "Not Found"),
        (lambda: client.get(ONE, "t1", at="yesterday"), 422, "yesterday' is not a time"),
        (lambda: client.get(PAIR, "t1", at=AT), 422, "keys"),
        (
            lambda: client.get_many([f"{ONE}:total"], {"thing_id": [1.5]}, at=AT),
            422,
            "must be a text or a whole number",
        ),
    ):
        with pytest.raises(assay.ServerFault, match=said) as refused:
            ask()
        assert refused.value.status == status
    with pytest.raises(assay.Fault, match="cannot be sent as JSON"):
        client.get(ONE, object())  # type: ignore[arg-type]


def test_a_key_goes_to_its_server_alone(settings: Settings, tmp_path: Path) -> None:
    guarded = replace(settings, with_keys=True, folder=tmp_path / "serving")
    key = KeyRing(guarded.folder).create("me", [ONE], None)
    with served(guarded) as url:
        with assay.Client(url, key) as client:
            assert client.get(ONE, "t3", at=AT)["total"] == 6
            with pytest.raises(assay.ServerFault) as refused:
                client.get(PAIR, {"a": "a1", "b": 1}, at=AT)
            assert refused.value.status == 403
            assert key not in repr(client)
        for wrong in (None, "ak_wrong"):
            with assay.Client(url, wrong) as client, pytest.raises(assay.ServerFault) as refused:
                client.get(ONE, "t3")
            assert refused.value.status == 401
    with pytest.raises(assay.Fault, match="The API key has") as fault:
        assay.Client(url, "a\nkey")
    assert "a\nkey" not in str(fault.value)


def test_what_is_no_feature_server_is_told() -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/feature-views" else 200)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(b"<html>hello")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = assay.Client(f"http://127.0.0.1:{server.server_port}", "secret")
        for ask, status in ((client.feature_views, 302), (lambda: client.feature_view("x"), 200)):
            with pytest.raises(assay.ServerFault, match="is it a feature server") as refused:
                ask()
            assert refused.value.status == status
        server.shutdown()
    with pytest.raises(assay.ServerFault, match="cannot be reached: does it run") as away:
        assay.Client(f"http://127.0.0.1:{free_port()}").feature_views()
    assert away.value.status is None
    with pytest.raises(assay.ServerFault, match="cannot be reached"):
        assay.Client("localhost").feature_views()


def test_an_event_loop_asks_many_at_once(url: str) -> None:
    async def ask() -> tuple[list[Any], Any]:
        async with assay.AsyncClient(url) as client:
            rows = await asyncio.gather(*(client.get(ONE, f"t{number}", at=AT) for number in range(8)))
            many = await client.get_many(ONE, {"thing_id": ["t1"]}, at=AT)
            assert len(await client.feature_views()) == 3
            assert (await client.feature_view(ONE))["name"] == ONE
            await client.log_prediction(model="m", label="lbl_sold", label_id="8", score=0.5)
            return [row["total"] for row in rows], many.to_arrow().to_pydict()

    assert asyncio.run(ask()) == ([3 + number for number in range(8)], {"thing_id": ["t1"], "total": [4]})
