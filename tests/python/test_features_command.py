"""`assay features` tells what there is, and writes the YAML that a person would have had to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from package_project import OF_THE_PACKAGE, PROJECT, make_package_project
from typer.testing import CliRunner, Result
from warehouse import Warehouse

from assay.build.publish import publish
from assay.cli import app
from assay.core.fault import Fault
from assay.features.columns import ModelColumn, description_of
from assay.features.entry import View, complete_entry, find_entry
from assay.features.generate import Generated, _read, generate
from assay.project.calls import entity_keys_in
from assay.project.products import Products
from assay.project.project import Project
from assay.project.warehouse import connect

FEATURES = Path("models/example/gold/features/_features__models.yml")
WORDS = {
    "transaction_count_1h": "Number of transactions in the last hour.",
    "category_distinct_count_30d": "Number of different categories in the last 30 days.",
    "purchase_count_1d": "Number of purchases in the last day.",
    "amount_sum_5m": "Sum of amount in the last 5 minutes.",
    "amount_stddev_90s": "Standard deviation (sample) of amount in the last 90 seconds.",
    "list_price_min_all": "Least list price ever.",
    "category_mode_all": "Most frequent category ever.",
    "transacted_at_last_all": "When it last happened ever.",
    "segment": "Segment.",
    "first_name": "First name.",
}


@dataclass
class Checkout:
    """A copy of the project that a test may write to, with a warehouse that it only reads."""

    root: Path
    warehouse: Path

    @property
    def yaml(self) -> Path:
        return self.root / FEATURES

    @contextmanager
    def entered(self) -> Iterator[None]:
        ours = {"ASSAY_WAREHOUSE": str(self.warehouse), "COLUMNS": "100"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "DBT_"))}
        with chdir(self.root), mock.patch.dict(os.environ, {**kept, **ours}, clear=True):
            yield

    def features(self, *arguments: str) -> Result:
        with self.entered():
            result = CliRunner().invoke(app, ["features", *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def printed(self, view: str) -> str:
        result = self.features("yaml", view)
        assert result.exit_code == 0, result.output
        return result.stdout

    def written(self, view: str) -> dict[str, Any]:
        """The entry of a view after it was written into the file."""
        result = self.features("yaml", view, "--write")
        assert result.exit_code == 0, result.output
        return entries(self.yaml.read_text())[view]


def entries(text: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in yaml.safe_load(text)["models"]}


def views(text: str) -> list[str]:
    return [
        name
        for name, entry in entries(text).items()
        if entry.get("config", {}).get("meta", {}).get("feature_view")
    ]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, built_demo: Warehouse) -> Path:
    root = tmp_path_factory.mktemp("checkout") / "project"
    for name in (*OF_THE_PACKAGE, "profiles.yml", "packages.yml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, root / name)
    stand_in = "dbt_expectations"
    shutil.copytree(PROJECT / "assay" / "stand_ins" / stand_in, root / "dbt_packages" / stand_in)
    # What dbt remembers of one parse spares the tests most of theirs.
    assert Checkout(root, built_demo.path).features("list").exit_code == 0
    shutil.copytree(root / "target", root / "target" / "unfinished")
    return root


@pytest.fixture
def checkout(template: Path, tmp_path: Path, built_demo: Warehouse) -> Checkout:
    return Checkout(Path(shutil.copytree(template, tmp_path / "project")), built_demo.path)


def without_words(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry but for what its columns and itself are described as."""
    bare = deepcopy(entry)
    for part in (bare, *bare["columns"]):
        assert part.pop("description").strip()
    return bare


# --- YAML ---------------------------------------------------------------------------------------------------


def test_entries_that_are_complete_stay_to_the_letter(checkout: Checkout) -> None:
    before = checkout.yaml.read_text()
    assert len(views(before)) >= 8
    with checkout.entered():
        project = Project()
        for view in views(before):
            generated = generate(project, view)
            assert generated.entry in before
            assert yaml.safe_load(generated.entry) == [entries(before)[view]]
            generated.save()
            assert checkout.yaml.read_text() == before


def test_columns_and_tests_need_not_be_written_by_hand(checkout: Checkout) -> None:
    view = "ftr_card__velocity"
    before = checkout.yaml.read_text()
    entry = entries(before)[view]
    kept = {word: entry[word] for word in ("name", "description", "config")}
    checkout.yaml.write_text(yaml.safe_dump({"models": [kept, *yaml.safe_load(before)["models"][1:]]}))
    written = checkout.written(view)
    assert without_words(written) == without_words(entry)
    assert written["description"] == entry["description"]
    told = {column["name"]: column["description"] for column in written["columns"]}
    assert told["amount_max_24h"] == "Greatest amount in the last 24 hours."
    assert told["card_id"] == "{{ doc('card_id') }}"


