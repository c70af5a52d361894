"""The feature server over gRPC answers as it does over HTTP, with the same keys, bounds and logs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from fastapi.testclient import TestClient
from feature_server import serving, settings_in
from grpc_health.v1 import health_pb2, health_pb2_grpc
from published_by_hand import KNOWN_UNTIL, ONE, PAIR, make_published, publish_view
from redis_server import free_port
from warehouse import PROJECT

from assay.online.stores.open import open_store
from assay.online.sync import sync
from assay.server.app import make_app
from assay.server.grpc_values import from_value, to_value
from assay.server.keys import KeyRing
from assay.server.online_features_pb2 import (
    GetOnlineFeaturesRequest,
    GetOnlineFeaturesResponse,
    Status,
    Value,
    Values,
)
from assay.server.rejected import Rejected
from assay.server.settings import Settings

KINDS = "ftr_thing__kinds"
AT = f"{KNOWN_UNTIL.isoformat()}Z"
_TYPES = {
    "flag": ("boolean", "n = 1"),
    "whole": ("bigint", "(1::bigint << 62) + n"),
    "huge": ("hugeint", "170141183460469231731687303715884105727 - n"),
    "money": ("decimal(38, 2)", "123456789012345678901234567890123456.70 - n"),
    "number": ("double", "0.1 + n"),
    "strange": ("double", "case n when 0 then 'nan' when 1 then '-infinity' end"),
    "words": ("varchar", "case n when 0 then '' when 1 then 'ü' end"),
    "day": ("date", "date '2024-02-29' - n::integer"),
    "moment": ("timestamp", "timestamp '2024-02-29 12:34:56.789012'"),
    "things": ("integer[]", "[1, null, n]"),
    "parts": ("struct(a decimal(9, 3), b timestamp)", "{'a': 1.250, 'b': timestamp '2024-02-29'}"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store with views of things, pairs, and values of all kinds."""
    folder = tmp_path_factory.mktemp("online")
    file = make_published(folder / "gold.duckdb")
    columns = ", ".join(f"({sql})::{kind} as {name}" for name, (kind, sql) in _TYPES.items())
    publish_view(
        file,
        KINDS,
        {"thing_id": "varchar"},
        {name: kind for name, (kind, _) in _TYPES.items()},
        f"select 't' || n as thing_id, {columns} from range(2) as numbers (n)",
        derived=[{"name": "doubled", "type": "decimal(18, 2)", "expression": "amount * 2"}],
        inputs=[{"name": "amount", "type": "decimal(18, 2)"}],
    )
    url = f"sqlite:{folder / 'online.sqlite'}"
    sync(file, open_store(url))
    return url


@pytest.fixture
def settings(store: str, tmp_path: Path) -> Settings:
    return replace(settings_in(tmp_path, store), grpc=f"127.0.0.1:{free_port()}")


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(settings)) as client:
        yield client


def call(
    address: str, request: GetOnlineFeaturesRequest | bytes, **metadata: str
) -> GetOnlineFeaturesResponse:
    """Call as a client of any language does."""
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary(
            "/assay.online.v1.OnlineFeatures/GetOnlineFeatures",
            request_serializer=lambda sent: sent if isinstance(sent, bytes) else sent.SerializeToString(),
            response_deserializer=GetOnlineFeaturesResponse.FromString,
        )
        sent = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        answer: GetOnlineFeaturesResponse = method(request, metadata=sent, timeout=20, wait_for_ready=True)
        return answer


def of(**entities: list[Any]) -> dict[str, Values]:
    return {name: Values(values=map(to_value, values)) for name, values in entities.items()}


def refusal(address: str, request: GetOnlineFeaturesRequest | bytes, **metadata: str) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call(address, request, **metadata)
    return refused.value.code().name, refused.value.details()


def health(address: str, service: str = "") -> str:
    with grpc.insecure_channel(address) as channel:
        asked = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=20, wait_for_ready=True)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def test_answers_are_those_of_http(client: TestClient, settings: Settings) -> None:
    entities: dict[str, list[Any]] = {
        "thing_id": ["t1", "nobody", "t0"],
        "amount": [Decimal("1.25"), None, 3],
    }
    request = GetOnlineFeaturesRequest(feature_service=KINDS, entities=of(**entities), as_of=AT)
    found = call(settings.grpc, request)
    body = '{"feature_service": "%s", "as_of": "%s", "entities": {"thing_id": ["t1", "nobody", "t0"], '
    body += '"amount": [1.25, null, 3]}}'
    answer = client.post(
        "/get-online-features",
        content=body % (KINDS, AT),
        headers={"content-type": "application/json"},
    )
    http = json.loads(answer.text, parse_float=Decimal)
    names, results = http["metadata"]["feature_names"][1:], http["results"][1:]
    assert [feature.name for feature in found.features] == names == [*_TYPES, "doubled"]
    for feature, expected in zip(found.features, results, strict=True):
        assert [Status.Name(each) for each in feature.statuses] == expected["statuses"]
        assert list(feature.defaults) == expected["defaults"]
        moments = [each.ToDatetime(UTC).isoformat() for each in feature.event_timestamps]
        assert moments == [datetime.fromisoformat(each).isoformat() for each in expected["event_timestamps"]]
        if feature.name in ("flag", "whole", "huge", "money", "number", "words", "things", "doubled"):
            assert [from_value(value) for value in feature.values] == expected["values"]
    build = http["metadata"]["store"][KINDS]
    assert found.store[KINDS].run_id == build["run_id"]
    assert found.store[KINDS].known_until.ToDatetime() == KNOWN_UNTIL
    assert found.as_of.ToDatetime() == KNOWN_UNTIL


