"""What the feature server keeps from strangers, from the disk, and from values that JSON cannot hold."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from feature_server import settings_in
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from published_by_hand import ONE, PAIR, make_published, publish_view
from typer.testing import CliRunner

from assay.cli import app
from assay.core.disk import append_whole, cut_torn_line
from assay.core.fault import Fault
from assay.online.stores.open import open_store
from assay.online.stretch import key_text
from assay.online.sync import sync
from assay.server.app import make_app
from assay.server.audit import FILE as AUDIT
from assay.server.audit import Audit
from assay.server.keys import FILE as KEYS
from assay.server.keys import KeyRing
from assay.server.landing_log import hand_over_leftovers
from assay.server.settings import Settings

GET, FEAST, PREDICT = "/features/get", "/get-online-features", "/predictions"
WIDE = "ftr_thing__wide"
# Of every kind that another writer of JSON would round, lose or break at.
VALUES = {
    "money": ("decimal(18, 2)", "99999999999999.99"),
    "large": ("bigint", "9007199254740993"),
    "huge": ("hugeint", "170141183460469231731687303715884105727"),
    "unsigned": ("ubigint", "18446744073709551615"),
    "none": ("double", "'nan'"),
    "ended": ("timestamp", "'infinity'"),
    "ancient": ("timestamp", "'0044-03-15 (BC) 12:00:00'"),
    "distant": ("date", "'20000-01-01'"),
    "never": ("date", "'-infinity'"),
    "last": ("timestamp", "'9999-12-31 23:59:59.999999'"),
    "ends": ("timestamp[]", "['infinity'::timestamp, null]"),
    "moneys": ("decimal(18, 2)[]", "[99999999999999.99, null]"),
    "huges": ("hugeint[]", "[170141183460469231731687303715884105727]"),
    "ratios": ("double[]", "['nan'::double, 'infinity', '-infinity', 0.1, null]"),
    "fixed": ("float[2]", "['nan'::float, 1.5]"),
    "record": (
        'struct(a double, b decimal(38, 2)[], "c d" map(varchar, hugeint))',
        "{'a': '-infinity'::double, 'b': [1.10], 'c d': map {'x': 9007199254740993::hugeint}}",
    ),
}
# A derived list of times is of those that Python has.
DERIVED = [name for name in VALUES if name != "ends"]
IN_JSON = {
    "money": "99999999999999.99",
    "large": "9007199254740993",
    "huge": "170141183460469231731687303715884105727",
    "unsigned": "18446744073709551615",
    "none": '"nan"',
    "ended": '"infinity"',
    "ancient": '"0044-03-15 (BC) 12:00:00"',
    "distant": '"20000-01-01"',
    "never": '"-infinity"',
    "last": '"9999-12-31T23:59:59.999999Z"',
    "ends": '["infinity",null]',
    "moneys": "[99999999999999.99,null]",
    "huges": "[170141183460469231731687303715884105727]",
    "ratios": '["nan","inf","-inf",0.1,null]',
    "fixed": '["nan",1.5]',
    "record": '{"a":"-inf","b":[1.10],"c d":{"x":9007199254740993}}',
}


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("store")
    file = make_published(folder / "gold.duckdb")
    columns = ", ".join(f'({value})::{kind} as "{name}"' for name, (kind, value) in VALUES.items())
    again = [
        {"name": f"{name}_again", "type": VALUES[name][0], "expression": f'"{name}"'} for name in DERIVED
    ]
    publish_view(
        file,
        WIDE,
        {"thing_id": "varchar"},
        {name: kind for name, (kind, _) in VALUES.items()},
        f"select 't1' as thing_id, {columns}",
        derived=[
            *again,
            {"name": "with_amount", "type": "decimal(38, 2)", "expression": "amount + 0"},
            {"name": "far", "type": "bigint", "expression": "large * factor"},
        ],
        inputs=[{"name": "amount", "type": "decimal(18, 2)"}, {"name": "factor", "type": "bigint"}],
    )
    url = f"sqlite:{folder / 'online.sqlite'}"
    sync(file, open_store(url))
    return url


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    return settings_in(tmp_path, store_url)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(settings)) as client:
        yield client


@pytest.fixture
def guarded(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(replace(settings, with_keys=True))) as client:
        yield client


def key_for(settings: Settings, name: str, *views: str, predictions: tuple[str, ...] = ()) -> dict[str, str]:
    return {"X-API-Key": KeyRing(settings.folder).create(name, list(views), None, predictions)}


def audited(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (settings.folder / AUDIT).read_text().splitlines()]


def post(client: TestClient, path: str, body: str | bytes, **headers: str) -> httpx.Response:
    return client.post(path, content=body, headers={"content-type": "application/json"} | headers)


# --- values -------------------------------------------------------------------------------------------------


def test_every_value_is_exact_in_an_answer(client: TestClient) -> None:
    """To the digit in the text, stored and derived, in both forms."""
    body = json.dumps({"user_id": "t1", "feature_groups": [WIDE]})
    one = post(client, GET, body)
    expected = IN_JSON | {f"{name}_again": IN_JSON[name] for name in DERIVED}
    asked = {"features": [f"{WIDE}:{name}" for name in expected], "entities": {"thing_id": ["t1"]}}
    many = post(client, FEAST, json.dumps(asked))
    assert (one.status_code, many.status_code) == (200, 200)
    assert [name for name, value in expected.items() if f'"{name}":{value}' not in one.text] == []
    in_seconds = dict.fromkeys(["last", "last_again"], "253402300799")
    of_many = expected | in_seconds
    assert [name for name, value in of_many.items() if f'"values":[{value}],' not in many.text] == []


@pytest.mark.parametrize("amount", ["99999999999999.99", '"99999999999999.99"', "9999999999999999", "1E+2"])
def test_an_input_is_taken_with_all_its_digits(client: TestClient, amount: str) -> None:
    body = f'{{"user_id": "t1", "feature_groups": ["{WIDE}:with_amount"], "inputs": {{"amount": {amount}}}}}'
    found = json.loads(post(client, GET, body).text, parse_float=Decimal)
    assert found["features"] == {"with_amount": Decimal(amount.strip('"'))}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ('{"amount": 1e999}', "amount must be of type decimal"),
        ('{"amount": 1e-999999999}', "amount"),
        ('{"amount": 9999999999999999999999}', "amount must be of type decimal"),
        ('{"factor": 9223372036854775807}', "cannot be computed of these values"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(client: TestClient, inputs: str, message: str) -> None:
    feature = "far" if "factor" in inputs else "with_amount"
    answer = post(
        client, GET, f'{{"user_id": "t1", "feature_groups": ["{WIDE}:{feature}"], "inputs": {inputs}}}'
    )
    if answer.status_code == 200:
        # So small that a cast to the declared type makes it nothing, as it would in a table.
        assert answer.json()["features"] == {"with_amount": 0}
    else:
        assert answer.status_code == 422
        assert message in answer.json()["detail"]


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=3))
def test_a_key_of_several_is_the_text_that_the_warehouse_has(values: list[str]) -> None:
    import duckdb

    marks = ", ".join("?" * len(values))
    found = duckdb.execute(f"select json_array({marks})::varchar", values).fetchone()
    assert found == (key_text(values),)


ODD = ['"\\u0000"', '"\\u001f"', '"a\\nb"', '"\\u007f"', '"\\ud83d\\ude00"', "123456789012345678901234567890"]
BROKEN = {
    '{"user_id": "\\ud800"}': "half of a character",
    '{"\\udfff": 1}': "half of a character",
    '{"a": ["\\uD83D"]}': "half of a character",
    '{"\\ud800": 1, "\\ud800": 2}': "stands twice",
    '{"user_id": "1", "user_id": "2"}': "user_id stands twice",
    '{"entities": {"a": ["1"], "a": ["2"]}}': "a stands twice",
    '{"served": [{"features": {"x": 1, "x": 2}}]}': "x stands twice",
    '{"a": NaN}': "NaN is no number",
    '{"a": -Infinity}': "-Infinity is no number",
    '{"a": 1e99999999999999999999999}': "is no JSON",
    '{"a": ' + "9" * 5000 + "}": "is no JSON",
    '{"a": ' + "[" * 100 + "]" * 100 + "}": "nested more than",
    '{"a": ' * 70 + "1" + "}" * 70: "nested more than",
    "[" * 100_000: "is no JSON",
    "\ufeff{}": "is no JSON",
    "": "is no JSON",
}


@pytest.mark.parametrize("path", [GET, FEAST, PREDICT])
@pytest.mark.parametrize("body", BROKEN)
def test_a_body_that_cannot_be_meant_is_refused_and_written_down(
    client: TestClient, settings: Settings, path: str, body: str
) -> None:
    answer = post(client, path, body.encode())
    assert answer.status_code == 400
    assert BROKEN[body] in answer.json()["detail"]
    [line] = audited(settings)
    assert (line["path"], line["status"], line["why"]) == (path, 400, answer.json()["detail"][:300])


@pytest.mark.parametrize(
    "body", [b'{"a": "\xed\xa0\x80"}', '{"a": 1}'.encode("utf-16"), b"\x00", b"\xff\xfe"]
)
def test_a_body_that_is_no_text_is_refused(client: TestClient, settings: Settings, body: bytes) -> None:
    assert post(client, FEAST, body).status_code == 400
    assert [line["status"] for line in audited(settings)] == [400]


@pytest.mark.parametrize("key", ODD)
def test_an_odd_key_is_a_key_that_nobody_knows(client: TestClient, settings: Settings, key: str) -> None:
    asked = [
        (GET, f'{{"user_id": {key}, "feature_groups": ["{ONE}"]}}'),
        (GET, f'{{"keys": {{"a": {key}, "b": 1}}, "feature_groups": ["{PAIR}"]}}'),
        (FEAST, f'{{"features": ["{PAIR}:total"], "entities": {{"a": [{key}], "b": [1]}}}}'),
    ]
    for path, body in asked:
        answer = post(client, path, body)
        assert answer.status_code == 200, answer.text
        assert "NOT_FOUND" in answer.text
    assert json.loads(answer.text)["results"][0]["values"] == [json.loads(key)]
    assert len(audited(settings)) == 3


def test_a_prediction_is_kept_with_all_its_digits(client: TestClient, settings: Settings) -> None:
    features = '{"total": 99999999999999.99, "x": 170141183460469231731687303715884105727, "y": 1e999}'
    served = f'{{"feature_view": "{ONE}", "keys": {{"thing_id": "t1"}}, "as_of": "2025-01-01", "features": '
    body = '{"model": "m", "label": "l", "label_id": "1", "score": 0.5, "served": [' + served
    refused = post(client, PREDICT, body + features + "}]}")
    assert (refused.status_code, f"{ONE} has no feature x" in refused.text) == (422, True)
    for value in ("99999999999999.99", "170141183460469231731687303715884105727", "1E+999"):
        assert post(client, PREDICT, body + f'{{"total": {value}}}' + "}]}").status_code == 200
        assert f'"total":{value}}}' in kept(settings)[-1]


def kept(settings: Settings) -> list[str]:
    folder = settings.landing / "serving" / "predictions"
    return [line for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]


# --- who may ------------------------------------------------------------------------------------------------


PREDICTION = {"model": "fraud-2", "label": "lbl_fraud", "label_id": "1", "score": 0.5}


def test_predictions_take_a_key_that_is_for_their_model(guarded: TestClient, settings: Settings) -> None:
    shop = key_for(settings, "shop", "*")
    scorer = key_for(settings, "scorer", predictions=("fraud-2",))
    every = key_for(settings, "every", predictions=("*",))
    for key, model, status in (
        (shop, "fraud-2", 403), (scorer, "fraud-2", 200), (scorer, "fraud-3", 403), (scorer, "*", 403),
        (every, "anything", 200),
    ):  # fmt: skip
        answer = guarded.post(PREDICT, json=PREDICTION | {"model": model}, headers=key)
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["detail"] == f"This API key is not for predictions of {model}."
    assert len(kept(settings)) == 2
    # To log is not to read.
    body = {"user_id": "t1", "feature_groups": [ONE]}
    assert guarded.post(GET, json=body, headers=scorer).status_code == 403


def test_a_key_of_before_logs_no_predictions(guarded: TestClient, settings: Settings) -> None:
    key = key_for(settings, "shop", "*")
    stored = json.loads((settings.folder / KEYS).read_text())
    del stored[0]["predictions"]
    (settings.folder / KEYS).write_text(json.dumps(stored))
    assert guarded.post(PREDICT, json=PREDICTION, headers=key).status_code == 403
    assert guarded.get("/feature-views", headers=key).status_code == 200


def test_the_documentation_takes_a_key_where_keys_are_in_force(
    guarded: TestClient, client: TestClient, settings: Settings
) -> None:
    settings.docs.write_text("<html>all of it</html>")
    for method in ("GET", "HEAD"):
        assert guarded.request(method, "/lineage").status_code == 401
        assert guarded.request(method, "/lineage", headers={"X-API-Key": "assay_x_y"}).status_code == 401
    assert guarded.get("/lineage", headers=key_for(settings, "shop", ONE)).status_code == 403
    assert "all of it" in guarded.get("/lineage", headers=key_for(settings, "all", "*")).text
    assert "all of it" in client.get("/lineage").text


def test_a_key_may_ask_so_often_and_others_as_before(settings: Settings) -> None:
    with TestClient(make_app(replace(settings, with_keys=True, requests_per_second=2.0))) as client:
        busy, quiet = key_for(settings, "busy", "*"), key_for(settings, "quiet", "*")
        answers = [client.get("/feature-views", headers=busy) for _ in range(12)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:4] == [200] * 4
        assert 429 in statuses
        refused = answers[statuses.index(429)]
        assert int(refused.headers["retry-after"]) >= 1
        assert "2 requests a second" in refused.json()["detail"]
        assert client.get("/feature-views", headers=quiet).status_code == 200
    lines = [line for line in audited(settings) if line["reader"] == "busy"]
    assert len(lines) == 12
    # Without keys nobody is counted.
    with TestClient(make_app(replace(settings, requests_per_second=0.1))) as client:
        assert {client.get("/feature-views").status_code for _ in range(5)} == {200}


def test_a_key_may_write_so_much(settings: Settings) -> None:
    limited = replace(settings, with_keys=True, prediction_bytes_per_hour=1000)
    with TestClient(make_app(limited)) as client:
        key = key_for(settings, "scorer", predictions=("*",))
        answers = [client.post(PREDICT, json=PREDICTION, headers=key) for _ in range(8)]
        statuses = [answer.status_code for answer in answers]
        written = statuses.count(200)
        assert statuses == [200] * written + [429] * (8 - written)
        assert 0 < written < 8
        assert int(answers[-1].headers["retry-after"]) > 60
        assert len(kept(settings)) == written


def change_keys(task: tuple[Path, int]) -> None:
    folder, number = task
    ring = KeyRing(folder)
    for each in range(number, 40, 4):
        ring.revoke(f"old{each}")
        ring.create(f"new{each}", ["*"], None)


def test_keys_that_are_made_and_revoked_at_once_are_all_as_they_were_told(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "serving")
    for number in range(40):
        ring.create(f"old{number}", ["*"], None)
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        list(pool.map(change_keys, [(tmp_path / "serving", number) for number in range(4)]))
    states = {key.name: key.state for key in ring.keys}
    assert states == {f"old{n}": "revoked" for n in range(40)} | {f"new{n}": "valid" for n in range(40)}
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "serving").iterdir()}
    assert modes == {KEYS: 0o600, f"{KEYS}.lock": 0o600}
    assert (tmp_path / "serving").stat().st_mode & 0o777 == 0o700


def test_keys_that_cannot_be_written_are_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(tmp_path)
    ring.create("shop", ["*"], None)
    before = (tmp_path / KEYS).read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        for change in (lambda: ring.revoke("shop"), lambda: ring.create("other", ["*"], None)):
            with pytest.raises(Fault, match="cannot be written"):
                change()
    assert (tmp_path / KEYS).read_bytes() == before
    assert [key.state for key in ring.keys] == ["valid"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [KEYS, f"{KEYS}.lock"]


def test_a_name_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dbt_project.yml").touch()
    KeyRing(tmp_path / "data" / "serving").create("[/x]", ["*"], None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_WAREHOUSE", raising=False)
    monkeypatch.setattr("assay.cli.main.keep_new_files_private", lambda: None)
    ended = CliRunner().invoke(app, ["keys", "list"])
    assert (ended.exit_code, "[/x]" in ended.stdout) == (0, True)


def test_a_disk_that_takes_nothing_is_told_and_not_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dbt_project.yml").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "serving").write_text("a file where the folder should be")
    monkeypatch.chdir(tmp_path)
    # What other tests make is as open as their own process makes it.
    monkeypatch.setattr("assay.cli.main.keep_new_files_private", lambda: None)
    for name in ("ASSAY_WAREHOUSE", "ASSAY_ONLINE_STORE"):
        monkeypatch.delenv(name, raising=False)
    commands = (
        ("keys", "create", "shop", "--views", "*"),
        ("keys", "create", "shop", "--predictions", "*"),
        ("keys", "revoke", "shop"),
        ("keys", "list"),
        ("serve", "--port", "0"),
        ("online", "status", "--store", "sqlite:data/serving/online.sqlite"),
    )
    for command in commands:
        ended = CliRunner().invoke(app, command)
        assert ended.exit_code in (1, 2)
        assert isinstance(ended.exception, SystemExit), command
        assert ended.stderr.startswith("Error: ") or "\nError: " in ended.stderr, command


# --- the audit log ------------------------------------------------------------------------------------------


def test_every_read_is_written_down(guarded: TestClient, settings: Settings) -> None:
    settings.docs.write_text("<html></html>")
    key = key_for(settings, "shop", "*", predictions=("*",))
    entities = {"features": [f"{ONE}:total"], "entities": {"thing_id": ["1", "2"]}}
    for method, path, body in (
        ("GET", "/feature-views", None), ("GET", f"/feature-views/{ONE}", None), ("GET", "/lineage", None),
        ("POST", GET, {"user_id": "t1", "feature_groups": [ONE]}), ("POST", FEAST, entities),
        ("POST", PREDICT, PREDICTION),
    ):  # fmt: skip
        assert guarded.request(method, path, json=body, headers=key).status_code == 200
    for path in ("/health", "/ready", "/metrics", "/docs"):
        assert guarded.get(path).status_code == 200
    lines = audited(settings)
    assert [(line["reader"], line["path"]) for line in lines] == [
        ("shop", path)
        for path in ("/feature-views", f"/feature-views/{ONE}", "/lineage", GET, FEAST, PREDICT)
    ]
    assert [line.get("entities") for line in lines] == [0, 1, 0, 1, 2, None]
    assert lines[0]["views"] == sorted([ONE, PAIR, WIDE])
    assert [next(iter(line)) for line in lines] == ["read_at"] * 5 + ["wrote_at"]
    assert lines[-1]["model"] == "fraud-2"


def test_every_refusal_is_written_down(guarded: TestClient, settings: Settings) -> None:
    key = key_for(settings, "shop", ONE)
    asked = [
        ("POST", GET, b"{", key, 400), ("POST", GET, b"{", {}, 401), ("POST", GET, b"[]", key, 422),
        ("POST", GET, json.dumps({"user_id": "1", "feature_groups": [PAIR]}).encode(), key, 403),
        ("POST", GET, b"", key | {"content-type": "text/plain"}, 415), ("GET", "/nothing", b"", {}, 404),
        ("GET", "/%00%ff" + "x" * 5000, b"", key, 404), ("DELETE", GET, b"", key, 405),
        ("GET", f"/feature-views/{PAIR}", b"", key, 403), ("POST", GET, b" " * (1 << 21), key, 413),
    ]  # fmt: skip
    for method, path, body, headers, status in asked:
        assert guarded.request(method, path, content=body, headers=headers).status_code == status
    lines = audited(settings)
    assert [(line["method"], line["status"]) for line in lines] == [(each[0], each[-1]) for each in asked]
    assert all(line["why"] for line in lines)
    assert max(len(line["path"]) for line in lines) <= 300


def test_strangers_do_not_fill_the_log(settings: Settings) -> None:
    with TestClient(make_app(replace(settings, with_keys=True))) as client:
        for _ in range(300):
            client.get("/feature-views", headers={"X-API-Key": "assay_guess_guess"})
        client.get("/feature-views", headers=key_for(settings, "shop", "*"))
    lines = audited(settings)
    assert len(lines) < 80
    assert sum(line.get("requests", 1) for line in lines) == 301
    assert [line["reader"] for line in lines if "read_at" in line] == ["shop"]


def test_the_log_begins_another_file_and_keeps_so_many(tmp_path: Path) -> None:
    logs = [Audit(tmp_path, most_bytes=2000, files=3) for _ in range(2)]
    for number in range(200):
        logs[number % 2].note("read", {"reader": "shop", "request_id": str(number)})
    for log in logs:
        log.close()
    files = sorted(tmp_path.glob("audit*"))
    assert [file.name for file in files] == ["audit.1.jsonl", "audit.2.jsonl", AUDIT]
    assert max(file.stat().st_size for file in files) < 2200
    newest_last = [tmp_path / "audit.2.jsonl", tmp_path / "audit.1.jsonl", tmp_path / AUDIT]
    numbers = [int(json.loads(line)["request_id"]) for file in newest_last for line in file.open()]
    assert numbers == list(range(200 - len(numbers), 200))
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


# --- a full disk --------------------------------------------------------------------------------------------


def test_a_line_is_appended_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "lines"

    def with_room_for(size: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        acknowledged = 0
        while acknowledged < 10:
            try:
                append_whole(file, b"x" * 99 + b"\n")
            except OSError:
                break
            acknowledged += 1
        os._exit(acknowledged)

    for size, whole in ((50, 0), (100, 1), (250, 2), (999, 9)):
        path.unlink(missing_ok=True)
        if (child := os.fork()) == 0:
            with_room_for(size)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == whole
        assert path.read_bytes() == (b"x" * 99 + b"\n") * whole


def test_a_torn_line_of_a_dead_process_is_cut_off(settings: Settings, tmp_path: Path) -> None:
    settings.folder.mkdir()
    (settings.folder / AUDIT).write_text('{"a": 1}\n{"b"')
    Audit(settings.folder).close()
    assert (settings.folder / AUDIT).read_text() == '{"a": 1}\n'
    folder = settings.landing / "serving" / "predictions"
    folder.mkdir(parents=True)
    (folder / "_open-dead.jsonl").write_text('{"a": 1}\n{"b"')
    hand_over_leftovers(settings.landing)
    assert kept(settings) == ['{"a": 1}']
    for content, left in ((b"", b""), (b"a", b""), (b"a\nb\n", b"a\nb\n"), (b"x" * 200_000, b"")):
        path = tmp_path / "lines"
        path.write_bytes(content)
        file = os.open(path, os.O_RDWR)
        cut_torn_line(file)
        os.close(file)
        assert path.read_bytes() == left


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EIO, 503)])
def test_what_the_disk_refuses_is_not_acknowledged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    write, sync_data = os.write, os.fdatasync

    def refusing(file: int, content: bytes) -> int:
        if b'"score"' in content and failing == "write":
            write(file, content[:20])
            raise OSError(number, os.strerror(number))
        if b'"request_id"' in content and failing == "audit":
            write(file, content[:20])
            raise OSError(number, os.strerror(number))
        return write(file, content)

    def unsynced(file: int) -> None:
        if failing == "sync":
            raise OSError(number, os.strerror(number))
        sync_data(file)

    failing = ""
    with TestClient(make_app(settings)) as client:
        monkeypatch.setattr(os, "write", refusing)
        monkeypatch.setattr(os, "fdatasync", unsynced)
        body = {"user_id": "t1", "feature_groups": [ONE]}
        assert client.post(PREDICT, json=PREDICTION | {"prediction_id": "a"}).status_code == 200
        for failing in ("write", "sync", "audit"):
            answer = client.post(PREDICT, json=PREDICTION | {"prediction_id": failing})
            assert answer.status_code == status
            assert str(settings.folder) not in answer.text
        answer = client.post(GET, json=body)
        assert (answer.status_code, "features" in answer.json()) == (status, False)
        failing = ""
        assert client.post(PREDICT, json=PREDICTION | {"prediction_id": "b"}).status_code == 200
        assert client.post(GET, json=body).status_code == 200
        monkeypatch.undo()
    assert all(json.loads(line) for line in kept(settings))
    ids = [json.loads(line)["prediction_id"] for line in kept(settings)]
    assert ids[0] == "a"
    assert ids[-1] == "b"
    assert "write" not in ids
    assert [line["path"] for line in audited(settings)][-2:] == [PREDICT, GET]


def test_what_the_server_keeps_is_for_its_owner_alone(guarded: TestClient, settings: Settings) -> None:
    guarded.post(PREDICT, json=PREDICTION, headers=key_for(settings, "scorer", predictions=("*",)))
    predictions = settings.landing / "serving" / "predictions"
    for folder in (settings.folder, predictions):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


# --- what errors tell ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["sqlite:{folder}/none.sqlite", "sqlite:{folder}/broken.sqlite", "redis://user:s3cret@127.0.0.1:1/0"],
)
def test_errors_tell_no_paths_hosts_or_passwords(
    settings: Settings, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.docs.parent / "broken.sqlite").write_bytes(b"broken" * 1000)
    store = url.format(folder=settings.docs.parent)
    told = ""
    with TestClient(make_app(replace(settings, store=store))) as client:
        body = {"user_id": "t1", "feature_groups": [ONE]}
        for answer in (
            client.post(GET, json=body),
            client.get("/feature-views"),
            client.get(f"/feature-views/{ONE}"),
            client.get("/ready"),
            client.get("/lineage"),
        ):
            assert answer.status_code in (503, 404)
            told += answer.text
        (settings.folder / KEYS).write_text("broken")
    with TestClient(make_app(replace(settings, store=store, with_keys=True))) as client:
        answer = client.get("/feature-views", headers={"X-API-Key": "x"})
        assert answer.status_code == 503
        told += answer.text
    for secret in (str(settings.docs.parent), "sqlite:", "127.0.0.1", "s3cret", KEYS, "docs.html"):
        assert secret not in told
    # Those who run it read why.
    log = capsys.readouterr().err
    assert KEYS in log
    assert "s3cret" not in log


def test_what_nobody_foresaw_is_answered_logged_and_written_down(
    client: TestClient,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def failing(*_: Any) -> None:
        raise ZeroDivisionError("of /a/path")

    monkeypatch.setattr("assay.server.features.plan_features", failing)
    answer = client.post(GET, json={"user_id": "1", "feature_groups": [ONE]})
    assert answer.status_code == 500
    assert "/a/path" not in answer.text
    [line] = audited(settings)
    assert (line["status"], line["request_id"]) == (500, answer.headers["x-request-id"])
    assert "ZeroDivisionError" in capsys.readouterr().err


# --- Feast's clients ----------------------------------------------------------------------------------------

TIMED, SET = "ftr_thing__times", "trn_things"


@pytest.fixture(scope="module")
def served_sets(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a training set of two views, one of them with times; and sets that cannot be served."""
    folder = tmp_path_factory.mktemp("services")
    file = folder / "gold.duckdb"

    def part(name: str, place: int, features: list[str], *views: str | None, **more: Any) -> dict[str, Any]:
        plain = {"prefix": "", "max_age": "of the view"}
        return plain | {"name": name, "place": place, "features": features, "views": list(views)} | more

    columns = {"seen_at": "timestamp", "born_on": "date", "visits": "timestamp[]", "total": "bigint"}
    publish_view(
        file,
        TIMED,
        {"thing_id": "varchar"},
        columns,
        "select 't1' as thing_id, '2025-01-02 03:04:05.678' as seen_at, '1969-12-31' as born_on, "
        "['2025-01-02'] as visits, 3 as total",
        derived=[{"name": "seen_again_at", "type": "timestamp", "expression": "seen_at"}],
        services=[
            part(SET, 1, ["total", "seen_again_at"], ONE, TIMED, prefix="timed_", max_age="1d", view=TIMED),
            part("trn_offline", 0, ["total"], TIMED, "ftr_offline", view=TIMED),
            part("trn_joins", 0, ["total"], TIMED, None, view=TIMED),
        ],
    )
    publish_view(
        file,
        ONE,
        {"thing_id": "varchar"},
        {"total": "bigint", "other": "bigint"},
        "select 't1' as thing_id, 7 as total, 8 as other",
        derived=[{"name": "doubled", "type": "bigint", "expression": "total * factor"}],
        inputs=[{"name": "factor", "type": "bigint"}],
        services=[part(SET, 0, ["total", "doubled"], ONE, TIMED, view=ONE)],
    )
    url = f"sqlite:{folder / 'online.sqlite'}"
    sync(file, open_store(url))
    return url