def test_a_view_without_any_yaml_gets_all_of_it(checkout: Checkout) -> None:
    before = entries(checkout.yaml.read_text())
    # The others are tables, which no macro makes alone.
    windowed = [
        view for view in views(checkout.yaml.read_text()) if "materialized" not in before[view]["config"]
    ]
    assert len(windowed) == 7
    others = [entry for name, entry in before.items() if name not in windowed]
    checkout.yaml.write_text(yaml.safe_dump({"models": others}))
    with checkout.entered():
        project = Project()
        for view in windowed:
            generate(project, view).save()
    for view in windowed:
        written = entries(checkout.yaml.read_text())[view]
        by_hand = before[view]["config"]["meta"]["feature_view"]
        assert written["config"]["meta"]["feature_view"] == {
            "entity": by_hand["entity"],
            "keys": by_hand["keys"],
            "online": False,
            "defaults": by_hand["defaults"],
        }
        assert without_words({**written, "config": {}}) == without_words({**before[view], "config": {}})
    checkout.yaml.unlink()
    assert checkout.written("ftr_customer__affinity")["config"]["meta"]["feature_view"]["keys"] == [
        "customer_id",
        "product_id",
    ]
    assert list(entries(checkout.yaml.read_text())) == ["ftr_customer__affinity"]


HISTORIES = {
    "assay.change_history(ref('slv_tanks__changes'), ['tank_no'], 'available_at', ['size'])": ["tank_no"],
    "snapshot_history(ref('x'), entity_keys=['shop', 'tank'], columns=['size'])": ["shop", "tank"],
    "assay.history_of_states('states', entity_keys=keys, columns=['size'])": ["tank"],
    "assay.windowed_history(ref('x'), entity_keys=var('keys'), windows=['1d'])": None,
    "assay.windowed_history(ref('x'), ['a']) ~ assay.windowed_history(ref('x'), ['b'])": None,
    "ref('x')": None,
}


@pytest.mark.parametrize("call", HISTORIES)
def test_the_keys_of_a_history_are_those_that_its_sql_names(call: str) -> None:
    assert (
        entity_keys_in("{% set keys = ['tank'] %}select * from (\n{{ " + call + " }}\n)") == HISTORIES[call]
    )


def test_a_history_without_windows_has_the_keys_of_its_sql() -> None:
    names = ("tank_no", "size", "valid_from", "valid_to", "updated_at")
    columns = [ModelColumn(name, "varchar", is_total=False) for name in names]
    view = View("ftr_tank__size", columns, is_history=True, describe=str, shield=lambda column: None)
    with pytest.raises(Fault, match="cannot be told from its SQL nor its columns"):
        complete_entry(find_entry("models:\n", view.name), view)
    told = complete_entry(find_entry("models:\n", view.name), replace(view, keys=["tank_no"]))
    assert yaml.safe_load(told)[0]["config"]["meta"]["feature_view"]["keys"] == ["tank_no"]


@pytest.mark.parametrize(
    "text", ["", "# models to come\n", "version: 2", "models:\n", "# models:\nmodels:\n"]
)
def test_a_file_that_names_no_model_gets_the_entry_all_the_same(tmp_path: Path, text: str) -> None:
    file = tmp_path / "_features__models.yml"
    file.write_text(text)
    Generated("  - name: a\n", 0, file, find_entry(_read(file), "a")).save()
    assert file.read_text().startswith(text)
    assert yaml.safe_load(file.read_text())["models"] == [{"name": "a"}]


