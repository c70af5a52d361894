"""Without its example, the platform works on three sources of another business, shows these and nothing else.

The project is the repository's own with `ASSAY_EXAMPLE=none`; it is built once for all cases.
"""

from __future__ import annotations

import json
import re
from typing import Any

import duckdb
import pytest
from example_names import names_found, names_of_the_example
from small_project import SmallProject
from subscription_project import ACCOUNTS, make_subscription_project

from assay.project.warehouse import connect

pytestmark = pytest.mark.minutes

SOURCES = ("app.sessions", "billing.invoices", "crm.accounts")
FACTS = {"dim_accounts", "fct_invoices", "fct_sessions", "ftr_account__usage"}
PRODUCT = FACTS | {"lbl_renewal", "trn_renewal", "lbl_usage", "trn_usage", "trn_seats"}


def ran(project: SmallProject, *arguments: str) -> str:
    ended = project.assay(*arguments)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    return str(ended.stdout)


def rows(project: SmallProject, sql: str) -> list[tuple[Any, ...]]:
    # Views name the warehouse as it is called.
    with connect(project.warehouse) as connection:
        return connection.sql(sql).fetchall()


@pytest.fixture(scope="module")
def subscriptions(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """The project, built and published, with a version of its training set and a report."""
    project = make_subscription_project(tmp_path_factory.mktemp("subscriptions") / "project")
    ran(project, "contracts", "sync")
    ran(project, "build")
    ran(project, "training-set", "create", "trn_renewal")
    ran(project, "report")
    return project


def test_nothing_warns_of_what_the_example_leaves_behind(subscriptions: SmallProject) -> None:
    errors = {"error": "all", "silence": ["UnsupportedConstraintMaterialization"]}
    strict = ("--warn-error-options", json.dumps(errors), "--show-all-deprecations", "--no-partial-parse")
    parsed = subscriptions.dbt(*strict, "parse")
    assert parsed.returncode == 0, parsed.stdout
    assert "deprecat" not in parsed.stdout.lower()


def test_manifest_report_and_documentation_name_nothing_of_the_example(subscriptions: SmallProject) -> None:
    generated = subscriptions.dbt("docs", "generate", "--static")
    assert generated.returncode == 0, generated.stdout
    target, report = subscriptions.root / "target", subscriptions.root / "report"
    shown = [
        (path.name, path.read_text())
        for path in (
            *(target / name for name in ("manifest.json", "catalog.json", "static_index.html")),
            report / "index.html",
        )
    ]
    assert [*names_found(shown, names_of_the_example())] == []
    page = dict(shown)["static_index.html"]
    assert all(f'"model.assay.{name}"' in page for name in PRODUCT)
    assert all(source in dict(shown)["index.html"] for source in SOURCES)


def test_the_published_file_holds_the_tables_of_the_project_alone(subscriptions: SmallProject) -> None:
    with duckdb.connect(str(subscriptions.published), read_only=True) as connection:
        found = connection.sql("select table_name from duckdb_tables() where schema_name = 'gold'").fetchall()
        sessions = connection.sql("select count(*) from gold.fct_sessions").fetchall()
    tables = {name for (name,) in found}
    assert {name for name in tables if not name.startswith(("mon_", "srv_"))} == PRODUCT
    assert {"srv_catalog", "srv_ftr_account__usage"} <= tables
    assert sessions[0][0] > 1000


def test_monitoring_watches_the_sources_of_the_project(subscriptions: SmallProject) -> None:
    def column(table: str, name: str) -> set[str]:
        return {row[0] for row in rows(subscriptions, f"select distinct {name} from gold.{table}")}

    platform = {"serving.predictions", "serving.exposures"}
    assert column("mon_freshness", "source_table") - platform == set(SOURCES)
    watched = column("mon_quality", "table_name") - platform - set(SOURCES)
    silver = {"slv_invoices", "slv_sessions", "slv_accounts__changes"}
    told_to_servers = {"slv_predictions", "slv_exposures"}
    assert {name for name in watched - told_to_servers if "__checked" not in name} == PRODUCT | silver
    assert column("mon_volume", "table_name") - told_to_servers == silver
    assert column("mon_feature_drift", "view") == {"ftr_account__usage"}
    assert column("mon_feature_drift", "reference") == {"rolling", "trn_renewal", "trn_usage"}
    assert column("mon_retraining", "training_set") == {"trn_renewal", "trn_usage"}


def test_training_sets_and_labels_of_another_shape_stop_nothing_and_are_told(
    subscriptions: SmallProject,
) -> None:
    told = "select table_name, detail from gold.mon_quality where verdict = 'left out' order by all"
    assert rows(subscriptions, told) == [
        (
            "lbl_usage",
            "lbl_usage has the primary key account_id, prediction_at, so that mon_predictions leaves it out: "
            "declare one of one column, by which predictions name its rows",
        ),
        (
            "trn_seats",
            "trn_seats has no column that tells the time of its rows: name one of its columns as "
            "config.meta.quality.time in its YAML; trn_seats has no column prediction_at with a time, so "
            "that mon_retraining and mon_feature_drift leave it out: add it, with the instant at which each "
            "row is predicted",
        ),
    ]
    # Without splits all rows are trained on.
    trained = "select trained_rows, trained_until from gold.mon_retraining where training_set = 'trn_usage'"
    assert rows(subscriptions, trained) == rows(
        subscriptions, "select count(*), max(prediction_at) from gold.trn_usage"
    )
    report = (subscriptions.root / "report" / "index.html").read_text()
    assert "trn_seats is not monitored" in report


def test_lines_that_are_wrong_are_rejected_with_the_reason_of_the_contract(
    subscriptions: SmallProject,
) -> None:
    assert rows(subscriptions, "select rule_ids, reason from silver.slv_invoices__rejected") == [
        (["invalid_total"], "The total is absent or not an amount; correct the total")
    ]
    assert rows(subscriptions, "select rule_ids from silver.slv_sessions__rejected") == [
        (["malformed_json"],)
    ]


def test_features_are_online(subscriptions: SmallProject) -> None:
    assert "ftr_account__usage" in ran(subscriptions, "online", "sync")
    told = ran(subscriptions, "online", "get", "--view", "ftr_account__usage", "--key", ACCOUNTS[1])
    assert re.search(r"session_count_all +50 +PRESENT", told)


def test_online_and_offline_are_equal(subscriptions: SmallProject) -> None:
    assert "values are equal" in ran(subscriptions, "parity", "--samples", "40")


def test_a_version_of_the_training_set_is_rebuilt_to_the_bit_and_leaks_nothing(
    subscriptions: SmallProject,
) -> None:
    listed = ran(subscriptions, "training-set", "list")
    version = re.search(r"trn_renewal@\w+", listed)
    assert version
    told = ran(subscriptions, "training-set", "verify", version[0])
    assert "was rebuilt to the bit" in told
    manifest = next((subscriptions.root / "data" / "training_sets").glob("trn_renewal@*/manifest.json"))
    assert {split["split"] for split in json.loads(manifest.read_text())["splits"]} == {
        *("train", "embargo", "test")
    }


def test_retraining_counts_from_that_version(subscriptions: SmallProject) -> None:
    told = subscriptions.assay("retraining").stdout
    assert re.search(r"trn_renewal +(yes|no) +\w{6,}", told), told


def test_drift_is_measured(subscriptions: SmallProject) -> None:
    told = subscriptions.assay("drift")
    # A sum over all time only grows, which is drift.
    assert told.exit_code == 1, told.stdout + told.stderr
    assert re.search(r"minutes_sum_all +drift", told.stdout)
    assert re.search(r"session_count_7d +stable", told.stdout)
