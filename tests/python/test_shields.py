"""Marks of personal data go with a column: from the source's contract to the contracts and YAML of gold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.contracts.contract import read_contracts
from assay.contracts.dbt_side import DbtSide
from assay.generate.product import contract_files
from assay.project.shields import Shields
from assay.project.yaml_file import YamlFile

HASH = {"config": {"meta": {"pii": "hash"}}}
CONTRACT, YAML = (
    Path("contracts/guest_features.odcs.yaml"),
    Path("models/gold/features/_features__models.yml"),
)


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: hotel\n")
    monkeypatch.chdir(tmp_path)


def node(
    name: str, layer: str | None, reads: Sequence[str], columns: dict[str, dict[str, str]], **meta: Any
) -> Any:
    """Return as much of dbt's node as is looked at."""
    return SimpleNamespace(
        name=name,
        alias=name,
        schema=layer,
        unique_id=name,
        resource_type="model",
        package_name="hotel",
        original_file_path=f"models/{name}.sql",
        patch_path=f"hotel://{YAML}",
        description="",
        depends_on=SimpleNamespace(nodes=reads),
        config=SimpleNamespace(
            meta={"assay": {"layer": layer}, **meta}, contract=SimpleNamespace(enforced=True)
        ),
        columns={
            column: SimpleNamespace(
                config=SimpleNamespace(meta=said), description="", data_type="varchar", constraints=[]
            )
            for column, said in columns.items()
        },
    )


def hotel(*gold: Any, **declared: str) -> dict[str, Any]:
    """Return the nodes of a project whose source declares fields personal."""
    own: dict[str, dict[str, str]] = {"guest_email": {"landed_as": "email"}, "room": {}}
    nodes = [
        node("source.stays", None, [], {}, pii=declared),
        node("brz_stays", "bronze", ["source.stays"], {"line": {}}),
        node("slv_stays__checked", "silver", ["brz_stays"], own),
        node("slv_stays", "silver", ["slv_stays__checked"], {"guest_email": {}, "room": {}}),
        node("slv_rooms", "silver", [], {"room": {}}),
        *gold,
    ]
    return {each.unique_id: each for each in nodes}


def test_what_the_sources_contract_says_holds_in_all_that_is_read_from_it() -> None:
    nodes = hotel(**{"after.email": "hash"})
    assert Shields(nodes).of("guest_email", nodes["slv_stays"]) == "hash"
    assert Shields(nodes).of("room", nodes["slv_stays"]) is None
    newer = Shields(nodes, {"source.stays": {"room": "mask"}})
    assert newer.of("room", nodes["slv_stays"]) == "mask"
    assert newer.of("guest_email", nodes["slv_stays"]) is None
    nodes["slv_stays"].columns["room"].config.meta["pii"] = "hash"
    both = node("ftr_x", "gold", ["slv_stays", "slv_rooms"], {"room": {}})
    assert Shields(nodes).inherited("room", both) == {"slv_stays": "hash", "slv_rooms": None}


def fake_project(*gold: Any, **declared: str) -> Any:
    nodes = hotel(*gold, **declared)
    return SimpleNamespace(
        name="hotel",
        nodes=nodes,
        models=[each for each in nodes.values() if each.schema],
        landing_tables={},
        doc_blocks={},
    )


def view(said: dict[str, str]) -> Any:
    meta = {"feature_view": {"entity": "guest", "keys": ["guest_email"]}}
    return node("ftr_guest__stays", "gold", ["slv_stays"], {"guest_email": said}, **meta)


def write_view(*, is_marked: bool, contract_says_so: bool) -> None:
    """Write a view's YAML, and its contract as `view add` does."""

    def entry(*, is_marked: bool) -> dict[str, Any]:
        key = {"name": "guest_email", "data_type": "varchar", **(HASH if is_marked else {})}
        return {
            "name": "ftr_guest__stays",
            "config": {"group": "guest_features"},
            "columns": [key, {"name": "kind_last_all", "data_type": "varchar", **HASH}],
        }

    project = fake_project(node("fct_other", "gold", [], {}))
    said = entry(is_marked=contract_says_so)
    for path, text in contract_files(project, said, "guest_features", "hotel").items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    file = YamlFile(YAML)
    file.content["models"] = [entry(is_marked=is_marked)]
    YAML.parent.mkdir(parents=True, exist_ok=True)
    file.write()


def synced(project: Any) -> tuple[list[str], list[Any]]:
    """Return what a check finds, and the columns of the view's YAML after a sync."""
    contracts, wrong = read_contracts(CONTRACT.parent)
    assert not wrong
    side = DbtSide(contracts, project)
    side.write()
    return [str(each) for each in side.findings], YamlFile(YAML).content["models"][0]["columns"]


def test_the_contract_of_a_new_view_carries_its_marks_so_a_sync_keeps_them() -> None:
    write_view(is_marked=True, contract_says_so=True)
    found, columns = synced(fake_project(view({"pii": "hash"}), email="hash"))
    assert [each["config"]["meta"]["pii"] for each in columns] == ["hash", "hash"]
    assert not [each for each in found if "pii" in each]


def test_a_mark_that_the_contract_lacks_is_told_and_kept_while_what_is_read_has_it() -> None:
    write_view(is_marked=True, contract_says_so=False)
    found, columns = synced(fake_project(view({"pii": "hash"}), email="hash"))
    told = [each for each in found if "passes on personal data of slv_stays (pii: hash)" in each]
    assert len(told) == 1, found
    assert "Write customProperties: [{property: pii, value: hash}] at it" in told[0]
    assert columns[0]["config"]["meta"]["pii"] == "hash"
    # What it reads is personal no more: the contract is right, and it is said what goes.
    found, columns = synced(fake_project(view({"pii": "hash"})))
    assert [each for each in found if "guest_email: pii hash is taken out" in each]
    assert "config" not in columns[0]


def test_a_key_that_is_declared_personal_after_the_view_was_made_is_told() -> None:
    write_view(is_marked=False, contract_says_so=False)
    assert not [each for each in synced(fake_project(view({})))[0] if "personal data" in each]
    found, _ = synced(fake_project(view({}), email="hash"))
    assert [each for each in found if "gold.ftr_guest__stays.guest_email passes on personal data" in each]