def test_what_a_person_wrote_stays_and_what_changed_is_mended(checkout: Checkout) -> None:
    checkout.yaml.write_text(
        """\
# About the file.
models:
    - name: ftr_customer__purchases
      config:
        meta: {owner: me}
        tags: [shop]  # Why.

    # About the pairs.
    - name: ftr_card_merchant__pairs
      description: >
        Mine,
        on two lines.
      columns:
        # About the key.
        - {name: card_id, data_type: integer, description: My card., constraints: [{type: not_null}]}
        - name: amount_sum_90d  # Why.
          data_type: "DECIMAL(18,2)"
          description: My sum.
          data_tests:
            - not_null: {name: my_sums_are_there_always}
        - {name: amount_sum_7d, data_type: integer, description: Gone from the SQL.}
        - {name: amount_max_90d}
      data_tests:
        - dbt_expectations.expect_table_row_count_to_be_between:
            name: my_own_test_of_it
            arguments: {min_value: 0}

unit_tests: []
"""
    )
    before = checkout.yaml.read_text()
    for printed in (
        checkout.printed("ftr_card_merchant__pairs"),
        checkout.printed("ftr_customer__purchases"),
    ):
        assert len(yaml.safe_load(printed)) == 1
    assert checkout.yaml.read_text() == before
    pairs = checkout.written("ftr_card_merchant__pairs")
    purchases = checkout.written("ftr_customer__purchases")
    text = checkout.yaml.read_text()
    for kept in (
        "# About the file.\n",
        "tags: [shop]",
        "\n    # About the pairs.\n",
        "      description: >\n        Mine,\n        on two lines.\n",
        "        - name: amount_sum_90d  # Why.\n",
        "\nunit_tests: []\n",
    ):
        assert kept in text
    columns = {column["name"]: column for column in pairs["columns"]}
    assert columns["card_id"] == {
        "name": "card_id",
        "data_type": "varchar",
        "description": "My card.",
        "constraints": [{"type": "not_null"}],
    }
    assert columns["amount_sum_90d"]["data_tests"] == [{"not_null": {"name": "my_sums_are_there_always"}}]
    assert columns["amount_max_90d"] == {
        "name": "amount_max_90d",
        "data_type": "decimal(18, 2)",
        "description": "Greatest amount in the last 90 days.",
    }
    assert "amount_sum_7d" not in columns
    assert list(columns)[:3] == ["card_id", "merchant_id", "transaction_count_90d"]
    assert [name for test in pairs["data_tests"] for name in test] == [
        "dbt_expectations.expect_table_row_count_to_be_between",
        "assay.ranges_do_not_overlap",
    ]
    assert purchases["config"]["tags"] == ["shop"]
    assert purchases["config"]["meta"]["owner"] == "me"
    assert purchases["config"]["meta"]["feature_view"]["keys"] == ["customer_id"]


def test_what_dbt_wrote_of_the_last_build_stays(checkout: Checkout) -> None:
    manifest = checkout.root / "target" / "manifest.json"
    manifest.parent.mkdir(exist_ok=True)
    manifest.write_text("of the last build")
    for command in (("list",), ("describe", "ftr_card__velocity"), ("yaml", "ftr_card__velocity")):
        assert checkout.features(*command).exit_code == 0
    assert manifest.read_text() == "of the last build"


@pytest.mark.parametrize("name", WORDS)
def test_columns_are_described_by_their_names(name: str) -> None:
    assert description_of(name) == WORDS[name]


@pytest.mark.usefixtures("builds")
def test_it_works_in_a_project_that_has_assay_as_a_package(tmp_path: Path) -> None:
    project = make_package_project(tmp_path / "workshop")
    runs = (
        "scenario integer, machine varchar, ended_at timestamp, reported_at timestamp, amount decimal(9, 2)"
    )
    project.create("runs", f"{runs}, tool varchar, is_test boolean", [])
    project.create("changes", "machine varchar, known_at timestamp, owner varchar, place varchar", [])
    settings = project.root / "dbt_project.yml"
    contract = "    +materialized: table\n    +contract: {enforced: true}\n"
    settings.write_text(settings.read_text().replace("    +materialized: table\n", contract))
    workshop = Checkout(project.root, project.path)
    result = workshop.features("yaml", "machine_load", "--write")
    assert result.exit_code == 0, result.output
    written = entries((project.root / "models" / "_models__models.yml").read_text())["machine_load"]
    assert written["config"]["meta"]["feature_view"]["keys"] == ["scenario", "machine"]
    # The contract holds, and the test of the package is found.
    project.build("--select", "machine_load")
    listed = workshop.features("list")
    assert "scenario_machine" in listed.stdout
    assert "machine_load" in workshop.features("describe", "machine_load").stdout


# --- list and describe --------------------------------------------------------------------------------------