def serve(store: str, settings: Settings, **changed: Any) -> TestClient:
    return TestClient(make_app(replace(settings, store=store, **changed)))


def test_times_are_seconds_as_feast_sends_them(served_sets: str, settings: Settings) -> None:
    names = ["seen_at", "seen_again_at", "born_on", "visits"]
    body = {"features": [f"{TIMED}:{name}" for name in names], "entities": {"thing_id": ["t1", "nobody"]}}
    with serve(served_sets, settings) as client:
        results = client.post(FEAST, json=body).json()["results"][1:]
        one = client.post(GET, json={"user_id": "t1", "feature_groups": [TIMED]}).json()["features"]
    values = [result["values"] for result in results]
    assert values == [[1735787045, None], [1735787045, None], [-86400, None], [[1735776000], None]]
    assert one["seen_at"] == one["seen_again_at"] == "2025-01-02T03:04:05.678000Z"


def test_a_training_set_serves_what_it_trains_on(served_sets: str, settings: Settings) -> None:
    body = {"feature_service": SET, "entities": {"thing_id": ["t1"], "factor": [2]}, "as_of": "2025-01-02"}
    with serve(served_sets, settings) as client:
        found = client.post(FEAST, json=body).json()
        assert found["metadata"]["feature_names"] == [
            "thing_id", "total", "doubled", "timed_total", "timed_seen_again_at"
        ]  # fmt: skip
        assert [result["values"][0] for result in found["results"]] == ["t1", 7, 14, 3, 1735787045]
        full = client.post(FEAST, json=body | {"full_feature_names": True}).json()
        assert full["metadata"]["feature_names"][1:] == [
            f"{ONE}__total", f"{ONE}__doubled", f"{TIMED}__total", f"{TIMED}__seen_again_at"
        ]  # fmt: skip
        # Its values may be a day old, whatever the view says.
        late = client.post(FEAST, json=body | {"as_of": "2025-01-02T00:00:00.000001"}).json()
        statuses = [result["statuses"][0] for result in late["results"]]
        assert statuses == ["PRESENT"] * 3 + ["OUTSIDE_MAX_AGE"] * 2
        without = client.post(FEAST, json=body | {"entities": {"thing_id": ["t1"]}})
        assert (without.status_code, "factor is missing" in without.text) == (422, True)


