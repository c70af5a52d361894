"""Personal data: hashed and masked in silver where contracts declare it, and never shown to people whole."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi.testclient import TestClient
from feature_server import settings_in, start
from published_by_hand import publish_view
from small_project import SmallProject
from typer.testing import Result

from assay.contracts.consistency import find_inconsistencies
from assay.contracts.contract import read_contracts
from assay.core.fault import Fault
from assay.online.definition import OnlineColumn
from assay.online.stores.open import open_store
from assay.online.sync import sync
from assay.parity.check import _key_told
from assay.pii.key import PiiKey, find_pii_key
from assay.project.graph import Manifest
from assay.project.personal import Personal, masked
from assay.server.app import make_app

KEY = "an invented key of 32 characters"
OTHER_KEY = "another invented key, much longer than the 64 bytes of a block of SHA-256, on purpose"
CARD = "4000661710000181"


def hashed(value: str, key: str = KEY) -> str:
    return hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()


# --- the key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_hashes_are_those_of_hmac(key: str) -> None:
    assert PiiKey(key.encode()).hashed(CARD) == hashed(CARD, key)


def test_a_key_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PII_KEY", "x" * 31)
    with pytest.raises(Fault, match="ASSAY_PII_KEY has 31 characters: it takes 32 or more"):
        find_pii_key()


def test_a_key_prints_as_nothing() -> None:
    assert KEY not in repr(PiiKey(KEY.encode()))


# --- silver -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hashing(built_project: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The small project, built as its rows landed; since then its contract declares two columns personal."""
    root = tmp_path_factory.mktemp("pii") / "project"
    project = SmallProject(Path(shutil.copytree(built_project.root, root)), {"ASSAY_PII_KEY": KEY})
    change_yaml(
        project.root / "models" / "example" / "bronze" / "_bronze__sources.yml",
        lambda file: named(named(file["sources"], "erp")["tables"], "order_lines")["config"]["meta"].update(
            pii={"CustomerID": "hash", "Description": "mask"}
        ),
    )
    change_yaml(project.root / "dbt_project.yml", lambda file: file["vars"].update(hash_pii=True))
    return project


def change_yaml(path: Path, change: Callable[[Any], None]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def said(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).split())


def test_silver_shields_what_the_contract_declares(hashing: SmallProject) -> None:
    assert hashing.query("select fingerprint from landing.pii_key") == [(None,)]
    without = SmallProject(hashing.root).assay("build")
    assert without.exit_code == 1
    assert (
        "erp.order_lines, payments.card_transactions declare personal data (pii), and there is no key"
        in said(without)
    )

    mixed = hashing.assay("build")
    assert mixed.exit_code == 1
    assert "build all of silver again (--full-refresh, without --select)" in said(mixed)

    lost = hashing.assay("build", "--full-refresh")
    assert lost.exit_code == 1
    assert "slv_order_lines__checked: the contract declares CustomerID personal" in said(lost)
    # A full refresh that failed may have left a part of silver as it landed.
    assert "build all of silver again" in said(hashing.assay("build"))

    def carry(file: Any) -> None:
        for model in file["models"]:
            for column in model["columns"]:
                landed_as = {"customer_id": "CustomerID", "product_description": "Description"}.get(
                    column["name"]
                )
                if landed_as:
                    column["config"] = {"meta": {"landed_as": landed_as}}

    change_yaml(hashing.root / "models" / "example" / "silver" / "erp" / "_erp__models.yml", carry)
    whole = hashing.assay("build", "--full-refresh")
    assert whole.exit_code == 0, whole.stdout
    shielded = hashing.query(
        "select distinct customer_id, product_description from silver.slv_order_lines__checked"
    )
    assert shielded == [(hashed("7"), "*******")]
    assert hashing.query("select distinct CustomerID from landing.erp__order_lines") == [("7",)]

    told = "select fingerprint from landing.pii_key"
    assert hashing.query(told) == [(PiiKey(KEY.encode()).fingerprint,)]

    hashing.land(4, 5)
    assert hashing.assay("build").exit_code == 0
    assert hashing.query("select distinct customer_id from silver.slv_order_lines__checked") == [
        (hashed("7"),)
    ]
    assert hashing.query(told) == [(PiiKey(KEY.encode()).fingerprint,)]

    other = SmallProject(hashing.root, {"ASSAY_PII_KEY": OTHER_KEY}).assay("build")
    assert other.exit_code == 1
    assert "ASSAY_PII_KEY is not what it was when silver was built" in said(other)

    written = [path for path in hashing.root.rglob("*") if path.is_file()]
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    for name in ("assay.duckdb", "ops.duckdb", "published/assay.duckdb", "published/customer_features.csv"):
        path = hashing.root / "data" / name
        assert not path.exists() or stat.S_IMODE(path.stat().st_mode) == 0o600, name


