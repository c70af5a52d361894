"""A build as OpenLineage events: what each node read and wrote, and which columns come from which.

The events are those of the standard (https://openlineage.io), under the names that its dbt integration gives
to tables of DuckDB. That integration does not read DuckDB's SQL, so that columns would stay unconnected.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import duckdb
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    RunFacet,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    documentation_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    ownership_dataset,
    parent_run,
    schema_dataset,
    sql_job,
)

from assay.ledger import runs as ledger
from assay.ledger.results import NodeResult
from assay.lineage.columns import QueryLineage, Untraceable, lineage_of, tables_of, types_of
from assay.project.conventions import TABLES
from assay.project.failures import FAILED

# OpenLineage's own variable: the namespace of jobs.
NAMESPACE = "OPENLINEAGE_NAMESPACE"
PRODUCER = "urn:assay"
_BUILD = "assay build"


def events_of(
    run: ledger.Run, nodes: Sequence[NodeResult], results: Iterable[Any], warehouse: Path
) -> list[RunEvent]:
    """Return the events of a build that has ended, in the order in which things happened.

    The run of the build has the id that it has in the ledger; runs of its nodes have ids made of it, and name
    it as their parent. Where the columns of a model cannot be followed, or it is written in Python, its event
    names the tables alone.

    Args:
        run: the build.
        nodes: what became of its nodes.
        results: of dbt's run.
        warehouse: the file it wrote, which must be closed.

    Raises:
        duckdb.Error: the warehouse cannot be opened.
    """
    of_dbt = {result.node.unique_id: result.node for result in results}
    with tables_of(warehouse) as connection:
        return list(_Events(run, warehouse, connection, of_dbt).of_build(nodes))


class _Events:
    def __init__(
        self,
        run: ledger.Run,
        warehouse: Path,
        connection: duckdb.DuckDBPyConnection,
        of_dbt: dict[str, Any],
    ) -> None:
        self._run = run
        self._jobs = os.environ.get(NAMESPACE) or "assay"
        self._datasets = f"duckdb://{warehouse.absolute()}"
        self._catalog = warehouse.stem
        self._connection = connection
        self._of_dbt = of_dbt
        self._types = types_of(connection)

    def of_build(self, nodes: Sequence[NodeResult]) -> Iterator[RunEvent]:
        run, job = Run(self._run.run_id), Job(self._jobs, _BUILD)
        ended = self._run.ended_at or self._run.started_at
        failed = self._run.status != "succeeded"
        yield self._event(RunState.START, self._run.started_at, run, job)
        for node in nodes:
            if node.kind in TABLES and node.started_at and node.status != "skipped":
                yield from self._of_node(node, node.started_at)
        yield from self._of_tests(nodes, ended)
        yield self._event(RunState.FAIL if failed else RunState.COMPLETE, ended, run, job)

    def _of_node(self, node: NodeResult, started: datetime) -> Iterator[RunEvent]:
        model = self._of_dbt[node.unique_id]
        lineage = self._lineage(model)
        facets: dict[str, JobFacet] = {"jobType": _job_type(node.kind)}
        if query := _query(model):
            facets["sql"] = sql_job.SQLJobFacet(query, dialect="duckdb")
        failed = node.status in FAILED
        yield from self._started_and_ended(
            Job(self._jobs, f"{self._catalog}.{node.relation}", facets),
            started,
            started + timedelta(seconds=node.seconds),
            error=node.message or node.status if failed else None,
            inputs=[self._input(relation) for relation in sorted(lineage.relations)],
            outputs=[] if failed else [self._output(node, model, lineage)],
        )

    def _of_tests(self, nodes: Sequence[NodeResult], ended: datetime) -> Iterator[RunEvent]:
        """Yield an event for each table that was tested, with all that was claimed of it."""
        tested: dict[str, list[NodeResult]] = defaultdict(list)
        for node in nodes:
            if node.kind == "test" and node.status != "skipped":
                for about in node.relation.split(", "):
                    tested[".".join(about.split(".")[:2])].append(node)
        for relation, tests in sorted(tested.items()):
            name = f"{self._catalog}.{relation}"
            claims = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                [_assertion(test, relation) for test in tests]
            )
            failed = [test.name for test in tests if test.status in FAILED]
            yield from self._started_and_ended(
                Job(self._jobs, f"{name}.tests", {"jobType": _job_type("test")}),
                min(test.started_at or ended for test in tests),
                ended,
                error=f"failed: {', '.join(failed)}" if failed else None,
                inputs=[InputDataset(self._datasets, name, inputFacets={"dataQualityAssertions": claims})],
            )

    def _lineage(self, model: Any) -> QueryLineage:
        """Return what a model is made of: by its SQL, or what dbt says that it depends on."""
        if query := _query(model):
            try:
                return lineage_of(self._connection, query)
            except (duckdb.Error, Untraceable):
                pass
        above = [self._of_dbt[each] for each in model.depends_on_nodes if each in self._of_dbt]
        return QueryLineage(frozenset(f"{self._catalog}.{each.schema}.{each.alias}" for each in above), {})

    def _output(self, node: NodeResult, model: Any, lineage: QueryLineage) -> OutputDataset:
        relation = f"{self._catalog}.{node.relation}"
        types = self._types[relation]
        facets: dict[str, DatasetFacet] = {
            "schema": schema_dataset.SchemaDatasetFacet(
                [
                    schema_dataset.SchemaDatasetFacetFields(
                        name,
                        data_type,
                        getattr(model.columns.get(name), "description", None) or None,
                    )
                    for name, data_type in types.items()
                ]
            )
        }
        if model.description:
            facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(model.description)
        if node.owner:
            facets["ownership"] = ownership_dataset.OwnershipDatasetFacet(
                [ownership_dataset.Owner(node.owner)]
            )
        if columns := {
            name: sources for name, sources in lineage.columns.items() if sources and name in types
        }:
            facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
                {
                    name: column_lineage_dataset.Fields(
                        [
                            column_lineage_dataset.InputField(
                                self._datasets,
                                column.relation,
                                column.name,
                                [
                                    column_lineage_dataset.Transformation(
                                        "DIRECT", "IDENTITY" if is_same else "TRANSFORMATION"
                                    )
                                ],
                            )
                            for column, is_same in sorted(sources.items())
                        ]
                    )
                    for name, sources in columns.items()
                }
            )
        output = OutputDataset(self._datasets, relation, facets=facets)
        if node.table_rows is not None:
            output.outputFacets = {
                "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                    rowCount=node.table_rows
                )
            }
        return output

    def _input(self, relation: str) -> InputDataset:
        return InputDataset(self._datasets, relation)

    def _started_and_ended(
        self,
        job: Job,
        started: datetime,
        ended: datetime,
        *,
        error: str | None,
        inputs: Sequence[InputDataset],
        outputs: Sequence[OutputDataset] = (),
    ) -> Iterator[RunEvent]:
        """Yield the two events of a job that was a part of the build."""
        facets: dict[str, RunFacet] = {
            "parent": parent_run.ParentRunFacet(
                parent_run.Run(self._run.run_id), parent_run.Job(self._jobs, _BUILD)
            )
        }
        run_id = str(uuid5(UUID(self._run.run_id), job.name))
        yield self._event(RunState.START, started, Run(run_id, facets), job, inputs, outputs)
        if error is not None:
            facets = facets | {"errorMessage": error_message_run.ErrorMessageRunFacet(error, "SQL")}
        state = RunState.COMPLETE if error is None else RunState.FAIL
        yield self._event(state, ended, Run(run_id, facets), job, inputs, outputs)

    def _event(
        self,
        state: RunState,
        at: datetime,
        run: Run,
        job: Job,
        inputs: Sequence[InputDataset] = (),
        outputs: Sequence[OutputDataset] = (),
    ) -> RunEvent:
        return RunEvent(
            eventType=state,
            eventTime=at.replace(tzinfo=UTC).isoformat(),
            run=run,
            job=job,
            inputs=list(inputs),
            outputs=list(outputs),
            producer=PRODUCER,
        )


def _query(model: Any) -> str | None:
    """Return a model's SQL; None of a seed, or a model in Python."""
    return getattr(model, "compiled_code", None) if model.language == "sql" else None


def _job_type(kind: str) -> job_type_job.JobTypeJobFacet:
    return job_type_job.JobTypeJobFacet("BATCH", "DBT", kind.upper())


def _assertion(test: NodeResult, relation: str) -> data_quality_assertions_dataset.Assertion:
    about = next(each for each in test.relation.split(", ") if each.startswith(relation))
    return data_quality_assertions_dataset.Assertion(
        assertion=test.name,
        success=test.status == "pass",
        column=about.removeprefix(relation).removeprefix(".") or None,
        severity=test.severity,
    )
