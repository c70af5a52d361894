"""The training sets of the project itself are rebuilt to the bit, and leak nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from small_project import PROJECT, SmallProject
from training_project import create, folder, succeed

from assay.leakage import check
from example import generate

pytestmark = [pytest.mark.minutes, pytest.mark.usefixtures("builds")]


def test_every_training_set_of_the_project_is_rebuilt_to_the_bit_and_leaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `test_leakage` looks at these sets at more of them, and at sets whose leaks show at few.
    monkeypatch.setitem(check.__kwdefaults__, "moments", 4)
    project = SmallProject(tmp_path / "project")
    for name in ("macros", "models", "seeds", "snapshots", "tests/dbt", "dbt_packages"):
        unit_tests = shutil.ignore_patterns("*__unit_tests.yml")
        shutil.copytree(PROJECT / name, project.root / name, ignore=unit_tests)
    for name in ("dbt_project.yml", "profiles.yml", "packages.yml"):
        shutil.copy(PROJECT / name, project.root / name)
    generate(project.landing, customers=60, days=150, events=1500, drift=False)
    succeed(project, "build")
    names = [
        name
        for (name,) in project.query(
            "select table_name from duckdb_tables() where starts_with(table_name, 'trn_') order by all"
        )
    ]
    assert names
    for name in names:
        version = create(project, name)
        manifest = json.loads((folder(project, version) / "manifest.json").read_text())
        assert project.query(f"select count(*) from gold.{name}") == [(manifest["rows"],)]
        assert {feature["column"] for feature in manifest["features"]} < {
            column["name"] for column in manifest["columns"]
        }
        assert manifest["features"]
        told = succeed(project, "training-set", "verify", version)
        assert "was rebuilt to the bit" in told
        assert re.search(r"erasure +[1-9][\d,]* +[\d,]+ +0\s", told)
    join = "point_in_time_join('spine', 'prediction_at'"
    path = project.root / "models" / "example" / "gold" / "training" / "trn_fraud.sql"
    path.write_text(
        path.read_text().replace(
            join, join.replace("'prediction_at'", "\"prediction_at + interval '1 hour'\"")
        )
    )
    succeed(project, "build")
    ended = project.assay("training-set", "verify", create(project, "trn_fraud"))
    assert "was rebuilt to the bit" in ended.stdout
    assert "FAILED brute force: transaction_count_24h in " in ended.stdout
    assert ended.exit_code == 1
