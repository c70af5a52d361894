"""What a node is to Assay follows from its schema, name and meta, and arrows by kind follow from that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dbt.artifacts.resources.v1.unit_test_definition import UnitTestOverrides
from dbt.config.project import Project
from dbt_common.exceptions import DbtRuntimeError
from semantic_layer import semantic_model, simple_metric

from assay.core.disk import link_in_place
from assay.project.conventions import KINDS, layer_of, tables_of
from assay.project.dbt_plugin import Plugin, complete
from assay.project.meta import columns_may_lack
from assay.project.paths import contract_folders, model_paths, own_models

VIEW = {"entity": "person", "keys": ["person_id"], "online": False}


def node(name: str, schema: str, *, kind: str = "model", columns: str = "id", **meta: Any) -> Any:
    return SimpleNamespace(
        unique_id=f"{kind}.shop.{name}",
        name=name,
        alias=name,
        schema=schema,
        resource_type=kind,
        original_file_path=f"models/{name}.sql",
        columns=dict.fromkeys(columns.split()),
        config=SimpleNamespace(schema=None, meta=meta, group=None),
        meta=meta,
        depends_on=SimpleNamespace(nodes=[]),
    )


def completed(
    *nodes: Any,
    exposures: tuple[Any, ...] = (),
    sources: tuple[Any, ...] = (),
    unit_tests: tuple[Any, ...] = (),
    root: str = "a folder without experiments.yml",
    semantics: tuple[dict[str, Any], dict[str, Any]] = ({}, {}),
    **variables: Any,
) -> dict[str, Any]:
    manifest = SimpleNamespace(
        nodes={each.unique_id: each for each in nodes},
        exposures={each.unique_id: each for each in exposures},
        sources=dict(enumerate(sources)),
        unit_tests=dict(enumerate(unit_tests)),
        semantic_models=semantics[0],
        metrics=semantics[1],
        build_parent_and_child_maps=lambda: None,
    )
    project = SimpleNamespace(
        vars=SimpleNamespace(to_dict=lambda: variables),
        cli_vars={},
        project_name="shop",
        project_root=root,
    )
    complete(manifest, project)
    return {each.name: each for each in (*nodes, *exposures)}


def shop() -> list[Any]:
    return [
        node("slv_orders", "silver", columns="id event_at"),
        node("slv_orders__checked", "silver", columns="id event_at rule_ids"),
        node("slv_orders__rejected", "silver", columns="id reason"),
        node("dim_people", "gold"),
        node("ftr_person__orders", "gold", columns="person_id", feature_view={**VIEW, "online": True}),
        node("ftr_person__visits", "gold", columns="", feature_view=VIEW),
        node("lbl_churn", "gold", label={"horizon": "30d"}),
        node("trn_churn", "gold"),
        node("crp_letters", "gold", corpus={}),
        node("fct_secret", "gold", monitored=False),
        node("fct_undescribed", "gold", columns=""),
        node("trn_list", "silver", kind="seed"),
        node("mon_quality", "gold", reads=[]),
        node("srv_catalog", "gold", reads=["online_views"]),
        node("elsewhere", "sandbox"),
    ]


def test_each_kind_holds_what_its_name_says() -> None:
    nodes = completed(*shop()).values()
    assert {kind: [each.name for each in nodes if holds(each)] for kind, holds in KINDS.items()} == {
        "checked_rows": ["slv_orders__checked"],
        "corpora": ["crp_letters"],
        "dimensions": ["dim_people"],
        "events": ["slv_orders"],
        "feature_views": ["ftr_person__orders", "ftr_person__visits"],
        "gold": [
            *("dim_people", "ftr_person__orders", "ftr_person__visits", "lbl_churn", "trn_churn"),
            *("crp_letters", "fct_secret", "fct_undescribed", "mon_quality", "srv_catalog"),
        ],
        "labels": ["lbl_churn"],
        "monitored": [
            *("slv_orders", "slv_orders__checked", "dim_people", "ftr_person__orders"),
            *("ftr_person__visits", "lbl_churn", "trn_churn", "crp_letters", "fct_undescribed"),
        ],
        "measured": [],
        "online_views": ["ftr_person__orders"],
        "training_sets": ["trn_churn"],
    }


def test_a_layer_is_known_by_the_schema_that_the_project_gives_it() -> None:
    nodes = [node("a", "mart"), node("b", "gold"), node("c", "main_gold"), node("d", "silver")]
    nodes[2].config.schema = "gold"
    found = completed(*nodes, layers={"gold": "mart"})
    assert {name: layer_of(each) for name, each in found.items()} == {
        **{"a": "gold", "b": None, "c": "gold", "d": "silver"}
    }
    for scope in ("shop", "assay"):
        own = completed(node("a", "mart"), **{scope: {"layers": {"gold": "mart"}}})
        assert layer_of(own["a"]) == "gold"


@pytest.mark.parametrize(
    "layers",
    [{"gould": "mart"}, {"gold": "silver"}, {"gold": None}, {"gold": 5}, {"gold": ""}, "mart", ["gold"]],
)
def test_a_layer_that_does_not_exist_or_has_no_schema_of_its_own_is_refused(layers: Any) -> None:
    with pytest.raises(
        DbtRuntimeError, match=r"the variable layers is .* the layers are bronze, silver, gold"
    ):
        completed(layers=layers)


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        (
            {"feature_view": {**VIEW, "keys": ["people_id"]}},
            "feature_view.keys: its YAML has no column people_id",
        ),
        (
            {"feature_view": {**VIEW, "defaults": {"sun": 0}}},
            "feature_view.defaults: its YAML has no column sun",
        ),
        ({"quality": {"time": "event"}}, "quality.time: its YAML has no column event"),
        ({"quality": {"ignore": ["ID", "notes"]}}, "quality.ignore: its YAML has no column notes"),
        ({"feature_view": True}, "feature_view: True is not of type 'object'"),
        ({"feature_view": {}}, "feature_view: 'entity' is a required property"),
        (
            {"feature_view": {**VIEW, "keys": "person_id"}},
            "feature_view.keys: 'person_id' is not of type 'array'",
        ),
        ({"feature_view": {**VIEW, "online": "yes"}}, "feature_view.online: 'yes' is not of type 'boolean'"),
        (
            {"feature_view": {**VIEW, "max_agee": "1h"}},
            r"feature_view: .*'max_agee' was unexpected.*, max_age, ",
        ),
        ({"feature_view": {**VIEW, "derived": [{"name": "a"}]}}, "feature_view.derived.0: 'expression' is a"),
        ({"label": "30d"}, "label: '30d' is not of type 'object'"),
        ({"label": {"horizn": "30d"}}, "label: .*'horizn' was unexpected"),
        ({"quality": {"ignore": "id"}}, "quality.ignore: 'id' is not of type 'array'"),
        ({"monitored": "no"}, "monitored: 'no' is not of type 'boolean'"),
        ({"reads": "labels"}, "reads: 'labels' is not of type 'array'"),
    ],
)
def test_what_a_node_declares_otherwise_than_it_can_is_refused_where_it_stands(meta: Any, told: str) -> None:
    with pytest.raises(DbtRuntimeError, match=rf"models/ftr_x.sql: ftr_x: config\.meta\.{told}"):
        completed(node("ftr_x", "gold", columns="id person_id sum", **meta))
    assert completed(node("ftr_x", "gold", anybody={"has": "this"}, **dict.fromkeys(meta)))


def test_arrows_lead_to_all_of_a_kind_and_stay_where_they_are() -> None:
    nodes = shop()
    reader = next(each for each in nodes if each.name == "mon_quality")
    reader.config.meta["reads"] = ["training_sets", "labels"]
    reader.depends_on.nodes = ["seed.shop.rules", "model.shop.trn_churn"]
    exposure = node("readers", "", kind="exposure", reads=["gold"])
    found = completed(*nodes, exposures=(exposure,))
    assert reader.depends_on.nodes == ["seed.shop.rules", "model.shop.trn_churn", "model.shop.lbl_churn"]
    assert reader.config.meta["assay"]["reads"] == {"training_sets": ["trn_churn"], "labels": ["lbl_churn"]}
    assert len(exposure.depends_on.nodes) == 10
    assert tables_of(found["srv_catalog"]) == ["srv_catalog", "srv_ftr_person__orders"]
    assert tables_of(found["dim_people"]) == ["dim_people"]
    before = list(reader.depends_on.nodes)
    completed(*nodes, exposures=(exposure,))
    assert reader.depends_on.nodes == before


def test_who_judges_experiments_reads_the_models_of_their_metrics(tmp_path: Path) -> None:
    (tmp_path / "experiments.yml").write_text(
        "experiments:\n  - {name: delivery, entity: customer, arms: {a: 1, b: 1}, metrics: [revenue], "
        "start: 2025-06-01, attribution: 10d}\n"
    )
    models = {"orders": semantic_model("model.shop.fct_secret")}
    metrics = {"revenue": simple_metric("revenue", "amount")}
    nodes = [*shop(), node("mon_experiments", "gold", reads=["measured"])]
    judge = nodes[-1]
    completed(*nodes, root=str(tmp_path), semantics=(models, metrics))
    assert judge.depends_on.nodes == ["model.shop.fct_secret"]
    stamp = judge.config.meta["assay"]
    assert stamp["reads"] == {"measured": ["fct_secret"]}
    assert [each["name"] for each in stamp["experiments"]["planned"]] == ["delivery"]
    assert stamp["experiments"]["problems"] == []
    # dbt keeps what it has parsed: a stamp of before does not stay.
    judge.depends_on.nodes = []
    completed(*nodes, root=str(tmp_path), semantics=(models, {}))
    assert judge.depends_on.nodes == []
    assert judge.config.meta["assay"]["experiments"] == {
        "planned": [],
        "problems": ["experiments.yml: delivery: There is no metric revenue: there are none."],
    }


def test_a_kind_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(DbtRuntimeError, match=r"mon_x.sql: mon_x reads 'feature_view', which is no kind"):
        completed(node("mon_x", "gold", reads=["feature_view"]))


def test_yaml_that_is_completed_may_name_columns_before_it_lists_them() -> None:
    before = columns_may_lack.set(True)
    try:
        completed(node("ftr_x", "gold", columns="id", feature_view=VIEW))
    finally:
        columns_may_lack.reset(before)


def test_a_model_that_is_called_as_a_table_online_is_refused() -> None:
    told = r"models/srv_ftr_person__orders.sql: .* is the table that srv_catalog makes of ftr_person__orders"
    with pytest.raises(DbtRuntimeError, match=told):
        completed(*shop(), node("srv_ftr_person__orders", "gold"))
    assert completed(*shop(), node("srv_ftr_person__visits", "gold"))


def test_unit_tests_are_told_when_rows_of_sources_are_available() -> None:
    sources = [node(name, "landing", kind="source") for name in ("events", "lines", "undeclared")]
    for each, meta in zip(sources, ({"at": "column"}, {"at": "landed"}, None), strict=True):
        each.source_name = "shop"
        each.config.meta = {"availability": meta} if meta else {}
    untold = SimpleNamespace(overrides=None)
    own = SimpleNamespace(
        overrides=UnitTestOverrides(vars={"availability": {"shop.lines": {"at": "lag"}}, "as_of": "2025"})
    )
    completed(sources=tuple(sources), unit_tests=(untold, own))
    declared = {"shop.events": {"at": "column"}, "shop.lines": {"at": "landed"}}
    assert untold.overrides.vars == {"availability": declared}
    assert own.overrides.vars == {"availability": declared | {"shop.lines": {"at": "lag"}}, "as_of": "2025"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dbt_project.yml").write_text(
        "name: shop\nprofile: shop\nmodel-paths:\n  - models/platform\n"
        "  - \"models/{{ env_var('ASSAY_EXAMPLE', 'example' if target.profile_name == 'shop' else '') }}\"\n"
        "  - models/own\n"
    )
    for part in ("models/platform", "models/example", "contracts/platform", "contracts/example"):
        (tmp_path / part).mkdir(parents=True)
    return tmp_path


def test_parts_that_are_left_out_are_read_nowhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_EXAMPLE", raising=False)
    contracts, models = Path("contracts"), Path("models")
    assert model_paths() == [models / "platform", models / "example"]
    assert contract_folders(contracts) == {
        contracts: models / "own",
        contracts / "example": models / "example",
        contracts / "platform": models / "platform",
    }
    monkeypatch.setenv("ASSAY_EXAMPLE", "none")
    assert model_paths() == [models / "platform"]
    assert contract_folders(contracts) == {
        contracts: models / "own",
        contracts / "platform": models / "platform",
    }


def test_a_project_without_parts_has_one_folder_of_models(project: Path) -> None:
    (project / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    assert model_paths() == [Path("models")]
    assert own_models() == Path("models")
    assert contract_folders(Path("contracts")) == {Path("contracts"): Path("models")}


def test_a_link_takes_the_place_of_whatever_had_its_name(tmp_path: Path) -> None:
    target = tmp_path / "assay.duckdb"
    target.write_text("new")
    link = tmp_path / "gold.duckdb"
    for before in (None, "old"):
        if before:
            link.unlink()
            link.write_text(before)
        link_in_place(link, target)
        assert link.is_symlink()
        assert link.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["assay.duckdb", "gold.duckdb"]


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (None, ["shop", "assay", "dbt"]),
        (["shop", "tools", "dbt"], ["shop", "tools", "assay", "dbt"]),
        (["assay", "shop", "dbt"], ["assay", "shop", "dbt"]),
        (["shop", "tools"], ["shop", "tools", "assay"]),
    ],
)
def test_macros_of_assay_are_taken_before_those_of_dbt(declared: list[str] | None, found: list[str]) -> None:
    Plugin("shop").initialize()
    orders = [{"macro_namespace": "dbt", "search_order": declared}] if declared else []
    project: Any = SimpleNamespace(
        project_name="shop", dispatch=orders, load_dependencies=lambda: {"shop": None, "assay": None}
    )
    assert Project.get_macro_search_order(project, "dbt") == found
    assert Project.get_macro_search_order(project, "tools") is None
    project.load_dependencies = dict
    assert Project.get_macro_search_order(project, "dbt") == declared
