"""Find out of which models and columns the metrics of experiments are made, from dbt's semantic layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from assay.core.fault import Fault, unknown
from assay.project.experiments import EXPERIMENTS, Experiment, read_experiments

# The aggregations of measures that make a value of each unit's rows.
_OF_UNIT = ("sum", "sum_boolean", "count", "count_distinct")


@dataclass(frozen=True)
class Plan:
    """What the models of experiments are written from.

    `experiments` are those that can be computed, as YAML has them, each metric with the model and the SQL of
    its parts; `models` are the ids of the models that they read; `problems` says what is wrong with others.
    """

    experiments: Sequence[Mapping[str, Any]]
    models: frozenset[str]
    problems: Sequence[str]


def plan_experiments(manifest: Any, root: Path) -> Plan:
    """Read the experiments of a project, and resolve their metrics.

    Args:
        manifest: as dbt has parsed it.
        root: the project's folder.
    """
    try:
        declared = read_experiments(root / EXPERIMENTS)
    except Fault as fault:
        return Plan([], frozenset(), [str(fault)])
    planned, problems = [], list(declared.problems)
    models: set[str] = set()
    for experiment in declared.found.values():
        metrics = []
        for name in experiment.metrics:
            try:
                metrics.append(_metric(manifest, experiment, name))
            except Fault as fault:
                problems.append(f"{EXPERIMENTS}: {experiment.name}: {fault}")
        if len(metrics) == len(experiment.metrics):
            planned.append(_planned(experiment, metrics))
            models |= {part["unique_id"] for metric in metrics for part in metric["parts"]}
    return Plan(planned, frozenset(models), problems)


def _planned(experiment: Experiment, metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    covariate = experiment.covariate
    return {
        "name": experiment.name,
        "entity": experiment.entity,
        "arms": list(experiment.arms),
        "salt": experiment.salt,
        "start": experiment.start.isoformat(sep=" "),
        "end": experiment.end.isoformat(sep=" "),
        "attribution": int(experiment.attribution.total_seconds()),
        "covariate": int(covariate.total_seconds()) if covariate else None,
        "alpha": experiment.alpha,
        "correction": experiment.correction,
        "expected_units": experiment.expected_units,
        "metrics": list(metrics),
    }


def _metric(manifest: Any, experiment: Experiment, name: str) -> dict[str, Any]:
    """Return a metric's type and its parts: one, or of a ratio numerator and denominator.

    Raises:
        Fault: there is no such metric, or it is none that experiments can be judged by.
    """
    metric = _metric_named(manifest, name)
    kind = metric.type.value
    if kind == "ratio":
        parts = [
            _part(manifest, experiment, _metric_named(manifest, each.name), (metric.filter, each.filter))
            for each in (metric.type_params.numerator, metric.type_params.denominator)
        ]
        if any(part["agg"] == "average" for part in parts):
            raise Fault(f"the metric {name} is a ratio of averages: make it one of sums and counts.")
        return {"name": name, "type": "ratio", "parts": parts}
    part = _part(manifest, experiment, metric, ())
    if part["agg"] == "average":
        return {"name": name, "type": "ratio", "parts": [part | {"agg": "sum"}, part | {"agg": "count"}]}
    is_share = part["agg"] == "count_distinct" and part["sql"] == part["key"]
    return {"name": name, "type": "proportion" if is_share else "mean", "parts": [part]}


def _metric_named(manifest: Any, name: str) -> Any:
    found = {metric.name: metric for metric in manifest.metrics.values()}
    if name not in found:
        raise Fault(unknown(f"There is no metric {name}", name, found))
    return found[name]


def _part(manifest: Any, experiment: Experiment, metric: Any, filters: Sequence[Any]) -> dict[str, Any]:
    """Return what a simple metric is made of.

    Args:
        manifest: as dbt has parsed it.
        experiment: the one that is judged by the metric.
        metric: as dbt has parsed it.
        filters: those of the ratio that the metric is a part of, or None for each that is missing.

    Raises:
        Fault: it is of another type, its filter cannot be read, or its semantic model does not know the
            entity.
    """
    if metric.type.value != "simple":
        raise Fault(
            f"the metric {metric.name} is of type {metric.type.value}: experiments read simple metrics, and "
            "ratios of them."
        )
    asked = metric.type_params.measure
    model, measure = next(
        (model, measure)
        for model in manifest.semantic_models.values()
        for measure in model.measures
        if measure.name == asked.name
    )
    aggregation = measure.agg.value
    if aggregation not in (*_OF_UNIT, "average"):
        raise Fault(
            f"the metric {metric.name} is a {aggregation}: experiments read {', '.join(_OF_UNIT)}, average."
        )
    keys = {entity.name: entity.expr or entity.name for entity in model.entities}
    if experiment.entity not in keys:
        raise Fault(
            unknown(
                f"the metric {metric.name} is not of {experiment.entity}: the semantic model {model.name} "
                "has no such entity",
                experiment.entity,
                keys,
            )
        )
    time = measure.agg_time_dimension or (model.defaults and model.defaults.agg_time_dimension)
    times = {dimension.name: dimension.expr or dimension.name for dimension in model.dimensions}
    if time not in times:
        raise Fault(
            f"the metric {metric.name} has no time: the semantic model {model.name} needs an "
            "agg_time_dimension."
        )
    [unique_id] = model.depends_on.nodes
    return {
        "model": manifest.nodes[unique_id].name,
        "unique_id": unique_id,
        "key": keys[experiment.entity],
        "at": times[time],
        "sql": measure.expr or measure.name,
        "agg": aggregation,
        "where": [
            _condition(model, metric.name, each.where_sql_template)
            for filter_ in (asked.filter, metric.filter, *filters)
            if filter_
            for each in filter_.where_filters
        ],
    }


def _condition(model: Any, metric: str, template: str) -> str:
    """Return a filter of a metric as SQL over the rows of its semantic model.

    Args:
        model: the semantic model, as dbt has parsed it.
        metric: the metric's name.
        template: the filter, with Jinja's calls of Dimension, TimeDimension and Entity.

    Raises:
        Fault: the filter cannot be read, or asks for what the semantic model does not have.
    """
    primary = model.primary_entity or next(
        (each.name for each in model.entities if each.type.value == "primary"), ""
    )
    dimensions = {f"{primary}__{each.name}": each.expr or each.name for each in model.dimensions}
    entities = {each.name: each.expr or each.name for each in model.entities}

    def find(name: str, among: Mapping[str, str]) -> str:
        if name not in among:
            raise Fault(
                unknown(
                    f"the filter of the metric {metric} asks for {name}, and experiments read what the "
                    f"semantic model {model.name} has itself",
                    name,
                    among,
                )
            )
        return f"({among[name]})"

    class Dimension(str):
        def grain(self, name: str) -> str:
            return f"date_trunc('{name}', {self})"

    def time_dimension(name: str, grain: str | None = None) -> str:
        found = Dimension(find(name, dimensions))
        return found.grain(grain) if grain else found

    calls = {
        "Dimension": lambda name: Dimension(find(name, dimensions)),
        "TimeDimension": time_dimension,
        "Entity": lambda name: find(name, entities),
    }
    try:
        return SandboxedEnvironment(undefined=jinja2.StrictUndefined).from_string(template).render(calls)
    except (jinja2.TemplateError, TypeError) as error:
        raise Fault(f"the filter of the metric {metric} cannot be read: {template}: {error}") from error