def test_who_may_read_a_published_file_stays_as_a_person_has_set_it(project: SmallProject) -> None:
    project.published.chmod(0o640)
    project.land(4, 5)
    assert project.assay("build").exit_code == 0
    assert stat.S_IMODE(project.published.stat().st_mode) == 0o640


# --- contracts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logical_type", "name", "value", "finding"),
    [
        ("string", "pii", True, "landing.s__t.a: pii is True."),
        ("string", "pii", "Hash", "landing.s__t.a: pii is 'Hash'."),
        ("date", "pii", "mask", "landing.s__t.a is declared pii, and is no text"),
        ("string", "pi", "hash", "pi is no property. Write pii."),
        ("string", "pii", "hash", ""),
    ],
)
def test_a_declaration_that_says_nothing_is_told(
    tmp_path: Path, logical_type: str, name: str, value: Any, finding: str
) -> None:
    declared = {
        "name": "a",
        "logicalType": logical_type,
        "customProperties": [{"property": name, "value": value}],
    }
    contract = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "s",
        "version": "1.0.0",
        "status": "active",
    }
    contract |= {"team": {"name": "us"}}
    contract |= {"schema": [{"name": "t", "physicalName": "landing.s__t", "properties": [declared]}]}
    (tmp_path / "s.odcs.yaml").write_text(yaml.safe_dump(contract))
    found, wrong = read_contracts(tmp_path)
    assert not wrong
    told = " ".join(f"{each.what} {each.remedy}" for each in find_inconsistencies(found))
    assert finding in told
    assert bool(finding) == bool(told)


# --- what people are shown ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def personal() -> Personal:
    def columns(**metas: Any) -> dict[str, Any]:
        return {name: {"name": name, "config": {"meta": meta}} for name, meta in metas.items()}

    return Personal.of(
        Manifest(
            {
                "macros": {},
                "sources": {"s": {"config": {"meta": {"pii": {"cc_num": "hash", "after.email": "mask"}}}}},
                "nodes": {
                    "m": {
                        "columns": columns(
                            card_id={"landed_as": "cc_num"}, transaction_id={"pii": "mask"}, amount={}
                        )
                        | {"name": {"name": "name", "tags": ["pii"]}}
                    }
                },
            }
        )
    )


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"card_id": CARD, "amount": "4000.25"}, {"card_id": "****0181", "amount": "4000.25"}),
        (
            {"CC_NUM": int(CARD), "name": "Ann", "email": None},
            {"CC_NUM": "****0181", "name": "****", "email": None},
        ),
        (
            {"line": json.dumps({"op": "u", "after": {"email": "ann@shop.example", "city": "Rome"}})},
            {"line": json.dumps({"op": "u", "after": {"email": "****mple", "city": "Rome"}})},
        ),
        (
            {"line": '{"after": {"email": "ann@sh'},
            {"line": "(withheld: it may hold personal data, and cannot be read)"},
        ),
        (
            {"cc_num": None, "malformed_line": f"{CARD},x"},
            {"cc_num": None, "malformed_line": "(withheld: it may hold personal data, and cannot be read)"},
        ),
        ({"StockCode": None, "malformed_line": "1,x"}, {"StockCode": None, "malformed_line": "1,x"}),
    ],
)
def test_rows_are_shown_without_personal_data(personal: Personal, row: Any, shown: Any) -> None:
    assert personal.shown(row) == shown


def test_what_a_test_calls_otherwise_is_personal_too(personal: Personal) -> None:
    found = {"unique_field": CARD, "n_records": 2}
    assert personal.shown(found, "gold.fct_cards.card_id")["unique_field"] == "****0181"
    assert personal.shown(found, "gold.fct_cards.amount") == found