def test_values_keep_their_types(client: TestClient, settings: Settings) -> None:
    request = GetOnlineFeaturesRequest(
        features=[f"{KINDS}:{name}" for name in _TYPES],
        entities=of(thing_id=["t0", "t1"]),
        full_feature_names=True,
        as_of=AT,
    )
    found = {feature.name: list(feature.values) for feature in call(settings.grpc, request).features}
    assert {name: values[1].WhichOneof("kind") for name, values in found.items()} == {
        f"{KINDS}__flag": "flag",
        f"{KINDS}__whole": "whole",
        f"{KINDS}__huge": "exact",
        f"{KINDS}__money": "exact",
        f"{KINDS}__number": "number",
        f"{KINDS}__strange": "number",
        f"{KINDS}__words": "text",
        f"{KINDS}__day": "text",
        f"{KINDS}__moment": "text",
        f"{KINDS}__things": "list",
        f"{KINDS}__parts": "fields",
    }
    value = {name.removeprefix(f"{KINDS}__"): values[0] for name, values in found.items()}
    assert value["money"].exact == "123456789012345678901234567890123456.70"
    assert value["huge"].exact == str(2**127 - 1)
    assert str(value["strange"].number) == "nan"
    assert value["words"].text == ""
    assert (value["day"].text, value["moment"].text) == ("2024-02-29", "2024-02-29T12:34:56.789012Z")
    assert [each.WhichOneof("kind") for each in value["things"].list.values] == ["whole", None, "whole"]
    assert value["parts"].fields.fields["a"].exact == "1.250"


