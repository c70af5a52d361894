"""Tell Dagster what a run of Assay did: materializations and results of checks, from the run ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, TypeAlias

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    MaterializeResult,
    MetadataValue,
    TableRecord,
)

from assay.api.build_result import BuildResult
from assay.core.places import Places
from assay.dagster.assets import ProjectAssets
from assay.ledger.account import Account, CheckedTable, read_account
from assay.ledger.nodes import read_nodes
from assay.ledger.results import NodeResult
from assay.project.conventions import CHECKED
from assay.project.failures import NOT_RUN
from assay.project.personal import Personal, read_personal
from assay.project.warehouse import connect_published

_ROWS_SHOWN = 10
_PASSED = ("pass", "success")
Metadata = dict[str, Any]
Made: TypeAlias = MaterializeResult[Any]
#: What Dagster is told of a run.
Told: TypeAlias = Made | AssetCheckResult


@dataclass
class Outcome:
    """What a run made and checked, in an order in which what is made of others stands behind them."""

    made: dict[AssetKey, Made] = field(default_factory=dict)
    checked: dict[AssetCheckKey, AssetCheckResult] = field(default_factory=dict)


def read_outcome(
    assets: ProjectAssets, result: BuildResult, places: Places, known: Iterable[AssetKey]
) -> Outcome:
    """Read from ledger and warehouse what a build did.

    Args:
        assets: of the project.
        result: of the build.
        places: of the project, in whose folder this is.
        known: the assets that Dagster has seen before; of others it learns also what is there since earlier.
    """
    run = result.report.run
    seen = set(known)
    nodes = {node.unique_id: node for node in read_nodes(places.ledger, run.run_id)}
    account = read_account(places.warehouse, run.run_id)
    personal = read_personal()

    def is_news(node: NodeResult, key: AssetKey) -> bool:
        is_of_run = node.started_at is not None and node.started_at >= run.started_at
        return node.status == "success" and (is_of_run or key not in seen)

    landed = _describe_landed(account)
    rejected = {each.name: each for each in account.checked}
    outcome = Outcome()
    for id_, spec in assets.nodes.items():
        metadata: Metadata | None = None
        if id_ in nodes and is_news(nodes[id_], spec.key):
            metadata = _describe_node(nodes[id_]) | _describe_rejects(nodes[id_], rejected, account)
        elif (found := landed.get(assets.landing.get(id_, ""))) and (
            found["files of this run"] or spec.key not in seen
        ):
            metadata = found
        if metadata is not None:
            metadata["run"] = run.run_id
            outcome.made[spec.key] = MaterializeResult(asset_key=spec.key, metadata=metadata)
    # Dagster takes a check for skipped that has no result in a run; those of earlier runs still stand.
    outcome.checked = {
        check.key: _describe_check(nodes[id_], check.key, personal)
        for id_, check in assets.checks.items()
        if id_ in nodes and nodes[id_].status not in NOT_RUN
    }
    outcome.made |= _describe_products(assets, result, places, seen)
    return outcome


def as_table(rows: Sequence[Mapping[str, Any]]) -> MetadataValue:
    """Return rows as a table on Dagster's page; all values are texts."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return MetadataValue.table(
        [TableRecord({name: str(row.get(name, "")) for name in names}) for row in rows[:_ROWS_SHOWN]]
    )


def describe_failures(result: BuildResult) -> str:
    """Return what failed in a build, a line each."""
    lines = [f"{failure}: {failure.message}" for failure in result.report.verdict.failures]
    return "\n".join([result.report.run.message or "The build failed.", *lines])


def _describe_node(node: NodeResult) -> Metadata:
    rows = {} if node.table_rows is None else {"dagster/row_count": node.table_rows}
    return {**rows, "seconds": round(node.seconds, 3), **({"owner": node.owner} if node.owner else {})}


def _describe_rejects(node: NodeResult, checked: Mapping[str, CheckedTable], account: Account) -> Metadata:
    name = node.name.removesuffix(CHECKED)
    if not node.name.endswith(CHECKED) or name not in checked:
        return {}
    rows = [
        {"rule": each.rule_id, "rows": each.rows, "reason": each.reason, "what to do": each.remedy}
        for each in account.rejects
        if each.table == name
    ]
    found: Metadata = {"kept rows": checked[name].kept, "rejected rows": checked[name].rejected}
    return found | ({"rejected by": as_table(rows)} if rows else {})


def _describe_landed(account: Account) -> dict[str, Metadata]:
    """Return what has landed, by the name of the landing table."""
    found: dict[str, Metadata] = {}
    for each in account.landed:
        troubled = [file for file in account.troubled if file.source_file.startswith(f"{each.source}/")]
        rows = [{"files": file.named, "status": file.status, "why": file.error} for file in troubled]
        found[each.source] = {
            "dagster/row_count": each.landed,
            "rows of this run": each.landed_in_run,
            "files": each.files,
            "files of this run": each.files_in_run,
            "files not loaded": sum(file.files for file in troubled),
            **({"not loaded": as_table(rows)} if rows else {}),
        }
    return found


def _describe_check(node: NodeResult, key: AssetCheckKey, personal: Personal) -> AssetCheckResult:
    is_warning = node.status == "warn" or node.severity == "warn"
    metadata: Metadata = {"status": node.status, "seconds": round(node.seconds, 3)}
    if node.started_at:
        metadata["checked at"] = MetadataValue.timestamp(node.started_at.replace(tzinfo=UTC))
    if node.owner:
        metadata["owner"] = node.owner
    if node.failing_rows is not None:
        metadata["failing rows"] = node.failing_rows
    if node.sample:
        metadata["some of them"] = as_table(personal.rows(node.sample, node.relation))
    return AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=node.status in _PASSED,
        severity=AssetCheckSeverity.WARN if is_warning else AssetCheckSeverity.ERROR,
        description=node.message,
        metadata=metadata,
    )


def _describe_products(
    assets: ProjectAssets, result: BuildResult, places: Places, seen: Collection[AssetKey]
) -> dict[AssetKey, Made]:
    if not places.published.is_file():
        return {}
    with connect_published(places.published) as connection:
        current = dict(
            connection.execute(
                "select product, list(table_name order by table_name) "
                "from published.tables where is_current group by all"
            ).fetchall()
        )
    file = MetadataValue.path(str(places.published.absolute()))
    return {
        spec.key: MaterializeResult(
            asset_key=spec.key,
            metadata={"run": result.run_id, "tables": ", ".join(current[product]), "file": file},
        )
        for product, spec in assets.products.items()
        if product in current and (result.report.publication or spec.key not in seen)
    }