def test_a_message_of_duckdb_names_no_personal_key(personal: Personal) -> None:
    said = 'Constraint Error: Duplicate key "card_id: 4000661710000181, amount: 4000.25" violates primary key'
    assert personal.text(said) == said.replace(CARD, "****0181")
    for said in (f'violation: duplicate key "{CARD}"', f"Could not convert string '{CARD}' to INT32"):
        assert personal.text(said) == said.replace(CARD, "****0181")
        assert Personal(frozenset()).text(said) == said


def test_where_nothing_tells_what_is_personal_nothing_is_shown() -> None:
    assert Personal(frozenset(), is_known=False).shown({"amount": "4000.25"}) == {"amount": "****"}


@pytest.mark.parametrize(
    ("value", "shown"), [(CARD, "****0181"), ("12345678901", "****"), ("", "****"), (None, None)]
)
def test_of_a_long_value_its_end_is_shown(value: Any, shown: Any) -> None:
    assert masked(value) == shown


# --- online -------------------------------------------------------------------------------------------------

VIEW = "ftr_card__figures"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A server of a view whose build hashed its key, with the key of that build."""
    published, key = tmp_path / "gold.duckdb", PiiKey(KEY.encode())
    publish_view(
        published,
        VIEW,
        {"card_id": "varchar", "shop": "bigint"},
        {"total": "bigint"},
        f"select '{key.hashed(CARD)}' as card_id, 1 as shop, 7 as total",
        pii={"card_id": "hash"},
        pii_key=key.fingerprint,
    )
    url = f"sqlite:{tmp_path / 'online.sqlite'}"
    sync(published, open_store(url))
    monkeypatch.setenv("ASSAY_PII_KEY", KEY)
    with TestClient(make_app(settings_in(tmp_path, url)), raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient, card: Any = CARD) -> httpx.Response:
    return client.post("/features/get", json={"keys": {"card_id": card, "shop": 1}, "feature_groups": [VIEW]})


@pytest.mark.parametrize("card", [CARD, int(CARD)])
def test_callers_ask_by_the_number_that_silver_hashed(served: TestClient, card: str | int) -> None:
    assert ask(served, card).json()["features"] == {"total": 7}
    feast = {"features": [f"{VIEW}:total"], "entities": {"card_id": [card, "other"], "shop": [1, 1]}}
    answer = served.post("/get-online-features", json=feast).json()
    assert answer["results"][-1]["statuses"] == ["PRESENT", "NOT_FOUND"]


@pytest.mark.parametrize("key", [None, OTHER_KEY])
def test_with_another_key_than_the_build_nothing_is_answered(
    served: TestClient, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("ASSAY_PII_KEY")
    if key:
        monkeypatch.setenv("ASSAY_PII_KEY", key)
    assert ask(served).status_code == 503


def test_no_file_and_no_page_of_the_server_has_a_whole_number(served: TestClient, tmp_path: Path) -> None:
    said = {"feature_view": VIEW, "keys": {"card_id": CARD, "shop": 1}, "as_of": "2025-02-01", "features": {}}
    told = {"model": "m", "label": "l", "label_id": "1", "score": 0.5, "served": [said]}
    assert served.post("/predictions", json=told).status_code == 200
    ask(served)
    shown = served.get(f"/feature-views/{VIEW}").json()
    assert shown["sample"] is None
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    logged = [path for path in written if tmp_path / "landing" in path.parents]
    [prediction] = [json.loads(path.read_text()) for path in logged]
    assert prediction["served"][0]["keys"] == {"card_id": hashed(CARD), "shop": 1}
    assert [path for path in written if CARD.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("value", [True, 4000661710000181.0, [CARD]])
def test_what_is_refused_names_no_personal_key(served: TestClient, value: Any) -> None:
    answer = ask(served, value)
    assert answer.status_code == 422
    assert "4000661710000181" not in answer.text


def test_parity_compares_hashes_with_hashes_and_tells_none(served: TestClient) -> None:
    column = OnlineColumn("card_id", "varchar", pii="hash")
    assert _key_told(column, {"card_id": hashed(CARD)}) == f"****{hashed(CARD)[-4:]}"


@pytest.mark.usefixtures("builds")
def test_a_server_without_the_key_does_not_start(
    served: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_PII_KEY")
    with start(tmp_path, "--store", f"sqlite:{tmp_path / 'online.sqlite'}") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"The keys of {VIEW} are hashed, and ASSAY_PII_KEY is not set" in " ".join(errors.split())
