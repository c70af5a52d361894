"""Turn changes of schema into results of a run, so that they are recorded and alerted like those of tests."""

from __future__ import annotations

from collections.abc import Iterable

from assay.landing.declared import DeclarationError, declared_tables
from assay.landing.schema.recorded import SchemaChange
from assay.ledger.results import NodeResult
from assay.project.paths import all_model_paths


def make_schema_results(changes: Iterable[SchemaChange]) -> list[NodeResult]:
    """Return a result for each change: a warning to the source's owner while it is open, else a pass."""
    owners = read_source_owners()
    return [
        NodeResult(
            unique_id=f"schema_change.{change.table}.{change.column_name}.{change.kind}",
            name=f"{change.kind} {change.column_name}",
            kind="schema change",
            relation=change.table,
            status="warn" if change.state == "open" else "pass",
            severity="warn",
            started_at=None,
            seconds=0.0,
            table_rows=None,
            failing_rows=None,
            owner=owners.get((change.source_name, change.table_name)),
            message=f"a file {change.change} ({change.handled})" if change.state == "open" else None,
            sample=[],
        )
        for change in changes
    ]


def read_source_owners() -> dict[tuple[str, str], str | None]:
    """Return the owner of each landing table, by source and table; none if a declaration is wrong."""
    try:
        return {place: table.owner for place, table in declared_tables(*all_model_paths()).items()}
    except DeclarationError:
        # The build has reported the error already.
        return {}