def test_list_tells_what_is_built(checkout: Checkout, built_demo: Warehouse) -> None:
    result = checkout.features("list")
    assert result.exit_code == 0, result.output
    for view in views(checkout.yaml.read_text()):
        declared = entries(checkout.yaml.read_text())[view]["config"]["meta"]["feature_view"]
        place = next(n for n, line in enumerate(result.stdout.splitlines()) if f" {view} " in line)
        first, second = result.stdout.splitlines()[place : place + 2]
        [(rows, updated_at)] = built_demo.query(f"select count(*), max(updated_at) from gold.{view}")
        assert first.split()[:2] == [view, declared["entity"]]
        assert first.split()[3:] == [
            "+",
            str(len(declared.get("derived", []))),
            declared["owner"],
            "yes",
            declared.get("max_age", "-"),
            f"{rows:,}",
        ]
        assert second.split()[0].rstrip(",") == declared["keys"][0]
        assert second.split()[-1] == (str(updated_at.date()) if updated_at else "-")


def test_describe_tells_all_of_a_view(checkout: Checkout) -> None:
    told = " ".join(checkout.features("describe", "ftr_card__velocity").stdout.split())
    for part in (
        "How fast a card is used",
        "card, known by card_id",
        "Owner risk",
        "Used by srv_catalog, trn_fraud",
        "transaction_count_1h bigint 0 1 Number of transactions",
        "amount_to_average_30d (double): Amount of the transaction as a multiple of the card's mean over "
        "30 days. amount::double / nullif(amount_sum_30d::double / nullif(transaction_count_30d, 0), 0)",
        "merchant_latitude (decimal(9, 6)): Latitude of the merchant in degrees.",
    ):
        assert part in told


def test_before_the_first_build_views_are_told_all_the_same(checkout: Checkout) -> None:
    checkout.warehouse = checkout.root / "nothing.duckdb"
    assert checkout.features("list").stdout.count("not built") == len(views(checkout.yaml.read_text()))
    assert "not built" in checkout.features("describe", "ftr_card__velocity").stdout
    result = checkout.features("yaml", "ftr_card__velocity")
    assert (result.exit_code, yaml.safe_load(result.stdout)) == (
        0,
        [entries(checkout.yaml.read_text())["ftr_card__velocity"]],
    )
    assert not checkout.warehouse.exists()


def test_during_a_build_what_is_published_is_told(checkout: Checkout, tmp_path: Path) -> None:
    checkout.warehouse = Path(shutil.copy(checkout.warehouse, tmp_path / "assay.duckdb"))
    writing = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with connect(checkout.warehouse, read_only=False) as connection:
        connection.execute("delete from gold.ftr_card__velocity")
    publish(
        checkout.warehouse, tmp_path / "published" / "assay.duckdb", Products({"ftr_card__velocity": "cards"})
    )
    with subprocess.Popen(
        [sys.executable, "-c", writing, str(checkout.warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout
        writer.stdout.readline()
        assert "Rows      0;" in checkout.features("describe", "ftr_card__velocity").stdout
        (tmp_path / "published" / "assay.duckdb").unlink()
        refused = checkout.features("list")
        assert writer.stdin
        writer.stdin.close()
    assert refused.exit_code == 3
    assert "open in another program" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("describe", "ftr_card__speed"),
            "is no feature view: there are ftr_card__categories, ftr_card__velocity",
        ),
        (("yaml", "ftr_card__speed"), "did you mean ftr_card__categories, ftr_card__velocity"),
        (("yaml", "ftr_customer__affinity_scores"), "is a python model"),
    ],
)
def test_what_is_no_view_is_refused(checkout: Checkout, arguments: tuple[str, str], message: str) -> None:
    result = checkout.features(*arguments)
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr


def test_the_yaml_of_a_model_is_written_before_anything_is_built(checkout: Checkout, tmp_path: Path) -> None:
    fresh = Checkout(checkout.root, tmp_path / "fresh.duckdb")
    (checkout.root / "models/example/gold/marts/fct_sums.sql").write_text(
        "select customer_id, sum(line_amount) as total, max(available_at) as known_at "
        "from {{ ref('fct_purchases') }} group by customer_id"
    )
    (checkout.root / "models/example/gold/training/lbl_sums.sql").write_text(
        "select customer_id, known_at as prediction_at, total > 10 as outcome from {{ ref('fct_sums') }}"
    )
    entry = yaml.safe_load(fresh.printed("lbl_sums"))[0]
    assert {column["name"]: column["data_type"] for column in entry["columns"]} == {
        "customer_id": "varchar",
        "prediction_at": "timestamp",
        "outcome": "boolean",
    }
    assert "feature_view" not in str(entry)
    velocity = yaml.safe_load(fresh.printed("ftr_card__velocity"))
    assert velocity == yaml.safe_load(checkout.printed("ftr_card__velocity"))
    assert not fresh.warehouse.exists()
