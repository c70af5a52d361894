"""What a model joins is registered while dbt parses, and all who ask read it there."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from package_project import make_package_project

from assay.leakage.declared import read_training_set
from assay.project.graph import Manifest
from assay.project.joins import AGE_OF_VIEW, JoinedFeatures, joined_features
from assay.training.code import Feature, SetInManifest

_VIEW = """
select
    'm1' as machine,
    1.5::double as load,
    3 as level,
    timestamp '2025-01-01' as valid_from,
    timestamp '9999-12-31' as valid_to,
    timestamp '2025-01-01' as updated_at
"""
_LABEL = """
select
    'b1' as breakdown_id,
    'm1' as machine,
    timestamp '2025-02-01' as prediction_at,
    true as outcome,
    timestamp '2025-02-02' as outcome_known_at
"""
_WRAPPER = """
{% macro with_loads(loads) %}{{ assay.point_in_time_join('spine', 'prediction_at', loads) }}{% endmacro %}
"""
_TRAINING_SET = """
{{ config(meta={'of_the_model': true}) }}
{% set load = {'view': 'ftr_machine__load', 'columns': ['load'], 'derived': ['load_of_ten']} %}
with spine as (select * from {{ ref('lbl_breakdown') }}),
{% for age in ['3d', none] %}
joined_{{ loop.index }} as (
    {{ with_loads([dict(load, prefix='p' ~ loop.index ~ '_', max_age=age, inputs={'ten': 'tens'})]) }}
),
{% endfor %}
again as ({{ assay.point_in_time_join('spine', 'prediction_at', [load]) }}),
history as ({{ assay.point_in_time_join('again', 'prediction_at', [
    {
        'relation': ref('ftr_machine__load'), 'entity_keys': ['machine'], 'columns': ['level'],
        'max_age': '30d',
    },
]) }})
select * from history
"""
_LATE = """
with spine as (select * from {{ ref('lbl_breakdown') }}),
joined as (
    {% if execute %}
    -- depends_on: {{ ref('ftr_machine__load') }}
    {{ assay.point_in_time_join('spine', 'prediction_at', [
        {'view': 'ftr_machine__load', 'columns': ['load']},
    ]) }}
    {% else %}
    select * from {{ ref('ftr_machine__load') }}
    {% endif %}
)
select * from joined
"""
_YAML = """
models:
  - name: ftr_machine__load
    config:
      meta:
        feature_view:
          entity: machine
          keys: [machine]
          inputs: [{name: ten, type: integer}]
          derived: [{name: load_of_ten, type: double, expression: load * ten}]
    columns:
      - {name: machine, data_type: varchar}
      - {name: load, data_type: double}
      - {name: level, data_type: integer}
      - {name: valid_from, data_type: timestamp}
      - {name: valid_to, data_type: timestamp}
      - {name: updated_at, data_type: timestamp}
  - name: lbl_breakdown
    config: {meta: {label: {window: {from: 0d, to: 1d}}}}
    constraints: [{type: primary_key, columns: [breakdown_id]}]
    columns:
      - name: breakdown_id
      - name: prediction_at
      - name: outcome
      - name: outcome_known_at
  - name: trn_breakdown
    config: {meta: {of_the_yaml: true}}
    constraints: [{type: primary_key, columns: [breakdown_id]}]
    columns: [{name: breakdown_id, data_type: varchar}]
"""


@pytest.fixture(scope="module")
def compiled(builds: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The manifest of a project with two training sets, and what dbt said as it compiled them."""
    project = make_package_project(tmp_path_factory.mktemp("joined") / "project", models=False)
    models = {
        "ftr_machine__load": _VIEW,
        "lbl_breakdown": _LABEL,
        "trn_breakdown": _TRAINING_SET,
        "trn_late": _LATE,
    }
    for name, sql in models.items():
        project.write_model(name, sql)
    Path(project.root, "models", "_models__models.yml").write_text(_YAML)
    Path(project.root, "macros").mkdir()
    Path(project.root, "macros", "with_loads.sql").write_text(_WRAPPER)
    ended = project.dbt("compile", "--select", "trn_breakdown trn_late")
    assert ended.returncode == 0, ended.stdout
    return json.loads(Path(project.root, "target", "manifest.json").read_text()), ended.stdout


def test_joins_in_loops_in_macros_of_ones_own_and_several_in_a_model_are_registered(
    compiled: tuple[dict[str, Any], str],
) -> None:
    node = Manifest(compiled[0]).node("trn_breakdown")
    load = ("ftr_machine__load", ["load"], ["load_of_ten"])
    assert joined_features(node) == [
        JoinedFeatures(*load, {"ten": "tens"}, "p1_", "3d", False),
        JoinedFeatures(*load, {"ten": "tens"}, "p2_", None, False),
        JoinedFeatures(*load, {}, "", AGE_OF_VIEW, False),
        JoinedFeatures(None, ["level"], [], {}, "", "30d", False),
    ]
    # It stands beside what the model and its YAML say.
    assert {"of_the_model", "of_the_yaml"} < node["config"]["meta"].keys()


def test_a_version_and_the_search_for_leaks_read_the_register(compiled: tuple[dict[str, Any], str]) -> None:
    manifest = compiled[0]
    names = [("ftr_machine__load", name) for name in ("load", "load_of_ten")]
    assert SetInManifest(manifest, "trn_breakdown").features == [
        *(Feature(view, name, prefix + name) for prefix in ("p1_", "p2_", "") for view, name in names),
        Feature("", "level", "level"),
    ]
    # A set whose columns are enforced may leave out what it joins only to derive others from it.
    enforced = deepcopy(manifest)
    node = enforced["nodes"][Manifest(manifest).node("trn_breakdown")["unique_id"]]
    node["config"]["contract"]["enforced"] = True
    node["columns"] |= {"p1_load_of_ten": {}, "level": {}}
    assert SetInManifest(enforced, "trn_breakdown").features == [
        Feature("ftr_machine__load", "load_of_ten", "p1_load_of_ten"),
        Feature("", "level", "level"),
    ]
    declared = read_training_set(Manifest(manifest), "trn_breakdown")
    assert [(each.prefix, each.max_age) for each in declared.features] == [
        ("p1_", "3d"),
        ("p2_", None),
        ("", None),
    ]
    assert declared.unread == ["features that are taken from no feature view"]
    # Of the relation, which is the view itself, nobody says when values were confirmed.
    assert declared.ages_unknown == ['"main"."ftr_machine__load"']


def test_a_join_that_dbt_did_not_know_when_it_parsed_is_told(compiled: tuple[dict[str, Any], str]) -> None:
    manifest, told = compiled
    assert joined_features(Manifest(manifest).node("trn_late")) == []
    words = " ".join(told.split())
    assert re.findall(r"(\S+) joins features of (\S+) that dbt did not know", words) == [
        ("trn_late", "ftr_machine__load")
    ]
