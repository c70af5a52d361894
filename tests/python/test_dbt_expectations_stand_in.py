"""The stand-in for dbt_expectations passes and fails where the real package is documented to.

The cases are the data tests of the small dbt project `stand_in_project`, which is built once, in a temporary
directory, with every warning an error.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = pytest.mark.usefixtures("builds")

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "assay" / "stand_ins" / "dbt_expectations"
# What a failing case of the real package returns, by the test; all others return `expression`, behind groups.
COLUMNS = {
    "expect_column_values_to_be_in_set": {"value_field"},
    "expect_table_columns_to_contain_set": {"input_column", "relation_column"},
    "expect_table_row_count_to_equal_other_table": {
        "expression",
        "compare_expression",
        "expression_difference",
        "expression_difference_percent",
    },
}
STATUSES = {"passes": "pass", "fails": "fail", "errors": "error"}

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("stand_in") / "project"
    shutil.copytree(HERE / "stand_in_project", project)
    shutil.copytree(PACKAGE, project / "dbt_packages" / PACKAGE.name)
    command = [sys.executable, "-m", "dbt.cli.main", "--warn-error", "build", "--profiles-dir", str(project)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
    run = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert (project / "target" / "run_results.json").exists(), run.stdout + run.stderr
    return project / "target"


@pytest.fixture(scope="module")
def manifest(target: Path) -> dict[str, Any]:
    return json.loads((target / "manifest.json").read_text())


@pytest.fixture(scope="module")
def cases(target: Path, manifest: dict[str, Any]) -> Records:
    results = json.loads((target / "run_results.json").read_text())["results"]
    by_id = {result["unique_id"]: result for result in results}
    return [
        {
            "name": node["name"],
            "ending": node["name"].partition("_")[0],
            "test": node.get("test_metadata", {}).get("name"),
            "meta": node["config"]["meta"],
            **by_id[node["unique_id"]],
        }
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
    ]


@pytest.fixture(scope="module")
def macros(manifest: dict[str, Any]) -> Records:
    return [macro for macro in manifest["macros"].values() if macro["package_name"] == PACKAGE.name]


def test_every_case_ends_as_its_name_says(cases: Records) -> None:
    assert {case["name"]: case["status"] for case in cases} == {
        case["name"]: STATUSES[case["ending"]] for case in cases
    }


def test_failing_cases_return_as_many_rows_as_they_say(cases: Records) -> None:
    failing = [case for case in cases if case["ending"] == "fails"]
    assert {case["name"]: case["failures"] for case in failing} == {
        case["name"]: case["meta"].get("failing_rows") for case in failing
    }


def test_failing_cases_return_the_columns_of_the_real_package(target: Path, cases: Records) -> None:
    with duckdb.connect(str(target.parent / "cases.duckdb"), read_only=True) as connection:
        for case in cases:
            if case["ending"] == "fails":
                names = {column[0] for column in connection.execute(case["compiled_code"]).description or []}
                names = {name for name in names if not name.startswith("col_")}
                is_unique = case["test"].endswith("be_unique")
                expected = COLUMNS.get(case["test"], {"expression"})
                assert "n_records" in names if is_unique else names == expected, case["name"]


def test_arguments_that_the_real_package_does_not_know_are_refused(macros: Records) -> None:
    known = {macro["name"]: {argument["name"] for argument in macro["arguments"]} for macro in macros}
    assert "quote_values" in known["test_expect_column_values_to_be_in_set"]
    assert "quote_values" not in known["test_expect_column_distinct_count_to_be_greater_than"]


def test_cases_that_error_say_why(cases: Records) -> None:
    for case in cases:
        if case["ending"] == "errors":
            assert case["meta"]["message"] in case["message"]


@pytest.mark.parametrize("ending", ["passes", "fails"])
def test_every_test_of_the_package_has_a_case_that(ending: str, cases: Records, macros: Records) -> None:
    names = {macro["name"].removeprefix("test_") for macro in macros if macro["name"].startswith("test_")}
    assert names
    assert {case["test"] for case in cases if case["ending"] == ending} == names


def test_every_macro_and_argument_is_described(macros: Records) -> None:
    arguments = [argument for macro in macros for argument in macro["arguments"]]
    assert [thing["name"] for thing in [*macros, *arguments] if not thing["description"]] == []
    assert [argument["name"] for argument in arguments if not argument["type"]] == []
