"""A process of dbt goes on with what the last one parsed and compiled, and never with anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dbt.contracts.project import PackageConfig
from dbt_common import dataclass_schema
from dbt_common.clients.jinja import MacroFuzzEnvironment, get_template
from dbt_common.dataclass_schema import ValidationError, dbtClassMixin
from package_project import make_package_project

from assay.project.dbt_run import ask_dbt
from assay.project.head_start import keep_parsed, made_once, read_parsed

KEY = ("folder", "settings", "code")


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.mark.usefixtures("builds")
def test_dbt_compiles_a_kept_manifest_as_it_does_the_parsed_one(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_package_project(tmp_path / "project", models=False)
    project.write_model("first", "select 1 as a")
    project.write_model(
        "second", "select a from {{ ref('first') }} where {{ assay.within_event_range('a') }}"
    )
    monkeypatch.chdir(project.root)
    parsed = ask_dbt(["parse"], project.path).result
    # dbt looks names up in tables of its own, which it fills while it compiles.
    assert ask_dbt(["compile"], project.path, parsed).success
    for node in parsed.nodes.values():
        node.compiled_code = None
    keep_parsed(KEY, parsed)
    kept = read_parsed(KEY)
    assert _as_written(kept) == _as_written(parsed)
    compiled = {}
    for name, manifest in (("parsed", parsed), ("kept", kept)):
        result = ask_dbt(["compile"], project.path, manifest)
        assert result.success
        compiled[name] = {each.node.unique_id: each.node.compiled_code for each in result.result.results}
    assert compiled["kept"] == compiled["parsed"]
    assert read_parsed(("folder", "settings", "other code")) is None
    file = target / "assay_parsed.pickle"
    file.write_bytes(file.read_bytes()[:-100])
    assert read_parsed(KEY) is None


def _as_written(manifest: Any) -> Any:
    return manifest.writable_manifest().to_dict(omit_none=False)


def test_a_template_is_made_once_for_all_processes(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "{% set a = b %}{{ a + 1 }}"
    with made_once():
        assert get_template(text, {}).render({"b": 1}) == "2"
        assert get_template(text, {}, native=True).render({"b": 1}) == 2
    compile_ = MacroFuzzEnvironment.compile

    def compile_new(self: Any, source: str, *arguments: Any) -> Any:
        assert source == "{{ b }}"
        return compile_(self, source, *arguments)

    monkeypatch.setattr(MacroFuzzEnvironment, "compile", compile_new)
    with made_once():
        assert get_template(text, {}).render({"b": 2}) == "3"
        assert get_template(text, {}, native=True).render({"b": 2}) == 3
        assert get_template("{{ b }}", {}).render({"b": 2}) == "2"
    (target / "assay_made.marshal").write_bytes(b"\x00")
    with made_once():
        assert get_template("{{ b }}", {}).render({"b": 4}) == "4"


@pytest.mark.usefixtures("target")
def test_the_schema_of_a_class_is_made_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dbtClassMixin.__dict__["json_schema"].__func__
    made.cache_clear()
    known = PackageConfig.json_schema()
    made.cache_clear()
    with made_once():
        assert PackageConfig.json_schema() == known
    made.cache_clear()
    monkeypatch.setattr(dataclass_schema, "build_json_schema", None)
    with made_once():
        assert PackageConfig.json_schema() == known
        PackageConfig.validate({"packages": []})
        with pytest.raises(ValidationError):
            PackageConfig.validate({"packages": "none"})
