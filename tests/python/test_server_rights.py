"""A key with a role reads of the feature server what the role may read, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from feature_server import settings_in
from published_by_hand import ONE, PAIR, make_published, publish_view

from assay.contracts.grants import Grant, Role, write_grants
from assay.core.fault import Fault
from assay.core.places import GRANTS
from assay.online.stores.open import open_store
from assay.online.sync import sync
from assay.pii.key import PiiKey
from assay.search.visible import Scope
from assay.server.app import make_app
from assay.server.keys import KeyRing, Reader
from assay.server.rejected import Rejected
from assay.server.rights import RoleBook
from assay.server.settings import Settings

GET, FEAST, STATES = "/features/get", "/get-online-features", "/features/states"
PEOPLE = "ftr_person__facts"
KEY = "an invented key of 32 characters"
_ALL = ["person_id", "name", "city", "pieces", "amount", "hidden"]


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("store")
    file = make_published(folder / "gold.duckdb")
    publish_view(
        file,
        PEOPLE,
        {"person_id": "varchar"},
        {"name": "varchar", "city": "varchar", "pieces": "bigint", "amount": "double", "hidden": "varchar"},
        "select 'p1' as person_id, 'Ada' as name, 'Nice' as city, 7 as pieces, 1.5 as amount, 'no' as hidden",
        derived=[
            {"name": "twice", "type": "bigint", "expression": "pieces * 2"},
            {"name": "told", "type": "varchar", "expression": "name || hidden"},
        ],
    )
    url = f"sqlite:{folder / 'online.sqlite'}"
    sync(file, open_store(url))
    return url


@pytest.fixture
def settings(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ASSAY_PII_KEY", KEY)
    return replace(settings_in(tmp_path, store_url), with_keys=True)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(make_app(settings)) as client:
        yield client


def grant(settings: Settings, *grants: Grant) -> dict[str, str]:
    """Give the role `analyst` grants, and return the headers of a key that has it."""
    key = KeyRing(settings.folder).create("a", ["*"], None, sources=["*"], role="analyst")
    (settings.folder / GRANTS).write_bytes(write_grants([Role("analyst", list(grants))]))
    return {"X-API-Key": key}


def ask(client: TestClient, headers: dict[str, str], *references: str, path: str = GET) -> Any:
    asked = {"feature_groups": list(references or [PEOPLE]), "keys": {"person_id": "p1"}}
    return client.post(path, json=asked, headers=headers)


PART = Grant(
    PEOPLE,
    ["person_id", "name", "city", "pieces", "amount"],
    {"name": "hash", "city": "mask", "amount": "mask"},
    left_out=["hidden"],
)


def test_answers_have_what_the_role_sees_shielded_as_it_says(client: TestClient, settings: Settings) -> None:
    headers = grant(settings, PART)
    hashed = PiiKey(KEY.encode()).hashed("Ada")
    # An amount cannot be masked as gold would have it, so it is left out.
    seen = {"name": hashed, "city": "****", "pieces": 7, "twice": 14}
    assert ask(client, headers).json()["features"] == seen
    states = ask(client, headers, path=STATES).json()[PEOPLE]["features"]
    assert states == {"name": [hashed], "city": ["****"], "pieces": [7]}
    feast = {"feature_service": PEOPLE, "entities": {"person_id": ["p1"]}}
    answer = client.post(FEAST, json=feast, headers=headers).json()
    assert answer["metadata"]["feature_names"] == ["person_id", *seen]
    assert [each["values"] for each in answer["results"]] == [["p1"], *([value] for value in seen.values())]
    described = client.get(f"/feature-views/{PEOPLE}", headers=headers).json()
    assert [each["name"] for each in described["columns"] + described["derived"]] == list(seen)
    assert described["sample"] == ["p1"]


@pytest.mark.parametrize("feature", ["hidden", "told", "amount"])
def test_what_the_role_does_not_see_is_refused_by_name(
    client: TestClient, settings: Settings, feature: str
) -> None:
    answer = ask(client, grant(settings, PART), f"{PEOPLE}:pieces", f"{PEOPLE}:{feature}")
    assert answer.status_code == 403
    assert f"The role analyst of this API key does not see {feature}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("grants", "why"),
    [
        ([], "the role analyst does not read it"),
        ([replace(PART, rows="pieces > 1")], "the role analyst reads some of its rows"),
        ([Grant(PEOPLE, ["person_id", "hidden_too"])], "does not see name, city, pieces"),
    ],
)
def test_a_view_that_the_role_may_not_read_is_refused(
    client: TestClient, settings: Settings, grants: list[Grant], why: str
) -> None:
    headers = grant(settings, *grants, Grant(ONE, ["thing_id", "total"]))
    answer = ask(client, headers)
    assert answer.status_code == 403
    assert why in answer.json()["detail"]
    names = [each["name"] for each in client.get("/feature-views", headers=headers).json()]
    assert PAIR not in names
    assert ONE in names


def test_a_key_that_is_hidden_is_in_no_sample(client: TestClient, settings: Settings) -> None:
    headers = grant(settings, Grant(PEOPLE, ["person_id", "pieces"], {"person_id": "hash"}))
    assert client.get(f"/feature-views/{PEOPLE}", headers=headers).json()["sample"] is None
    assert client.get("/lineage", headers=headers).status_code == 403


def test_without_the_key_for_hashes_nothing_is_told(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_PII_KEY")
    answer = ask(client, grant(settings, PART))
    assert answer.status_code == 503
    assert "Ada" not in answer.text


def test_a_role_that_no_contract_names_any_more_reads_nothing(client: TestClient, settings: Settings) -> None:
    headers = grant(settings, PART)
    assert ask(client, headers).status_code == 200
    (settings.folder / GRANTS).write_bytes(write_grants([Role("others", [PART])]))
    assert ask(client, headers).status_code == 403
    (settings.folder / GRANTS).unlink()
    assert ask(client, headers).status_code == 403
    (settings.folder / GRANTS).write_text("[]")
    with pytest.raises(Fault, match="does not say what roles may read"):
        RoleBook(settings.folder).find("analyst")


@pytest.mark.parametrize(
    ("grants", "may"),
    [
        ([], False),
        ([Grant("doc_chunks", ["text"])], True),
        ([Grant("doc_chunks", ["text"], {"text": "mask"})], False),
        ([Grant("doc_chunks", ["text"], left_out=["title"])], False),
        ([Grant("doc_chunks", ["text"], rows="source = 'help'")], False),
    ],
)
def test_documents_are_for_roles_that_read_all_of_their_chunks(
    settings: Settings, grants: list[Grant], may: bool
) -> None:
    reader = KeyRing(settings.folder).reader(None, grant(settings, *grants)["X-API-Key"])
    if may:
        assert reader.scope() == Scope()
    else:
        with pytest.raises(Rejected, match="the role analyst does not read all of doc_chunks"):
            reader.scope()
    assert Reader(sources=frozenset({"*"})).scope() == Scope()
