"""Read from dbt's manifest a training set's label, its features, and the histories that it joins."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.moment import length_of
from assay.project.calls import Ref, Unread, calls_of
from assay.project.conventions import LABEL_COLUMNS, TRAINING_SET, is_of_kind
from assay.project.graph import Manifest, Node, relation_of
from assay.project.joins import AGE_OF_VIEW, JoinedFeatures, joined_features

SPLIT, WEIGHT = "split", "weight"
# The part of a split whose rows are neither for training nor for tests.
EMBARGO = "embargo"
# The macro that fits parameters on training rows, and a pattern of columns made by the one that weighs them.
_FITTING = "fit_preprocessing"
_WEIGHTED = re.compile(
    r"(?:,|\bselect)\s*\{\{-?\s*(?:assay\.)?balanced_weight\(.*?\}\}\s*as\s+\"?(\w+)", re.DOTALL
)
# The column with the time at which an event was known, whatever a feature view's arguments say.
AVAILABLE_AT = "available_at"


@dataclass(frozen=True)
class History:
    """A table of half-open ranges."""

    name: str
    relation: str
    entity_keys: list[str]
    valid_from: str = "valid_from"
    valid_to: str = "valid_to"


@dataclass(frozen=True)
class Windows:
    """The arguments of the `windowed_history` that makes a feature view; `relation` holds its events."""

    relation: str
    entity_keys: list[str]
    event_at: str
    available_at: str
    measures: dict[str, Any]
    windows: list[str]
    where: str | None


@dataclass(frozen=True)
class View:
    """A feature view as declared; `windows` is None if `windowed_history` does not make it."""

    name: str
    relation: str
    entity_keys: list[str]
    max_age: str | None
    defaults: dict[str, Any]
    derived: dict[str, str]
    inputs: list[str]
    windows: Windows | None


@dataclass(frozen=True)
class Features:
    """The features that a training set takes from a view."""

    view: View
    columns: list[str]
    derived: list[str]
    prefix: str
    max_age: str | None
    inputs: dict[str, str]


@dataclass(frozen=True)
class Population:
    """The rows of a label: all that are known `known_after` the prediction, or some drawn by outcome."""

    known_after: timedelta = timedelta()
    is_drawn_by_outcome: bool = False


@dataclass(frozen=True)
class TrainingSet:
    """A training set as declared.

    `ages_unknown` are relations that are joined with a max_age but without the time of confirmation.
    `scramble` is the SQL under `meta.label.scramble`, which changes outcomes in landed rows that were not
    known at `{at}`; None if the label declares none. `unread` says which parts of the definition could not
    be read.

    `window`, `horizon` and `population` are those under `meta.label`, None if not declared: the outcome
    depends on events from `window[0]` to `window[1]` after the prediction, and is known `horizon` after it.
    `learns_from_rows` tells whether parameters are fitted on the training rows. `weights` are the columns
    made by `balanced_weight` alone; they also depend on all training rows.
    """

    name: str
    relation: str
    keys: list[str]
    label: str
    features: list[Features]
    ages_unknown: list[str]
    histories: list[History]
    scramble: list[str] | None
    unread: list[str] = field(default_factory=list)
    label_name: str = ""
    window: tuple[timedelta, timedelta] | None = None
    horizon: timedelta | None = None
    population: Population | None = None
    learns_from_rows: bool = False
    weights: list[str] = field(default_factory=list)


def read_training_set(manifest: Manifest, name: str) -> TrainingSet:
    """Read the declaration of a training set.

    Raises:
        Fault: the model is no training set, does not read one label, or has no primary key.
    """
    node = manifest.node(name)
    if not is_of_kind(node, "training_sets"):
        raise Fault(f"{name} is no training set: models whose names begin with {TRAINING_SET} are.", MISUSED)
    parents = manifest.parents(node)
    labels = [parent for parent in parents if all(each in parent["columns"] for each in LABEL_COLUMNS)]
    if len(labels) != 1:
        raise Fault(
            f"{name} must read one label, a model with the columns {', '.join(LABEL_COLUMNS)}, "
            f"and reads {len(labels)}.",
            MISUSED,
        )
    keys = _primary_key(node) or _primary_key(labels[0])
    if not keys:
        raise Fault(f"{name} has no primary_key among its constraints: declare one.", MISUSED)
    joins = joined_features(node)
    unread = [] if joins else ["its features: there is no call of point_in_time_join"]
    if any(joined.view is None for joined in joins):
        unread.append("features that are taken from no feature view")
    ancestors = manifest.ancestors([name])
    declared = labels[0]["config"].get("meta", {}).get("label", {})
    return TrainingSet(
        name,
        relation_of(node),
        keys,
        relation_of(labels[0]),
        [_features(manifest, joined, joined.view) for joined in joins if joined.view],
        _ages_unknown(parents, joins),
        [history for each in ancestors.values() if (history := _history(each))],
        declared.get("scramble"),
        unread,
        labels[0]["name"],
        _window(labels[0]["name"], declared),
        length_of(declared["horizon"]) if "horizon" in declared else None,
        _population(labels[0]["name"], declared),
        name in manifest.users_of(_FITTING, ancestors),
        _WEIGHTED.findall(node["raw_code"]),
    )


def _window(label: str, declared: dict[str, Any]) -> tuple[timedelta, timedelta] | None:
    if "window" not in declared:
        return None
    try:
        start, end = (_signed_length(declared["window"][name]) for name in ("from", "to"))
    except (KeyError, TypeError, ValueError):
        raise Fault(
            f"{label}: meta.label.window must be written as {{from: 0d, to: 90d}}.", MISUSED
        ) from None
    return start, end


def _signed_length(text: str) -> timedelta:
    return -length_of(text[1:]) if text.startswith("-") else length_of(text)


def _population(label: str, declared: dict[str, Any]) -> Population | None:
    match declared.get("population"):
        case None:
            return None
        case "drawn_by_outcome":
            return Population(is_drawn_by_outcome=True)
        case {"known_after": str() as length}:
            return Population(length_of(length))
    raise Fault(
        f"{label}: meta.label.population must be written as {{known_after: 0s}} or drawn_by_outcome.", MISUSED
    )


def _features(manifest: Manifest, joined: JoinedFeatures, name: str) -> Features:
    view = _view(manifest, name)
    max_age = view.max_age if joined.max_age == AGE_OF_VIEW else joined.max_age
    return Features(view, joined.columns, joined.derived, joined.prefix, max_age, joined.inputs)


def _ages_unknown(parents: list[Node], joins: list[JoinedFeatures]) -> list[str]:
    """Return the histories that may be joined with a maximum age but without the time of confirmation.

    dbt does not resolve a `ref` while it parses, so each history that is not joined as a view may be one.
    """
    if all(joined.view or joined.confirmed_at or joined.max_age in (None, AGE_OF_VIEW) for joined in joins):
        return []
    histories = [each for each in parents if {"valid_from", "updated_at"} <= each["columns"].keys()]
    views = {joined.view for joined in joins}
    others = [each for each in histories if each["name"] not in views]
    return [relation_of(each) for each in others or histories]


def _view(manifest: Manifest, name: str) -> View:
    node = manifest.node(name)
    declared = node["config"]["meta"]["feature_view"]
    return View(
        name,
        relation_of(node),
        declared["keys"],
        declared.get("max_age"),
        declared.get("defaults") or {},
        {each["name"]: each["expression"] for each in declared.get("derived") or []},
        [each["name"] for each in declared.get("inputs") or []],
        _windows(manifest, node),
    )


def _windows(manifest: Manifest, node: Node) -> Windows | None:
    calls = calls_of("windowed_history", node["raw_code"])
    if len(calls) != 1 or not isinstance(relation := calls[0].pop("relation"), Ref):
        return None
    if any(isinstance(each, Unread) for each in calls[0].values()):
        return None
    return Windows(relation=relation_of(manifest.node(relation.name)), **{"where": None, **calls[0]})


def _primary_key(node: Node) -> list[str]:
    for constraint in node.get("constraints") or []:
        if constraint["type"] == "primary_key":
            return list(constraint["columns"])
    return []


def _history(node: Node) -> History | None:
    """Return a node as a history; None if it is no history, or its keys are not declared."""
    if node["resource_type"] == "snapshot":
        unique_key = node["config"]["unique_key"]
        keys = [unique_key] if isinstance(unique_key, str) else list(unique_key)
        return History(node["name"], relation_of(node), keys, "dbt_valid_from", "dbt_valid_to")
    if not {"valid_from", "valid_to"} <= node["columns"].keys():
        return None
    declared = node["config"].get("meta", {}).get("feature_view")
    keys = declared["keys"] if declared else [key for key in _primary_key(node) if key != "valid_from"]
    return History(node["name"], relation_of(node), keys) if keys else None