BAD: dict[str, tuple[GetOnlineFeaturesRequest | bytes, str, str]] = {
    "no message": (b"\xff\xff", "INVALID_ARGUMENT", "The message is no GetOnlineFeaturesRequest."),
    "nothing": (GetOnlineFeaturesRequest(), "INVALID_ARGUMENT", "Name what is wanted either by"),
    "no such view": (
        GetOnlineFeaturesRequest(features=["ftr_no:x"], entities=of(thing_id=["t1"])),
        "INVALID_ARGUMENT",
        "no feature view ftr_no online",
    ),
    "no such service": (
        GetOnlineFeaturesRequest(feature_service="trn_no", entities=of(thing_id=["t1"])),
        "NOT_FOUND",
        "There is no feature service trn_no",
    ),
    "a key of another type": (
        GetOnlineFeaturesRequest(features=[f"{ONE}:total"], entities=of(thing_id=[1.5])),
        "INVALID_ARGUMENT",
        "thing_id must be a text or a whole number",
    ),
    "an instant that is none": (
        GetOnlineFeaturesRequest(features=[f"{ONE}:total"], entities=of(thing_id=["t1"]), as_of="soon"),
        "INVALID_ARGUMENT",
        "soon",
    ),
    "not a number": (
        GetOnlineFeaturesRequest(features=[f"{ONE}:total"], entities=of(thing_id=[float("nan")])),
        "INVALID_ARGUMENT",
        "nan is no number",
    ),
    "too many features": (
        GetOnlineFeaturesRequest(features=[f"{ONE}:total"] * 1001, entities=of(thing_id=["t1"])),
        "INVALID_ARGUMENT",
        "features: List should have at most 1000 items",
    ),
    "too large": (
        GetOnlineFeaturesRequest(features=[f"{ONE}:total"], entities=of(thing_id=["x" * (1 << 20)])),
        "INVALID_ARGUMENT",
        "The body is larger than 1048576 bytes",
    ),
    "an exact number that is none": (
        GetOnlineFeaturesRequest(
            features=[f"{ONE}:total"], entities={"thing_id": Values(values=[Value(exact="1,5")])}
        ),
        "INVALID_ARGUMENT",
        "exact holds '1,5', which is no number",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_answered_is_refused(client: TestClient, settings: Settings, kind: str) -> None:
    request, code, said = BAD[kind]
    found, details = refusal(settings.grpc, request)
    assert (found, said in details) == (code, True), details


def test_keys_are_those_of_http_and_all_is_written_down(settings: Settings) -> None:
    settings = replace(settings, with_keys=True)
    key = KeyRing(settings.folder).create("shop", [ONE], None)
    one = GetOnlineFeaturesRequest(features=[f"{ONE}:total"], entities=of(thing_id=["t3"]), as_of=AT)
    pair = GetOnlineFeaturesRequest(features=[f"{PAIR}:total"], entities=of(a=["a1"], b=[1]), as_of=AT)
    with TestClient(make_app(settings)):
        assert refusal(settings.grpc, one)[0] == "UNAUTHENTICATED"
        assert refusal(settings.grpc, one, authorization="Bearer assay_x_y")[0] == "UNAUTHENTICATED"
        answer = call(settings.grpc, one, authorization=f"Bearer {key}", x_request_id="one")
        assert [value.whole for value in answer.features[0].values] == [6]
        code, said = refusal(settings.grpc, pair, x_api_key=key)
        assert (code, said) == ("PERMISSION_DENIED", f"This API key is not for {PAIR}.")
        assert call(settings.grpc, one, x_api_key=key)
        # Nobody needs a key to ask whether it runs.
        assert health(settings.grpc) == "SERVING"
    lines = [json.loads(line) for line in (settings.folder / "audit.jsonl").read_text().splitlines()]
    assert {line["path"] for line in lines} == {"/assay.online.v1.OnlineFeatures/GetOnlineFeatures"}
    assert [(line.get("views"), line.get("status")) for line in lines if line["reader"] == "shop"] == [
        ([ONE], None),
        (None, 403),
        ([ONE], None),
    ]
    assert next(line["request_id"] for line in lines if "read_at" in line) == "one"


def test_who_calls_too_often_is_told_to_wait(settings: Settings) -> None:
    settings = replace(settings, with_keys=True, requests_per_second=0.001)
    key = KeyRing(settings.folder).create("shop", [ONE], None)
    one = GetOnlineFeaturesRequest(features=[f"{ONE}:total"], entities=of(thing_id=["t3"]), as_of=AT)
    with TestClient(make_app(settings)):
        assert call(settings.grpc, one, x_api_key=key)
        with pytest.raises(grpc.RpcError) as refused:
            call(settings.grpc, one, x_api_key=key)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(dict(refused.value.trailing_metadata())["retry-after"]) > 1


def test_health_tells_whether_features_can_be_served(settings: Settings, tmp_path: Path) -> None:
    empty = replace(settings, store=f"sqlite:{tmp_path / 'none.sqlite'}")
    with TestClient(make_app(empty)):
        assert health(empty.grpc) == health(empty.grpc, "assay.online.v1.OnlineFeatures") == "NOT_SERVING"
        one = GetOnlineFeaturesRequest(features=[f"{ONE}:total"], entities=of(thing_id=["t3"]))
        code, said = refusal(empty.grpc, one)
        assert (code, said) == (
            "UNAVAILABLE",
            "The online store holds no feature views. To fill it: assay online sync",
        )
        with pytest.raises(grpc.RpcError) as refused:
            health(empty.grpc, "another")
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.usefixtures("builds")
def test_the_command_serves_both_with_several_workers(store: str, tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, store, "--grpc-port", str(port), "--workers", "2") as (_, _):
        one = GetOnlineFeaturesRequest(features=[f"{ONE}:total"], entities=of(thing_id=["t3"]), as_of=AT)
        assert [call(f"127.0.0.1:{port}", one).features[0].values[0].whole for _ in range(4)] == [6] * 4
    assert f"Serving gRPC at 127.0.0.1:{port}" in (tmp_path / "serve.log").read_text()


@pytest.mark.parametrize(
    "number",
    ["1", "-1", "0", str(2**63), str(-(2**64)), "1.10", "1E+3", "0.0000001", "-12345678901234567890.5"],
)
def test_exact_numbers_travel_there_and_back(number: str) -> None:
    found = from_value(Value(exact=number))
    assert found == Decimal(number)
    assert from_value(to_value(found)) == found


@pytest.mark.parametrize("number", ["", "x", "nan", "inf", "1_0x"])
def test_what_is_no_exact_number_is_refused(number: str) -> None:
    with pytest.raises(Rejected, match="which is no number"):
        from_value(Value(exact=number))


def test_the_messages_are_those_that_protoc_makes_of_the_description(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROJECT}", f"--python_out={tmp_path}"]
    source = "assay/server/online_features.proto"
    subprocess.run([*command, f"--pyi_out={tmp_path}", str(PROJECT / source)], check=True)
    for name in ("online_features_pb2.py", "online_features_pb2.pyi"):
        assert (PROJECT / "assay/server" / name).read_text() == (tmp_path / "assay/server" / name).read_text()
