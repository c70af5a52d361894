"""The small project with contracts: of its source, and of two products, one of which rests on the other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml
from small_project import PROJECT, SmallProject

_FCT_PRODUCTS = """
select product_id, count(*) as line_count
from {{ ref('slv_order_lines') }}
group by all
"""
_PRODUCTS = """
  - name: fct_products
    description: Products that were ordered.
    columns:
      - {name: product_id, data_type: varchar, description: Code., constraints: [{type: not_null}]}
      - {name: line_count, data_type: bigint, description: Lines.}
"""


def make_contract_project(project: SmallProject) -> SmallProject:
    """Put a small project that is built under contract, and build and publish it again."""
    root = project.root
    _leave_one_source(root / "models" / "example" / "bronze")
    for name in ("_bronze__sources.yml", "brz_serving__predictions.sql", "brz_serving__exposures.sql"):
        (root / "models" / "platform" / "bronze" / name).unlink()
    (root / "contracts").mkdir()
    shutil.copy(PROJECT / "contracts" / "example" / "erp.odcs.yaml", root / "contracts")
    change_contract(project, "erp", lambda contract: contract.pop("slaProperties"))
    gold = root / "models" / "own" / "gold"
    (gold / "fct_products.sql").write_text(_FCT_PRODUCTS)
    with (gold / "_gold__models.yml").open("a") as models:
        models.write(_PRODUCTS)
    assert project.assay("build").exit_code == 0
    for model, product in (("fct_lines", "lines"), ("fct_days", "days"), ("fct_products", "products")):
        adopted = project.assay(
            "contracts", "adopt", model, "--product", product, "--owner", f"{product} team"
        )
        assert adopted.exit_code == 0, adopted.stdout
    synced = project.assay("contracts", "sync")
    assert synced.exit_code == 0, synced.stdout
    build = project.assay("build")
    assert build.exit_code == 0, build.stdout
    return project


def _leave_one_source(bronze: Path) -> None:
    for model in bronze.glob("brz_*__*.sql"):
        if model.stem != "brz_erp__order_lines":
            model.unlink()
    sources = bronze / "_bronze__sources.yml"
    declared = yaml.safe_load(sources.read_text())
    declared["sources"] = [source for source in declared["sources"] if source["name"] == "erp"]
    sources.write_text(yaml.safe_dump(declared, sort_keys=False))


def contract_file(project: SmallProject, name: str) -> Path:
    """Return a contract's file."""
    return project.root / "contracts" / f"{name}.odcs.yaml"


def change_contract(project: SmallProject, name: str, change: Any) -> None:
    """Change what a contract says."""
    path = contract_file(project, name)
    contract = yaml.safe_load(path.read_text())
    change(contract)
    path.write_text(yaml.safe_dump(contract, sort_keys=False))


def column(contract: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a column of a contract's first table."""
    found: dict[str, Any] = next(each for each in contract["schema"][0]["properties"] if each["name"] == name)
    return found