def test_a_training_set_that_cannot_be_served_says_why(served_sets: str, settings: Settings) -> None:
    with serve(served_sets, settings) as client:
        for name, status, message in (
            ("trn_offline", 422, "trn_offline joins ftr_offline, which is not online"),
            ("trn_joins", 422, "trn_joins joins a relation that is no feature view"),
            ("trn_nothing", 404, "There is no feature service trn_nothing"),
        ):
            answer = client.post(FEAST, json={"feature_service": name, "entities": {"thing_id": ["t1"]}})
            assert answer.status_code == status
            assert message in answer.json()["detail"]


def test_a_feature_service_takes_a_key_for_all_its_views(served_sets: str, settings: Settings) -> None:
    body = {"feature_service": SET, "entities": {"thing_id": ["t1"], "factor": [2]}}
    with serve(served_sets, settings, with_keys=True) as client:
        for name, views, status in (("one", [ONE], 403), ("both", [ONE, TIMED], 200), ("all", ["*"], 200)):
            key = key_for(settings, name, *views)
            assert client.post(FEAST, json=body, headers=key).status_code == status
        # Whether there is such a service is not told to who may not read it.
        for name in (SET, "trn_nothing"):
            key = key_for(settings, name, ONE)
            answer = client.post(FEAST, json=body | {"feature_service": name}, headers=key)
            assert answer.status_code == 403
